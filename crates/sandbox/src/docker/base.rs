//! The image the sandbox image is built on: the official Python one, a named one, or one made here.

use std::collections::VecDeque;
use std::io;
use std::process::Stdio;

use bollard::errors::Error as BollardError;
use bollard::query_parameters::CreateImageOptionsBuilder;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::engine::{Engine, reason};
use super::recipe::{BuildArgs, ImageError, ImageState, Progress, state};
use super::steps::hint;
use common::limits::{ENGINE_PULL_SILENCE, IMAGE_BUILD_TIMEOUT};

/// The default of the recipe's `BASE`.
const OFFICIAL: &str = "python:3.11.12-slim-bookworm";
const OFFLINE_NAME: &str = "sandtable-base";
/// The Debian release whose Python is 3.11.
const RELEASE: &str = "bookworm";
const PACKAGES: &str = "ca-certificates,python3";
const MAKER: &str = "mmdebstrap";
const KEPT_LINES: usize = 10;
const CHUNK_BYTES: usize = 256 * 1024;

/// Makes sure that a base is on the engine, and answers its name.
pub(super) async fn provide(
    engine: &Engine,
    args: &BuildArgs,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<String, ImageError> {
    let Some(named) = &args.base else {
        return provide_own(engine, args.offline, progress).await;
    };
    if state(engine, named).await? != ImageState::Missing {
        return Ok(named.clone());
    }
    if args.offline {
        let hint = "bring it to the engine first, or build without `--offline`";
        return Err(failed(named, "not on the engine", hint));
    }
    match pull(engine, named, progress).await {
        Ok(()) => Ok(named.clone()),
        Err(error) => {
            let reason = error.to_string();
            Err(failed(named, &reason, hint(&reason)))
        }
    }
}

async fn provide_own(
    engine: &Engine,
    offline: bool,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<String, ImageError> {
    if !offline {
        if state(engine, OFFICIAL).await? != ImageState::Missing {
            return Ok(OFFICIAL.to_owned());
        }
        match pull(engine, OFFICIAL, progress).await {
            Ok(()) => return Ok(OFFICIAL.to_owned()),
            Err(error) if !maker_is_here().await => {
                let hint = "install Debian's `mmdebstrap` and build with `--offline`, or name a base with `--base`";
                return Err(failed(OFFICIAL, &error.to_string(), hint));
            }
            Err(error) => progress(Progress::Note(format!(
                "`{OFFICIAL}` cannot be pulled ({error}); going on with a base from Debian packages, whose Python is 3.11.2"
            ))),
        }
    }
    let name = format!("{OFFLINE_NAME}:{RELEASE}");
    if state(engine, &name).await? == ImageState::Missing {
        make(engine, &name, progress).await?;
    }
    Ok(name)
}

/// Why an image was not pulled.
#[derive(Debug, thiserror::Error)]
enum PullError {
    #[error("silent for {} s", ENGINE_PULL_SILENCE.as_secs())]
    Silent,
    #[error("no answer within {} s", ENGINE_PULL_SILENCE.as_secs())]
    Late,
    #[error("{}", reason(.0))]
    Engine(#[source] BollardError),
}

/// Pulls an image.
async fn pull(
    engine: &Engine,
    name: &str,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), PullError> {
    progress(Progress::Note(format!("pulling `{name}`")));
    // Without a tag the engine would pull all of them.
    let tagged = name
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains([':', '@']));
    let reference = if tagged {
        name.to_owned()
    } else {
        format!("{name}:latest")
    };
    let options = CreateImageOptionsBuilder::default()
        .from_image(&reference)
        .build();
    let docker = engine.docker.clone().with_timeout(ENGINE_PULL_SILENCE);
    let mut output = docker.create_image(Some(options), None, None);
    loop {
        match tokio::time::timeout(ENGINE_PULL_SILENCE, output.next()).await {
            Err(_) => return Err(PullError::Silent),
            Ok(None) => return Ok(()),
            Ok(Some(Err(BollardError::RequestTimeoutError))) => {
                return Err(PullError::Late);
            }
            Ok(Some(Err(error))) => return Err(PullError::Engine(error)),
            Ok(Some(Ok(info))) => {
                let moving = info
                    .progress_detail
                    .is_some_and(|detail| detail.total.is_some());
                if let Some(status) = info.status.filter(|_| !moving) {
                    let id = info.id.unwrap_or_default();
                    progress(Progress::Line(format!("{id} {status}").trim().to_owned()));
                }
            }
        }
    }
}

async fn maker_is_here() -> bool {
    let version = Command::new(MAKER)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.await.is_ok_and(|status| status.success())
}

/// Makes a base from Debian packages and streams it to the engine.
async fn make(
    engine: &Engine,
    name: &str,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), ImageError> {
    progress(Progress::Note(format!(
        "making `{name}` from Debian packages"
    )));
    let mut child = Command::new(MAKER)
        .args(["--variant=minbase", "--format=tar"])
        .arg(format!("--include={PACKAGES}"))
        .args([RELEASE, "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            let reason = format!("`{MAKER}` cannot be started: {error}");
            failed(
                name,
                &reason,
                "install Debian's `mmdebstrap`, or name a base with `--base`",
            )
        })?;
    let stdout = child.stdout.take().expect("stdout was asked for");
    let stderr = child.stderr.take().expect("stderr was asked for");
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(OFFLINE_NAME)
        .tag(RELEASE)
        .message("made by sandtable")
        .build();
    let docker = engine.docker.clone().with_timeout(IMAGE_BUILD_TIMEOUT);
    let body = bollard::body_try_stream(content(child, stdout));
    let importing = async {
        let mut output = docker.create_image(Some(options), Some(body), None);
        while let Some(said) = output.next().await {
            said?;
        }
        Ok::<(), BollardError>(())
    };
    let listening = async {
        let mut kept = VecDeque::new();
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if kept.len() == KEPT_LINES {
                kept.pop_front();
            }
            kept.push_back(line.clone());
            progress(Progress::Line(line));
        }
        kept
    };
    let (imported, kept) = tokio::join!(importing, listening);
    imported.map_err(|error| {
        let lines: Vec<String> = kept.into_iter().collect();
        let reason = format!("{}\n{}", reason(&error), lines.join("\n"));
        failed(name, &reason, hint(&reason))
    })
}

/// The maker's standard output as a stream. Ends with an error if the maker fails, so that no half base is imported.
fn content(
    child: Child,
    stdout: ChildStdout,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((child, stdout), |(mut child, mut stdout)| async move {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        if stdout.read_buf(&mut chunk).await? > 0 {
            return Ok(Some((Bytes::from(chunk), (child, stdout))));
        }
        let status = child.wait().await?;
        if status.success() {
            Ok(None)
        } else {
            Err(io::Error::other(format!("`{MAKER}` failed: {status}")))
        }
    })
}

fn failed(base: &str, reason: &str, hint: &str) -> ImageError {
    ImageError::Base {
        base: base.to_owned(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::recipe::DOCKERFILE;
    use super::*;

    #[test]
    fn the_official_base_is_the_recipes_default() {
        assert!(DOCKERFILE.contains(&format!("\nARG BASE={OFFICIAL}\n")));
    }

    #[tokio::test]
    async fn a_maker_that_fails_half_way_breaks_the_import_off() {
        let mut child = Command::new("sh")
            .args(["-c", "echo half; exit 3"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let pieces: Vec<io::Result<Bytes>> = content(child, stdout).collect().await;
        assert_eq!(pieces[0].as_ref().unwrap(), "half\n");
        assert!(
            pieces[1]
                .as_ref()
                .unwrap_err()
                .to_string()
                .contains("exit status: 3")
        );
    }
}
