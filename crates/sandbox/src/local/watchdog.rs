//! The one limit that neither the kernel nor the guest holds for us: memory without control groups,
//! looked after by one thread at intervals.
//!
//! The memory of all processes of a sandbox together counts; above the limit the biggest one is killed. PID 1, the
//! guest, is never killed. Where there are no namespaces the warden looks, which may look into more of a process than
//! the server of another user.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use std::{io, thread};

use super::sys;
use common::ids::SandboxId;

pub(super) const INTERVAL: Duration = Duration::from_millis(250);
const PAGE_BYTES: u64 = 4096;

/// A sandbox under watch.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) sandbox_id: SandboxId,
    pub(super) process: OwnedFd,
    pub(super) pid: i32,
    pub(super) memory_bytes: u64,
}

/// A handle to the thread; it ends with the last handle.
#[derive(Clone)]
pub(super) struct Watchdog {
    entries: Arc<Mutex<Vec<Watched>>>,
}

impl Watchdog {
    pub(super) fn start() -> io::Result<Self> {
        let entries: Arc<Mutex<Vec<Watched>>> = Arc::default();
        let watched = Arc::downgrade(&entries);
        thread::Builder::new()
            .name("sandbox-watchdog".to_owned())
            .spawn(move || watch(&watched))?;
        Ok(Self { entries })
    }

    /// Watches a sandbox until it ends.
    pub(super) fn watch(&self, watched: Watched) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(watched);
    }
}

fn watch(entries: &Weak<Mutex<Vec<Watched>>>) {
    loop {
        thread::sleep(INTERVAL);
        let Some(entries) = entries.upgrade() else {
            return;
        };
        // Taken out, so that a start never waits for a look at `/proc`.
        let mut all = std::mem::take(&mut *entries.lock().unwrap_or_else(PoisonError::into_inner));
        all.retain(look);
        entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut all);
    }
}

/// `false` once the sandbox is gone.
fn look(watched: &Watched) -> bool {
    if pid_of(&watched.process) != Some(watched.pid) {
        return false;
    }
    let processes = descendants(watched.pid);
    if let Some(biggest) = over_memory(&processes, watched.memory_bytes) {
        tracing::info!(container.id = %watched.sandbox_id, "a program used more memory than the sandbox has; it was killed");
        kill_inside(biggest, watched.pid);
    }
    true
}

/// The process to kill, if all together have more than the limit in memory.
pub(super) fn over_memory(processes: &[i32], limit: u64) -> Option<i32> {
    let resident = |pid: &i32| Some((*pid, resident_bytes(*pid)?));
    let sizes: Vec<(i32, u64)> = processes.iter().filter_map(resident).collect();
    if sizes.iter().map(|(_, bytes)| bytes).sum::<u64>() <= limit {
        return None;
    }
    // What several share was counted for each: look again, with shares, and at each memory once.
    let exact = |pid: &i32| Some((*pid, share_bytes(*pid).or_else(|| resident_bytes(*pid))?));
    let owners: Vec<i32> = processes
        .iter()
        .copied()
        .filter(|pid| {
            let parent = parent_of(*pid).filter(|parent| processes.contains(parent));
            parent.is_none_or(|parent| !is_one_memory(*pid, parent))
        })
        .collect();
    let sizes: Vec<(i32, u64)> = owners.iter().filter_map(exact).collect();
    if sizes.iter().map(|(_, bytes)| bytes).sum::<u64>() <= limit {
        return None;
    }
    sizes
        .into_iter()
        .max_by_key(|(_, bytes)| *bytes)
        .map(|(pid, _)| pid)
}

