//! A sandbox's own user and folder on the machine.

use std::fs::{self, DirBuilder};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// The first of a container's own directories: where it is, there are files, and they are its owner's.
pub(super) const HOME: &str = "home";
/// The users of sandboxes on the machine, as root: far from people, services, and the ranges that
/// container tools share out.
const UIDS: Range<u32> = 1_900_000_000..1_900_000_000 + (1 << 24);
/// The users that people and services have; not taken for sandboxes where users are few.
const ORDINARY_UIDS: u32 = 10_000;

/// The user of a new container's sandbox on the machine, and nobody else's: not of another server's either, whose containers
/// may have the same ids. Later ones have the user whose the files are.
pub(super) fn new_user(uids: &Range<u32>, server: &str, sandbox_id: &str) -> u32 {
    let mut digest = Sha256::new();
    digest.update(server.as_bytes());
    digest.update([0]);
    digest.update(sandbox_id.as_bytes());
    let digest = digest.finalize();
    let number = u32::from_le_bytes([digest[0], digest[1], digest[2], 0]);
    uids.start + number % (uids.end - uids.start)
}

/// Whose the files are that a container has, wherever they were made; `None` if it has none.
pub(super) fn owner(files: &Path, users: &Range<u32>) -> io::Result<Option<u32>> {
    let owner = match fs::metadata(files.join(HOME)) {
        Ok(about) => about.uid(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if users.contains(&owner) {
        return Ok(Some(owner));
    }
    Err(io::Error::other(format!(
        "they belong to the user {owner}, for whom this server runs no sandbox: start it as that user, or restore them with their owners (`cp -a`)"
    )))
}

/// The users there are for sandboxes: the usual ones, or inside a container the last of its own.
pub(super) fn uids(map: &str) -> Range<u32> {
    let ranges = map.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse);
        let (first, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let first: u32 = first.ok()?;
        Some(first..first.saturating_add(count.ok()?))
    });
    let ranges: Vec<Range<u32>> = ranges.collect();
    let usual = ranges
        .iter()
        .any(|range| range.start <= UIDS.start && UIDS.end <= range.end);
    let last = ranges.into_iter().max_by_key(|range| range.end);
    match last {
        Some(last) if !usual && last.end > ORDINARY_UIDS + 1 => {
            last.start.max(ORDINARY_UIDS)..last.end - 1
        }
        _ => UIDS,
    }
}

pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sandboxes_have_users_that_are_nobody_elses() {
        assert_eq!(uids("         0          0 4294967295\n"), UIDS);
        assert_eq!(uids("0 100000 65536\n"), 10_000..65_535);
        assert_eq!(uids(""), UIDS);
        let of = |server, id| new_user(&UIDS, server, id);
        assert_ne!(of("s1", "container_01A"), of("s1", "container_01B"));
        assert_ne!(of("s1", "container_01A"), of("s2", "container_01A"));
        assert!(UIDS.contains(&of("s1", "container_01A")));
    }
}
