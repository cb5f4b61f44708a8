//! The official SDK, and the packages' fixtures, behind a front with two servers.

use std::process::Command;

use crate::interpreter::{Interpreter, clients_python};
use crate::proxy::{Front, TOKEN, free_address};
use crate::server::Server;
use crate::workshop::of_repository;

#[test]
fn the_python_sdk_works_behind_a_front_and_outlives_the_kill_of_its_server() {
    let Some(python) = Interpreter::Python.find() else {
        return;
    };
    let servers = [free_address(), free_address()];
    let Some(front) = Front::start(&servers) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(&python[0])
        .arg(of_repository("tests/sdk/python/front.py"))
        .arg(env!("CARGO_BIN_EXE_sandtable"))
        .arg(&front.address)
        .args(&servers)
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{errors}\n{}", front.log());
    assert!(said.contains("outlived the kill"), "{said}{errors}");
}

#[tokio::test]
async fn a_suite_under_the_pytest_plugin_is_spread_over_the_servers_behind_a_front() {
    let Some(python) = clients_python() else {
        return;
    };
    let flags = ["--backend", "none", "--control-token", TOKEN];
    let servers = [Server::start(&flags).await, Server::start(&flags).await];
    let addresses = servers
        .each_ref()
        .map(|server| server.url.trim_start_matches("http://").to_owned());
    let Some(front) = Front::start(&addresses) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let done = tokio::process::Command::new(python)
        .args(["-m", "pytest", "-p", "sandtable.pytest_plugin"])
        .args(["-p", "no:cacheprovider", "-q"])
        .arg(of_repository("tests/sdk/python/behind_a_front.py"))
        .current_dir(folder.path())
        .env("PYTHONPATH", of_repository("clients/python/src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SANDTABLE_URL", format!("http://{}", front.address))
        .env("SANDTABLE_CONTROL_TOKEN", TOKEN)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && said.contains("20 passed"),
        "{said}"
    );
    let log = front.log();
    for name in ["sandtable-0", "sandtable-1"] {
        let line = |line: &str| line.starts_with("POST /v1/messages 200") && line.contains(name);
        assert!(log.lines().any(line), "{name} had no test: {log}");
    }
    for server in servers {
        server.stop().await;
    }
}
