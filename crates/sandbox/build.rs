//! Builds the guest as a static program and tells this crate where it lies.
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

/// Variables that the outer build sets for itself, and that are removed for the guest's.
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
        "../../Cargo.toml",
        "../../Cargo.lock",
        "../guest/Cargo.toml",
        "../guest/src",
        "../guest-proto/Cargo.toml",
        "../guest-proto/src",
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
    Ok(())
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
