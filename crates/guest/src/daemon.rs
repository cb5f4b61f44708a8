//! The loop: one thread waits for the host, for the programs, and for time.

mod cells;
mod streams;
mod trouble;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use guest_proto::{
    AnswerBody, Command, DecodeError, Decoder, Edit, EditErrorKind, ErrorKind, ExecDone,
    GENERATION, Outcome, Request, RequestBody, Settings, is_call_tag,
};

use crate::decoy;
use crate::disk::Watch;
use crate::door::{Door, Line};
use crate::editor;
use crate::environment::Places;
use crate::exec::{self, Cause, Job, Refusal, Run};
use crate::files::{self, Failure, Get, Put};
use crate::lease::Lease;
use crate::out::Out;
use crate::repl::{self, Repl};
use crate::room::Desk;
use crate::sinks::Sinks;
use crate::skill;
use crate::sys::{self, Poll};
use crate::tree::{self, Hampered, Owner, Past};

/// Programs at once, and files at once; more are refused.
const MAX_CALLS: usize = 256;
const SCRATCH_BYTES: usize = 64 * 1024;

/// Serves the host on stdin and stdout until it is gone (with a lease: until it was silent for too long);
/// then kills everything and returns.
pub fn run() -> ExitCode {
    let result = Daemon::start().and_then(|mut daemon| {
        let result = daemon.serve();
        tree::kill_descendants();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// [`run`] in a sandbox without namespaces, whose programs are confined by a Landlock ruleset.
pub fn run_confined(programs: OwnedFd) -> ExitCode {
    sys::confine(programs);
    run()
}

struct Daemon {
    /// The connection to the host; `None` while nobody is behind the door.
    line: Option<Line>,
    door: Option<Door>,
    children: File,
    decoder: Decoder,
    out: Out,
    settings: Option<Settings>,
    lease: Option<Lease>,
    runs: BTreeMap<u64, Run>,
    puts: BTreeMap<u64, Put>,
    gets: BTreeMap<u64, Get>,
    repl: Repl,
    sinks: Sinks,
    disk: Option<Watch>,
    desk: Option<Desk>,
    scratch: Vec<u8>,
    /// The calls that are over.
    past: Past,
    /// Signs, weighed, that earlier calls have left something that kills later ones.
    strikes: u32,
    /// Whether directories needed repair when they were last looked at.
    repaired: bool,
    /// When somebody was ended who held up others.
    freed: Option<Instant>,
    /// Whether it is known what the calls have left, none being under way.
    rested: bool,
    /// Whether they had left anybody, when that was last looked at.
    has_left: bool,
}

impl Daemon {
    fn start() -> io::Result<Self> {
        sys::become_guest()?;
        let door = Door::of_this_guest()?;
        if door.is_some() {
            // A pod's share is of all CPUs of its node, and programs would start as many threads.
            sys::settle_in_a_pod();
        }
        let line = match &door {
            Some(_) => None,
            None => Some(sys::channel()?),
        };
        Ok(Self {
            line,
            door,
            children: sys::child_signals()?,
            decoder: Decoder::new(),
            out: Out::default(),
            settings: None,
            lease: Lease::of_this_guest(),
            runs: BTreeMap::new(),
            puts: BTreeMap::new(),
            gets: BTreeMap::new(),
            repl: Repl::default(),
            sinks: Sinks::default(),
            disk: None,
            desk: None,
            scratch: vec![0; SCRATCH_BYTES],
            past: Past::default(),
            strikes: 0,
            repaired: false,
            freed: None,
            rested: true,
            has_left: false,
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut poll = Poll::default();
        loop {
            self.take_requests()?;
            let now = Instant::now();
            poll.clear();
            let children = poll.readable(&self.children);
            // A host that does not read its answers does not get more of them.
            let line = self.line.as_ref();
            let input = line
                .filter(|_| !self.out.is_full())
                .map(|(input, _)| poll.readable(input));
            if let Some((_, output)) = line.filter(|_| !self.out.is_empty()) {
                poll.writable(output);
            }
            let knocks = self.door.as_ref().map(|door| poll.readable(door));
            let mut next = self.sinks.watch(&mut poll, now);
            for run in self.runs.values_mut() {
                run.watch(&mut poll);
                next = [next, run.next_look()].into_iter().flatten().min();
            }
            self.repl.watch(&mut poll);
            let asked = self
                .desk
                .as_ref()
                .map(|desk| poll.readable(desk.listener()));
            next = [next, self.repl.next_look()].into_iter().flatten().min();
            next = [next, self.lease.as_ref().and_then(Lease::end)]
                .into_iter()
                .flatten()
                .min();
            if let Some(disk) = &mut self.disk {
                if !self.runs.is_empty() || self.repl.is_busy() || sys::has_company() {
                    disk.owe();
                }
                if disk.is_owed() {
                    next = [next, Some(disk.next_look())].into_iter().flatten().min();
                }
            }
            poll.wait(next.map(|next| next.saturating_duration_since(now)))?;

            if let (Some(desk), Some(asked)) = (&self.desk, asked)
                && poll.is_ready(asked)
            {
                desk.answer();
            }
            self.sinks.empty(&poll, &mut self.scratch);
            for run in self.runs.values_mut() {
                run.read(&poll, &mut self.scratch);
            }
            self.read_cells(&poll);
            if poll.is_ready(children) {
                // Empties the descriptor; what it says is merged anyway, so all children are asked for.
                while matches!(self.children.read(&mut self.scratch), Ok(1..)) {}
                self.reap();
            }
            self.look_after();
            let speaks = input.is_some_and(|input| poll.is_ready(input));
            if speaks && !self.listen()? {
                return Ok(());
            }
            if let Some(door) = &self.door
                && knocks.is_some_and(|knocks| poll.is_ready(knocks))
                && let Some(line) = door.answer()
            {
                self.hang_up();
                self.line = Some(line);
            }
            // Looked at after the channel: after a long pause the words of the host come first.
            if let Some(end) = self.lease.as_ref().and_then(Lease::end)
                && end <= Instant::now()
            {
                return Ok(());
            }
            self.end_overdue();
            self.watch_disk();
            self.answer_done();
            // Before the look at who is left, for which nobody need wait.
            self.tell()?;
            self.mind_decoy();
            self.take_requests()?;
            let out = &mut self.out;
            self.gets.retain(|call, get| !get.pump(*call, out));
            self.tell()?;
        }
    }

    /// Writes what the host takes without waiting.
    fn tell(&mut self) -> io::Result<()> {
        if let Some((_, output)) = &mut self.line
            && let Err(error) = self.out.write(output)
        {
            if !self.outlives_its_line() {
                return Err(error);
            }
            self.hang_up();
        }
        Ok(())
    }

    /// Whether another host may come after this one.
    fn outlives_its_line(&self) -> bool {
        self.door.is_some() && self.lease.is_some()
    }

    /// Hears and tells nothing until the next host comes, whose stream starts with a mark.
    fn hang_up(&mut self) {
        self.line = None;
        self.decoder = Decoder::new();
        self.out.clear();
        if let Some(lease) = &mut self.lease {
            lease.lose();
        }
    }

    /// Reads what the host has sent; `false` once it is gone for good.
    fn listen(&mut self) -> io::Result<bool> {
        let Some((input, _)) = &mut self.line else {
            return Ok(true);
        };
        let read = match input.read(&mut self.scratch) {
            Ok(0) if self.outlives_its_line() => {
                self.hang_up();
                return Ok(true);
            }
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                return Ok(true);
            }
            Err(_) if self.outlives_its_line() => {
                self.hang_up();
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let mut bytes = &self.scratch[..read];
        if let Some(lease) = &mut self.lease {
            if let Some(start) = lease.hear(bytes) {
                // Whatever waited for its rest was of a stream that is over.
                self.decoder = Decoder::new();
                bytes = &bytes[start..];
            } else if lease.is_lost() {
                return Ok(true);
            }
        }
        self.decoder.push(bytes);
        Ok(true)
    }

    /// Obeys what has come, while there is room for answers: one read may hold hundreds of requests.
    fn take_requests(&mut self) -> io::Result<()> {
        while !self.out.is_full() {
            let request = match self.decoder.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => frame.header().map(|request| (request, frame.payload)),
                Err(error) => Err(error),
            };
            match (request, &mut self.lease) {
                (Ok((Request { call, body }, payload)), lease) => {
                    if lease
                        .as_ref()
                        .is_none_or(|lease| lease.is_of_this_stream(call, &body))
                    {
                        self.obey(call, body, &payload);
                    }
                }
                (Err(error), None) => return Err(nonsense(error)),
                (Err(_), Some(lease)) => {
                    lease.lose();
                    self.decoder = Decoder::new();
                    self.out.answer(0, AnswerBody::Lost {}, &[]);
                }
            }
        }
        Ok(())
    }

    fn obey(&mut self, call: u64, body: RequestBody, payload: &[u8]) {
        match body {
            RequestBody::Hello { settings, .. } => return self.hello(call, settings),
            RequestBody::Resume {
                settings, nonce, ..
            } => return self.resume(call, settings, nonce),
            RequestBody::Exec { .. }
            | RequestBody::Cell { .. }
            | RequestBody::GoOn { .. }
            | RequestBody::EndCell { .. }
            | RequestBody::Edit { .. }
            | RequestBody::Put { .. }
            | RequestBody::NewSkill { .. }
            | RequestBody::PutSkill { .. }
            | RequestBody::Chunk { .. }
            | RequestBody::Get { .. }
            | RequestBody::More { .. }
            | RequestBody::Cancel {}
            | RequestBody::Ping {}
            | RequestBody::Adopt { .. }
            | RequestBody::Release {}
            | RequestBody::Ack {} => {}
        }
        if self.settings.is_none() {
            self.out
                .error(call, ErrorKind::Invalid, "the first request must be hello");
            return;
        }
        if decoy::is_out() {
            // Before anything new begins: what struck it would strike that, too.
            self.reap();
        }
        let Some(settings) = &self.settings else {
            return;
        };
        match body {
            RequestBody::Hello { .. } | RequestBody::Resume { .. } => {}
            RequestBody::Ping {} => self.out.answer(call, AnswerBody::Pong {}, &[]),
            RequestBody::Exec {
                command,
                input_dir,
                output_dir,
                timeout_ms,
                env,
            } => {
                let Some(places) = Places::new(settings, &input_dir, &output_dir) else {
                    self.out.error(call, ErrorKind::Invalid, NOT_A_TAG);
                    return;
                };
                let job = Job {
                    call,
                    command,
                    text: payload,
                    places,
                    timeout: Duration::from_millis(timeout_ms),
                    env,
                };
                self.exec(&job);
            }
            RequestBody::Cell {
                tag,
                input_dir,
                output_dir,
                timeout_ms,
                tools,
            } => {
                let Some(places) = Places::new(settings, &input_dir, &output_dir) else {
                    self.out.error(call, ErrorKind::Invalid, NOT_A_TAG);
                    return;
                };
                self.cell(repl::Job {
                    asker: call,
                    tag,
                    code: payload.to_vec(),
                    places,
                    timeout: Duration::from_millis(timeout_ms),
                    tools,
                });
            }
            RequestBody::GoOn { tag, answers } => self.go_on(call, &tag, &answers, payload),
            RequestBody::EndCell { tag } => {
                let others = owners(&self.runs);
                self.repl.end_cell(&tag, &others, &self.past);
            }
            RequestBody::Edit {
                edit,
                path,
                input_dir,
                output_dir,
            } => {
                let Some(places) = Places::new(settings, &input_dir, &output_dir) else {
                    self.out.error(call, ErrorKind::Invalid, NOT_A_TAG);
                    return;
                };
                if let Some(disk) = &mut self.disk
                    && !matches!(edit, Edit::View { .. })
                {
                    let bytes = payload.len() as u64;
                    if !disk.has_room(bytes.max(1)) {
                        let (kind, message) = (EditErrorKind::Io, DISK_FULL.to_owned());
                        let body = AnswerBody::EditFailed { kind, message };
                        self.out.answer(call, body, &[]);
                        return;
                    }
                    disk.add(bytes);
                }
                // What cannot be done the edit says.
                self.secure(exec::open_work_dir);
                let Some(settings) = &self.settings else {
                    return;
                };
                match editor::edit(settings, &places, &edit, &path, payload) {
                    Ok((result, content)) => {
                        let body = AnswerBody::EditDone { result };
                        self.out.answer(call, body, &content);
                    }
                    Err(editor::Failure { kind, message }) => {
                        let body = AnswerBody::EditFailed { kind, message };
                        self.out.answer(call, body, &[]);
                    }
                }
            }
            RequestBody::Put {
                input_dir,
                name,
                unless_there,
            } => {
                if self.puts.len() + self.gets.len() >= MAX_CALLS {
                    self.busy(call);
                    return;
                }
                let find = |settings: &_| files::find_input(settings, &input_dir, &name);
                if unless_there && let Ok(Some(linked)) = self.insist(find) {
                    self.out.answer(call, AnswerBody::PutDone { linked }, &[]);
                    return;
                }
                match self.insist(|settings| Put::start(settings, &input_dir, &name)) {
                    Ok(put) => {
                        self.puts.insert(call, put);
                    }
                    Err(failure) => self.fail(call, failure),
                }
            }
            RequestBody::NewSkill { name } => {
                match self.insist(|settings| skill::clear(settings, &name)) {
                    Ok(()) => {
                        let body = AnswerBody::PutDone { linked: false };
                        self.out.answer(call, body, &[]);
                    }
                    Err(failure) => self.fail(call, failure),
                }
            }
            RequestBody::PutSkill { path, executable } => {
                if self.puts.len() + self.gets.len() >= MAX_CALLS {
                    self.busy(call);
                    return;
                }
                match self.insist(|settings| Put::start_skill(settings, &path, executable)) {
                    Ok(put) => {
                        self.puts.insert(call, put);
                    }
                    Err(failure) => self.fail(call, failure),
                }
            }
            RequestBody::Chunk { last } => self.chunk(call, payload, last),
            RequestBody::Get { output_dir, name } => {
                if self.puts.len() + self.gets.len() >= MAX_CALLS {
                    self.busy(call);
                    return;
                }
                match Get::start(settings, &output_dir, &name) {
                    Ok((get, size)) => {
                        self.out.answer(call, AnswerBody::Opened { size }, &[]);
                        self.gets.insert(call, get);
                    }
                    Err(failure) => self.fail(call, failure),
                }
            }
            RequestBody::More { chunks } => {
                // Unknown: its last chunk has crossed this request.
                if let Some(get) = self.gets.get_mut(&call) {
                    get.more(chunks);
                }
            }
            RequestBody::Adopt { earlier } => self.adopt(call, earlier),
            RequestBody::Release {} => self.release(),
            RequestBody::Ack {} => {
                if let Some(lease) = &mut self.lease {
                    lease.take(call);
                }
            }
            RequestBody::Cancel {} => {
                self.puts.remove(&call);
                self.gets.remove(&call);
                self.repl.forget(call, &owners(&self.runs), &self.past);
                self.end(call, Outcome::Cancelled {});
            }
        }
    }

    fn hello(&mut self, call: u64, settings: Settings) {
        if self.settle(call, settings) {
            let body = AnswerBody::Hello {
                generation: GENERATION,
                init: sys::is_init(),
            };
            self.out.answer(call, body, &[]);
        }
    }

    /// Takes the settings; `false` if they cannot be met, and the host knows.
    fn settle(&mut self, call: u64, settings: Settings) -> bool {
        match fs::create_dir_all(&settings.work_dir) {
            Err(error) if !crate::environment::is_full(&error) => {
                let message = format!("making `{}`: {error}", settings.work_dir);
                self.out.error(call, ErrorKind::Io, message);
                false
            }
            _ => {
                self.disk = Watch::new(&settings);
                if self.disk.is_some() && self.desk.is_none() {
                    self.desk = Desk::open();
                }
                self.settings = Some(settings);
                true
            }
        }
    }

    fn answer_exec(&mut self, call: u64, output_dir: &str, done: ExecDone, payload: &[u8]) {
        if let Some(lease) = &mut self.lease {
            lease.keep(call, output_dir, &done, payload);
        }
        self.out.answer(call, AnswerBody::ExecDone(done), payload);
    }

    fn exec(&mut self, job: &Job<'_>) {
        let call = job.call;
        if let Command::Python { tag } = &job.command
            && !is_call_tag(tag)
        {
            let message = format!("`{tag:.40}` cannot name a directory");
            self.out.error(call, ErrorKind::Invalid, message);
            return;
        }
        if self.runs.len() >= MAX_CALLS || self.runs.contains_key(&call) {
            self.busy(call);
            return;
        }
        self.make_room();
        let Some(made) = self.secure(|settings| exec::make_places(settings, &job.places)) else {
            return;
        };
        let Some(settings) = &self.settings else {
            return;
        };
        let mut started = made
            .map_err(Refusal::from)
            .and_then(|()| exec::start(settings, job));
        match started.as_ref().err().map(|refusal| refusal.cause) {
            Some(Cause::Crowd) if self.is_at_rest() && sys::is_init() => {
                if let Some(again) = self.start_in_a_crowd(job) {
                    started = again;
                }
            }
            Some(Cause::Place) => {
                if self.clear_way()
                    && let Some(settings) = &self.settings
                {
                    started = exec::make_places(settings, &job.places)
                        .map_err(Refusal::from)
                        .and_then(|()| exec::start(settings, job));
                }
            }
            _ => {}
        }
        match started {
            Ok(run) => {
                self.rested = false;
                self.runs.insert(call, run);
            }
            Err(refusal) => {
                let done = exec::could_not_start(refusal.message);
                self.out.answer(call, AnswerBody::ExecDone(done), &[]);
            }
        }
    }

    fn chunk(&mut self, call: u64, bytes: &[u8], last: bool) {
        // Unknown: cancelled, or failed with an answer that has crossed this chunk.
        let Some(mut put) = self.puts.remove(&call) else {
            return;
        };
        if let Some(disk) = &mut self.disk {
            if !disk.has_room(bytes.len() as u64) {
                self.fail(call, put.no_room());
                return;
            }
            disk.add(bytes.len() as u64);
        }
        match put.write(bytes) {
            Err(failure) => self.fail(call, failure),
            Ok(()) if !last => {
                self.puts.insert(call, put);
            }
            Ok(()) => match self.insist(|settings| put.finish(settings)) {
                Ok(linked) => self.out.answer(call, AnswerBody::PutDone { linked }, &[]),
                Err(failure) => self.fail(call, failure),
            },
        }
    }

    /// Ends a program, if it still runs.
    fn end(&mut self, call: u64, outcome: Outcome) {
        let others: Vec<Owner> = self
            .runs
            .iter()
            .filter(|(other, _)| **other != call)
            .map(|(_, run)| run.owner())
            .chain(self.repl.owner())
            .cloned()
            .collect();
        if let Some(run) = self.runs.get_mut(&call)
            && !run.end(outcome, &others, &self.past)
            && sys::is_init()
        {
            // A fork bomb that outruns the scans takes the other programs with it.
            self.kill_all_others();
        }
    }

    fn end_overdue(&mut self) {
        let now = Instant::now();
        let overdue: Vec<u64> = self
            .runs
            .iter()
            .filter(|(_, run)| run.is_overdue(now))
            .map(|(call, _)| *call)
            .collect();
        for call in overdue {
            let run = self.runs.get(&call);
            let hampered = run.map_or(Hampered::No, |run| tree::hampered(run.owner()));
            self.end(call, Outcome::TimedOut {});
            self.note_hampered(hampered);
        }
    }

    /// Ends everything if the disk is too full: what writes need not be what was called last.
    fn watch_disk(&mut self) {
        let now = Instant::now();
        let Some(disk) = &mut self.disk else {
            return;
        };
        // Who is not the first process does not see what calls have left running.
        if sys::is_init() && !disk.is_owed() {
            disk.rest(now);
            return;
        }
        let Some(full) = disk.look(now) else {
            return;
        };
        if sys::is_init() {
            self.kill_all_others();
        }
        let calls: Vec<u64> = self.runs.keys().copied().collect();
        for call in calls {
            self.end(call, Outcome::Exited {});
            if let Some(run) = self.runs.get_mut(&call) {
                run.fail_for_disk(full.clone());
            }
        }
        let others = owners(&self.runs);
        self.repl.fail_for_disk(&full, &others, &self.past);
    }

    fn answer_done(&mut self) {
        let now = Instant::now();
        let Some(settings) = &self.settings else {
            return;
        };
        let mut ended = Vec::new();
        for (call, mut run) in self.runs.extract_if(.., |_, run| run.is_done(now)) {
            if let Some(full) = self.disk.as_mut().and_then(Watch::look_at_end) {
                run.fail_for_disk(full);
            }
            let output_dir = run.output_dir();
            self.past.add(run.owner(), run.owner().root.started);
            let (done, payload) = run.finish(settings, &mut self.sinks, &mut self.scratch);
            ended.push((call, output_dir, done, payload));
        }
        for (call, output_dir, done, payload) in ended {
            self.answer_exec(call, &output_dir, done, &payload);
        }
    }

    fn fail(&mut self, call: u64, failure: Failure) {
        self.out.error(call, failure.kind, failure.message);
    }

    fn busy(&mut self, call: u64) {
        self.out.error(
            call,
            ErrorKind::Busy,
            "too many calls at once in this sandbox",
        );
    }
}

/// The calls that are no cells, as far as their processes go.
fn owners(runs: &BTreeMap<u64, Run>) -> Vec<Owner> {
    runs.values().map(|run| run.owner().clone()).collect()
}

/// As the kernel says it.
const DISK_FULL: &str = "No space left on device (os error 28)";
const NOT_A_TAG: &str = "`input_dir` and `output_dir` must be 16 hex digits";

fn nonsense(error: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
