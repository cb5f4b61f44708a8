//! A call's process tree: who belongs to it, and how it is killed.
//!
//! Parents and sessions show most of it. A daemon that forked twice into a session of its own becomes
//! the guest's child; its environment names its call, or else its output or the time of its start does.
//! One that hides all three while an older call runs too is left alone: it may be that call's. What calls
//! that are over have left is known by their sessions, and by their names if it began in their time.

mod past;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::thread;
use std::time::{Duration, Instant};

use crate::{decoy, sys};
pub(crate) use past::Past;

/// Scans after which a tree counts as a fork bomb. Each one kills all it sees.
const MAX_SCANS: usize = 100;
/// The same where others' calls keep a warden busy, who is faster at killing everything.
const SCANS_BESIDE_A_WARDEN: usize = 5;
/// How long the killed may take to be gone; they may have gigabytes to give back.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);
/// The largest size of `/proc/<pid>/stat`, rounded up, in bytes.
const STAT_BYTES: usize = 2048;
/// How long those who are tried are looked at, and at most where they get no time on a processor.
const TRIAL: Duration = Duration::from_millis(50);
const LONG_TRIAL: Duration = Duration::from_millis(500);
/// So much of it is enough, in clock ticks.
const TRIAL_TICKS: u64 = 2;
/// On a processor or waiting for one, as `/proc` says it.
const RUNNING: char = 'R';
/// Stopped by a signal.
const STOPPED: char = 'T';
/// Stopped for its tracer.
const TRACED: char = 't';

/// The first process of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Root {
    pub(crate) pid: i32,
    /// Start in clock ticks since boot.
    pub(crate) started: u64,
}

/// A call, as far as its processes go.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) root: Root,
    /// Its `$OUTPUT_DIR`: no other call has it.
    pub(crate) output_dir: String,
    /// Inode numbers of its stdout and stderr.
    pub(crate) pipes: Vec<u64>,
}

impl Root {
    /// A child of the guest's, which it has not taken the end of.
    pub(crate) fn of(pid: i32) -> Self {
        Self {
            pid,
            started: read_process(pid).map_or(0, |process| process.started),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    started: u64,
    threads: u32,
    /// Its time on a processor, in clock ticks.
    ticks: u64,
    state: char,
}

impl Process {
    fn id(&self) -> Root {
        Root {
            pid: self.pid,
            started: self.started,
        }
    }
}

/// The result of killing to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Killed {
    Nobody,
    All,
    /// They multiply faster than they are seen.
    Outrun,
}

/// Kills the processes of `target`, and none of the other calls, under way or over. `false` if it would
/// not end.
pub(crate) fn kill(target: &Owner, others: &[Owner], past: &Past) -> bool {
    let members = |processes: &[Process]| members(target, others, past, processes, own_pid());
    kill_to_the_last(members) != Killed::Outrun
}

/// Kills what belongs to none of `kept` by session or by birth: what calls that are over have left, and
/// what has cut itself loose. For PID 1 of a sandbox only; elsewhere nobody is a stranger.
pub(crate) fn kill_strangers(kept: &[Owner]) -> Killed {
    if !sys::is_init() {
        return Killed::Nobody;
    }
    kill_to_the_last(|processes| {
        let ours = kin(kept, processes);
        let strangers = processes.iter().map(|process| process.pid);
        strangers.filter(|pid| !ours.contains(pid)).collect()
    })
}

/// Kills what a call has started before `since`, and what that has started, but for its first process and what
/// other calls have.
pub(crate) fn kill_former(owner: &Owner, others: &[Owner], since: u64, past: &Past) -> Killed {
    kill_to_the_last(|processes| {
        let theirs = kin(others, processes);
        let ours = kin(std::slice::from_ref(owner), processes);
        let mut former: HashSet<i32> = processes
            .iter()
            .filter(|process| process.started < since || past.has_left(process))
            .map(|process| process.pid)
            .filter(|pid| *pid != owner.root.pid && ours.contains(pid) && !theirs.contains(pid))
            .collect();
        add_descendants(&mut former, processes, &theirs);
        former
    })
}

/// Now, as the start of a process is told: in clock ticks since boot, a hundred a second.
pub(crate) fn now() -> u64 {
    let hundredths = sys::since_boot().as_millis() / 10;
    u64::try_from(hundredths).unwrap_or(u64::MAX)
}

/// Whether there is anybody of whom the guest has no account: what calls that are over have left, or
/// code that an idle interpreter runs beside its cells.
pub(crate) fn has_strangers(interpreter: Option<&Owner>) -> bool {
    are_strange(&scan(), interpreter)
}

/// As [`has_strangers`], while no call is under way; notes who is left, and forgets the calls of which nobody is.
pub(crate) fn take_stock(interpreter: Option<&Owner>, past: &mut Past) -> bool {
    let mut processes = scan();
    let are_strange = are_strange(&processes, interpreter);
    let is_interpreter = |pid: i32| interpreter.is_some_and(|own| own.root.pid == pid);
    processes.retain(|process| process.pid != own_pid() && !is_interpreter(process.pid));
    past.take_stock(&processes);
    are_strange
}

fn are_strange(processes: &[Process], interpreter: Option<&Owner>) -> bool {
    processes
        .iter()
        .any(|process| is_strange(process, interpreter))
}

fn is_strange(process: &Process, interpreter: Option<&Owner>) -> bool {
    process.pid != own_pid()
        && (process.threads > 1 || interpreter.is_none_or(|own| own.root.pid != process.pid))
}

/// A look at those of whom the guest has no account, as in [`has_strangers`], until it is known whether they do something.
#[derive(Debug)]
pub(crate) struct Trial {
    end: Instant,
    /// The end where others leave them no time.
    last: Instant,
    /// The time that they had before it, in clock ticks.
    before: u64,
}

impl Trial {
    pub(crate) fn begin(interpreter: Option<&Owner>) -> Self {
        let now = Instant::now();
        Self {
            end: now + TRIAL,
            last: now + LONG_TRIAL,
            before: Self::strangers(interpreter)
                .map(|process| process.ticks)
                .sum(),
        }
    }

