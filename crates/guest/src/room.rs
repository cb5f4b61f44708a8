//! How large its disk is, as programs are told.
//!
//! Where nothing below a sandbox sets a limit, `statfs` tells of the machine's disk: `df` and
//! `shutil.disk_usage` would promise room that the watch (`disk`) does not grant. So the call stops,
//! and is answered with the sandbox's own limit and what is left of it, as of the last walk.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use libc::{BPF_JEQ, BPF_K, BPF_RET, SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, sock_filter};

use crate::bpf::{ARGUMENTS_AT, begin, jump, load, on, statement};
use crate::disk::ENTRY_BYTES;
use crate::notify::{self, Notification};
use crate::sys;

/// File systems in memory have a limit of their own, or no size. The one that a sandbox's own directories lie on is a disk to it.
const IN_MEMORY: [libc::c_long; 2] = [0x0102_1994, 0x8584_58f6];

/// Takes what the watch knows; to be looked at by whoever answers. 0 bytes: there is no limit.
pub(crate) fn note(limit: u64, used: u64) {
    let shared = sys::shared();
    shared.limit.store(limit, Ordering::Relaxed);
    shared.used.store(used, Ordering::Relaxed);
}

/// Takes the file system that the sandbox's own directories lie on.
pub(crate) fn stand_on(own: &Path) {
    let ground = sys::file_system_of(own).map_or(0, |told| sys::id_of(&told));
    sys::shared().ground.store(ground, Ordering::Relaxed);
}

/// Makes the place where the guest's word lies: before a process is forked that is to read it.
pub fn share() {
    sys::shared();
}

/// The answer to a program instead of `real`; `None` where that stands, as of another file system in memory.
#[must_use]
pub fn told(real: &libc::statfs) -> Option<libc::statfs> {
    let shared = sys::shared();
    if is_apart(real, shared.ground.load(Ordering::Relaxed)) {
        return None;
    }
    let limit = shared.limit.load(Ordering::Relaxed);
    let room = limit.saturating_sub(shared.used.load(Ordering::Relaxed));
    bounded(real, limit, room)
}

/// Whether it lies in memory, and the sandbox's own directories elsewhere.
fn is_apart(real: &libc::statfs, ground: u64) -> bool {
    IN_MEMORY.contains(&real.f_type) && sys::id_of(real) != ground
}

fn bounded(real: &libc::statfs, limit: u64, room: u64) -> Option<libc::statfs> {
    let block = u64::try_from(real.f_bsize)
        .ok()
        .filter(|bytes| *bytes > 0)?;
    if limit == 0 || real.f_blocks == 0 {
        return None;
    }
    let mut told = *real;
    told.f_blocks = real.f_blocks.min(limit / block);
    told.f_bfree = real.f_bfree.min(room / block);
    told.f_bavail = real.f_bavail.min(room / block);
    told.f_files = real.f_files.min(limit / ENTRY_BYTES);
    told.f_ffree = real.f_ffree.min(room / ENTRY_BYTES);
    Some(told)
}

/// The status of a descriptor's file system (`fstatfs`).
///
/// # Errors
/// The system's.
pub fn of(file: &OwnedFd) -> io::Result<libc::statfs> {
    sys::file_system(file)
}

/// The record as the kernel writes it.
#[must_use]
pub fn record(told: &libc::statfs) -> &[u8] {
    sys::bytes_of(told)
}

/// Where programs' calls arrive.
#[derive(Debug)]
pub(crate) struct Desk {
    listener: OwnedFd,
}

impl Desk {
    /// Has programs that start from now on told of the sandbox's disk. `None` where a warden does that, and
    /// on a kernel that knows no listeners: they are told of the machine's.
    pub(crate) fn open() -> Option<Self> {
        if sys::confinement().is_some() {
            return None;
        }
        sys::no_new_privileges().ok()?;
        let listener = notify::listen(&filter(sys::own_call())).ok()?;
        Some(Self { listener })
    }

    pub(crate) fn listener(&self) -> &OwnedFd {
        &self.listener
    }

    /// Answers one call that waits.
    pub(crate) fn answer(&self) {
        let Ok(call) = notify::receive(&self.listener) else {
            // It was killed before it was heard.
            return;
        };
        // Who waited may be gone.
        drop(if tell(&self.listener, &call).is_some() {
            notify::answer(&self.listener, call.id, Ok(0))
        } else {
            notify::go_on(&self.listener, call.id)
        });
    }
}

