//! The place of a skill: emptied before its files come, so that none of another version stays.

use std::path::Path;

use guest_proto::{Settings, is_file_name};

use crate::directory::Directory;
use crate::files::Failure;

/// Takes away what lies in the place of the skill `name`, whatever user code has made of it.
pub(crate) fn clear(settings: &Settings, name: &str) -> Result<(), Failure> {
    if !is_file_name(name) {
        return Err(Failure::invalid(format!("`{name}` cannot name a skill")));
    }
    Directory::own(Path::new(&settings.skills_root))
        .and_then(|skills| skills.clear(name))
        .map_err(|error| Failure::io("clearing", name, &error))
}