    /// Whether there is somebody, and somebody may yet do it: who waits for a processor has done nothing so far.
    pub(crate) fn goes_on(&self, interpreter: Option<&Owner>) -> bool {
        let (mut are_there, mut want_more, mut ticks) = (false, false, 0);
        for process in Self::strangers(interpreter) {
            are_there = true;
            want_more |= process.state == RUNNING;
            ticks += process.ticks;
        }
        let now = Instant::now();
        let had = ticks.saturating_sub(self.before);
        are_there && (now < self.end || want_more && had < TRIAL_TICKS && now < self.last)
    }

    fn strangers(interpreter: Option<&Owner>) -> impl Iterator<Item = Process> {
        let processes = scan().into_iter();
        processes.filter(move |process| is_strange(process, interpreter))
    }
}

/// Whether the shell of a call that has ended has left a filter for its output (`> >(tee log)`): what
/// reads a pipe and writes to the call's.
pub(crate) fn has_filter(owner: &Owner) -> bool {
    let mut processes = scan().into_iter();
    processes.any(|process| belongs_by_session(&process, owner) && is_filter(process.pid, owner))
}

fn is_filter(pid: i32, owner: &Owner) -> bool {
    pipe_at(pid, 0).is_some_and(|inode| !owner.pipes.contains(&inode)) && writes_to(pid, owner)
}

/// How many processes and threads there are that are neither the guest's nor the interpreter's own.
pub(crate) fn strangers(interpreter: Option<&Owner>) -> u64 {
    let is_ours = |pid: i32| pid == own_pid() || interpreter.is_some_and(|own| own.root.pid == pid);
    let processes = scan();
    let strangers = processes.iter().filter(|process| !is_ours(process.pid));
    strangers.map(|process| u64::from(process.threads)).sum()
}

/// Has all processes of a call go on that are stopped.
pub(crate) fn go_on(owner: &Owner) {
    let processes = scan();
    let ours = kin(std::slice::from_ref(owner), &processes);
    for process in &processes {
        if process.state == STOPPED && ours.contains(&process.pid) {
            sys::go_on(process.pid);
        }
    }
}

/// What keeps a call from getting on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hampered {
    No,
    /// A process of it is stopped, as a call may do to itself.
    Stopped,
    /// A process of it is held by a tracer of others.
    Traced,
}

/// Whether a call cannot get on.
pub(crate) fn hampered(owner: &Owner) -> Hampered {
    let processes = scan();
    let ours = kin(std::slice::from_ref(owner), &processes);
    let mut hampered = Hampered::No;
    for process in &processes {
        if !ours.contains(&process.pid) {
            continue;
        }
        match process.state {
            STOPPED => hampered = Hampered::Stopped,
            TRACED if is_traced_by_others(process.pid, &ours) => return Hampered::Traced,
            _ => {}
        }
    }
    hampered
}

