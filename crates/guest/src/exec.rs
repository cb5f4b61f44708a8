//! Programs: their start, their output, their end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest_proto::{Command, ExecDone, Outcome, Settings};

use crate::capture::Capture;
use crate::child::{Child, End};
use crate::directory;
use crate::ended::Ended;
use crate::environment::{Places, variables};
use crate::sinks::Sinks;
use crate::sys::{self, Change, Poll, Program};
use crate::tree::{self, Owner, Past};

/// The kernel takes no longer argument (`MAX_ARG_STRLEN`, with its NUL); longer commands become a file.
const MAX_ARGUMENT_BYTES: usize = 128 * 1024 - 1;
/// How long the output of processes that outlive their call is still its output. Enough for one that is
/// about to end, too short to notice when a server was started in the background.
const LINGER: Duration = Duration::from_millis(20);
/// The same while one of them is a filter that the shell has put behind the call's programs.
const LINGER_FOR_FILTERS: Duration = Duration::from_secs(1);

/// The exit status of a shell for a program that it cannot run.
const NEVER_RAN: i32 = 126;
/// Its exit status for one that was killed.
const KILLED: i32 = 128 + libc::SIGKILL;

/// The program to run, and its arguments, places, and limits.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) call: u64,
    pub(crate) command: Command,
    pub(crate) text: &'a [u8],
    pub(crate) places: Places,
    pub(crate) timeout: Duration,
    pub(crate) env: BTreeMap<String, String>,
}

/// A program under way.
#[derive(Debug)]
pub(crate) struct Run {
    child: Child,
    owner: Owner,
    places: Places,
    deadline: Instant,
    /// How it will have ended, if we ended it.
    ending: Option<Outcome>,
    return_code: Option<i32>,
    /// When its first process had ended.
    ended: Option<Instant>,
    stdout: Stream,
    stderr: Stream,
    script: Option<PathBuf>,
    /// The guest's remark below the program's stderr.
    remark: Option<String>,
}

/// The output of a program on one of its descriptors.
#[derive(Debug)]
pub(crate) struct Stream {
    pipe: Option<File>,
    place: Option<usize>,
    capture: Capture,
}

/// Why a program cannot run.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) cause: Cause,
}

/// The obstacle to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The request itself.
    Request,
    /// There is no process left for it.
    Crowd,
    /// Its files cannot be put in their place.
    Place,
}

impl Refusal {
    pub(crate) fn is_crowd(&self) -> bool {
        self.cause == Cause::Crowd
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self {
            message,
            cause: Cause::Request,
        }
    }
}

