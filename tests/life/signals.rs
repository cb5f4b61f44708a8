//! The signals that end a server: in order, whichever it is and whenever it comes.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::server::Server;

#[test]
fn every_ending_signal_ends_a_server_in_order_as_soon_as_it_listens() {
    for signal in ["INT", "TERM", "HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_temporary("none", folder.path());
        assert!(server.end_with(signal).success(), "{signal}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{signal}: {left:?}");
    }
}

#[test]
fn a_signal_ends_a_run_whose_report_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let mut run = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(["run", "--backend", "none", "--junit"])
        .arg(&pipe)
        .args(["--", "true"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // What is told comes before what is written.
    let mut told = BufReader::new(run.stderr.take().unwrap()).lines();
    let last = told.find(|line| {
        line.as_ref()
            .is_ok_and(|line| line.starts_with("sandtable: "))
    });
    assert!(last.is_some());
    let pid = run.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(run.wait().unwrap().code(), Some(143));
}