/// Whether a call's first process stands still and is none of its own that holds it.
pub(crate) fn is_held(root: Root) -> bool {
    read_process(root.pid).is_some_and(|process| {
        process.started == root.started
            && match process.state {
                STOPPED => true,
                TRACED => tracer_of(root.pid).is_some_and(|tracer| {
                    !sys::is_warden(tracer)
                        && read_process(tracer).is_none_or(|tracer| tracer.session != root.pid)
                }),
                _ => false,
            }
    })
}

fn is_traced_by_others(pid: i32, ours: &HashSet<i32>) -> bool {
    tracer_of(pid).is_some_and(|tracer| !ours.contains(&tracer) && !sys::is_warden(tracer))
}

/// `None` once nobody of the sandbox traces it: what the warden stops may go on between the look at its
/// state and this one, and then nobody is to blame.
fn tracer_of(pid: i32) -> Option<i32> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    tracer_in(&String::from_utf8_lossy(&status))
}

fn tracer_in(status: &str) -> Option<i32> {
    let mut lines = status.lines();
    let tracer = lines.find_map(|line| line.strip_prefix("TracerPid:"))?;
    tracer.trim().parse().ok().filter(|pid| *pid != 0)
}

/// The processes that belong to these calls by session or by birth, and the guest.
fn kin(owners: &[Owner], processes: &[Process]) -> HashSet<i32> {
    let mut kin: HashSet<i32> = processes
        .iter()
        .filter(|process| {
            owners
                .iter()
                .any(|owner| belongs_by_session(process, owner))
        })
        .map(|process| process.pid)
        .collect();
    kin.remove(&own_pid());
    add_descendants(&mut kin, processes, &HashSet::new());
    kin.insert(own_pid());
    kin
}

/// Kills everything that descends from this process, and sees it off.
pub(crate) fn kill_descendants() {
    if sys::is_init() {
        // The kernel, or the warden, waits for the last of them before it lets PID 1 go.
        sys::kill_all_others();
        return;
    }
    kill_to_the_last(|processes| {
        let mut members = HashSet::from([own_pid()]);
        add_descendants(&mut members, processes, &HashSet::new());
        members.remove(&own_pid());
        members
    });
    let patience = Instant::now() + FAREWELL;
    while let Ok(ended) = sys::reap()
        && Instant::now() < patience
    {
        if ended.is_none() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Until a scan shows nobody new: who has a SIGKILL pending cannot fork any more, so that then nobody
/// is left. No need to wait for the dead, who may have gigabytes to give back.
fn kill_to_the_last(members: impl Fn(&[Process]) -> HashSet<i32>) -> Killed {
    let mut killed: HashSet<Root> = HashSet::new();
    let most = if sys::confinement().is_some() {
        SCANS_BESIDE_A_WARDEN
    } else {
        MAX_SCANS
    };
    for _ in 0..most {
        let processes = scan();
        let members = members(&processes);
        let mut anybody_new = false;
        for process in &processes {
            if members.contains(&process.pid) && killed.insert(process.id()) {
                anybody_new = true;
                sys::kill(process.pid);
            }
        }
        if !anybody_new {
            return if killed.is_empty() {
                Killed::Nobody
            } else {
                Killed::All
            };
        }
    }
    Killed::Outrun
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

fn members(
    target: &Owner,
    others: &[Owner],
    past: &Past,
    processes: &[Process],
    guest: i32,
) -> HashSet<i32> {
    let mut ours = HashSet::new();
    let mut foreign: HashSet<i32> = HashSet::new();
    let mut roots = past.sessions(processes);
    roots.extend(others.iter().map(|other| other.root));
    for process in processes {
        if is_of_session(process, target.root) {
            ours.insert(process.pid);
        } else if roots.iter().any(|root| is_of_session(process, *root)) {
            foreign.insert(process.pid);
        } else if process.parent == guest {
            if is_our_orphan(process, target, others, past) {
                ours.insert(process.pid);
            } else {
                foreign.insert(process.pid);
            }
        }
    }
    add_descendants(&mut ours, processes, &foreign);
    ours.remove(&guest);
    ours
}

fn belongs_by_session(process: &Process, owner: &Owner) -> bool {
    is_of_session(process, owner.root)
}

fn is_of_session(process: &Process, root: Root) -> bool {
    // The start guards against a later process that got the number of a session long gone.
    (process.session == root.pid || process.pid == root.pid) && process.started >= root.started
}

fn is_our_orphan(process: &Process, target: &Owner, others: &[Owner], past: &Past) -> bool {
    match output_dir_of(process.pid) {
        Some(output_dir) if output_dir == target.output_dir => true,
        // A program may say so of itself: it is believed if it can be another call's.
        Some(output_dir)
            if is_sibling(&output_dir, &target.output_dir)
                && (process.started < target.root.started
                    || others.iter().any(|other| other.output_dir == output_dir)
                    || past.knows(&output_dir, process.started)) =>
        {
            false
        }
        // It hides where it comes from: its output may still tell, else it is ours if nobody else
        // can have started it.
        _ if writes_to(process.pid, target) => true,
        _ => {
            process.started >= target.root.started
                && others.iter().all(|other| {
                    process.started < other.root.started && !writes_to(process.pid, other)
                })
        }
    }
}

fn writes_to(pid: i32, owner: &Owner) -> bool {
    [1, 2]
        .iter()
        .any(|fd| pipe_at(pid, *fd).is_some_and(|inode| owner.pipes.contains(&inode)))
}

/// The inode number of the pipe that a process has at a descriptor.
fn pipe_at(pid: i32, fd: i32) -> Option<u64> {
    let metadata = fs::metadata(format!("/proc/{pid}/fd/{fd}")).ok()?;
    metadata.file_type().is_fifo().then(|| metadata.ino())
}

/// Whether two paths are entries of one directory: both are some call's `$OUTPUT_DIR`.
fn is_sibling(path: &str, of: &str) -> bool {
    match (path.rsplit_once('/'), of.rsplit_once('/')) {
        (Some((parent, name)), Some((other, _))) => {
            parent == other && guest_proto::is_directory_tag(name)
        }
        _ => false,
    }
}

fn output_dir_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(b"OUTPUT_DIR="))
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

fn add_descendants(members: &mut HashSet<i32>, processes: &[Process], foreign: &HashSet<i32>) {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for process in processes {
        children
            .entry(process.parent)
            .or_default()
            .push(process.pid);
    }
    let mut queue: Vec<i32> = members.iter().copied().collect();
    while let Some(parent) = queue.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if !foreign.contains(child) && members.insert(*child) {
                queue.push(*child);
            }
        }
    }
}