impl From<(&'static str, io::Error)> for Refusal {
    /// From the thing that cannot be put in its place, and the reason.
    fn from((what, error): (&'static str, io::Error)) -> Self {
        Self {
            message: format!("{what}: {error}"),
            cause: Cause::Place,
        }
    }
}

/// Starts a program whose directories are in place, or says why it cannot run.
pub(crate) fn start(settings: &Settings, job: &Job<'_>) -> Result<Run, Refusal> {
    let in_words = |what: &'static str, error: io::Error| Refusal::from((what, error));
    let tmp = Path::new(&settings.tmp_root);
    let mut script = None;
    let (name, arguments) = match &job.command {
        Command::Bash {} if job.text.contains(&0) => {
            return Err("the command contains a NUL byte".to_owned().into());
        }
        Command::Bash {} if job.text.len() > MAX_ARGUMENT_BYTES => {
            let path = tmp.join(format!("command-{}.sh", job.call));
            directory::make_usable(tmp);
            write_new(&path, job.text).map_err(|e| in_words("writing the command", e))?;
            script = Some(path.clone());
            ("/bin/bash", vec![path.into_os_string()])
        }
        Command::Bash {} => {
            let command = OsStr::from_bytes(job.text).to_owned();
            ("/bin/bash", vec!["-c".into(), command])
        }
        Command::Python { tag } => {
            let cell =
                write_cell(tmp, tag, job.text).map_err(|e| in_words("writing the cell", e))?;
            ("python3", vec![cell.into_os_string()])
        }
    };
    let environment = variables(settings, &job.places, &job.env);
    if let Some(name) = environment
        .keys()
        .find(|name| name.is_empty() || name.contains('='))
    {
        return Err(format!("`{name}` cannot name an environment variable").into());
    }
    let arguments: Vec<&[u8]> = arguments.iter().map(|text| text.as_bytes()).collect();
    let (work_dir, most) = (&settings.work_dir, settings.max_file_bytes);
    let program = Program::new(name, &arguments, &environment, work_dir, most)
        .map_err(|_| format!("starting `{name}`: a variable contains a NUL byte"))?;
    let could_not = |error: io::Error| Refusal {
        message: format!("starting `{name}`: {error}"),
        cause: match error.raw_os_error() {
            Some(libc::EAGAIN) => Cause::Crowd,
            _ => Cause::Request,
        },
    };
    let ([stdout, stderr], [out, err]) = streams(settings).map_err(could_not)?;
    let null = File::open("/dev/null").map_err(could_not)?;
    let child = Child::start(program, [&null, &out, &err]).map_err(could_not)?;
    Ok(Run {
        owner: Owner {
            root: child.root(),
            output_dir: job.places.output.to_string_lossy().into_owned(),
            pipes: [&stdout, &stderr]
                .iter()
                .filter_map(|s| s.inode())
                .collect(),
        },
        child,
        places: job.places.clone(),
        deadline: Instant::now()
            .checked_add(job.timeout)
            .unwrap_or_else(|| Instant::now() + Duration::from_hours(24)),
        ending: None,
        return_code: None,
        ended: None,
        stdout,
        stderr,
        script,
        remark: None,
    })
}

/// Puts the directories of a call in place, or says what cannot be done.
pub(crate) fn make_places(
    settings: &Settings,
    places: &Places,
) -> Result<(), (&'static str, io::Error)> {
    open_work_dir(settings).map_err(|error| ("making the working directory", error))?;
    places
        .make()
        .map_err(|error| ("making `$OUTPUT_DIR`", error))
}

pub(crate) fn open_work_dir(settings: &Settings) -> io::Result<()> {
    fs::create_dir_all(&settings.work_dir)?;
    directory::make_usable(Path::new(&settings.work_dir));
    Ok(())
}

/// The pipes of a program's stdout and stderr: the ends that are read as streams, and the ends it writes to.
pub(crate) fn streams(settings: &Settings) -> io::Result<([Stream; 2], [PipeWriter; 2])> {
    let (stdout, out) = io::pipe()?;
    let (stderr, err) = io::pipe()?;
    let streams = [stdout, stderr].map(|pipe| Stream::new(Some(pipe.into()), settings));
    Ok((streams, [out, err]))
}

/// Puts a cell's code where tracebacks say it lies.
pub(crate) fn write_cell(tmp: &Path, tag: &str, code: &[u8]) -> io::Result<PathBuf> {
    directory::make_usable(tmp);
    let directory = tmp.join(tag);
    let cell = directory.join("cell.py");
    if fs::symlink_metadata(&directory).is_ok_and(|metadata| !metadata.is_dir()) {
        directory::clear_away(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    directory::make_usable(&directory);
    write_new(&cell, code)?;
    Ok(cell)
}

/// Writes a file that is ours alone: never through a link, never into a FIFO.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let create = |path: &Path| {
        let mut new = OpenOptions::new();
        new.write(true).create_new(true).mode(0o644).open(path)
    };
    match create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        file => return file?.write_all(bytes),
    }
    let temporary = directory::unguessable_beside(path)?;
    let placed = create(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| directory::put_in_place(&temporary, path));
    if placed.is_err() {
        drop(fs::remove_file(&temporary));
    }
    placed
}

