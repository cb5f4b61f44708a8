//! The sandbox image, built when it is missing or stale, by one test at a time.

#[path = "require.rs"]
pub(crate) mod require;

use std::fs::File;
use std::path::Path;

use cli::image::{BuildArgs, Flavor, Progress};
use sandbox::SandboxError;
use sandbox::docker::image;

use self::require::skip;

/// Whether the image is there now; false where no engine answers and none is required.
pub(crate) async fn image_ready(flavor: Flavor) -> bool {
    let args = BuildArgs {
        flavor,
        ..BuildArgs::default()
    };
    let lock = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{flavor}.lock"));
    let lock = File::create(lock).unwrap();
    let _lock = tokio::task::spawn_blocking(|| lock.lock().map(|()| lock))
        .await
        .unwrap()
        .unwrap();
    let mut show = |event| match event {
        Progress::Note(text) | Progress::Step { text, .. } => eprintln!("image {flavor}: {text}"),
        Progress::Line(_) => {}
    };
    match image::ensure(&args, &mut show).await {
        Ok(_) => true,
        Err(image::ImageError::Sandbox(SandboxError::Unavailable { reason, hint })) => {
            skip("docker", &format!("{reason}\n  hint: {hint}"));
            false
        }
        Err(error) => panic!("{error}"),
    }
}
