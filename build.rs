//! Builds the guest as a static program and tells the main crate where it lies.
//!
//! A nested cargo with its own target directory: the guest needs another profile, another target, and
//! `crt-static`, none of which may reach the main build, and nothing of the main build may reach it.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Flags of the outer build that say where sources lie, and not what is made of them: with them the same
/// program comes out of every folder.
const REMAP: &str = "--remap-path-prefix";

/// The functions that code here, or Rust's libraries, want of a newer glibc than the oldest that the program runs with.
const OLD_GLIBC: &str = "scripts/old_glibc.c";

/// What the outer build sets for itself.
const NOT_FOR_THE_GUEST: [&str; 12] = [
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTDOCFLAGS",
    "RUSTFLAGS",
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
    link_what_an_old_glibc_lacks(&out)
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
        .env("CARGO_ENCODED_RUSTFLAGS", guest_flags());
    for name in NOT_FOR_THE_GUEST {
        cargo.env_remove(name);
    }
    // cargo-zigbuild has zig link for its target, and zig has no static glibc. The guest asks nothing of the
    // glibc of the machine that it runs on, so the usual linker's will do.
    let linker = format!(
        "CARGO_TARGET_{}_LINKER",
        target.to_uppercase().replace('-', "_")
    );
    if env::var(&linker).is_ok_and(|linker| linker.contains("zig")) {
        cargo.env_remove(linker);
    }
    if !cargo.status()?.success() {
        return Err("building the guest failed (see above); it needs a static C library".into());
    }
    Ok(target_dir.join(target).join("guest/sandtable-guest"))
}

/// The variable that names zig as the linker, and what it names: so cargo-zigbuild and maturin build for the glibc of
/// their choice.
fn zig() -> Result<Option<(String, String)>, Box<dyn Error>> {
    let target = env::var("TARGET")?.to_uppercase().replace('-', "_");
    let variable = format!("CARGO_TARGET_{target}_LINKER");
    println!("cargo::rerun-if-env-changed={variable}");
    let linker = env::var(&variable)
        .ok()
        .filter(|linker| linker.contains("zig"));
    Ok(linker.map(|linker| (variable, linker)))
}

/// Links [`OLD_GLIBC`] into the program, compiled by the linker itself.
fn link_what_an_old_glibc_lacks(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={OLD_GLIBC}");
    let Some((_, compiler)) = zig()? else {
        return Ok(());
    };
    let object = out.join("old_glibc.o");
    let mut compile = Command::new(compiler);
    compile.args(["-c", "-O2", OLD_GLIBC, "-o"]).arg(&object);
    if !compile.status()?.success() {
        return Err(format!("compiling `{OLD_GLIBC}` failed (see above)").into());
    }
    println!("cargo::rustc-link-arg-bins={}", object.display());
    Ok(())
}

/// The guest's flags, in cargo's encoding, with the outer build's [`REMAP`] in either of its spellings.
fn guest_flags() -> String {
    let outer = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    let mut outer = outer.split('\u{1f}');
    while let Some(flag) = outer.next() {
        if flag == REMAP {
            flags.extend(outer.next().map(|value| format!("{REMAP}={value}")));
        } else if flag.starts_with(REMAP) {
            flags.push(flag.to_owned());
        }
    }
    flags.join("\u{1f}")
}
