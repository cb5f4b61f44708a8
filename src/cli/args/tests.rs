//! Which flags go together.

use clap::Parser as _;

use super::{Cli, Command};
use crate::config::{BackendChoice, Config};

/// The configuration of a command line, or what is wrong with it.
fn config(line: &str) -> Result<Config, String> {
    let cli = Cli::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
    let serve = match cli.command {
        None => cli.serve,
        Some(Command::Replay(args)) => args.into_serve(),
        Some(Command::Record(args)) => args.into_serve().map_err(|error| error.to_string())?.0,
        Some(other) => panic!("{other:?}"),
    };
    serve.into_config().map_err(|error| error.to_string())
}

#[test]
fn beyond_loopback_a_control_token_is_needed() {
    let told = config("sandtable --host 0.0.0.0").unwrap_err();
    assert!(told.contains("--control-token"), "{told}");
    assert!(config("sandtable --host 0.0.0.0 --control-token secret").is_ok());
    assert!(config("sandtable --host 127.0.0.2").is_ok());
}

#[test]
fn a_recorder_beyond_loopback_is_asked_for_twice() {
    let line = "sandtable record --upstream http://127.0.0.1:1 --out x --host 0.0.0.0 --control-token secret";
    let told = config(line).unwrap_err();
    assert!(told.contains("--allow-open-proxy"), "{told}");
    assert!(config(&format!("{line} --allow-open-proxy")).is_ok());
}

#[test]
fn recordings_need_no_backend_and_a_recorder_needs_an_upstream() {
    let replay = config("sandtable replay a.yaml b").unwrap();
    assert_eq!(replay.backend, BackendChoice::None);
    assert_eq!(replay.cassettes.unwrap().paths.len(), 2);
    let told = config("sandtable record --out x").unwrap_err();
    assert!(told.contains("--upstream"), "{told}");
    let told = config("sandtable record --out x --upstream http://u:p@localhost").unwrap_err();
    assert!(told.contains("name or password"), "{told}");
    let told = config("sandtable --record all").unwrap_err();
    assert!(told.contains("--cassette"), "{told}");
}
