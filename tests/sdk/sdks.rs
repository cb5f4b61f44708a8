//! `docs/SDKS.md` is what the SDKs do: a sample of its rows is measured again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use tokio::process::Command;

use crate::clients;
use crate::interpreter::Interpreter::{Node, Python, Python075};
use crate::interpreter::modules;
use crate::server::Server;
use crate::workshop::of_repository;

/// Every so many rows of the page are measured.
const EVERY: &str = "6";

#[tokio::test]
async fn the_page_on_the_sdks_says_what_they_do() {
    let (Some(python), Some(older), Some(_)) = (Python.find(), Python075.find(), Node.find())
    else {
        return;
    };
    let mut check = Command::new("python3");
    check
        .arg(of_repository("scripts/sdks.py"))
        .args(["--check", "--every", EVERY])
        .args(["--sandtable", env!("CARGO_BIN_EXE_sandtable")])
        .arg("--python")
        .arg(&python[0])
        .arg("--python-075")
        .arg(&older[0])
        .arg("--modules")
        .arg(modules())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let said = clients::run("scripts/sdks.py", &mut check).await;
    assert!(said.contains("docs/SDKS.md holds: "), "{said}");
}

/// The texts in the code of a package that look like a beta.
fn betas_named_in(package: &Path) -> BTreeSet<String> {
    let beta =
        Regex::new(r#"['"]([a-z][a-z0-9-]*-20[0-9]{2}-?[01][0-9]-?[0-3][0-9])['"]"#).unwrap();
    let mut named = BTreeSet::new();
    for ending in ["py", "js", "mjs"] {
        let files = format!("{}/**/*.{ending}", package.display());
        for file in glob::glob(&files).unwrap() {
            let text = fs::read(file.unwrap()).unwrap();
            let text = String::from_utf8_lossy(&text);
            named.extend(beta.captures_iter(&text).map(|found| found[1].to_owned()));
        }
    }
    assert!(named.len() > 10, "{}: {named:?}", package.display());
    // Names of models, and what other clouds have in place of a version.
    let others = ["claude-", "bedrock-", "vertex-"];
    named.retain(|name| !others.iter().any(|other| name.starts_with(other)));
    named
}

fn python_package(python: &Path) -> PathBuf {
    let pattern = python
        .with_file_name("../lib/python3*/site-packages/anthropic")
        .display()
        .to_string();
    let mut found = glob::glob(&pattern).unwrap();
    found.next().expect("the SDK").unwrap()
}

/// What their code names, whether or not a list of the API has it, `--strict-betas` lets pass.
#[tokio::test]
async fn every_beta_that_the_packages_name_is_known() {
    let (Some(python), Some(_)) = (Python.find(), Node.find()) else {
        return;
    };
    let packages = [
        python_package(&python[0]),
        modules().join("@anthropic-ai/sdk"),
        modules().join("@ai-sdk/anthropic"),
    ];
    let named: BTreeSet<String> = packages
        .iter()
        .flat_map(|package| betas_named_in(package))
        .collect();
    assert!(named.contains("structured-outputs-2025-12-15"), "{named:?}");
    let server = Server::start(&["--backend", "none", "--strict-betas"]).await;
    let ask = async |betas: String| {
        let request = reqwest::Client::new()
            .get(format!("{}/v1/models", server.url))
            .header("x-api-key", "sk-ant-betas")
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", betas);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask("teleport-2031-01-01".to_owned()).await.0, 400);
    let (status, said) = ask(named.into_iter().collect::<Vec<_>>().join(",")).await;
    assert_eq!(status, 200, "{said}");
    server.stop().await;
}
