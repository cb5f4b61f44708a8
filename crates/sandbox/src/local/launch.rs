//! Starting a sandbox's processes, from the server's side.
//!
//! The processes are forked by one thread that lives as long as the backend: the kernel kills them when
//! that thread ends, however it ends. The rest of a start is done wherever the caller likes.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::cgroup::Group;
use super::plan::{ARGUMENT, Plan, USER, Word};
use super::sys;

/// How long each step of a start may take: a file system may have to be read in.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// The guest's name in a list of processes.
const NAME: &str = "sandtable-guest";

/// A sandbox that runs.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: i32,
    /// Of the guest.
    pub(super) process: OwnedFd,
    /// The guest's stdin and stdout.
    pub(super) channel: UnixStream,
}

/// Why one does not.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}")]
pub(super) struct LaunchError {
    pub(super) step: String,
    pub(super) reason: String,
    pub(super) errno: Option<i32>,
}

impl LaunchError {
    fn new(step: &str, error: &io::Error) -> Self {
        Self {
            step: step.to_owned(),
            reason: error.to_string(),
            errno: error.raw_os_error(),
        }
    }
}

/// An order for the thread that forks.
#[derive(Debug)]
enum Order {
    /// A process, now.
    Start(mpsc::SyncSender<io::Result<Process>>),
    /// One for the next who asks, made when nobody waits.
    PutAside,
}

/// A handle to the thread that forks.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    orders: mpsc::Sender<Order>,
}

impl Launcher {
    /// Starts the thread; it ends with the last handle. `program` is a copy of this program.
    pub(super) fn start(program: PathBuf) -> io::Result<Self> {
        let (orders, taken) = mpsc::channel();
        thread::Builder::new()
            .name("sandbox-launcher".to_owned())
            .spawn(move || serve(&program, &taken))?;
        Ok(Self { orders })
    }

    /// Has the next sandbox's first process made while nobody waits for it: to become this program takes
    /// as long as all the rest of a start.
    pub(super) fn put_one_aside(&self) {
        // Without the thread nothing is started at all, and that is told.
        self.orders.send(Order::PutAside).ok();
    }

    /// Starts a sandbox. Blocks for some milliseconds.
    pub(super) fn launch(&self, plan: &Plan, group: &Group) -> Result<Launched, LaunchError> {
        let step = |step: &'static str| move |error: io::Error| LaunchError::new(step, &error);
        let Process {
            child: mut outer,
            channel,
            control,
        } = self.process().map_err(step("start a process"))?;
        let result = talk(&control, outer.id(), plan, group);
        if result.is_err() {
            // The inner one, if there is one, sees its channel closed.
            outer.kill().ok();
        }
        // A warden stays, and is waited for like any guest.
        if result.is_err() || plan.confined.is_none() {
            outer.wait().map_err(step("wait for a process"))?;
        }
        let (pid, process) = result?;
        channel
            .set_nonblocking(true)
            .map_err(step("make a channel"))?;
        Ok(Launched {
            pid,
            process,
            channel,
        })
    }

