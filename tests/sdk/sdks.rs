//! `docs/SDKS.md` is what the SDKs do: a sample of its rows is measured again.

use tokio::process::Command;

use crate::clients;
use crate::interpreter::Interpreter::{Node, Python, Python075};
use crate::interpreter::modules;
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