/// The answer for a program that never ran.
pub(crate) fn could_not_start(message: String) -> ExecDone {
    ExecDone {
        outcome: Outcome::CouldNotStart { message },
        return_code: NEVER_RAN,
        stdout_bytes: 0,
        outputs: Vec::new(),
        too_large: Vec::new(),
        refused: Vec::new(),
        left_out: 0,
    }
}

impl Run {
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The 16 hex digits that name its output directory.
    pub(crate) fn output_dir(&self) -> String {
        self.places.output_tag().to_owned()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.owner.root.pid
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether its first process is there.
    pub(crate) fn is_under_way(&self) -> bool {
        self.return_code.is_none()
    }

    /// Starts it once more: its first process never became its program.
    pub(crate) fn start_again(&mut self, settings: &Settings) {
        let started = streams(settings).and_then(|([stdout, stderr], [out, err])| {
            open_work_dir(settings)?;
            let null = File::open("/dev/null")?;
            self.child.start_again([&null, &out, &err])?;
            (self.stdout, self.stderr) = (stdout, stderr);
            Ok(())
        });
        match started {
            Ok(()) => {
                self.owner.root = self.child.root();
                let streams = [&self.stdout, &self.stderr];
                self.owner.pipes = streams.iter().filter_map(|s| s.inode()).collect();
            }
            Err(error) => {
                let message = format!("starting the program again: {error}");
                self.ending
                    .get_or_insert(Outcome::CouldNotStart { message });
                self.return_code = Some(NEVER_RAN);
            }
        }
    }

    /// Whether its time is up and it still runs.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.return_code.is_none() && self.ending.is_none() && self.deadline <= now
    }

    /// When to look again without being called.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let held = self.is_under_way().then(|| self.child.next_look());
        let end = (self.return_code.is_some() || self.ending.is_none()).then_some(self.deadline);
        [held, end].into_iter().flatten().min()
    }

    /// Ends it with its whole tree. `false` if it would not end.
    pub(crate) fn end(&mut self, outcome: Outcome, others: &[Owner], past: &Past) -> bool {
        if self.return_code.is_some() || self.ending.is_some() {
            return true;
        }
        self.ending = Some(outcome);
        tree::kill(&self.owner, others, past)
    }

    /// Its disk is full: it fails, and says why below its stderr.
    pub(crate) fn fail_for_disk(&mut self, remark: String) {
        self.remark.get_or_insert(remark);
    }

    /// Its first process was stopped, or has ended; its output may be on the way still. Answers why.
    pub(crate) fn changed(&mut self, change: Change) -> Option<End> {
        let Change::Ended { return_code, .. } = change else {
            self.child.was_stopped();
            return None;
        };
        let end = self.child.ended(change);
        if self.ending.is_some() {
            // By us, so that it says nothing of others.
        } else if end == End::Unborn {
            return Some(end);
        } else if let Some(message) = self.child.failure() {
            let message = message.to_owned();
            self.ending = Some(Outcome::CouldNotStart { message });
        }
        let now = Instant::now();
        self.return_code = Some(return_code);
        self.ended = Some(now);
        self.deadline = now + LINGER;
        self.ending.is_none().then_some(end)
    }

    /// Whether there is nothing more to wait for.
    pub(crate) fn is_done(&mut self, now: Instant) -> bool {
        let silent = self.stdout.pipe.is_none() && self.stderr.pipe.is_none();
        self.return_code.is_some() && (silent || (self.deadline <= now && !self.waits_on(now)))
    }

    /// Whether it has left a filter, whose output comes when it is done and not at a certain time.
    fn waits_on(&mut self, now: Instant) -> bool {
        let Some(ended) = self.ended.filter(|_| self.ending.is_none()) else {
            return false;
        };
        let last = ended + LINGER_FOR_FILTERS;
        let waits = now < last && tree::has_filter(&self.owner);
        if waits {
            // Twice as far each time: the end of a filter that has the pipes for itself is seen at once.
            self.deadline = (now + now.duration_since(ended).max(LINGER)).min(last);
        }
        waits
    }

    pub(crate) fn watch(&mut self, poll: &mut Poll) {
        self.child.watch(poll);
        self.stdout.watch(poll);
        self.stderr.watch(poll);
    }

    pub(crate) fn read(&mut self, poll: &Poll, scratch: &mut [u8]) {
        self.child.read(poll);
        self.stdout.read(poll, scratch);
        self.stderr.read(poll, scratch);
    }

    /// The answer and its payload.
    pub(crate) fn finish(
        self,
        settings: &Settings,
        sinks: &mut Sinks,
        scratch: &mut [u8],
    ) -> (ExecDone, Vec<u8>) {
        if let Some(script) = &self.script {
            drop(fs::remove_file(script));
        }
        if let Some(Outcome::CouldNotStart { message }) = self.ending {
            return (could_not_start(message), Vec::new());
        }
        let ended = Ended {
            ending: self.ending,
            return_code: self.return_code.unwrap_or(KILLED),
            remark: self.remark,
            stdout: self.stdout.finish(sinks, scratch),
            stderr: self.stderr.finish(sinks, scratch),
        };
        ended.answer(&self.places, settings)
    }
}

