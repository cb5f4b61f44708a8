//! Links what an old glibc lacks into the program, where a release is built for one.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

/// The functions that code here, or Rust's libraries, want of a newer glibc than the oldest that the program runs with.
const OLD_GLIBC: &str = "scripts/old_glibc.c";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={OLD_GLIBC}");
    let Some(compiler) = zig()? else {
        return Ok(());
    };
    let object = PathBuf::from(env::var("OUT_DIR")?).join("old_glibc.o");
    let mut compile = Command::new(compiler);
    compile.args(["-c", "-O2", OLD_GLIBC, "-o"]).arg(&object);
    if !compile.status()?.success() {
        return Err(format!("compiling `{OLD_GLIBC}` failed (see above)").into());
    }
    println!("cargo::rustc-link-arg-bins={}", object.display());
    Ok(())
}

/// zig, where it is named as the linker: so cargo-zigbuild and maturin build for the glibc of their choice.
fn zig() -> Result<Option<String>, Box<dyn Error>> {
    let target = env::var("TARGET")?.to_uppercase().replace('-', "_");
    let variable = format!("CARGO_TARGET_{target}_LINKER");
    println!("cargo::rerun-if-env-changed={variable}");
    Ok(env::var(variable)
        .ok()
        .filter(|linker| linker.contains("zig")))
}