/// All processes of the sandbox that live. Zombies don't count: they do nothing, and their children are
/// inherited.
fn scan() -> Vec<Process> {
    let mut living = everybody();
    if sys::confinement().is_some() {
        let mut ours = HashSet::from([own_pid()]);
        add_descendants(&mut ours, &living, &HashSet::new());
        living.retain(|process| ours.contains(&process.pid));
    }
    living
}

/// Whether a process is of this sandbox: all that there are, or where there are others, what descends
/// from the guest.
pub(crate) fn is_in_sandbox(pid: u32) -> bool {
    if sys::confinement().is_none() {
        return true;
    }
    let mut process = read_process(pid.cast_signed());
    while let Some(Process { pid, parent, .. }) = process {
        if pid == own_pid() {
            return true;
        }
        process = if parent > 1 {
            read_process(parent)
        } else {
            None
        };
    }
    false
}

fn everybody() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| !decoy::is_decoy(*pid))
        .filter_map(read_process)
        .filter(|process| !matches!(process.state, 'Z' | 'X' | 'x'))
        .collect()
}

fn read_process(pid: i32) -> Option<Process> {
    // Some fifty numbers and a short name: it is had with one read, which is much of what a look costs.
    let mut stat = [0; STAT_BYTES];
    let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let length = file.read(&mut stat).ok()?;
    parse_stat(pid, &String::from_utf8_lossy(&stat[..length]))
}

