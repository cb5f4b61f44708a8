//! The warden: answers the calls of a sandbox until its guest has ended, then ends what is left of it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use super::calls::Table;
use super::members::{self, Members};
use super::notify::{Verdict, Waiting};
use super::space::Space;
use super::sys;
use super::tracee::{Caller, Changed, Memories, New};
use crate::local::plan::Confined;
use crate::local::sys::process_descriptor;
use crate::local::watchdog::{INTERVAL, over_memory};

/// How long the last processes may take to be gone.
const FAREWELL: Duration = Duration::from_secs(10);
/// Without another call for so long, the others have had their turn.
const TURN: Duration = Duration::from_millis(2);
/// The longest time that their turn may take.
const LONGEST_TURN: Duration = Duration::from_millis(10);
/// Calls that begin anew, of threads that may have ended before.
const MOST_CHANGED: usize = 4096;

/// Everything about one sandbox.
#[derive(Debug)]
pub(super) struct Warden {
    pub(super) space: Space,
    pub(super) memories: Memories,
    /// Where sockets are bound, by what `/proc` calls them.
    pub(super) sockets: HashMap<Vec<u8>, Vec<u8>>,
    /// Abstract names that were bound here.
    pub(super) names: HashSet<Vec<u8>>,
    /// Whether Landlock keeps abstract sockets apart.
    pub(super) scopes_sockets: bool,
    pub(super) guest: i32,
    members: Members,
    table: Table,
    changed: HashMap<i32, Changed>,
    /// Calls that are done, and since when.
    later: Vec<(u64, Instant)>,
    /// Processes and threads that there may be at once; 0 where the kernel counts them.
    tasks: u64,
    memory_bytes: u64,
    pub(super) terminals: u32,
}

impl Warden {
    pub(super) fn new(
        space: Space,
        guest: i32,
        own: &Confined,
        terminals: u32,
        scopes_sockets: bool,
    ) -> Self {
        Self {
            space,
            memories: Memories::default(),
            sockets: HashMap::new(),
            names: HashSet::new(),
            scopes_sockets,
            guest,
            members: Members::new(guest),
            table: Table::new(),
            changed: HashMap::new(),
            later: Vec::new(),
            tasks: own.tasks,
            memory_bytes: own.memory_bytes,
            terminals,
        }
    }

