//! Builds the guest as a static program and tells the main crate where it lies.
//!
//! A nested cargo with its own target directory: the guest needs another profile, another target, and
//! `crt-static`, none of which may reach the main build, and nothing of the main build may reach it.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the outer build sets for itself.
const NOT_FOR_THE_GUEST: [&str; 12] = [
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTDOCFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOCFLAGS",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
];

fn main() -> Result<(), Box<dyn Error>> {
    for path in [
        "build.rs",
        "Cargo.toml",
        "Cargo.lock",
        "crates/guest/Cargo.toml",
        "crates/guest/src",
        "crates/guest-proto/Cargo.toml",
        "crates/guest-proto/src",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=SANDTABLE_GUEST_BINARY");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let guest = if let Some(path) = env::var_os("SANDTABLE_GUEST_BINARY") {
        // Made elsewhere: how a program that is built outside Linux gets its guest.
        let path = PathBuf::from(path).canonicalize()?;
        println!("cargo::rerun-if-changed={}", path.display());
        path
    } else if env::var("CARGO_CFG_TARGET_OS")? == "linux" {
        build(&out)?
    } else {
        let path = out.join("no-guest");
        std::fs::write(&path, [])?;
        path
    };
    println!("cargo::rustc-env=SANDTABLE_GUEST={}", guest.display());
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
    if git(&["rev-parse", "--show-cdup"]).is_some() || !Path::new(".git").exists() {
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

fn build(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let target = env::var("TARGET")?;
    let target_dir = out.join("guest");
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo
        .current_dir(env::var("CARGO_MANIFEST_DIR")?)
        .args(["build", "--quiet", "--locked", "--profile", "guest"])
        .args(["--package", "sandtable-guest", "--bin", "sandtable-guest"])
        .args(["--target", &target])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    for name in NOT_FOR_THE_GUEST {
        cargo.env_remove(name);
    }
    if !cargo.status()?.success() {
        return Err("building the guest failed (see above); it needs a static C library".into());
    }
    Ok(target_dir.join(target).join("guest/sandtable-guest"))
}
