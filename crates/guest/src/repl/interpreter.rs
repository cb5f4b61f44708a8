//! The interpreter's process: its start, its socket, its output.
//!
//! The socket is its stdin. User code can reach it and say what it likes there: lengths are capped,
//! and nothing that comes through it is more than a word about its own cell.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use guest_proto::{CodeAnswer, CodeCall, Settings};
use serde::Deserialize;
use serde_json::json;

use super::Job;
use super::cell::CellError;
use crate::child::{Child, End};
use crate::directory::Directory;
use crate::environment::{Places, variables};
use crate::exec::{Stream, open_work_dir, streams, write_new};
use crate::sinks::Sinks;
use crate::sys::{self, Change, Poll, Program};
use crate::tree::{self, Owner, Past};

const PYTHON: &str = "python3";
const STARTING: &str = "starting `python3`";
const RUNNER: &str = include_str!("runner.py");
/// The runner's frames get a name of their own, by which it leaves them out of tracebacks. It takes no
/// module from the working directory, where user code may have put a `json.py`; cells do.
const LOADER: &str = "import sys; sys.path[:1] == [''] and sys.path.pop(0); \
                      exec(compile(sys.argv.pop(), '<sandtable>', 'exec'))";
/// Says, in the directory of inputs and outputs, that an interpreter has run in this container.
const MARK: &str = ".interpreter";
/// Beside the arguments of calls, which JSON in JSON may double.
const MAX_WORDS_BYTES: u64 = 64 * 1024;

/// A running interpreter.
#[derive(Debug)]
pub(super) struct Interpreter {
    child: Child,
    owner: Owner,
    channel: UnixStream,
    inbox: Vec<u8>,
    outbox: VecDeque<Vec<u8>>,
    written: usize,
    /// Messages that it was sent since its start, until it runs: one that is started again gets them anew.
    told: Vec<Vec<u8>>,
    places: [Option<usize>; 2],
    stdout: Stream,
    stderr: Stream,
    is_ending: bool,
    /// When its last cell began, in clock ticks since boot.
    cell_since: u64,
}

/// A message of an interpreter.
#[derive(Debug)]
pub(super) enum Said {
    /// It is idle, and has made these calls since it last said so.
    Calls(Vec<CodeCall>),
    Done(i32),
    Nonsense(String),
    /// Nothing any more: code has closed its end, or has put another program into its process.
    Gone,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Words {
    Calls(Vec<CodeCall>),
    Done(u8),
}

/// The socket of an interpreter: our end, which never makes us wait, and its own.
fn channel() -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((ours, theirs))
}

/// Notes that an interpreter starts; whether one has run here before.
pub(super) fn note_start(files_root: &Path) -> bool {
    let Ok(root) = Directory::own(files_root) else {
        return false;
    };
    let mark = root.entry(MARK);
    if fs::symlink_metadata(&mark).is_ok() {
        return true;
    }
    // On a full disk the next loss is not noticed.
    drop(write_new(&mark, b""));
    false
}

