//! The files that `sandtable init` writes run as it says.

use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

use crate::clients::{backend, clients, copy, installed, run};
use crate::image::require::skip;
use crate::interpreter::{clients_node, clients_python};

/// Begins a project of that kind in the folder.
async fn init(folder: &Path, kind: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandtable"));
    command.args(["init", "--for", kind]).arg(folder);
    run("sandtable init", &mut command).await;
    assert!(folder.join(".github/workflows/sandtable.yml").is_file());
}

#[tokio::test]
async fn a_python_project_s_first_tests_pass() {
    let Some(python) = clients_python() else {
        return;
    };
    let backend = backend().await;
    if backend == "none" {
        return skip("docker", "the first tests run code");
    }
    let folder = TempDir::new().unwrap();
    let (_, site) = installed(&python, folder.path()).await;
    let project = folder.path().join("project");
    std::fs::create_dir(&project).unwrap();
    init(&project, "pytest").await;
    let mut tests = Command::new(&python);
    tests
        .args(["-m", "pytest", "-p", "no:cacheprovider", "--strict-markers"])
        .arg("tests/test_sandtable.py")
        .current_dir(&project)
        .env("PYTHONPATH", &site)
        .env("SANDTABLE_BACKEND", backend)
        .env_remove("PYTEST_ADDOPTS");
    run("pytest", &mut tests).await;
}

#[tokio::test]
async fn a_node_project_s_first_tests_pass() {
    let Some((node, modules)) = clients_node() else {
        return;
    };
    let backend = backend().await;
    if backend == "none" {
        return skip("docker", "the first tests run code");
    }
    let folder = TempDir::new().unwrap();
    let package = folder.path().join("package");
    copy(&clients().join("node"), &package);
    std::os::unix::fs::symlink(&modules, package.join("node_modules")).unwrap();
    // Within the package, so that its name leads to it without an installation.
    let project = package.join("project");
    std::fs::create_dir(&project).unwrap();
    init(&project, "vitest").await;
    let mut tests = Command::new(node);
    tests
        .arg(modules.join("vitest/vitest.mjs"))
        .args(["run", "tests/sandtable.test.js"])
        .current_dir(&project)
        .env("TMPDIR", folder.path())
        .env("SANDTABLE_BACKEND", backend);
    run("vitest", &mut tests).await;
}

#[tokio::test]
async fn a_rust_project_s_first_test_passes() {
    let backend = backend().await;
    if backend == "none" {
        return skip("docker", "the first tests run code");
    }
    let folder = TempDir::new().unwrap();
    let project = folder.path().join("project");
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command
            .args(arguments)
            .env("CARGO_TARGET_DIR", folder.path().join("target"));
        command
    };
    let mut new = cargo(&[
        "new", "--quiet", "--lib", "--vcs", "none", "--name", "project",
    ]);
    run("cargo new", new.arg(&project)).await;
    init(&project, "cargo").await;
    let mut add = cargo(&["add", "--quiet", "--dev", "serde_json", "ureq"]);
    add.args(["--features", "ureq/json"]).current_dir(&project);
    run("cargo add", &mut add).await;
    let mut tests = Command::new(env!("CARGO_BIN_EXE_sandtable"));
    tests
        .args(["run", "--script", "tests/first.yaml", "--"])
        .args([env!("CARGO"), "test", "--quiet", "--test", "sandtable"])
        .current_dir(&project)
        .env("SANDTABLE_BACKEND", backend)
        .env("CARGO_TARGET_DIR", folder.path().join("target"));
    run("sandtable run", &mut tests).await;
}
