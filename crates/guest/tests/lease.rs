//! A guest with a lease, over real pipes: it outlives silence and half frames for a while, then ends.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "talk/frames.rs"]
mod frames;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use guest_proto::{
    Answer, AnswerBody, CodeAnswer, CodeCall, Command as Run, Decoder, EPOCH_SHIFT, FIRST_TOKEN,
    Finder, Frame, GENERATION, LEASE_VARIABLE, MAGIC, Outcome, Request, RequestBody, Settings,
    TOKEN_BYTES, Token, Unclaimed, WaitingCell, encode,
};
use tempfile::TempDir;

const INPUT: &str = "00000000000000aa";

struct Guest {
    root: TempDir,
    process: Child,
    input: ChildStdin,
    output: ChildStdout,
    decoder: Decoder,
    epoch: u64,
}

fn secret() -> Token {
    Token::new([7; TOKEN_BYTES])
}

impl Guest {
    fn start(span_ms: u64) -> Self {
        Self::with_lease(&format!("{span_ms} {}", secret().to_hex()))
    }

    fn with_lease(lease: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sandtable-guest"))
            .env(LEASE_VARIABLE, lease)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            root: tempfile::tempdir().unwrap(),
            input: process.stdin.take().unwrap(),
            output: process.stdout.take().unwrap(),
            process,
            decoder: Decoder::new(),
            epoch: 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
    }

    fn send(&mut self, call: u64, body: RequestBody, payload: &[u8]) {
        let call = self.epoch << EPOCH_SHIFT | call;
        self.write(&encode(&Request { call, body }, payload).unwrap());
    }

    fn bash(&mut self, call: u64, command: &str) {
        let body = RequestBody::Exec {
            command: Run::Bash {},
            input_dir: INPUT.to_owned(),
            output_dir: format!("{call:016x}"),
            timeout_ms: 60_000,
            env: BTreeMap::new(),
        };
        self.send(call, body, command.as_bytes());
    }

    /// Starts a stream, whatever the guest says before it hears of it.
    fn resume(&mut self, nonce: u8) -> Vec<Unclaimed> {
        self.resume_with_cell(nonce).0
    }

    fn resume_with_cell(&mut self, nonce: u8) -> (Vec<Unclaimed>, Option<WaitingCell>) {
        let at = |name: &str| self.root.path().join(name).to_str().unwrap().to_owned();
        let settings = Settings {
            files_root: at("files"),
            tmp_root: at("tmp"),
            work_dir: at("work"),
            ..Settings::default()
        };
        std::fs::create_dir_all(&settings.tmp_root).unwrap();
        let nonce = Token::new([nonce; TOKEN_BYTES]);
        self.write(&secret().mark());
        let generation = GENERATION;
        let body = RequestBody::Resume {
            generation,
            settings,
            nonce,
        };
        self.send(1, body, &[]);
        let mut finder = Finder::new(&nonce);
        let mut buffer = [0; 4096];
        loop {
            let read = self.output.read(&mut buffer).unwrap();
            assert!(read > 0, "the guest is gone");
            if let Some(start) = finder.push(&buffer[..read]) {
                self.decoder = Decoder::new();
                self.decoder.push(&buffer[start..read]);
                break;
            }
        }
        match self.next().0.body {
            AnswerBody::Resumed {
                epoch,
                unclaimed,
                waiting,
                ..
            } => {
                assert_eq!(u64::from(epoch), self.epoch + 1);
                self.epoch += 1;
                (unclaimed, waiting)
            }
            other => panic!("{other:?}"),
        }
    }

    fn next(&mut self) -> (Answer, Frame) {
        frames::next(&mut self.output, &mut self.decoder)
    }

