//! The Landlock rules: the files and addresses that the kernel lets the warden, the guest, and the programs reach.

use std::io;
use std::os::fd::OwnedFd;

use super::sys::{self, RulesetAttributes};
use crate::local::plan::{Bind, Confined};

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIRECTORY: u64 = 1 << 3;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
/// All rights on files of each generation; control of devices is left out.
const FIRST: u64 = (1 << 13) - 1;

const LOOK: u64 = EXECUTE | READ_FILE | READ_DIRECTORY;
/// All that can be allowed for what is no directory.
const OF_A_FILE: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE;

const TCP: u64 = 0b11;
const SIGNALS_AND_ABSTRACT_SOCKETS: u64 = 0b11;

/// The generation of Landlock that the kernel has; the error where it has none.
pub(super) fn abi() -> io::Result<i64> {
    sys::landlock_abi()
}

/// Whether abstract sockets (and signals) stay within a domain.
pub(super) fn scopes_sockets(abi: i64) -> bool {
    abi >= 6
}

/// Rules for the warden and the guest, or for programs, which are kept from `/proc` as well.
pub(super) fn rules(
    abi: i64,
    binds: &[Bind],
    own: &Confined,
    programs: bool,
) -> io::Result<OwnedFd> {
    let mut files = FIRST;
    if abi >= 2 {
        files |= REFER;
    }
    if abi >= 3 {
        files |= TRUNCATE;
    }
    let attributes = RulesetAttributes {
        files,
        network: if abi >= 4 { TCP } else { 0 },
        // Programs of one sandbox may send each other signals, whichever call they are of.
        scoped: if scopes_sockets(abi) && !programs {
            SIGNALS_AND_ABSTRACT_SOCKETS
        } else {
            0
        },
    };
    let size = match abi {
        ..4 => 8,
        4 | 5 => 16,
        _ => 24,
    };
    let rules = sys::new_ruleset(&attributes, size)?;
    let allow = |path: &[u8], rights: u64| -> io::Result<()> {
        let place = sys::open(path, libc::O_PATH)?;
        let is_directory = sys::open(path, libc::O_PATH | libc::O_DIRECTORY).is_ok();
        let rights = if is_directory {
            rights
        } else {
            rights & OF_A_FILE
        };
        sys::allow(&rules, &place, rights & files)
    };
    for bind in binds {
        let path = bind.source.as_os_str().as_encoded_bytes();
        let rights = if bind.device {
            READ_FILE | WRITE_FILE | TRUNCATE
        } else {
            LOOK
        };
        // One that is not there, or out of the sandbox's reach, is not there for the sandbox either.
        allow(path, rights).ok();
    }
    allow(own.root.as_os_str().as_encoded_bytes(), LOOK)?;
    for (_, folder) in own.folders() {
        allow(folder.as_os_str().as_encoded_bytes(), files)?;
    }
    for terminals in ["/dev/pts", "/dev/ptmx"] {
        allow(
            terminals.as_bytes(),
            READ_FILE | WRITE_FILE | READ_DIRECTORY,
        )
        .ok();
    }
    if !programs {
        allow(b"/proc", READ_FILE | WRITE_FILE | READ_DIRECTORY | TRUNCATE)?;
    }
    Ok(rules)
}
