//! Findings of `doctor` about the sandboxes of this machine.

use super::{Finding, State};
use common::hinted::Hinted;
use common::ids::Ids;
use sandbox::local::{
    CLOSED_HINT, COMPILED_HINT, Lacking, Libraries, LibrariesError, LocalBackend, LocalConfig,
    Place,
};
use sandbox::{Description, Host as _, SandboxError};
use server::config::{Config, Provision};

const SUBJECT: &str = "local sandboxes";
const LIBRARIES: &str = "libraries for `local`";
const BUILD: &str = "sandtable image build";

/// Whether they start; and where a server would use them, what they lack.
pub(super) async fn findings(config: &Config, used: bool) -> Vec<Finding> {
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            let hint = "make the folder for temporary files, or name another one with `TMPDIR`";
            return vec![Finding::bad(SUBJECT, State::Warn, error.to_string(), hint)];
        }
    };
    let connected = LocalBackend::connect(LocalConfig {
        server_id: Ids::random().next_hex16(),
        data_dir: folder.path().to_owned(),
        cache_dir: None,
        provision: false,
        program: None,
        isolation: config.isolation,
        landlock_abi: None,
        passed_over: Vec::new(),
    });
    match connected.await {
        Ok(local) => {
            let Description { text, .. } = local.describe().await;
            let mut findings = vec![Finding::ok(SUBJECT, text)];
            if used {
                findings.extend(tools(local.lacking()));
                findings.push(match local.libraries_closed_by() {
                    Some(closed) => {
                        let text = format!(
                            "the sandboxes' users cannot pass through `{}` to them",
                            closed.display()
                        );
                        Finding::bad(LIBRARIES, State::Warn, text, CLOSED_HINT)
                    }
                    None => libraries(local.libraries(), config.provision),
                });
            }
            if let Err(error) = local.close().await {
                let hint = "the next server clears it up";
                findings.push(Finding::bad(SUBJECT, State::Warn, error.to_string(), hint));
            }
            findings
        }
        Err(SandboxError::Unavailable { reason, hint }) => {
            vec![Finding::bad(SUBJECT, State::Warn, reason, hint)]
        }
        Err(error) => vec![Finding::bad(
            SUBJECT,
            State::Warn,
            error.to_string(),
            "use Docker",
        )],
    }
}

fn tools(lacking: &Lacking) -> Option<Finding> {
    let command = lacking.command()?;
    let text = format!("this machine lacks `{}`", lacking.tools.join("`, `"));
    Some(Finding::bad(
        "tools for `local`",
        State::Warn,
        text,
        command,
    ))
}

fn libraries(libraries: &Libraries, provision: Provision) -> Finding {
    let missing = match libraries.place() {
        Place::Missing(missing) => missing,
        Place::Folder(_) | Place::Machine => return those_there(libraries),
    };
    let count = match missing.len() {
        1 => "1 is missing".to_owned(),
        many => format!("{many} are missing"),
    };
    let warn = |text: String, hint: &str| Finding::bad(LIBRARIES, State::Warn, text, hint);
    let obstacle = libraries.obstacle();
    if provision == Provision::Never {
        let text = format!("{count}, and `--provision never` does without");
        let hint = obstacle.as_ref().and_then(Hinted::hint);
        return warn(text, hint.as_deref().unwrap_or(BUILD));
    }
    match obstacle {
        None => {
            let text =
                format!("{count}; pip installs them over the network when code is first run");
            warn(text, BUILD)
        }
        Some(LibrariesError::Lately(failure)) => {
            let text = format!(
                "{count}; installing them failed at {} ({}), and servers try again from {} on",
                failure.at.format("%F %TZ"),
                failure.reason,
                failure.until().format("%F %TZ")
            );
            warn(text, BUILD)
        }
        Some(error) => {
            let text = format!("{count}, and stay so: {error}");
            warn(text, error.hint().as_deref().unwrap_or(BUILD))
        }
    }
}

/// The finding about libraries that are there, of which those that take a compiler may be absent.
fn those_there(libraries: &Libraries) -> Finding {
    let absent = libraries.absent();
    if absent.is_empty() {
        return Finding::ok(LIBRARIES, "all of the documented ones");
    }
    let text = format!("all but `{}`", absent.join("`, `"));
    Finding::bad(LIBRARIES, State::Warn, text, COMPILED_HINT)
}
