//! Skills: what makes an upload one, archives of them, and stand-ins for those of the vendor.

pub mod archive;
mod manifest;
mod vendor;

use common::limits;
pub use manifest::Bundle;
pub use vendor::{VendorSkill, vendor, vendors};
use wire::refusal::Invalid;

/// The name of the file that makes a directory a skill.
pub const MANIFEST: &str = "SKILL.md";

fn two_files(path: &str) -> Invalid {
    Invalid::new(format!("The skill has two files of the name `{path}`"))
}

fn too_large() -> Invalid {
    Invalid::new(format!(
        "The skill is too large: its files may hold {} MB in all, uncompressed",
        limits::MAX_SKILL_BYTES / 1024 / 1024
    ))
}