fn resident_bytes(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

fn share_bytes(pid: i32) -> Option<u64> {
    Some(number_in(pid, "smaps_rollup", "Pss:")? * 1024)
}

fn parent_of(pid: i32) -> Option<i32> {
    number_in(pid, "status", "PPid:")?.try_into().ok()
}

/// The number behind a word that begins a line of a file about a process.
fn number_in(pid: i32, file: &str, word: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Whether two processes have one memory, as a child has its parent's between `vfork` and `exec`. Sizes do not tell,
/// and `kcmp` is refused in containers. But a mark on the one is then one on the other: a bit of what core dumps would
/// hold, of which there are none. It is taken off again.
fn is_one_memory(one: i32, other: i32) -> bool {
    const MARK: u32 = 1 << 8;
    let path = |pid: i32| format!("/proc/{pid}/coredump_filter");
    let read = |pid: i32| {
        let text = fs::read_to_string(path(pid)).ok()?;
        u32::from_str_radix(text.trim(), 16).ok()
    };
    let write = |filter: u32| fs::write(path(one), format!("{filter:#x}"));
    let Some(before) = read(one).filter(|before| read(other) == Some(*before)) else {
        return false;
    };
    if write(before ^ MARK).is_err() {
        return false;
    }
    let is_one = read(other) == Some(before ^ MARK);
    // It may have ended by itself.
    write(before).ok();
    is_one
}

/// All that descends from a sandbox's PID 1: every other process of the sandbox.
fn descendants(pid: i32) -> Vec<i32> {
    let mut all = Vec::new();
    let mut queue = vec![pid];
    while let Some(parent) = queue.pop() {
        let tasks = fs::read_dir(format!("/proc/{parent}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_ascii_whitespace().flat_map(str::parse) {
                all.push(child);
                queue.push(child);
            }
        }
    }
    all
}

/// Kills a process of a sandbox. Its number may be another's by now: whoever is held fast and then
/// still found below the guest is meant.
fn kill_inside(pid: i32, guest: i32) {
    if let Ok(process) = sys::process_descriptor(pid)
        && descendants(guest).contains(&pid)
    {
        // It may have ended by itself.
        sys::kill(&process).ok();
    }
}

/// The number of the process that a descriptor stands for; `None` once it has ended.
pub(super) fn pid_of(process: &OwnedFd) -> Option<i32> {
    let path = format!("/proc/self/fdinfo/{}", process.as_raw_fd());
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    line.trim().parse().ok().filter(|pid| *pid > 0)
}

impl std::fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watchdog")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_and_measured() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        let own = std::process::id().cast_signed();
        assert!(descendants(own).contains(&pid));
        assert!(resident_bytes(pid).unwrap() > 0);
        assert_eq!(over_memory(&[pid], u64::MAX), None);
        assert_eq!(over_memory(&[pid], 1), Some(pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// A program with 64 MiB, and its child as `begin` makes it.
    fn parent_and_child(begin: &str) -> Option<(std::process::Child, [i32; 2])> {
        let program = format!(
            "import ctypes, os, time\nroom = bytearray(64 << 20)\n{begin}\ntime.sleep(1000)"
        );
        let python = std::process::Command::new("python3")
            .args(["-c", &program])
            .spawn();
        let Ok(parent) = python else {
            eprintln!("SKIPPED, nothing was tested: there is no `python3`");
            return None;
        };
        let pid = parent.id().cast_signed();
        loop {
            if let [child] = descendants(pid)[..]
                && resident_bytes(child) > Some(64 << 20)
            {
                return Some((parent, [pid, child]));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn end(mut parent: std::process::Child, child: i32) {
        let child = rustix::process::Pid::from_raw(child).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
        parent.kill().unwrap();
        parent.wait().unwrap();
    }

    #[test]
    fn one_memory_of_two_processes_counts_once() {
        const TOO_MUCH_TWICE: u64 = 96 << 20;
        let spawning = "ctypes.CDLL(None).vfork()";
        let Some((parent, both)) = parent_and_child(spawning) else {
            return;
        };
        assert!(is_one_memory(both[1], both[0]));
        assert_eq!(over_memory(&both, TOO_MUCH_TWICE), None);
        assert!(over_memory(&both, 32 << 20).is_some());
        end(parent, both[1]);

        // A copy of one's own counts, as large as it may look.
        let forking = "if os.fork() == 0:\n    for n in range(0, len(room), 4096): room[n] = 1";
        let (parent, both) = parent_and_child(forking).unwrap();
        while share_bytes(both[1]) < Some(60 << 20) {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!is_one_memory(both[1], both[0]));
        assert!(over_memory(&both, TOO_MUCH_TWICE).is_some());
        end(parent, both[1]);
    }
}
