//! Programs: their start, their output, their end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};

use guest_proto::{Command, ExecDone, Outcome, Settings};

use crate::capture::Capture;
use crate::directory;
use crate::ended::Ended;
use crate::environment::{Places, variables};
use crate::filter;
use crate::sinks::Sinks;
use crate::sys::{self, Poll};
use crate::tree::{self, Owner, Root};

/// The kernel takes no longer argument (`MAX_ARG_STRLEN`, with its NUL); longer commands become a file.
const MAX_ARGUMENT_BYTES: usize = 128 * 1024 - 1;
/// How long the output of processes that outlive their call is still its output. Enough for the end of
/// a process substitution, too short to notice when a server was started in the background.
const LINGER: Duration = Duration::from_millis(20);

/// What to run.
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
    owner: Owner,
    places: Places,
    deadline: Instant,
    /// How it will have ended, if we ended it.
    ending: Option<Outcome>,
    return_code: Option<i32>,
    stdout: Stream,
    stderr: Stream,
    script: Option<PathBuf>,
    /// What the guest has to say below the program's stderr.
    remark: Option<String>,
}

/// What a program writes to one of its descriptors.
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
    /// Whether it is for want of processes.
    pub(crate) crowded: bool,
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self {
            message,
            crowded: false,
        }
    }
}

/// Starts a program, or says why it cannot run.
pub(crate) fn start(settings: &Settings, job: &Job<'_>) -> Result<Run, Refusal> {
    let in_words = |what: &str, error: io::Error| format!("{what}: {error}");
    fs::create_dir_all(&settings.work_dir)
        .map_err(|e| in_words("making the working directory", e))?;
    directory::make_usable(Path::new(&settings.work_dir));
    job.places
        .make()
        .map_err(|e| in_words("making `$OUTPUT_DIR`", e))?;
    let tmp = Path::new(&settings.tmp_root);
    let mut script = None;
    let mut program = match &job.command {
        Command::Bash {} if job.text.contains(&0) => {
            return Err("the command contains a NUL byte".to_owned().into());
        }
        Command::Bash {} if job.text.len() > MAX_ARGUMENT_BYTES => {
            let path = tmp.join(format!("command-{}.sh", job.call));
            write_new(&path, job.text).map_err(|e| in_words("writing the command", e))?;
            let mut program = Program::new("/bin/bash");
            program.arg(&path);
            script = Some(path);
            program
        }
        Command::Bash {} => {
            let mut program = Program::new("/bin/bash");
            program.arg("-c").arg(OsStr::from_bytes(job.text));
            program
        }
        Command::Python { tag } => {
            let directory = tmp.join(tag);
            let cell = directory.join("cell.py");
            fs::create_dir_all(&directory)
                .and_then(|()| write_new(&cell, job.text))
                .map_err(|e| in_words("writing the cell", e))?;
            let mut program = Program::new("python3");
            program.arg(&cell);
            program
        }
    };
    let environment = variables(settings, &job.places, &job.env);
    if let Some(name) = environment
        .keys()
        .find(|name| name.is_empty() || name.contains('='))
    {
        return Err(format!("`{name}` cannot name an environment variable").into());
    }
    program
        .env_clear()
        .envs(environment)
        .current_dir(&settings.work_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    sys::as_user_program(&mut program, settings.max_file_bytes, filter::program());
    let mut child = program.spawn().map_err(|error| {
        let name = program.get_program().to_string_lossy();
        Refusal {
            message: format!("starting `{name}`: {error}"),
            crowded: error.raw_os_error() == Some(libc::EAGAIN),
        }
    })?;
    let pid = child.id().cast_signed();
    let stdout = Stream::new(child.stdout.take().map(OwnedFd::from), settings);
    let stderr = Stream::new(child.stderr.take().map(OwnedFd::from), settings);
    Ok(Run {
        owner: Owner {
            root: Root {
                pid,
                started: tree::started(pid).unwrap_or(0),
            },
            output_dir: job.places.output.to_string_lossy().into_owned(),
            pipes: [&stdout, &stderr]
                .iter()
                .filter_map(|s| s.inode())
                .collect(),
        },
        places: job.places.clone(),
        deadline: Instant::now()
            .checked_add(job.timeout)
            .unwrap_or_else(|| Instant::now() + Duration::from_hours(24)),
        ending: None,
        return_code: None,
        stdout,
        stderr,
        script,
        remark: None,
    })
}

/// Writes a file that is ours alone: never through a link, never into a FIFO.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?
        .write_all(bytes)
}

/// The answer for a program that never ran.
pub(crate) fn could_not_start(message: String) -> ExecDone {
    ExecDone {
        outcome: Outcome::CouldNotStart { message },
        return_code: 126,
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

    /// Whether its time is up and it still runs.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.return_code.is_none() && self.ending.is_none() && self.deadline <= now
    }

    /// When to look again without being called.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        (self.return_code.is_some() || self.ending.is_none()).then_some(self.deadline)
    }

    /// Ends it with its whole tree. `false` if it would not end.
    pub(crate) fn end(&mut self, outcome: Outcome, others: &[Owner]) -> bool {
        if self.return_code.is_some() || self.ending.is_some() {
            return true;
        }
        self.ending = Some(outcome);
        tree::kill(&self.owner, others)
    }

    /// Its disk is full: it fails, and says why below its stderr.
    pub(crate) fn fail_for_disk(&mut self, remark: String) {
        self.remark.get_or_insert(remark);
    }

    /// Its first process has ended; its output may be on the way still.
    pub(crate) fn ended(&mut self, return_code: i32) {
        self.return_code = Some(return_code);
        self.deadline = Instant::now() + LINGER;
    }

    /// Whether there is nothing more to wait for.
    pub(crate) fn is_done(&self, now: Instant) -> bool {
        let silent = self.stdout.pipe.is_none() && self.stderr.pipe.is_none();
        self.return_code.is_some() && (silent || self.deadline <= now)
    }

    pub(crate) fn watch(&mut self, poll: &mut Poll) {
        self.stdout.watch(poll);
        self.stderr.watch(poll);
    }

    pub(crate) fn read(&mut self, poll: &Poll, scratch: &mut [u8]) {
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
        let ended = Ended {
            ending: self.ending,
            return_code: self.return_code.unwrap_or(137),
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

    /// What came until now; what comes later is counted anew.
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
