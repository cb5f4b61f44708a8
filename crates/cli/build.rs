//! Tells the command line which version it is.

use std::env;
use std::error::Error;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let version = env::var("CARGO_PKG_VERSION")?;
    let version = commit().map_or(version.clone(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=SANDTABLE_VERSION={version}");
    Ok(())
}

/// The commit that a release is made of, such as `2bd8fda 2026-11-28`: as `SANDTABLE_COMMIT` says, or as git does.
/// Other builds have none, so that a commit makes nothing anew.
fn commit() -> Option<String> {
    println!("cargo::rerun-if-env-changed=SANDTABLE_COMMIT");
    if let Ok(commit) = env::var("SANDTABLE_COMMIT") {
        return Some(commit).filter(|commit| !commit.is_empty());
    }
    if env::var("PROFILE").ok()? != "release" {
        return None;
    }
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
    };
    // A source package within another repository is not of that one's commits.
    if git(&["rev-parse", "--show-cdup"])? != "../../" {
        return None;
    }
    for path in ["--git-path HEAD", "--git-path logs/HEAD"] {
        let path = git(&[
            &["rev-parse"],
            path.split(' ').collect::<Vec<_>>().as_slice(),
        ]
        .concat())?;
        println!("cargo::rerun-if-changed={path}");
    }
    git(&["log", "-1", "--format=%h %cs", "--abbrev=9"])
}
