//! The processes of a sandbox, without a PID namespace: all that descend from its guest, which adopts orphans.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::time::{Duration, Instant};

/// A process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) group: i32,
    parent: i32,
    threads: u64,
    is_dead: bool,
}

/// For so long after there was no room for a process, nobody counts again.
const PAUSE: Duration = Duration::from_millis(20);
/// How many parents are looked through; more is no tree.
const MOST_PARENTS: usize = 100_000;

/// The sandbox as a tree of processes.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) guest: i32,
    /// The program (device and inode) that the guest, and a child on its way to its own, run.
    program: Option<(u64, u64)>,
    /// New processes that may come before all are counted again.
    room: u64,
    /// When there was no room for another.
    full: Option<Instant>,
}

impl Members {
    pub(super) fn new(guest: i32) -> Self {
        Self {
            guest,
            program: program_of("self"),
            room: 0,
            full: None,
        }
    }

    /// In the place of one that is in use.
    pub(super) fn new_unknown(guest: i32) -> Self {
        Self {
            guest,
            program: None,
            room: 0,
            full: None,
        }
    }

    /// Whether a process belongs to the sandbox, the guest apart.
    pub(super) fn has(&self, pid: i32) -> bool {
        let mut pid = pid;
        for _ in 0..MOST_PARENTS {
            let Some(process) = read(pid) else {
                return false;
            };
            if process.parent == self.guest {
                return true;
            }
            if process.parent <= 1 {
                return false;
            }
            pid = process.parent;
        }
        false
    }

    /// Whether the guest has started a process, or adopted it.
    pub(super) fn is_child_of_guest(&self, pid: i32) -> bool {
        read(pid).is_some_and(|process| process.parent == self.guest)
    }

    /// Whether a process still runs the guest's program: it holds the guest's memory and channel.
    pub(super) fn is_guest_like(&self, pid: i32) -> bool {
        if pid == self.guest {
            return true;
        }
        let program = program_of(&pid.to_string());
        program.is_none() || program == self.program
    }

    /// All that live, the guest apart.
    pub(super) fn all(&self) -> Vec<Process> {
        let mut living = below(self.guest);
        living.retain(|process| !process.is_dead);
        living
    }

    /// Whether one more process or thread may come.
    pub(super) fn may_grow(&mut self, limit: u64) -> bool {
        // Who forks in vain does so again at once, and all others wait meanwhile.
        if self.full.is_some_and(|since| since.elapsed() < PAUSE) {
            return false;
        }
        if self.room > 0 {
            self.room -= 1;
            return true;
        }
        let count = below(self.guest)
            .iter()
            .map(|process| process.threads.max(1))
            .sum::<u64>()
            + 1;
        self.full = (count >= limit).then(Instant::now);
        if self.full.is_some() {
            return false;
        }
        self.room = limit - count - 1;
        true
    }

    /// The process that a thread is of.
    pub(super) fn process_of(thread: i32) -> Option<i32> {
        let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
        line.trim().parse().ok()
    }
}

fn program_of(pid: &str) -> Option<(u64, u64)> {
    let metadata = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((metadata.st_dev(), metadata.st_ino()))
}

/// All that descends from a process.
pub(super) fn below(root: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(process) = pid.and_then(read) {
            children.entry(process.parent).or_default().push(process);
        }
    }
    let mut all = Vec::new();
    let mut queue = vec![root];
    let mut seen = HashSet::from([root]);
    while let Some(parent) = queue.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            if seen.insert(process.pid) {
                queue.push(process.pid);
                all.push(process);
            }
        }
    }
    all
}

fn read(pid: i32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name in it is a program's own: it may hold blanks and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        is_dead: matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
    })
}
