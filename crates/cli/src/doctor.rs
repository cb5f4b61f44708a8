//! `sandtable doctor`: what works here, what doesn't, and the next step.

mod engine;
#[cfg(target_os = "linux")]
mod local;
mod report;

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

pub use self::report::{Finding, Report, State};
use common::hinted::{self, Hinted};
use sandbox::docker::image::{self, ImageState};
use server::config::{BackendChoice, Config};
use server::{self, Step};

/// Wait for a program of this machine to answer.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks at everything that a server of this configuration needs, and changes nothing. `host` is the
/// engine's address; `None` for `DOCKER_HOST` or the usual sockets.
pub async fn report(config: &Config, host: Option<&str>) -> Report {
    let mut findings = sandboxes(config, host).await;
    findings.push(python().await);
    findings.extend(server::examine(config).await.iter().map(Finding::of));
    findings.extend(cassette_dir(config));
    Report { findings }
}

/// That flags contradict each other, before anything is looked at.
pub(super) fn misused(error: &dyn Hinted) -> Finding {
    Finding::refused("flags", error)
}

/// Findings about the two backends that a server chooses from by itself. Of any other that is asked for, the step
/// that asks for it says all.
async fn sandboxes(config: &Config, host: Option<&str>) -> Vec<Finding> {
    let asked = |choice| [choice, BackendChoice::Auto].contains(&config.backend);
    let docker = asked(BackendChoice::Docker);
    let local = asked(BackendChoice::Local);
    let named = config.image.as_deref();
    let mut findings = Vec::new();
    let mut engine_missing = None;
    let mut has_image = false;
    if docker {
        match image::survey(host, named).await {
            Ok(survey) => {
                let all = survey.flavors.iter().map(|(_, state)| state);
                has_image = all
                    .chain(&survey.named)
                    .any(|state| *state != ImageState::Missing);
                findings.extend(engine::findings(&survey, named).await);
            }
            Err(error) => engine_missing = Some(engine::no_engine(&error, config.backend)),
        }
    }
    let mut without = Vec::new();
    if local {
        without = without_docker(config, !has_image).await;
    }
    if let Some(missing) = engine_missing {
        findings.push(one_of_two(missing, &mut without));
    }
    findings.extend(without);
    findings
}

/// The missing engine beside `local`, of which one is enough.
fn one_of_two(mut engine: Finding, local: &mut [Finding]) -> Finding {
    let Some(first) = local.first_mut() else {
        return engine;
    };
    if first.state == State::Ok {
        engine.state = State::Warn;
        engine.hint = Some("nothing has to be done: `local` runs code without it".to_owned());
    } else if !engine::is_there(&engine) {
        // Its way is the shorter one.
        first.state = State::Fail;
        engine.state = State::Warn;
        engine.hint = Some("not needed where `local` works".to_owned());
    }
    engine
}

/// Whether sandboxes run here without an engine, and what they lack.
#[cfg(target_os = "linux")]
async fn without_docker(config: &Config, used: bool) -> Vec<Finding> {
    local::findings(config, used).await
}

#[cfg(not(target_os = "linux"))]
async fn without_docker(_: &Config, _: bool) -> Vec<Finding> {
    Vec::new()
}

async fn python() -> Finding {
    const SUBJECT: &str = "python on this machine";
    match answer_of(Command::new("python3").arg("--version")).await {
        Some(version) => {
            let version = version.trim().trim_start_matches("Python ").to_owned();
            Finding::ok(
                SUBJECT,
                format!("{version} (Docker sandboxes have their own)"),
            )
        }
        None => Finding::ok(
            SUBJECT,
            "none on the PATH (Docker sandboxes have their own)",
        ),
    }
}

/// The stdout of a program, if it ends well and in time.
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

/// The folder that tests may mount cassettes of: a server starts without it, and every mount fails until it is made.
fn cassette_dir(config: &Config) -> Option<Finding> {
    const SUBJECT: &str = "folder of cassettes";
    let folder = config.cassette_dir.as_deref()?;
    Some(match std::fs::read_dir(folder) {
        Ok(_) => Finding::ok(SUBJECT, folder.display().to_string()),
        Err(error) => Finding::bad(
            SUBJECT,
            State::Warn,
            format!("{}: {error}", folder.display()),
            "make the folder that `--cassette-dir` names",
        ),
    })
}

/// The hint where the message has none.
fn usual_hint(subject: &str) -> &'static str {
    if subject == server::DATA_DIR {
        "give a folder that can be written with `--data-dir`"
    } else {
        "mend what it names, or leave the flag out"
    }
}

impl Finding {
    /// A step of a server's start; one that fails keeps every server of these flags from starting.
    fn of(step: &Step) -> Self {
        match &step.outcome {
            Ok(text) => Self::ok(step.subject, text),
            Err(error) => Self::refused(step.subject, error),
        }
    }

    /// A finding of an error that a server would end with.
    fn refused(subject: &'static str, error: &dyn Hinted) -> Self {
        let (text, hint) = hinted::split(error);
        let hint = hint.unwrap_or_else(|| usual_hint(subject).into());
        Self::bad(subject, State::Fail, text, hint)
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

    #[tokio::test]
    async fn without_an_engine_the_report_fails_and_says_what_to_do() {
        let config = Config {
            port: 0,
            backend: BackendChoice::Docker,
            ..Config::default()
        };
        let report = report(&config, Some("unix:///nowhere/docker.sock")).await;
        assert_eq!(report.exit_code(), 1);
        let text = report.to_string();
        assert!(
            text.contains("FAIL  engine: no Docker engine at `unix:///nowhere/docker.sock`"),
            "{text}"
        );
        assert!(text.contains("next step: start Docker"), "{text}");
        assert!(
            text.contains("until then no server starts with `--backend docker`"),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["findings"][0]["state"], "fail");
    }

    #[test]
    fn without_a_folder_of_cassettes_a_server_starts() {
        let config = Config {
            cassette_dir: Some("/nowhere/at/all".into()),
            ..Config::default()
        };
        assert_eq!(cassette_dir(&config).unwrap().state, State::Warn);
    }

    #[test]
    fn the_shorter_way_is_the_next_step() {
        let engine = || {
            Finding::bad(
                "engine",
                State::Fail,
                "no Docker engine",
                "start Docker, or",
            )
        };
        let no_python = "`sudo apt install python3` is enough";
        let mut local = vec![Finding::bad(
            "local sandboxes",
            State::Warn,
            "no",
            no_python,
        )];
        let findings = [vec![one_of_two(engine(), &mut local)], local].concat();
        let text = Report { findings }.to_string();
        assert!(text.ends_with(&format!("next step: {no_python}")), "{text}");

        // An engine that is there and does not let the user in is the shorter way itself.
        let closed = Finding::bad("engine", State::Fail, "no Docker engine", "usermod");
        let mut local = vec![Finding::bad(
            "local sandboxes",
            State::Warn,
            "no",
            no_python,
        )];
        let findings = [vec![one_of_two(closed, &mut local)], local].concat();
        assert!(
            Report { findings }
                .to_string()
                .ends_with("next step: usermod")
        );

        let mut local = vec![Finding::ok("local sandboxes", "yes")];
        assert_eq!(one_of_two(engine(), &mut local).state, State::Warn);
    }
}
