//! The control API and what is told to others, checked by other people's programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::interpreter::control_python;
use crate::server::Server;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    let said = [&done.stdout[..], &done.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(done.status.success(), "{said}");
    said
}

#[test]
fn a_validator_of_openapi_takes_the_description() {
    let Some(python) = control_python() else {
        return;
    };
    let page: PathBuf = root().join("docs/openapi.json");
    let said = run(Command::new(python)
        .args(["-m", "openapi_spec_validator"])
        .arg(page));
    assert!(said.contains("OK"), "{said}");
}

#[test]
fn spans_of_requests_turns_and_calls_reach_a_collector_that_decodes_them() {
    let Some(python) = control_python() else {
        return;
    };
    let program = root().join("tests/sdk/python/collector.py");
    let said = run(Command::new(python)
        .arg(program)
        .arg(env!("CARGO_BIN_EXE_sandtable")));
    assert!(said.contains("spans"), "{said}");
}

#[tokio::test]
async fn a_collector_that_takes_nothing_neither_slows_nor_fails_a_request() {
    // Listens, and answers nobody.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let collector = format!("http://{}", silent.local_addr().unwrap());
    let server = Server::start(&["--backend", "none", "--otlp", &collector]).await;
    let begun = Instant::now();
    for _ in 0..5 {
        let done = Command::new("curl")
            .args([
                "-fsS",
                "-H",
                "x-api-key: a",
                "-H",
                "anthropic-version: 2023-06-01",
            ])
            .arg(format!("{}/v1/models", server.url))
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }
    // An exporter that were waited for would take that long each time.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}
