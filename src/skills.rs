//! Skills: what makes an upload one, archives of them, and stand-ins for those of the vendor.

pub(crate) mod archive;
mod manifest;
mod vendor;

pub(crate) use manifest::Bundle;
pub(crate) use vendor::{VendorSkill, vendor, vendors};

/// The name of the file that makes a directory a skill.
pub(crate) const MANIFEST: &str = "SKILL.md";