/// Reads `/proc/<pid>/stat`. The name in it is user code's: it may hold blanks and parentheses.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        ticks: fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::process::{Command, Stdio};

    use super::*;

    const GUEST: i32 = 1;

    pub(super) fn process(pid: i32, parent: i32, session: i32, started: u64) -> Process {
        Process {
            pid,
            parent,
            session,
            started,
            threads: 1,
            ticks: 0,
            state: 'S',
        }
    }

    pub(super) fn owner(pid: i32, started: u64) -> Owner {
        Owner {
            root: Root { pid, started },
            output_dir: "/nowhere/0000000000000000".to_owned(),
            pipes: Vec::new(),
        }
    }

    #[test]
    fn who_was_let_go_meanwhile_is_held_by_nobody() {
        let status = |tracer: &str| format!("Name:\tcat\nPid:\t7\nTracerPid:\t{tracer}\nUid:\t0\n");
        assert_eq!(tracer_in(&status("12")), Some(12));
        assert_eq!(tracer_in(&status("0")), None);
        assert_eq!(tracer_in(""), None);
    }

    // The numbers are far above any real pid, so that no environment is found.
    const A: i32 = 900_000_010;
    const B: i32 = 900_000_020;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = "7 (a) b (R) S 5 7 6 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let process = parse_stat(7, stat).unwrap();
        assert_eq!((process.parent, process.session), (5, 6));
        assert_eq!((process.started, process.state), (4711, 'S'));
    }

    #[test]
    fn children_of_other_sessions_and_orphans_belong_to_the_only_call() {
        let processes = [
            process(A, GUEST, A, 100),
            process(A + 1, A, A, 101),
            process(A + 2, A + 1, A + 2, 102),
            process(A + 3, GUEST, A + 3, 103),
            process(A + 4, A + 3, A + 3, 104),
            process(A - 5, GUEST, A - 5, 50),
        ];
        let got = members(&owner(A, 100), &[], &Past::default(), &processes, GUEST);
        assert_eq!(got, HashSet::from([A, A + 1, A + 2, A + 3, A + 4]));
    }

    #[test]
    fn who_belongs_by_neither_session_nor_birth_is_a_stranger() {
        let processes = [
            process(A, GUEST, A, 100),
            process(A + 1, A, A + 1, 101),
            process(A + 2, GUEST, A + 2, 102),
            process(A + 3, A + 2, A + 2, 103),
        ];
        let kin = kin(&[owner(A, 100)], &processes);
        assert_eq!(kin, HashSet::from([A, A + 1, own_pid()]));
    }

    #[test]
    fn what_may_be_another_calls_is_left_alone() {
        let processes = [
            process(A, GUEST, A, 100),
            process(B, GUEST, B, 110),
            process(B + 1, B, B, 111),
            process(B + 2, GUEST, B + 2, 112),
            process(A + 3, GUEST, A + 3, 105),
        ];
        let others = [owner(B, 110)];
        let got = members(&owner(A, 100), &others, &Past::default(), &processes, GUEST);
        assert_eq!(got, HashSet::from([A, A + 3]));
    }

    #[test]
    fn what_is_in_the_session_of_a_call_that_is_over_is_that_calls() {
        let processes = [
            process(A, GUEST, A, 100),
            // `nohup server &`, and what it starts later.
            process(B + 1, GUEST, B, 115),
            process(B + 2, B + 1, B, 200),
            process(A + 3, GUEST, A + 3, 115),
        ];
        let past = Past::of(&owner(B, 110), 110, 120);
        let got = members(&owner(A, 100), &[], &past, &processes, GUEST);
        assert_eq!(got, HashSet::from([A, A + 3]));
    }

    #[test]
    fn the_name_of_a_call_that_is_over_counts_for_who_began_in_its_time() {
        let tag = "/nowhere/00000000000000bb";
        let mut sleep = Command::new("sleep");
        let mut child = sleep.arg("100").env("OUTPUT_DIR", tag).spawn().unwrap();
        let pid = child.id().cast_signed();
        // Until it is `sleep`, its environment is the test's.
        while output_dir_of(pid).as_deref() != Some(tag) {
            thread::sleep(Duration::from_millis(1));
        }
        let mut other = owner(B, 110);
        tag.clone_into(&mut other.output_dir);
        let past = Past::of(&other, 110, 120);
        let ours = |started| {
            let processes = [process(A, GUEST, A, 100), process(pid, GUEST, pid, started)];
            members(&owner(A, 100), &[], &past, &processes, GUEST).contains(&pid)
        };
        let seen = [ours(105), ours(115), ours(125)];
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen, [true, false, true]);
    }

    #[test]
    fn a_filter_reads_a_pipe_and_writes_to_the_calls() {
        let inode = |pipe: &dyn AsRawFd| {
            let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
            fs::metadata(path).unwrap().ino()
        };
        let mut cat = Command::new("cat");
        cat.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = cat.spawn().unwrap();
        let pid = child.id().cast_signed();
        let mut own = owner(pid, 0);
        own.pipes = vec![inode(child.stdout.as_ref().unwrap())];
        let is_one = is_filter(pid, &own);
        own.pipes.push(inode(child.stdin.as_ref().unwrap()));
        let reads_its_own = is_filter(pid, &own);
        own.pipes = vec![0];
        let writes_elsewhere = is_filter(pid, &own);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_one && !reads_its_own && !writes_elsewhere);
    }
}