impl Interpreter {
    pub(super) fn start(settings: &Settings, places: &Places) -> Result<Self, CellError> {
        let said = |error: io::Error| CellError::Io(STARTING, error);
        let arguments = ["-c", LOADER, RUNNER].map(str::as_bytes);
        let variables = variables(settings, places, &BTreeMap::new());
        let (work_dir, most) = (&settings.work_dir, settings.max_file_bytes);
        let program = Program::new(PYTHON, &arguments, &variables, work_dir, most)
            .map_err(|error| said(error.into()))?;
        let (ours, theirs) = channel().map_err(said)?;
        let ([stdout, stderr], [out, err]) = streams(settings).map_err(said)?;
        let child = Child::start(program, [&theirs, &out, &err]).map_err(said)?;
        Ok(Self {
            owner: Owner {
                root: child.root(),
                output_dir: String::new(),
                pipes: [&stdout, &stderr]
                    .iter()
                    .filter_map(|stream| stream.inode())
                    .collect(),
            },
            child,
            channel: ours,
            inbox: Vec::new(),
            outbox: VecDeque::new(),
            written: 0,
            told: Vec::new(),
            places: [None, None],
            stdout,
            stderr,
            is_ending: false,
            cell_since: 0,
        })
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// When its last cell began, in clock ticks since boot.
    pub(super) fn cell_since(&self) -> u64 {
        self.cell_since
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its process has ended, or was stopped; answers why.
    pub(super) fn ended(&mut self, change: Change) -> End {
        self.child.ended(change)
    }

    /// Starts it once more: its process never became Python.
    pub(super) fn start_again(&mut self, settings: &Settings) -> io::Result<()> {
        open_work_dir(settings)?;
        let (ours, theirs) = channel()?;
        let ([stdout, stderr], [out, err]) = streams(settings)?;
        self.child.start_again([&theirs, &out, &err])?;
        self.owner.root = self.child.root();
        self.owner.pipes = [&stdout, &stderr]
            .iter()
            .filter_map(|s| s.inode())
            .collect();
        (self.stdout, self.stderr, self.channel) = (stdout, stderr, ours);
        self.inbox.clear();
        self.outbox = self.told.iter().cloned().collect();
        self.written = 0;
        self.is_ending = false;
        Ok(())
    }

    /// Whether it runs no more cells, and is not gone yet.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Takes note that it is about to end.
    pub(super) fn expect_end(&mut self) {
        self.is_ending = true;
    }

    /// Ends its process, and none that it has started.
    pub(super) fn end(&self) {
        sys::kill(self.owner.root.pid);
    }

    /// Gives it a cell.
    pub(super) fn begin(&mut self, job: &Job, settings: &Settings, scratch: &mut [u8]) {
        self.cell_since = tree::now();
        // An idle one has no reason to stand still.
        sys::go_on(self.owner.root.pid);
        // What background work wrote between cells is nobody's.
        self.cut_output(settings, scratch);
        self.owner.output_dir = job.places.output.to_string_lossy().into_owned();
        self.say(&json!({"cell": {
            "path": job.path(settings).to_string_lossy(),
            "code": String::from_utf8_lossy(&job.code),
            "input_dir": job.places.input.to_string_lossy(),
            "output_dir": job.places.output.to_string_lossy(),
            "tools": job.tools,
            "limits": [settings.max_code_calls, settings.max_code_args_bytes],
        }}));
    }

    pub(super) fn answer(&mut self, answers: &[(CodeAnswer, &str)]) {
        let answers: Vec<_> = answers
            .iter()
            .map(|(answer, text)| json!({"n": answer.n, "text": text, "timed_out": answer.timed_out}))
            .collect();
        self.say(&json!({"answers": answers}));
    }

    fn say(&mut self, words: &serde_json::Value) {
        let text = words.to_string().into_bytes();
        // The host's frames are far shorter than what four bytes can say.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let frame = [&length.to_le_bytes(), text.as_slice()].concat();
        if !self.child.runs() {
            self.told.push(frame.clone());
        }
        self.outbox.push_back(frame);
        self.write();
    }

    fn write(&mut self) {
        while let Some(front) = self.outbox.front() {
            match self.channel.write(&front[self.written..]) {
                Ok(bytes) => {
                    self.written += bytes;
                    if self.written == front.len() {
                        self.outbox.pop_front();
                        self.written = 0;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    // Gone; the end of its process says the rest.
                    self.outbox.clear();
                    self.written = 0;
                }
            }
        }
    }

    pub(super) fn kill(&mut self, others: &[Owner], past: &Past) {
        self.expect_end();
        if !tree::kill(&self.owner, others, past) && sys::is_init() {
            // A fork bomb that outruns the scans takes the other programs with it.
            sys::kill_all_others();
        }
    }

    pub(super) fn watch(&mut self, poll: &mut Poll) {
        self.child.watch(poll);
        if self.child.runs() {
            self.told.clear();
        }
        self.places[0] = (!self.is_ending).then(|| poll.readable(&self.channel));
        self.places[1] = (!self.outbox.is_empty()).then(|| poll.writable(&self.channel));
        self.stdout.watch(poll);
        self.stderr.watch(poll);
    }

    /// Its messages since, in order.
    pub(super) fn read(
        &mut self,
        poll: &Poll,
        scratch: &mut [u8],
        max_args_bytes: u64,
    ) -> Vec<Said> {
        self.child.read(poll);
        self.stdout.read(poll, scratch);
        self.stderr.read(poll, scratch);
        let [reads, writes] = std::mem::take(&mut self.places)
            .map(|place| place.is_some_and(|place| poll.is_ready(place)));
        if writes {
            self.write();
        }
        if !reads {
            return Vec::new();
        }
        match self.channel.read(scratch) {
            Ok(0) => {
                self.is_ending = true;
                return vec![Said::Gone];
            }
            Ok(bytes) => self.inbox.extend_from_slice(&scratch[..bytes]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return vec![Said::Nonsense(format!("its socket: {error}"))],
        }
        let most = max_args_bytes
            .saturating_mul(4)
            .saturating_add(MAX_WORDS_BYTES);
        self.take_words(usize::try_from(most).unwrap_or(usize::MAX))
    }

    fn take_words(&mut self, most: usize) -> Vec<Said> {
        let mut said = Vec::new();
        while let Some((length, rest)) = self.inbox.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
            if length > most {
                said.push(Said::Nonsense(
                    "it said more than it may at once".to_owned(),
                ));
                break;
            }
            let Some(text) = rest.get(..length) else {
                break;
            };
            let words = serde_json::from_slice(text);
            self.inbox.drain(..4 + length);
            match words {
                Ok(Words::Calls(calls)) => said.push(Said::Calls(calls)),
                Ok(Words::Done(code)) => said.push(Said::Done(i32::from(code))),
                Err(_) => {
                    said.push(Said::Nonsense("what it said is no word of ours".to_owned()));
                    break;
                }
            }
        }
        said
    }

    /// The output to stdout and stderr until now.
    pub(super) fn cut_output(
        &mut self,
        settings: &Settings,
        scratch: &mut [u8],
    ) -> (Vec<u8>, Vec<u8>) {
        (
            self.stdout.cut(settings, scratch),
            self.stderr.cut(settings, scratch),
        )
    }

    /// It has ended; what it started may write on.
    pub(super) fn close(self, sinks: &mut Sinks, scratch: &mut [u8]) {
        self.stdout.finish(sinks, scratch);
        self.stderr.finish(sinks, scratch);
    }
}
