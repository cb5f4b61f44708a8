//! `sandtable run`: a server for as long as a command takes, and a verdict at the end.

use std::process::ExitCode;

use super::args::RunArgs;
use super::remote::Remote;
use super::verify::ask;
use super::{BAD, FAILURE, USAGE, child, fail, fail_plainly, report, signals, start_for_a_command};
use common::hinted::Hinted;
use common::ids::Ids;

/// Starts, exports, runs, verifies, and passes on the exit code.
pub(super) async fn run(args: RunArgs) -> ExitCode {
    let RunArgs {
        mut serve,
        report: wanted,
        command,
    } = args;
    if let Err(error) = report::check(&wanted) {
        return fail(USAGE, &error);
    }
    serve.port.get_or_insert(0);
    let token = serve.control_token.clone();
    let config = match serve.into_config() {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &error),
    };
    let ids = match config.seed {
        // Ids follow from the key as well: the same command gets the same ones in every run.
        Some(seed) => Ids::seeded(seed, &[b"run"]),
        None => Ids::random(),
    };
    let (server, mut signals) = match start_for_a_command(config).await {
        Ok(started) => started,
        Err(code) => return code,
    };
    let key = format!("sk-ant-run-{}{}", ids.next_hex16(), ids.next_hex16());
    let mut child = match child::start(&command, server.url(), Some(&key), token.as_deref()) {
        Ok(child) => child,
        Err(error) => {
            signals::stop(server).await;
            let (code, wrong) = child::not_run(&command, &error);
            return fail(code, &wrong);
        }
    };
    let ended = child::wait(&mut child, &mut signals).await;
    let remote = Remote {
        url: server.url(),
        key: None,
        token: token.as_deref(),
    };
    let verdict = ask(remote, Some("*"), &wanted).await;
    signals::stop(server).await;
    let verdict: Result<bool, Box<dyn Hinted>> = match verdict {
        Ok(verdict) => report::publish(&verdict, &wanted).map_err(|error| Box::new(error) as _),
        Err(error) => Err(Box::new(error)),
    };
    let code = match ended {
        Ok(status) => child::exit_code(status),
        Err(error) => return fail_plainly(FAILURE, &format!("the command was lost: {error}")),
    };
    if code != 0 {
        if let Err(error) = verdict {
            return fail(code, &*error);
        }
        return ExitCode::from(code);
    }
    match verdict {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BAD),
        Err(error) => fail(FAILURE, &*error),
    }
}
