//! The form in which a container has its files: an image, or a folder.

use std::path::Path;

use super::disk::{self, IMAGE};
use super::own::HOME;
use super::plan::Storage;
use super::probe::Absent;
use super::rung::Rung;
use super::{Inner, failed};
use crate::{Limits, SandboxError};

/// The form of a container's files: that of its first server, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In an image.
    Image,
    /// Below its folder.
    Folder,
}

impl Form {
    /// The form of the files in a container's folder; `None` before there are any.
    pub(super) fn of(container: &Path) -> Option<Self> {
        if container.join(IMAGE).exists() {
            return Some(Self::Image);
        }
        container.join(HOME).exists().then_some(Self::Folder)
    }
}

impl Inner {
    /// Where a container's files are, in the form that they have: who cannot open it never begins anew beside it. A new one
    /// has the best form that there is here.
    pub(super) fn storage(
        &self,
        container: &Path,
        limits: &Limits,
    ) -> Result<Storage, SandboxError> {
        match Form::of(container) {
            Some(Form::Image) => {
                let absent = if self.rung == Rung::Landlock {
                    Some(Absent::NO_NAMESPACES)
                } else if !self.privileged {
                    Some(Absent::ONLY_ROOT)
                } else {
                    disk::has_loops()
                        .err()
                        .map(|why| Absent(why.to_string().into()))
                };
                if let Some(absent) = absent {
                    return Err(SandboxError::Engine {
                        operation: "open the container's files",
                        cause: format!("they are in a disk image, which cannot be mounted here ({absent}); a server like the one that made it can").into(),
                    });
                }
                disk::found(container)
                    .map(Storage::Image)
                    .map_err(|error| failed("open the container's disk", error))
            }
            Some(Form::Folder) => Ok(Storage::Directory(container.to_owned())),
            None => match &self.disks {
                Some(disks) => disks
                    .make(container, limits.disk_bytes)
                    .map(Storage::Image)
                    .map_err(|error| failed("make the container's disk", error)),
                None => Ok(Storage::Directory(container.to_owned())),
            },
        }
    }
}
