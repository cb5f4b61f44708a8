//! Talking to guests that are processes of this machine: each has its files in a folder of its own.

use std::fmt::Debug;
use std::path::Path;

use sandbox::guest::{Guest, HELLO_TIMEOUT, Settings};
use sandbox::{Launched, Launcher as _, SandboxError, SandboxSpec};

use crate::bench::Bench;
use crate::talk::{SMALL, bash, new_spec};

/// Settings of a guest whose places lie in this folder.
pub(crate) fn settings(folder: &Path) -> Settings {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    Settings {
        files_root: at("files"),
        skills_root: at("skills"),
        tmp_root: at("tmp"),
        work_dir: at("home"),
        ..Settings::default()
    }
}

/// Says hello to a guest.
pub(crate) async fn greet(bench: &Bench, launched: Launched) -> Guest {
    let settings = settings(&bench.folder.path().join("guest"));
    let (guest, _) = Guest::resume(launched, settings, HELLO_TIMEOUT)
        .await
        .unwrap();
    guest
}

/// A sandbox of a light bench.
pub(crate) async fn start(bench: &Bench, spec: &SandboxSpec) -> Result<Guest, SandboxError> {
    let launched = bench.backend.launch(spec).await?;
    Ok(greet(bench, launched).await)
}

/// A new stream to a sandbox that runs.
pub(crate) async fn again(bench: &Bench, spec: &SandboxSpec) -> Option<Guest> {
    let launched = bench.backend.take_up(&spec.sandbox_id).await.unwrap()?;
    Some(greet(bench, launched).await)
}

/// Reason and hint of what cannot be had now.
pub(crate) fn unavailable<T: Debug>(tried: Result<T, SandboxError>) -> (String, String) {
    match tried {
        Err(SandboxError::Unavailable { reason, hint }) => (reason, hint),
        other => panic!("{other:?}"),
    }
}

/// A new container fails with a reason and a hint.
pub(crate) async fn fails(bench: &Bench, reason: &str, hint: &str) {
    let (told, way) = unavailable(start(bench, &new_spec(SMALL)).await);
    assert!(told.contains(reason), "{told}");
    assert!(way.contains(hint), "{way}");
}

/// A new container does what it is told.
pub(crate) async fn works(bench: &Bench) {
    let guest = start(bench, &new_spec(SMALL)).await.unwrap();
    assert_eq!(bash(&guest, "echo next").await.out, "next\n");
}