impl Stream {
    pub(crate) fn new(pipe: Option<OwnedFd>, settings: &Settings) -> Self {
        Self {
            // A pipe that would block the loop is of no use; `fcntl` does not fail on an open pipe.
            pipe: pipe
                .map(File::from)
                .filter(|pipe| sys::set_nonblocking(pipe).is_ok()),
            place: None,
            capture: Capture::new(settings.max_stream_bytes),
        }
    }

    pub(crate) fn inode(&self) -> Option<u64> {
        Some(self.pipe.as_ref()?.metadata().ok()?.ino())
    }

    pub(crate) fn watch(&mut self, poll: &mut Poll) {
        self.place = self.pipe.as_ref().map(|pipe| poll.readable(pipe));
    }

    pub(crate) fn read(&mut self, poll: &Poll, scratch: &mut [u8]) {
        if self.place.take().is_some_and(|place| poll.is_ready(place)) {
            self.read_some(scratch);
        }
    }

    /// Reads once; `None` at the end or if nothing is there.
    fn read_some(&mut self, scratch: &mut [u8]) -> Option<usize> {
        match self.pipe.as_mut()?.read(scratch) {
            Ok(0) => {
                self.pipe = None;
                None
            }
            Ok(bytes) => {
                self.capture.push(&scratch[..bytes]);
                Some(bytes)
            }
            Err(error) => {
                if !matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) {
                    self.pipe = None;
                }
                None
            }
        }
    }

    /// The output until now; later output is counted anew.
    pub(crate) fn cut(&mut self, settings: &Settings, scratch: &mut [u8]) -> Vec<u8> {
        self.drain(scratch);
        let next = Capture::new(settings.max_stream_bytes);
        std::mem::replace(&mut self.capture, next).finish()
    }

    pub(crate) fn finish(mut self, sinks: &mut Sinks, scratch: &mut [u8]) -> Vec<u8> {
        self.drain(scratch);
        if let Some(pipe) = self.pipe {
            sinks.keep(pipe);
        }
        self.capture.finish()
    }

    /// Takes what is in the pipe now, and no more: who still writes may never stop.
    fn drain(&mut self, scratch: &mut [u8]) {
        let mut waiting = self.pipe.as_ref().map_or(0, sys::bytes_waiting);
        while waiting > 0 {
            let most = waiting.min(scratch.len());
            match self.read_some(&mut scratch[..most]) {
                Some(bytes) => waiting -= bytes,
                None => break,
            }
        }
    }
}
