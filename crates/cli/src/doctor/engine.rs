//! Findings of `doctor` about the Docker engine and its images.

use std::path::Path;

use tokio::process::Command;

use super::{Finding, State, answer_of, size};
use common::limits::{SANDBOX_DISK_BYTES, SANDBOX_MEMORY_BYTES};
use sandbox::SandboxError;
use sandbox::docker::Facts;
use sandbox::docker::image::{Flavor, ImageState, Survey};
use server::config::BackendChoice;

/// The beginning of the hint where there seems to be no engine at all.
const NOT_STARTED: &str = "start Docker";
/// Below this a build of the full image is likely to fail.
const BUILD_DISK_BYTES: u64 = SANDBOX_DISK_BYTES;

/// All of it. `named` is the image that was asked for.
pub(super) async fn findings(survey: &Survey, named: Option<&str>) -> Vec<Finding> {
    let facts = &survey.facts;
    let mut findings = vec![engine(facts)];
    findings.extend(memory(facts));
    match (named, &survey.named) {
        (Some(name), Some(state)) => findings.push(asked_for(name, state)),
        _ => findings.extend(images_found(&survey.flavors)),
    }
    if facts.is_local() {
        findings.push(disk("disk of the engine", &facts.root_dir).await);
    }
    findings
}

/// The image that a server would be given.
fn asked_for(name: &str, state: &ImageState) -> Finding {
    const SUBJECT: &str = "image";
    match state {
        ImageState::Missing => {
            let text = format!("`{name}` is not on the engine, and no sandbox starts without it");
            let hint = format!("`docker pull {name}`, or leave `--image` out");
            Finding::bad(SUBJECT, State::Fail, text, hint)
        }
        ImageState::Current { size_bytes }
        | ImageState::Stale { size_bytes }
        | ImageState::Foreign { size_bytes } => {
            Finding::ok(SUBJECT, format!("`{name}`, {}", size(*size_bytes)))
        }
    }
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

/// Whether the engine that was not reached is one that is there.
pub(super) fn is_there(missing: &Finding) -> bool {
    let hint = missing.hint.as_deref().unwrap_or_default();
    !hint.starts_with(NOT_STARTED)
}

pub(super) fn no_engine(error: &SandboxError, asked: BackendChoice) -> Finding {
    let (text, hint) = match error {
        SandboxError::Unavailable { reason, hint } => (reason.clone(), hint.clone()),
        SandboxError::Engine { .. }
        | SandboxError::EngineTimeout { .. }
        | SandboxError::Guest(_) => (error.to_string(), "look at the engine's own log".to_owned()),
    };
    let until = if asked == BackendChoice::Docker {
        "no server starts with `--backend docker`"
    } else {
        "the server runs without executing code"
    };
    // Its usual hint leads here.
    let hint = match hint.split_once("; `sandtable doctor`") {
        Some((first, _)) => format!("{first}; until then {until}"),
        None => hint,
    };
    Finding::bad("engine", State::Fail, text, hint)
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

#[cfg(test)]
mod tests {
    use super::*;

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