    /// The output of the next call that ends.
    fn done(&mut self) -> (Outcome, String) {
        let (answer, frame) = self.next();
        match answer.body {
            AnswerBody::ExecDone(done) => (done.outcome, String::from_utf8(frame.payload).unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_answer_that_was_not_acknowledged_is_there_on_the_next_stream_once() {
    let mut guest = Guest::start(60_000);
    assert_eq!(guest.resume(1), []);
    guest.bash(2, "echo acknowledged");
    guest.done();
    guest.send(2, RequestBody::Ack {}, &[]);
    guest.bash(3, "echo kept");
    guest.done();
    guest.bash(
        4,
        "touch up; until [ -e go ]; do sleep 0.01; done; echo went on",
    );
    // What the guest has not read when the next mark comes is void.
    while !guest.root.path().join("work/up").exists() {
        std::thread::yield_now();
    }

    let left = guest.resume(2);
    let known: Vec<_> = left
        .iter()
        .map(|left| (left.output_dir.as_str(), left.done))
        .collect();
    let expected = [("0000000000000003", true), ("0000000000000004", false)];
    assert_eq!(known, expected);
    for (call, earlier) in (10..).zip(&left) {
        let earlier = earlier.call;
        guest.send(call, RequestBody::Adopt { earlier }, &[]);
    }
    assert_eq!(guest.done().1, "kept\n");
    guest.bash(5, "touch go");
    let mut said = [guest.done().1, guest.done().1];
    said.sort();
    assert_eq!(said, ["", "went on\n"]);

    // Sent, but not acknowledged: kept for one more stream, until it is released.
    assert_eq!(guest.resume(3).len(), 3);
    guest.send(2, RequestBody::Release {}, &[]);
    guest.send(3, RequestBody::Ping {}, &[]);
    assert_eq!(guest.next().0.body, AnswerBody::Pong {});
    assert_eq!(guest.resume(4), []);
}

impl Guest {
    fn cell(&mut self, call: u64, code: &str) {
        let body = RequestBody::Cell {
            tag: format!("srvtoolu_{call}"),
            input_dir: INPUT.to_owned(),
            output_dir: format!("{call:016x}"),
            timeout_ms: 60_000,
            tools: vec!["query".to_owned()],
        };
        self.send(call, body, code.as_bytes());
    }

    fn go_on(&mut self, call: u64, cell: u64, text: &str) {
        let answer = CodeAnswer {
            n: 0,
            bytes: text.len() as u64,
            timed_out: false,
        };
        let body = RequestBody::GoOn {
            tag: format!("srvtoolu_{cell}"),
            answers: vec![answer],
        };
        self.send(call, body, text.as_bytes());
    }
}

#[test]
fn a_cell_that_waits_goes_on_over_streams_and_one_that_nobody_knows_ends() {
    let mut guest = Guest::start(60_000);
    assert_eq!(guest.resume_with_cell(1), (Vec::new(), None));
    guest.cell(2, "x = 1\nprint(await query({'a': x}), x)");
    let calls = vec![CodeCall {
        n: 0,
        name: "query".to_owned(),
        args: "{\"a\": 1}".to_owned(),
    }];
    let waits = AnswerBody::CellWaits {
        calls: calls.clone(),
    };
    assert_eq!(guest.next().0.body, waits);
    let tag = "srvtoolu_2".to_owned();
    let (_, waiting) = guest.resume_with_cell(2);
    assert_eq!(waiting, Some(WaitingCell { tag, calls }));
    guest.send(2, RequestBody::Release {}, &[]);
    // Asked on one stream, told on the next.
    guest.go_on(3, 2, "answer");
    guest.resume_with_cell(3);
    guest.go_on(2, 2, "another");
    let (answer, frame) = guest.next();
    assert!(
        matches!(
            answer.body,
            AnswerBody::CellDone {
                state_lost: false,
                ..
            }
        ),
        "{answer:?}"
    );
    assert!(frame.payload.starts_with(b"an") && frame.payload.ends_with(b" 1\n"));

    // One that no client has heard of ends with its stream.
    guest.cell(3, "open('up', 'w')\nimport time\ntime.sleep(1000)");
    while !guest.root.path().join("work/up").exists() {
        std::thread::yield_now();
    }
    guest.resume_with_cell(4);
    guest.send(2, RequestBody::Release {}, &[]);
    guest.cell(4, "print('next')");
    let (answer, frame) = guest.next();
    assert!(
        matches!(
            answer.body,
            AnswerBody::CellDone {
                state_lost: true,
                ..
            }
        ),
        "{answer:?}"
    );
    assert_eq!(frame.payload, b"next\n");
}

#[test]
fn released_calls_are_killed() {
    let mut guest = Guest::start(60_000);
    guest.resume(1);
    guest.bash(2, "touch up; sleep 1000");
    while !guest.root.path().join("work/up").exists() {
        std::thread::yield_now();
    }
    assert_eq!(guest.resume(2).len(), 1);
    guest.send(2, RequestBody::Release {}, &[]);
    assert_eq!(guest.done().0, Outcome::Cancelled {});
}

#[test]
fn what_is_left_of_an_old_stream_is_passed_over() {
    let mut guest = Guest::start(60_000);
    // Before the first mark.
    guest.write(b"anything at all");
    guest.resume(1);
    // Half a frame that would swallow the mark, and half a mark.
    let mut half = MAGIC.to_vec();
    half.extend(GENERATION.to_le_bytes());
    half.extend([0, 0, 255, 0, 0, 0, 0, 0, 1, 0]);
    guest.write(&half);
    guest.write(&secret().mark()[..30]);
    guest.resume(2);
    // A whole frame of an old stream, behind the mark of the new one.
    guest.epoch -= 1;
    guest.bash(2, "touch old");
    guest.epoch += 1;
    guest.bash(3, "ls");
    assert_eq!(guest.done().1, "");
    // What is no frame at all: said once, and nothing is heard until the next mark.
    guest.write(b"garbage");
    assert_eq!(guest.next().0.body, AnswerBody::Lost {});
    guest.bash(4, "touch unheard");
    guest.resume(3);
    guest.bash(5, "ls");
    assert_eq!(guest.done().1, "");
}

#[test]
fn a_guest_that_hears_nothing_ends_with_all_it_started() {
    const SPAN: u64 = 500;
    let mut guest = Guest::start(SPAN);
    guest.resume(1);
    guest.bash(2, "echo $$; sleep 1000");
    let begun = Instant::now();
    // A mark alone is a sign of life.
    while begun.elapsed() < Duration::from_millis(3 * SPAN) {
        guest.write(&secret().mark());
        assert!(guest.process.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(SPAN / 10));
    }
    let begun = Instant::now();
    assert!(guest.process.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_guest_of_nobody_waits_as_long_as_it_takes_and_its_first_stream_says_whose_it_is() {
    // Far longer than its lease, which has not begun.
    let mut guest = Guest::with_lease(&format!("200 {FIRST_TOKEN}"));
    std::thread::sleep(Duration::from_millis(600));
    assert!(guest.process.try_wait().unwrap().is_none());
    assert_eq!(guest.resume(1), []);
    guest.bash(2, "echo mine");
    assert_eq!(guest.done().1, "mine\n");
    // Another's mark is none from now on, and silence ends it.
    let stranger = Token::new([9; TOKEN_BYTES]);
    guest.write(&stranger.mark());
    let mut rest = Vec::new();
    guest.output.read_to_end(&mut rest).unwrap();
    assert!(guest.process.wait().unwrap().success());
}