    /// Serves until the guest has ended or this process is told to end; then nothing is left.
    pub(super) fn serve(&mut self, listener: &OwnedFd, signals: &mut File) -> io::Result<()> {
        // Where nothing runs, nothing grows: whatever begins makes calls.
        let mut is_at_rest = false;
        let mut looked = Instant::now();
        loop {
            let mut patience = (!is_at_rest).then(|| INTERVAL.saturating_sub(looked.elapsed()));
            if !self.later.is_empty() {
                patience = Some(TURN);
            }
            let [calls, ends] = sys::wait(listener, signals, patience)?;
            self.answer_late(listener, calls);
            if looked.elapsed() >= INTERVAL {
                is_at_rest = !self.watch_memory();
                looked = Instant::now();
            }
            is_at_rest &= !calls;
            if ends {
                let mut what = [0; 128];
                while let Ok(1..) = signals.read(&mut what) {
                    let number = u32::from_ne_bytes([what[0], what[1], what[2], what[3]]);
                    if number == libc::SIGTERM.cast_unsigned() {
                        return Ok(());
                    }
                }
                while let Some(pid) = sys::reap() {
                    if pid == self.guest {
                        return Ok(());
                    }
                }
            }
            if calls {
                match sys::receive(listener) {
                    Ok(call) => {
                        let waiting = Waiting { listener, call };
                        let verdict = self.decide(&waiting);
                        waiting.settle(&verdict)?;
                    }
                    // Its thread was killed before it was heard.
                    Err(error)
                        if matches!(
                            error.raw_os_error(),
                            Some(libc::ENOENT | libc::EINTR | libc::EAGAIN)
                        ) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Answers what was put off, once nobody else calls or it has waited long enough.
    fn answer_late(&mut self, listener: &OwnedFd, others_call: bool) {
        self.later.retain(|(id, since)| {
            let waits = others_call && since.elapsed() < LONGEST_TURN;
            if !waits {
                // It may have been killed.
                sys::answer(listener, *id, Ok(0)).ok();
            }
            waits
        });
    }

    /// Kills the biggest process if all together have too much; `false` if there are none.
    fn watch_memory(&self) -> bool {
        let processes: Vec<i32> = self
            .members
            .all()
            .iter()
            .map(|process| process.pid)
            .collect();
        if let Some(biggest) = over_memory(&processes, self.memory_bytes)
            && let Ok(process) = process_descriptor(biggest)
            && self.members.has(biggest)
        {
            // It may have ended by itself.
            sys::send_signal(&process, libc::SIGKILL).ok();
        }
        !processes.is_empty()
    }

    fn decide(&mut self, waiting: &Waiting<'_>) -> Verdict {
        let Some(call) = self.table.get(waiting.call.data.number) else {
            return Verdict::GoOn;
        };
        let thread = waiting.thread();
        if let Some(changed) = self.changed.remove(&thread) {
            match changed.is_met(&mut self.memories, thread, &waiting.call.data) {
                Some(true) => return self.go_on(call),
                Some(false) => return self.change(waiting, changed.into_new()),
                None => {}
            }
        }
        // Out of the way, so that the rest can change what it holds.
        let mut members = std::mem::replace(&mut self.members, Members::new_unknown(self.guest));
        let verdict = self.act(waiting, call, &mut members);
        self.members = members;
        match verdict {
            Ok(Act::Verdict(verdict)) => verdict,
            Ok(Act::GoOn) => self.go_on(call),
            Ok(Act::AnswerLater) => {
                self.later.push((waiting.call.id, Instant::now()));
                Verdict::Settled
            }
            Ok(Act::Change(new)) => self.change(waiting, new),
            Err(errno) => Verdict::Refuse(errno),
        }
    }

    fn go_on(&mut self, call: super::calls::Call) -> Verdict {
        if matches!(call, super::calls::Call::Execute(..)) {
            self.memories.forget();
        }
        Verdict::GoOn
    }

    fn change(&mut self, waiting: &Waiting<'_>, new: Vec<New>) -> Verdict {
        let thread = waiting.thread();
        if self.changed.len() > MOST_CHANGED {
            self.changed.clear();
        }
        match super::tracee::change(&mut self.memories, waiting, new) {
            Ok(Some(changed)) => {
                self.changed.insert(thread, changed);
                Verdict::Settled
            }
            // It is gone, or does something else by now.
            Ok(None) => Verdict::Settled,
            Err(_) => Verdict::Refuse(libc::EACCES),
        }
    }

    fn act(
        &mut self,
        waiting: &Waiting<'_>,
        call: super::calls::Call,
        members: &mut Members,
    ) -> Result<Act, i32> {
        use super::calls::Call;
        if matches!(call, Call::Fork) {
            return if members.may_grow(self.tasks) {
                Ok(Act::GoOn)
            } else {
                Err(libc::EAGAIN)
            };
        }
        let caller = Caller::new(waiting.thread(), members);
        match call {
            Call::Paths(spots) => self.paths(waiting, &caller, spots),
            Call::Access(spot, what) => self.access(waiting, &caller, spot, what),
            Call::Open(spot, flags) => self.open(waiting, &caller, spot, flags),
            Call::ReadLink(spot) => self.read_link(waiting, &caller, spot),
            Call::Execute(spot, arguments) => self.execute(waiting, &caller, spot, arguments),
            Call::Change(target, change) => self.change_file(waiting, &caller, target, change),
            Call::FileSystem(target) => self.file_system(waiting, &caller, target),
            Call::Connect => self.connect(waiting, &caller),
            Call::Bind => self.bind(waiting, &caller),
            Call::SocketName => self.socket_name(waiting),
            Call::WorkingDirectory => self.working_directory(waiting, &caller),
            Call::Machine => self.machine(waiting),
            Call::Parent => Ok(parent(&caller)),
            Call::Signal => signal(waiting, &caller),
            Call::Of(place) => of_others(waiting, &caller, place),
            Call::Fork => Ok(Act::GoOn),
        }
    }
}

/// The warden's action on a call.
#[derive(Debug)]
pub(super) enum Act {
    GoOn,
    /// It was done, and is answered when the others have had their turn: a signal makes them begin their
    /// calls anew, and who sends one after the other would keep them from all calls.
    AnswerLater,
    Change(Vec<New>),
    Verdict(Verdict),
}

impl From<Verdict> for Act {
    fn from(verdict: Verdict) -> Self {
        Self::Verdict(verdict)
    }
}

/// `kill`: only the sandbox's own processes are there for it, and none of them is the guest.
fn signal(waiting: &Waiting<'_>, caller: &Caller<'_>) -> Result<Act, i32> {
    let (target, signal) = (waiting.int(0), waiting.int(1));
    let members = caller.members;
    if !(0..=64).contains(&signal) {
        return Err(libc::EINVAL);
    }
    match target {
        0 => Ok(Act::GoOn),
        1.. => {
            if target == caller.process() {
                return Ok(Act::GoOn);
            }
            // As the kernel has it for the first process of a sandbox: it never hears a signal from inside.
            if target == 1 {
                return Ok(Verdict::Answer(0).into());
            }
            if target == members.guest {
                return Err(libc::ESRCH);
            }
            let process = process_descriptor(target).map_err(|_| libc::ESRCH)?;
            // Held fast, it cannot become another's number any more.
            if !members.has(target) {
                return Err(libc::ESRCH);
            }
            sys::send_signal(&process, signal)
                .map(|()| Act::Verdict(Verdict::Answer(0)))
                .map_err(|error| super::notify::errno(&error))
        }
        _ => to_many(waiting, caller, target, signal),
    }
}

/// The guest is every sandbox's first process, also where the kernel counts it among others.
fn parent(caller: &Caller<'_>) -> Act {
    if !caller.is_guest() && caller.members.is_child_of_guest(caller.process()) {
        return Verdict::Answer(1).into();
    }
    Act::GoOn
}

/// A process group, or everybody but the caller.
fn to_many(
    waiting: &Waiting<'_>,
    caller: &Caller<'_>,
    target: i32,
    signal: i32,
) -> Result<Act, i32> {
    let own = caller.process();
    let meant = |process: &members::Process| {
        if target == -1 {
            process.pid != own
        } else {
            process.group == -target
        }
    };
    let mut reached = std::collections::HashSet::new();
    let mut to_self = false;
    // Again while there is anybody new: who is to die may have had a child meanwhile.
    for _ in 0..100 {
        let mut anybody_new = false;
        for process in caller.members.all().into_iter().filter(meant) {
            if reached.insert(process.pid) {
                anybody_new = true;
                if process.pid == own {
                    to_self = true;
                } else {
                    process_descriptor(process.pid)
                        .and_then(|process| sys::send_signal(&process, signal))
                        .ok();
                }
            }
        }
        if !anybody_new || signal != libc::SIGKILL {
            break;
        }
    }
    if reached.is_empty() {
        return Err(libc::ESRCH);
    }
    if to_self {
        // It hears the answer first, unless it is killed.
        if waiting.settle(&Verdict::Answer(0)).is_ok() {
            process_descriptor(own)
                .and_then(|process| sys::send_signal(&process, signal))
                .ok();
        }
        return Ok(Verdict::Settled.into());
    }
    Ok(if caller.is_guest() {
        Verdict::Answer(0).into()
    } else {
        Act::AnswerLater
    })
}

/// A call about a thread or a process: of the sandbox's, not of others' and not of the guest's.
fn of_others(waiting: &Waiting<'_>, caller: &Caller<'_>, place: usize) -> Result<Act, i32> {
    let target = waiting.int(place);
    if target == caller.thread || caller.is_guest() {
        return Ok(Act::GoOn);
    }
    let process = Members::process_of(target).ok_or(libc::ESRCH)?;
    if process == caller.members.guest {
        return Err(libc::EPERM);
    }
    if process == caller.process() || caller.members.has(process) {
        return Ok(Act::GoOn);
    }
    Err(libc::ESRCH)
}

/// Ends all that descends from this process, and takes their ends.
pub(super) fn end_all() {
    let patience = Instant::now() + FAREWELL;
    let own = std::process::id().cast_signed();
    loop {
        let left = members::below(own);
        while sys::reap().is_some() {}
        if left.is_empty() || Instant::now() > patience {
            return;
        }
        for process in &left {
            sys::kill(process.pid);
        }
        thread::sleep(Duration::from_millis(1));
    }
}
