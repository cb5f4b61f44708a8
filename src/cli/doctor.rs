//! `sandtable doctor`: what works here, what doesn't, and the next step.

mod report;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

pub use self::report::{Finding, Report, State};
#[cfg(target_os = "linux")]
use crate::ids::Ids;
use crate::limits::{SANDBOX_DISK_BYTES, SANDBOX_MEMORY_BYTES};
use crate::sandbox::SandboxError;
use crate::sandbox::docker::Facts;
use crate::sandbox::docker::image::{self, Flavor, ImageState};
#[cfg(target_os = "linux")]
use crate::sandbox::local::{Description, LocalBackend, LocalConfig};

/// Wait for a program of this machine to answer.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(5);
/// Below this a build of the full image is likely to fail.
const BUILD_DISK_BYTES: u64 = SANDBOX_DISK_BYTES;

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorArgs {
    /// The data directory the server would be given, if any.
    pub data_dir: Option<PathBuf>,
    /// The port the server would take; 0 for any.
    pub port: u16,
    /// The engine's address; `None` for `DOCKER_HOST` or the usual sockets.
    pub host: Option<String>,
}

/// Looks at everything.
pub async fn report(args: &DoctorArgs) -> Report {
    let mut findings = Vec::new();
    let mut engine_missing = None;
    match image::survey(args.host.as_deref()).await {
        Ok((facts, images)) => {
            findings.push(engine(&facts));
            findings.extend(memory(&facts));
            findings.extend(images_found(&images));
            if facts.is_local() {
                findings.push(disk("disk of the engine", &facts.root_dir).await);
            }
        }
        Err(error) => engine_missing = Some(no_engine(&error)),
    }
    let local = local(engine_missing.is_some()).await;
    if let Some(mut missing) = engine_missing {
        // One of the two is enough.
        if local.iter().any(|finding| finding.state == State::Ok) {
            missing.state = State::Warn;
            missing.hint = Some("nothing has to be done: `local` runs code without it".to_owned());
        }
        findings.push(missing);
    }
    findings.extend(local);
    findings.push(python().await);
    findings.push(data_dir(args.data_dir.as_deref()));
    findings.push(port(args.port));
    Report { findings }
}

fn engine(facts: &Facts) -> Finding {
    let Facts {
        address,
        between,
        version,
        api_version,
        storage_driver,
        cgroup_version,
        system,
        ..
    } = facts;
    let text = format!(
        "Docker {version} (API {api_version}) at `{address}`{between}, {system}, storage {storage_driver}, cgroup v{cgroup_version}"
    );
    Finding::ok("engine", text)
}

fn no_engine(error: &SandboxError) -> Finding {
    let (text, hint) = match error {
        SandboxError::Unavailable { reason, hint } => (reason.clone(), hint.clone()),
        other => (other.to_string(), "look at the engine's own log".to_owned()),
    };
    // Its usual hint leads here.
    let hint = match hint.split_once("; `sandtable doctor`") {
        Some((first, _)) => format!("{first}; until then the server runs without executing code"),
        None => hint,
    };
    Finding::bad("engine", State::Fail, text, hint)
}

/// Whether sandboxes run here without an engine, and what they lack.
#[cfg(target_os = "linux")]
async fn local(only: bool) -> Vec<Finding> {
    const SUBJECT: &str = "local sandboxes";
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            let hint = "make the folder for temporary files writable";
            return vec![Finding::bad(SUBJECT, State::Warn, error.to_string(), hint)];
        }
    };
    let config = LocalConfig {
        server_id: Ids::random().next_hex16(),
        data_dir: folder.path().to_owned(),
        cache_dir: None,
        provision: false,
        program: None,
    };
    match LocalBackend::connect(config).await {
        Ok(local) => {
            let Description { text, improve } = local.describe();
            local.close().await;
            let mut findings = vec![Finding::ok(SUBJECT, text)];
            // With an engine, the command is about its image.
            if let Some(command) = improve.filter(|_| only) {
                let text = "missing; they are installed when code is first run";
                findings.push(Finding::bad(
                    "libraries for `local`",
                    State::Warn,
                    text,
                    command,
                ));
            }
            findings
        }
        Err(SandboxError::Unavailable { reason, hint }) => {
            vec![Finding::bad(SUBJECT, State::Warn, reason, hint)]
        }
        Err(error) => {
            let hint = "use Docker";
            vec![Finding::bad(SUBJECT, State::Warn, error.to_string(), hint)]
        }
    }
}

#[cfg(not(target_os = "linux"))]
async fn local(_: bool) -> Vec<Finding> {
    Vec::new()
}

fn memory(facts: &Facts) -> Option<Finding> {
    (facts.memory_bytes < SANDBOX_MEMORY_BYTES).then(|| {
        let text = format!(
            "{} for all, and one sandbox may use {}",
            size(facts.memory_bytes),
            size(SANDBOX_MEMORY_BYTES)
        );
        Finding::bad(
            "memory of the engine",
            State::Warn,
            text,
            "give the engine more memory",
        )
    })
}