/// Stops `statfs` and `fstatfs`. The guest is under it as well, and may not wait for itself: its own calls
/// have a third argument, which nobody else knows.
fn filter(own: u64) -> Vec<sock_filter> {
    let low = u32::try_from(own & u64::from(u32::MAX)).expect("32 bits");
    let high = u32::try_from(own >> 32).expect("32 bits");
    let third = ARGUMENTS_AT + 16;
    let stop = [
        load(third),
        jump(BPF_JEQ, low, 0, 2),
        load(third + 4),
        jump(BPF_JEQ, high, 1, 0),
        statement(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    ];
    let mut program = begin(libc::ENOSYS);
    for call in [libc::SYS_statfs, libc::SYS_fstatfs] {
        program.extend(on(call, &stop));
    }
    program.push(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    program
}

/// Writes the answer into the program's memory. `None`: the kernel is to say it, an error too.
fn tell(listener: &OwnedFd, call: &Notification) -> Option<()> {
    let thread = call.pid;
    let memory = File::options()
        .read(true)
        .write(true)
        .open(format!("/proc/{thread}/mem"))
        .ok()?;
    let [what, to, ..] = call.data.arguments;
    let path = if libc::c_long::from(call.data.number) == libc::SYS_fstatfs {
        format!("/proc/{thread}/fd/{}", i32::try_from(what).ok()?).into_bytes()
    } else {
        let path = text(&memory, what)?;
        if path.starts_with(b"/") {
            path
        } else {
            [format!("/proc/{thread}/cwd/").as_bytes(), &path].concat()
        }
    };
    let file = sys::place(&path).ok()?;
    let told = told(&of(&file).ok()?)?;
    // What was opened by its number is its own only if it still waits.
    if !notify::is_valid(listener, call.id) {
        return None;
    }
    memory.write_all_at(record(&told), to).ok()
}

/// A path in a program's memory; an empty one is the kernel's to refuse.
fn text(memory: &File, at: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; sys::MOST_PATH];
    // What follows the path need not be there.
    let read = memory.read_at(&mut bytes, at).ok()?;
    let end = bytes[..read].iter().position(|byte| *byte == 0)?;
    bytes.truncate(end);
    (end > 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn disk(blocks: u64, free: u64) -> libc::statfs {
        let file = sys::place(b"/").unwrap();
        let mut record = of(&file).unwrap();
        record.f_bsize = 4096;
        (record.f_blocks, record.f_bfree, record.f_bavail) = (blocks, free, free);
        (record.f_files, record.f_ffree) = (1 << 40, 1 << 40);
        record
    }

    #[test]
    fn a_disk_is_as_large_as_the_limit_and_as_free_as_what_is_left_of_it() {
        let real = disk(100 * GIB / 4096, 50 * GIB / 4096);
        let told = bounded(&real, 5 * GIB, 2 * GIB).unwrap();
        assert_eq!(
            (told.f_blocks, told.f_bfree),
            (5 * GIB / 4096, 2 * GIB / 4096)
        );
        assert_eq!(told.f_bavail, told.f_bfree);
        assert_eq!(
            (told.f_files, told.f_ffree),
            (5 * GIB / 4096, 2 * GIB / 4096)
        );
        // No more than there is.
        let small = disk(3 * GIB / 4096, GIB / 4096);
        let told = bounded(&small, 5 * GIB, 2 * GIB).unwrap();
        assert_eq!((told.f_blocks, told.f_bfree), (3 * GIB / 4096, GIB / 4096));
    }

    #[test]
    fn what_has_no_limit_or_no_size_is_told_as_it_is() {
        assert!(bounded(&disk(0, 0), 5 * GIB, GIB).is_none());
        assert!(bounded(&disk(100, 50), 0, 0).is_none());
    }

    #[test]
    fn of_file_systems_in_memory_the_ground_alone_is_the_disk() {
        let id_at = |path: &str| {
            let record = sys::file_system_of(Path::new(path)).unwrap();
            (record, sys::id_of(&record))
        };
        let (memory, own) = id_at("/dev/shm");
        assert!(IN_MEMORY.contains(&memory.f_type), "no memory at /dev/shm");
        let (root, other) = id_at("/");
        assert_ne!(own, other);
        assert!(!is_apart(&memory, own));
        assert!(is_apart(&memory, other));
        assert!(!is_apart(&root, own));
    }
}
