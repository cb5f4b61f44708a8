//! A sandbox's view of `/proc`: its own processes, and the files about the kernel that the other rungs show.

use super::notify::errno;
use super::space::Space;
use super::sys;
use super::tracee::Caller;
use crate::local::rootfs;

/// Files of the guest that everybody may read.
const PUBLIC: [&str; 6] = [
    "cmdline",
    "comm",
    "oom_score_adj",
    "stat",
    "statm",
    "status",
];

/// How a walk goes on from a name below `/proc`.
#[derive(Debug)]
pub(super) enum Step {
    /// It is there, as the kernel has it, and no link is followed.
    Into,
    /// An ordinary file or link.
    Link,
    /// It stands for another name.
    To(Vec<u8>),
}

/// Looks at a name. `follow`: what it stands for is meant, if it stands for something.
pub(super) fn step(
    space: &Space,
    caller: &Caller<'_>,
    name: &[u8],
    follow: bool,
) -> Result<Step, i32> {
    let text = std::str::from_utf8(name).map_err(|_| libc::ENOENT)?;
    let Some(below) = text.strip_prefix("/proc/") else {
        return Ok(Step::Into);
    };
    let hidden = rootfs::hidden().any(|place| place.as_os_str() == &text[1..]);
    if hidden || matches!(below, "kmsg" | "locks") {
        return Err(libc::ENOENT);
    }
    let thread = caller.thread;
    match below {
        "self" if follow => {
            return Ok(Step::To(format!("/proc/{}", caller.process()).into_bytes()));
        }
        "thread-self" if follow => {
            let process = caller.process();
            return Ok(Step::To(
                format!("/proc/{process}/task/{thread}").into_bytes(),
            ));
        }
        _ => {}
    }
    let mut parts: Vec<&str> = below.split('/').collect();
    let Ok(pid) = parts[0].parse::<i32>() else {
        return Ok(Step::Link);
    };
    parts.remove(0);
    if parts.first() == Some(&"task") && parts.len() > 2 {
        parts.drain(..2);
    }
    if !caller.is_guest() {
        see(caller, pid, &parts)?;
    }
    match parts[..] {
        ["net", ..] => Ok(Step::To(b"/proc/net".to_vec())),
        ["map_files" | "ns", ..] => Err(libc::EACCES),
        ["root"] if follow => Ok(Step::To(Vec::new())),
        ["cwd" | "exe"] if follow => {
            let real = sys::read_link(name).map_err(|error| errno(&error))?;
            space.name(&real).map(Step::To).ok_or(libc::ENOENT)
        }
        ["fd", _] if follow => {
            let real = sys::read_link(name).map_err(|error| errno(&error))?;
            // What has no name any more, or never had one, is opened where it stands.
            let there = real.starts_with(b"/") && !real.ends_with(b" (deleted)");
            Ok(match space.name(&real).filter(|_| there) {
                Some(name) if !name.starts_with(b"/proc/") => Step::To(name),
                _ => Step::Into,
            })
        }
        _ => Ok(Step::Into),
    }
}

/// Whether a caller sees this part of a process.
fn see(caller: &Caller<'_>, pid: i32, parts: &[&str]) -> Result<(), i32> {
    let members = caller.members;
    // It is there by the number that it has in every sandbox.
    if pid == members.guest {
        return Err(libc::ENOENT);
    }
    if pid == 1 || (members.has(pid) && members.is_guest_like(pid)) {
        // Its memory and its channel are the guest's alone.
        return match parts {
            [] | ["task"] => Ok(()),
            [part] if PUBLIC.contains(part) => Ok(()),
            _ => Err(libc::EACCES),
        };
    }
    if pid == caller.thread || members.has(pid) {
        return Ok(());
    }
    // A thread of a process of the sandbox has an entry of its own.
    match super::members::Members::process_of(pid) {
        Some(process) if process != pid && members.has(process) => Ok(()),
        _ => Err(libc::ENOENT),
    }
}

/// Whether a caller may write to a file of a process, or of the kernel: not to the guest's.
pub(super) fn may_write(caller: &Caller<'_>, real: &[u8]) -> Result<(), i32> {
    let text = std::str::from_utf8(real).map_err(|_| libc::ENOENT)?;
    let pid = text
        .strip_prefix("/proc/")
        .and_then(|below| below.split('/').next());
    match pid.and_then(|pid| pid.parse().ok()) {
        Some(pid) if caller.members.is_guest_like(pid) => Err(libc::EACCES),
        _ => Ok(()),
    }
}