fn images_found(images: &[(Flavor, ImageState)]) -> Vec<Finding> {
    let any = images
        .iter()
        .any(|(_, state)| *state != ImageState::Missing);
    images
        .iter()
        .filter_map(|(flavor, state)| {
            let subject = match flavor {
                Flavor::Full => "image `full`",
                Flavor::Slim => "image `slim`",
            };
            let build = format!("sandtable image build --flavor {flavor}");
            Some(match state {
                ImageState::Current { size_bytes } => Finding::ok(subject, size(*size_bytes)),
                ImageState::Stale { size_bytes } => {
                    let text = format!(
                        "{}, built by another version of sandtable",
                        size(*size_bytes)
                    );
                    Finding::bad(subject, State::Warn, text, build)
                }
                ImageState::Foreign { size_bytes } => {
                    let text = format!(
                        "{}, not built by `sandtable image build`",
                        size(*size_bytes)
                    );
                    Finding::ok(subject, text)
                }
                // Optional, unless it is all there could be.
                ImageState::Missing if *flavor == Flavor::Slim => return None,
                ImageState::Missing if any => {
                    let text = "missing; sandboxes run without the documented libraries";
                    Finding::bad(subject, State::Warn, text, build)
                }
                ImageState::Missing => {
                    let text = "missing; it is built when code is first run, which takes minutes";
                    Finding::bad(subject, State::Warn, text, build)
                }
            })
        })
        .collect()
}

async fn disk(subject: &'static str, folder: &Path) -> Finding {
    match free_bytes(folder).await {
        Some(free) if free < BUILD_DISK_BYTES => {
            let hint = "free some: the full image and one sandbox may each need 5 GiB";
            Finding::bad(subject, State::Warn, format!("{} free", size(free)), hint)
        }
        Some(free) => Finding::ok(subject, format!("{} free", size(free))),
        None => Finding::ok(subject, "not to be seen from here"),
    }
}

async fn free_bytes(folder: &Path) -> Option<u64> {
    let output = answer_of(Command::new("df").arg("-Pk").arg(folder)).await?;
    let free = output.lines().nth(1)?.split_whitespace().nth(3)?;
    free.parse::<u64>().ok().map(|kib| kib * 1024)
}

async fn python() -> Finding {
    const SUBJECT: &str = "python on this machine";
    match answer_of(Command::new("python3").arg("--version")).await {
        Some(version) => {
            let version = version.trim().trim_start_matches("Python ").to_owned();
            Finding::ok(SUBJECT, format!("{version} (sandboxes have their own)"))
        }
        None => Finding::ok(SUBJECT, "none, and none is needed"),
    }
}

/// What a program prints, if it ends well and in time.
async fn answer_of(command: &mut Command) -> Option<String> {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PROGRAM_TIMEOUT, running)
        .await
        .ok()?
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn data_dir(folder: Option<&Path>) -> Finding {
    const SUBJECT: &str = "data directory";
    let (place, shown) = match folder {
        Some(folder) => (folder.to_owned(), folder.display().to_string()),
        None => (
            std::env::temp_dir(),
            format!("a temporary one in {}", std::env::temp_dir().display()),
        ),
    };
    match writable(&place) {
        Ok(()) => Finding::ok(SUBJECT, format!("{shown}, writable")),
        Err(error) => {
            let hint = "give a folder that can be written with `--data-dir`";
            Finding::bad(SUBJECT, State::Fail, format!("{shown}: {error}"), hint)
        }
    }
}

/// Tries to write; in a folder that isn't there yet, where it would be made.
fn writable(folder: &Path) -> io::Result<()> {
    let there = folder
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() {
        Path::new(".")
    } else {
        there
    };
    tempfile::tempfile_in(there).map(drop)
}

fn port(port: u16) -> Finding {
    const SUBJECT: &str = "port";
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) if port == 0 => Finding::ok(SUBJECT, "any free one"),
        Ok(_) => Finding::ok(SUBJECT, format!("{port} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let text = format!("{port} is in use; if that is sandtable, it is running already");
            Finding::bad(
                SUBJECT,
                State::Warn,
                text,
                "stop what uses it, or give another with `--port`",
            )
        }
        Err(error) => Finding::bad(
            SUBJECT,
            State::Fail,
            format!("{port}: {error}"),
            "give another with `--port`",
        ),
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let (unit, of) = UNITS
        .into_iter()
        .find(|(_, of)| bytes >= *of)
        .unwrap_or(("B", 1));
    let tenths = bytes.saturating_mul(10) / of;
    if of == 1 {
        format!("{bytes} B")
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> DoctorArgs {
        DoctorArgs {
            data_dir: None,
            port: 0,
            host: Some("unix:///nowhere/docker.sock".to_owned()),
        }
    }

    #[tokio::test]
    async fn without_an_engine_the_report_fails_and_says_what_to_do() {
        let report = report(&args()).await;
        assert_eq!(report.exit_code(), 1);
        let text = report.to_string();
        assert!(
            text.contains("FAIL  engine: no Docker engine at `unix:///nowhere/docker.sock`"),
            "{text}"
        );
        assert!(text.contains("next step: start Docker"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["findings"][0]["state"], "fail");
    }

    #[test]
    fn a_port_in_use_is_a_warning() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let finding = port(taken.local_addr().unwrap().port());
        assert_eq!(finding.state, State::Warn);
    }

    #[test]
    fn a_data_directory_that_cannot_be_made_fails() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(
            data_dir(Some(&file.path().join("below"))).state,
            State::Fail
        );
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(data_dir(Some(&folder.path().join("a/b"))).state, State::Ok);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_stale_image_is_a_warning_with_the_command() {
        let findings = images_found(&[
            (
                Flavor::Full,
                ImageState::Stale {
                    size_bytes: 3 << 29,
                },
            ),
            (Flavor::Slim, ImageState::Missing),
        ]);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].state, State::Warn);
        assert_eq!(
            findings[0].text,
            "1.5 GiB, built by another version of sandtable"
        );
        assert_eq!(
            findings[0].hint.as_deref(),
            Some("sandtable image build --flavor full")
        );
    }
}
