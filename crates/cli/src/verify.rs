//! `sandtable verify`: the verdict of a server that runs.

use std::process::ExitCode;

use serde_json::Value;

use super::args::{ReportArgs, VerifyArgs};
use super::remote::{Remote, RemoteError};
use super::{BAD, FAILURE, USAGE, fail, report};

/// Asks the server, says what it answers, and writes it where it is wanted.
pub(super) async fn run(args: &VerifyArgs) -> ExitCode {
    let wanted = &args.report;
    if let Err(error) = report::check(wanted) {
        return fail(USAGE, &error);
    }
    let remote = Remote {
        url: &args.server.url,
        key: args.key.as_deref(),
        token: args.server.control_token.as_deref(),
    };
    let workspace = match (&args.workspace, &args.key) {
        (Some(name), _) => Some(name.as_str()),
        (None, Some(_)) => None,
        (None, None) => Some("*"),
    };
    let verdict = match ask(remote, workspace, &args.report).await {
        Ok(verdict) => verdict,
        Err(error) => return fail(FAILURE, &error),
    };
    match report::publish(&verdict, &args.report) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BAD),
        Err(error) => fail(FAILURE, &error),
    }
}

/// The verdict on one workspace, or on all with `*`.
pub(super) async fn ask(
    remote: Remote<'_>,
    workspace: Option<&str>,
    args: &ReportArgs,
) -> Result<Value, RemoteError> {
    let lints = args.lints.name();
    let duplicates = if args.allow_duplicates { "ok" } else { "bad" };
    let recordings = if args.allow_unused_recordings {
        "ok"
    } else {
        "bad"
    };
    // One workspace of several may well have been asked nothing.
    let is_run = workspace == Some("*");
    let empty = if args.allow_empty || !is_run {
        "ok"
    } else {
        "bad"
    };
    let workspace = workspace.map_or(String::new(), |name| {
        let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        format!("&workspace={name}")
    });
    let verdict: Value = remote
        .get(&format!(
            "verify?lints={lints}&duplicates={duplicates}&recordings={recordings}&empty={empty}&coverage=1{workspace}"
        ))
        .await?;
    // Others answer any path with JSON of their own.
    if !verdict["ok"].is_boolean() {
        return Err(remote.foreign("its verdict has no `ok`".into()));
    }
    Ok(verdict)
}
