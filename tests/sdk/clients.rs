//! The packages under `clients/`, installed as their users install them, run their own tests.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::image::image_ready;
use crate::interpreter::{clients_node, clients_python};
use crate::workshop::of_repository;
use cli::image::Flavor;

const TIMEOUT: Duration = Duration::from_mins(10);

#[tokio::test]
async fn the_python_package_finds_starts_and_ends_its_server() {
    pytest("test_server.py").await;
}

#[tokio::test]
async fn the_python_package_drives_workspaces_beside_the_sdk() {
    pytest("test_workspace.py").await;
}

#[tokio::test]
async fn the_pytest_plugin_works_alone_in_parallel_and_beside_vcr() {
    pytest("test_plugin.py").await;
}

#[tokio::test]
async fn nothing_reaches_the_real_service_from_a_test_in_python() {
    pytest("test_seal.py").await;
}

#[tokio::test]
async fn the_python_package_is_typed() {
    pytest("test_types.py").await;
}

#[tokio::test]
async fn the_python_package_has_a_method_for_every_kind_of_fault() {
    pytest("test_faults.py").await;
}

#[tokio::test]
async fn the_readme_of_the_python_package_runs_and_its_wheel_needs_nothing_else() {
    pytest("test_readme.py").await;
}

/// Runs one file of `clients/python/tests` with the package installed from a copy of its folder.
async fn pytest(file: &str) {
    let Some(python) = clients_python() else {
        return;
    };
    let backend = backend().await;
    let folder = TempDir::new().unwrap();
    let (package, site) = installed(&python, folder.path()).await;
    let mut tests = Command::new(&python);
    tests
        .args(["-m", "pytest", "-p", "no:cacheprovider", "--strict-markers"])
        .arg("--basetemp")
        .arg(folder.path().join("work"))
        .arg(package.join("tests").join(file))
        .current_dir(&package)
        .env("PYTHONPATH", &site)
        .env("SANDTABLE_BACKEND", backend)
        .env_remove("PYTEST_ADDOPTS");
    run(file, &mut tests).await;
}

/// Copies the Python package into a folder and installs it there: the copy, and what belongs on the `PYTHONPATH`.
pub(crate) async fn installed(python: &Path, folder: &Path) -> (PathBuf, PathBuf) {
    let package = folder.join("package");
    let site = folder.join("site");
    copy(&clients().join("python"), &package);
    // Without an index and without isolation: nothing is fetched.
    let mut install = Command::new(python);
    install
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-index"])
        .args(["--no-build-isolation", "--disable-pip-version-check"])
        .arg("--target")
        .args([&site, &package]);
    run("pip install", &mut install).await;
    (package, site)
}

#[tokio::test]
async fn the_node_package_finds_starts_and_ends_its_server() {
    node("server.test.js").await;
}

#[tokio::test]
async fn the_node_package_drives_workspaces_beside_the_sdk() {
    node("workspace.test.js").await;
}

#[tokio::test]
async fn the_node_package_s_helpers_work_in_vitest_and_jest() {
    node("runners.test.js").await;
}

#[tokio::test]
async fn nothing_reaches_the_real_service_from_a_test_in_node() {
    node("seal.test.js").await;
}

#[tokio::test]
async fn the_node_package_is_typed() {
    node("types.test.js").await;
}

#[tokio::test]
async fn the_node_package_has_a_method_for_every_kind_of_fault() {
    node("faults.test.js").await;
}

#[tokio::test]
async fn the_readme_of_the_node_package_runs_and_its_package_needs_nothing_else() {
    node("readme.test.js").await;
}

/// Runs one file of `clients/node/tests` in a copy of the package.
async fn node(file: &str) {
    let Some((node, modules)) = clients_node() else {
        return;
    };
    let backend = backend().await;
    let folder = TempDir::new().unwrap();
    let package = folder.path().join("package");
    copy(&clients().join("node"), &package);
    std::os::unix::fs::symlink(modules, package.join("node_modules")).unwrap();
    let mut tests = Command::new(node);
    tests
        .arg("--test")
        .arg(Path::new("tests").join(file))
        .current_dir(&package)
        .env("TMPDIR", folder.path())
        .env("SANDTABLE_BACKEND", backend);
    run(file, &mut tests).await;
}

/// The backend that runs code in the packages' tests; those that need one skip without.
pub(crate) async fn backend() -> &'static str {
    if image_ready(Flavor::Full).await {
        "docker"
    } else {
        "none"
    }
}

pub(crate) fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Copies a folder without what tools leave behind.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let junk = ["bin", "build", "dist", "node_modules", "__pycache__"];
        let text = name.to_string_lossy();
        if junk.contains(&&*text) || text.ends_with(".egg-info") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(&name));
        } else {
            std::fs::copy(entry.path(), to.join(&name)).unwrap();
        }
    }
}

/// Runs a command that must end well; what it said.
pub(crate) async fn run(what: &str, command: &mut Command) -> String {
    run_in(what, command, &[]).await
}

/// The same with variables that are else taken away.
pub(crate) async fn run_in(
    what: &str,
    command: &mut Command,
    variables: &[(&str, &str)],
) -> String {
    command
        .env("SANDTABLE_BIN", env!("CARGO_BIN_EXE_sandtable"))
        .env(
            "SANDTABLE_TEST_CATALOGUE",
            of_repository("page/src/catalogue.json"),
        )
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for other in [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_CUSTOM_HEADERS",
        "ANTHROPIC_LOG",
    ] {
        command.env_remove(other);
    }
    command.envs(variables.iter().copied());
    let output = tokio::time::timeout(TIMEOUT, command.output()).await;
    let output = output.expect("it ends in time").unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{said}", output.status);
    said
}
