//! Where the interpreters and their SDKs are, and how to get them.

use std::path::{Path, PathBuf};

use crate::image::require::skip;

/// The interpreter that runs a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interpreter {
    /// Python with the current SDK.
    Python,
    /// Python with the SDK of the beta era.
    Python075,
    /// Python with the libraries that are built on the SDK.
    PythonLibraries,
    /// Node with the current SDK, and the AI SDK.
    Node,
    /// Bash with curl and jq.
    Bash,
}

impl Interpreter {
    /// The command and its first arguments, or `None` where it is missing and not required.
    pub(crate) fn find(self) -> Option<Vec<PathBuf>> {
        let found = match self {
            Self::Python => python("SANDTABLE_TEST_PYTHON", "sdk-2.11"),
            Self::Python075 => python("SANDTABLE_TEST_PYTHON_075", "sdk-0.75"),
            Self::PythonLibraries => python("SANDTABLE_TEST_PYTHON_LIBRARIES", "sdk-libraries"),
            Self::Node => node(),
            Self::Bash => bash(),
        };
        found.map_err(|missing| skip("sdk", &missing)).ok()
    }
}

/// The Python with what the tests of `clients/python` need.
pub(crate) fn clients_python() -> Option<PathBuf> {
    one_python("SANDTABLE_TEST_PYTHON_CLIENTS", "sdk-clients")
}

/// The Python that the client of the Model Context Protocol is installed for.
pub(crate) fn mcp_python() -> Option<PathBuf> {
    one_python("SANDTABLE_TEST_PYTHON_MCP", "sdk-mcp")
}

/// The Python with a validator of `OpenAPI`, and with the classes of OTLP.
pub(crate) fn control_python() -> Option<PathBuf> {
    one_python("SANDTABLE_TEST_PYTHON_CONTROL", "sdk-control")
}

/// The Python with kubectl and the schemas of Kubernetes.
pub(crate) fn kubernetes_python() -> Option<PathBuf> {
    one_python("SANDTABLE_TEST_PYTHON_KUBERNETES", "sdk-kubernetes")
}

fn one_python(variable: &str, environment: &str) -> Option<PathBuf> {
    let found = python(variable, environment);
    let command = found.map_err(|missing| skip("sdk", &missing)).ok()?;
    command.into_iter().next()
}

/// Node, and the folder with what the tests of `clients/node` need.
pub(crate) fn clients_node() -> Option<(PathBuf, PathBuf)> {
    let modules = root().join("clients/node/node_modules");
    let packages = ["vitest", "jest", "@ai-sdk/anthropic"];
    let found = if packages.iter().all(|name| modules.join(name).is_dir()) {
        on_path("node").map(|node| (node, modules))
    } else {
        Err(format!(
            "no packages in `{}`; `.ci/run --prepare` installs them",
            modules.display()
        ))
    };
    found.map_err(|missing| skip("sdk", &missing)).ok()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn python(variable: &str, environment: &str) -> Result<Vec<PathBuf>, String> {
    let python = std::env::var_os(variable).map_or_else(
        || root().join(".venv").join(environment).join("bin/python"),
        PathBuf::from,
    );
    if python.is_file() {
        return Ok(vec![python]);
    }
    Err(format!(
        "no Python SDK at `{}`; `.ci/run --prepare` installs it, or {variable} names a Python that has tests/sdk/requirements-{}.txt",
        python.display(),
        environment.trim_start_matches("sdk-"),
    ))
}

fn node() -> Result<Vec<PathBuf>, String> {
    let modules = modules();
    let tsx = modules.join("tsx/dist/cli.mjs");
    let packages = ["@anthropic-ai/sdk", "@ai-sdk/anthropic", "ai"];
    if !tsx.is_file() || packages.iter().any(|name| !modules.join(name).is_dir()) {
        return Err(format!(
            "not all packages in `{}`; `.ci/run --prepare` installs it, or SANDTABLE_TEST_NODE_MODULES names a folder with the packages of tests/sdk/typescript/package.json",
            modules.display()
        ));
    }
    on_path("node").map(|node| vec![node, tsx])
}

/// The folder of the TypeScript SDK.
pub(crate) fn modules() -> PathBuf {
    std::env::var_os("SANDTABLE_TEST_NODE_MODULES").map_or_else(
        || root().join("tests/sdk/typescript/node_modules"),
        PathBuf::from,
    )
}

fn bash() -> Result<Vec<PathBuf>, String> {
    on_path("curl")?;
    on_path("jq")?;
    Ok(vec![on_path("bash")?])
}

fn on_path(program: &str) -> Result<PathBuf, String> {
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("`{program}` is not installed"))
}
