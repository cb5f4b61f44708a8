//! The limits that the kernel does not hold for us: looked after by one thread, at intervals.
//!
//! Memory is what all processes of a sandbox have in memory together; above the limit the biggest one
//! is killed. Disk is what the container's folder takes; while it grows above the limit, whatever runs
//! is killed. PID 1, the guest, is never killed.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::sys;

const MEMORY_INTERVAL: Duration = Duration::from_millis(250);
const DISK_INTERVAL: Duration = Duration::from_secs(1);
/// More files than this count as a full disk.
const MAX_FILES: u64 = 1 << 20;
const PAGE_BYTES: u64 = 4096;

/// A sandbox under watch.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) container_id: String,
    pub(super) process: OwnedFd,
    pub(super) pid: i32,
    pub(super) memory_bytes: Option<u64>,
    pub(super) disk: Option<(PathBuf, u64)>,
}

struct Entry {
    watched: Watched,
    disk_bytes: u64,
}

/// A handle to the thread; it ends with the last handle.
#[derive(Clone)]
pub(super) struct Watchdog {
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Watchdog {
    pub(super) fn start() -> io::Result<Self> {
        let entries: Arc<Mutex<Vec<Entry>>> = Arc::default();
        let watched = Arc::downgrade(&entries);
        thread::Builder::new()
            .name("sandbox-watchdog".to_owned())
            .spawn(move || watch(&watched))?;
        Ok(Self { entries })
    }

    /// Watches a sandbox until it ends.
    pub(super) fn watch(&self, watched: Watched) {
        let entry = Entry {
            watched,
            disk_bytes: 0,
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(entry);
    }
}

fn watch(entries: &Weak<Mutex<Vec<Entry>>>) {
    let mut disks_seen = Instant::now();
    loop {
        thread::sleep(MEMORY_INTERVAL);
        let Some(entries) = entries.upgrade() else {
            return;
        };
        let disks = disks_seen.elapsed() >= DISK_INTERVAL;
        if disks {
            disks_seen = Instant::now();
        }
        // Taken out, so that a start never waits for a look at a disk.
        let mut all = std::mem::take(&mut *entries.lock().unwrap_or_else(PoisonError::into_inner));
        all.retain_mut(|entry| look(entry, disks));
        entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut all);
    }
}

/// `false` once the sandbox is gone.
fn look(entry: &mut Entry, disks: bool) -> bool {
    let Watched {
        container_id,
        process,
        pid,
        memory_bytes,
        disk,
    } = &entry.watched;
    if pid_of(process) != Some(*pid) {
        return false;
    }
    let processes = descendants(*pid);
    if processes.is_empty() {
        return true;
    }
    if let Some(limit) = memory_bytes
        && let Some(biggest) = over_memory(&processes, *limit)
    {
        tracing::info!(container.id = %container_id, "a program used more memory than the sandbox has; it was killed");
        kill_inside(&[biggest], *pid);
    }
    if let Some((folder, limit)) = disk
        && disks
    {
        let bytes = disk_usage(folder, *limit);
        // Programs that make room are left alone.
        if bytes > *limit && bytes > entry.disk_bytes {
            tracing::info!(container.id = %container_id, "a program filled the container's disk; it was killed");
            kill_inside(&processes, *pid);
        }
        entry.disk_bytes = bytes;
    }
    true
}

/// The process to kill, if all together have more than the limit in memory.
fn over_memory(processes: &[i32], limit: u64) -> Option<i32> {
    let resident = |pid: &i32| Some((*pid, resident_bytes(*pid)?));
    let sizes: Vec<(i32, u64)> = processes.iter().filter_map(resident).collect();
    if sizes.iter().map(|(_, bytes)| bytes).sum::<u64>() <= limit {
        return None;
    }
    // What several share was counted for each: look again, with shares.
    let exact = |pid: &i32| Some((*pid, share_bytes(*pid).or_else(|| resident_bytes(*pid))?));
    let sizes: Vec<(i32, u64)> = processes.iter().filter_map(exact).collect();
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
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
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

/// Kills processes of a sandbox. A number may be another's by now: whoever is held fast and then still
/// found below the guest is meant.
fn kill_inside(processes: &[i32], guest: i32) {
    let held = processes
        .iter()
        .filter_map(|pid| Some((*pid, sys::process_descriptor(*pid).ok()?)));
    let held: Vec<(i32, OwnedFd)> = held.collect();
    let still = descendants(guest);
    for (pid, process) in held {
        if still.contains(&pid) {
            // It may have ended by itself.
            sys::kill(&process).ok();
        }
    }
}

/// What a folder takes on the disk; it may stop counting above the limit.
fn disk_usage(folder: &Path, limit: u64) -> u64 {
    let (mut bytes, mut files) = (0, 0);
    let mut queue = vec![folder.to_owned()];
    while let Some(folder) = queue.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // Of the entry itself: a link is not followed.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            bytes += metadata.blocks() * 512;
            files += 1;
            if files > MAX_FILES {
                return bytes.max(limit + files);
            }
            if metadata.is_dir() {
                queue.push(entry.path());
            }
        }
    }
    bytes
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
    fn the_usage_of_a_folder_counts_blocks_and_not_links() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("usr")).unwrap();
        let bytes = disk_usage(folder.path(), 1);
        assert!((98_304..200_000).contains(&bytes), "{bytes}");
    }

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
}
