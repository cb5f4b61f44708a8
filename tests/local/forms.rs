//! Containers whose files have another form than this server's new ones: opened as they are, or refused with the reason.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use sandbox::guest::{Guest, HELLO_TIMEOUT};
use sandbox::local::LocalBackend;
use sandbox::{Host as _, Isolation, Launcher as _, SandboxSpec};

use crate::bench::{config, contract};
use crate::talk::{SMALL, bash, new_spec};

async fn server(folder: &Path, isolation: Isolation) -> LocalBackend {
    let mut config = config(folder);
    config.isolation = isolation;
    LocalBackend::connect(config).await.unwrap()
}

/// What a command says in a container; or why there is no sandbox.
async fn says(server: &LocalBackend, spec: &SandboxSpec, command: &str) -> Result<String, String> {
    let launched = server.launch(spec).await;
    let launched = launched.map_err(|error| error.to_string())?;
    let resumed = Guest::resume(launched, server.settings(spec), HELLO_TIMEOUT).await;
    Ok(bash(&resumed.unwrap().0, command).await.out)
}

#[tokio::test]
async fn a_container_has_its_files_under_another_isolation_or_says_why_not() {
    let Some(bench) = contract().await else {
        return;
    };
    let has_namespaces = bench.has_namespaces();
    bench.end().await;
    if !has_namespaces {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // For sandboxes of users of their own, where they have them.
    let data = folder.path().join("data");
    let passable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), passable).unwrap();
    fs::create_dir(&data).unwrap();
    let (here, there) = (new_spec(SMALL), new_spec(SMALL));

    let namespaces = server(&data, Isolation::Strict).await;
    let is_image = namespaces.disk_is_exact();
    let said = says(&namespaces, &here, "echo here > note").await;
    assert_eq!(said.unwrap(), "");
    namespaces.close().await.unwrap();
    drop(namespaces);

    let landlock = server(&data, Isolation::Landlock).await;
    let said = says(&landlock, &there, "umask 077; echo there > note").await;
    assert_eq!(said.unwrap(), "");
    let said = says(&landlock, &here, "cat note").await;
    if is_image {
        let why = said.unwrap_err();
        assert!(why.contains("in a disk image"), "{why}");
        assert!(why.contains("there are no namespaces"), "{why}");
        assert!(!landlock.has_lost(&here.sandbox_id).await.unwrap());
    } else {
        assert_eq!(said.unwrap(), "here\n");
    }
    landlock.close().await.unwrap();
    drop(landlock);

    let namespaces = server(&data, Isolation::Strict).await;
    for (spec, wanted) in [(&here, "here\n"), (&there, "there\n")] {
        assert!(!namespaces.has_lost(&spec.sandbox_id).await.unwrap());
        let said = says(&namespaces, spec, "cat note").await;
        assert_eq!(said.unwrap(), wanted);
    }
    // The disk of a folder is watched, whatever new ones have.
    assert_ne!(namespaces.settings(&there).max_disk_bytes, 0);
    assert_eq!(namespaces.settings(&here).max_disk_bytes == 0, is_image);
    namespaces.close().await.unwrap();
}

#[tokio::test]
async fn files_of_another_user_are_refused_and_stay_as_they_are() {
    let Some(bench) = contract().await else {
        return;
    };
    bench.end().await;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIPPED, nothing was tested: only root may give files away");
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let spec = new_spec(SMALL);
    let home = data
        .path()
        .join("sandboxes")
        .join(&*spec.sandbox_id)
        .join("home");
    fs::create_dir_all(&home).unwrap();
    chown(&home, Some(12_345), Some(12_345)).unwrap();
    let server = server(data.path(), Isolation::Any).await;
    let why = says(&server, &spec, "true").await.unwrap_err();
    assert!(why.contains("they belong to the user 12345"), "{why}");
    assert_eq!(fs::metadata(&home).unwrap().uid(), 12_345);
    assert_eq!(fs::read_dir(home.parent().unwrap()).unwrap().count(), 1);
    server.close().await.unwrap();
}