    fn process(&self) -> io::Result<Process> {
        let (answer, answered) = mpsc::sync_channel(1);
        let gone = || io::Error::other("the launcher is gone");
        self.orders.send(Order::Start(answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

/// How long nobody must have asked for anything before a process is made that nobody waits for.
const QUIET: Duration = Duration::from_millis(5);

/// Does what is asked for until nobody can ask any more.
fn serve(program: &Path, orders: &mpsc::Receiver<Order>) {
    let mut aside: Option<Process> = None;
    let mut is_wanted = false;
    loop {
        let order = if is_wanted {
            orders.recv_timeout(QUIET)
        } else {
            orders.recv().map_err(RecvTimeoutError::from)
        };
        match order {
            Ok(Order::Start(answer)) => {
                let process = match aside.take() {
                    Some(process) if process.waits() => Ok(process),
                    other => {
                        other.into_iter().for_each(Process::end);
                        Process::start(program)
                    }
                };
                // Who asked waits for the answer.
                answer.send(process).ok();
            }
            Ok(Order::PutAside) => is_wanted = aside.is_none(),
            Err(RecvTimeoutError::Timeout) => {
                is_wanted = false;
                // What fails here fails again where it is told.
                aside = Process::start(program).ok();
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if let Some(process) = aside {
        process.end();
    }
}

/// A copy of this program that waits to be told which sandbox it is.
#[derive(Debug)]
struct Process {
    child: Child,
    /// Its stdin and stdout.
    channel: UnixStream,
    control: UnixStream,
}

impl Process {
    fn start(program: &Path) -> io::Result<Self> {
        let (channel, theirs) = UnixStream::pair()?;
        let (control, their_control) = UnixStream::pair()?;
        let child = Command::new(program)
            .arg0(NAME)
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .stderr(OwnedFd::from(their_control))
            .spawn()?;
        Ok(Self {
            child,
            channel,
            control,
        })
    }

    /// Whether it is still there.
    fn waits(&self) -> bool {
        // A reader would wait for its words; it says none before it is spoken to, and its end is one.
        let mut byte = [0];
        let looked = self.control.set_nonblocking(true).and_then(|()| {
            let read = (&self.control).read(&mut byte);
            self.control.set_nonblocking(false)?;
            read
        });
        matches!(looked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ends it. It may have ended by itself.
    fn end(mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn talk(
    control: &UnixStream,
    outer: u32,
    plan: &Plan,
    group: &Group,
) -> Result<(i32, OwnedFd), LaunchError> {
    let step = |step: &'static str| move |error: io::Error| LaunchError::new(step, &error);
    control
        .set_read_timeout(Some(STEP_TIMEOUT))
        .map_err(step("set up the control channel"))?;
    let mut line = serde_json::to_vec(plan)
        .map_err(|error| LaunchError::new("write the plan", &error.into()))?;
    line.push(b'\n');
    (&mut &*control)
        .write_all(&line)
        .map_err(step("send the plan"))?;
    let mut words = BufReader::new(control);
    let mut user = (plan.host_uid, plan.host_gid);
    let mut forked = None;
    let mut ready = false;
    let mut failure = None;
    // The two processes' last words may come in any order.
    while !(ready && forked.is_some()) {
        let heard = hear(&mut words);
        let outcome = match heard {
            Ok(Word::Loop(number)) => {
                tracing::trace!(number, "a loop device has the disk");
                Ok(())
            }
            Ok(Word::Owner(owner)) => {
                user = (owner, owner);
                Ok(())
            }
            Ok(Word::Unshared) => map_user(outer, plan.privileged, user)
                .map_err(step("map the sandbox's user"))
                .and_then(|()| admit(control, outer, group)),
            // It is our child and not yet waited for, so the number is still its.
            Ok(Word::Forked(pid)) => sys::process_descriptor(pid)
                .map(|process| forked = Some((pid, process)))
                .map_err(step("hold the sandbox")),
            Ok(Word::Ready) => {
                ready = true;
                Ok(())
            }
            Ok(Word::Failed {
                step,
                reason,
                errno,
            }) => {
                failure.get_or_insert(LaunchError {
                    step,
                    reason,
                    errno,
                });
                continue;
            }
            // Nothing more comes.
            Err(error) => Err(failure.take().unwrap_or(error)),
        };
        if let Err(error) = outcome {
            if let Some((_, process)) = forked {
                abandon(&process);
            }
            return Err(error);
        }
    }
    forked.ok_or_else(|| LaunchError::new("hold the sandbox", &io::ErrorKind::NotFound.into()))
}

/// Lets a process whose user is mapped go on, with its limits set.
fn admit(control: &UnixStream, outer: u32, group: &Group) -> Result<(), LaunchError> {
    let step = |step: &'static str| move |error: io::Error| LaunchError::new(step, &error);
    group.add(outer).map_err(step("limit the sandbox"))?;
    (&mut &*control)
        .write_all(b"g")
        .map_err(step("go on with the start"))
}

fn hear(words: &mut BufReader<&UnixStream>) -> Result<Word, LaunchError> {
    let mut line = String::new();
    let failed = |reason: String| LaunchError {
        step: "start the sandbox".to_owned(),
        reason,
        errno: None,
    };
    match words.read_line(&mut line) {
        Ok(0) => Err(failed("its first process ended".to_owned())),
        Err(error) => Err(failed(format!("no answer of its first process: {error}"))),
        Ok(_) => serde_json::from_str(&line)
            // Not one of our words: the last one of a program that fails.
            .map_err(|_| failed(line.trim().to_owned())),
    }
}

/// A guest that never came to be is killed and waited for.
fn abandon(process: &OwnedFd) {
    sys::kill(process).ok();
    for _ in 0..1000 {
        if !matches!(sys::reap(&process.as_fd()), Ok(false)) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn map_user(pid: u32, privileged: bool, (user, group): (u32, u32)) -> io::Result<()> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    if !privileged {
        fs::write(folder.join("setgroups"), "deny")?;
    }
    write_map(&folder.join("gid_map"), group)?;
    write_map(&folder.join("uid_map"), user)
}

fn write_map(file: &Path, host: u32) -> io::Result<()> {
    fs::write(file, format!("{USER} {host} 1\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::write_program;

    /// Stands for the program: writes its number down, and waits.
    fn program(folder: &Path) -> PathBuf {
        let program = folder.join("program");
        let started = folder.join("started").display().to_string();
        let text = format!("#!/bin/sh\necho $$ >> {started}\nread -r plan <&2\n");
        write_program(&program, text.as_bytes());
        program
    }

    /// The numbers of those that were started, once there are so many.
    fn started(folder: &Path, count: usize) -> Vec<u32> {
        loop {
            let text = fs::read_to_string(folder.join("started")).unwrap_or_default();
            let lines: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
            if lines.len() >= count {
                return lines;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn who_asks_gets_the_process_that_was_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let launcher = Launcher::start(program(folder.path())).unwrap();
        launcher.put_one_aside();
        launcher.put_one_aside();
        let first = started(folder.path(), 1)[0];
        let process = launcher.process().unwrap();
        assert_eq!(process.child.id(), first);
        process.end();
        let second = launcher.process().unwrap();
        assert_eq!(started(folder.path(), 2), [first, second.child.id()]);
        second.end();
    }

    #[test]
    fn one_that_has_ended_meanwhile_is_of_no_use() {
        let folder = tempfile::tempdir().unwrap();
        let launcher = Launcher::start(program(folder.path())).unwrap();
        launcher.put_one_aside();
        let first = started(folder.path(), 1)[0];
        sys::kill(&sys::process_descriptor(first.cast_signed()).unwrap()).unwrap();
        // Whoever is killed closes its end of the channel, which need not be at once.
        thread::sleep(Duration::from_millis(50));
        let process = launcher.process().unwrap();
        assert_ne!(process.child.id(), first);
        process.end();
    }
}
