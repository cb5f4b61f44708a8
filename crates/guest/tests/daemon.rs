//! The guest itself, over real pipes: what its client never lets it come to.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

#[path = "talk/frames.rs"]
mod frames;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use guest_proto::{
    Answer, AnswerBody, Command as Run, Decoder, Edit, ErrorKind, ExecDone, Frame, GENERATION,
    Outcome, Request, RequestBody, Settings, WINDOW_CHUNKS, encode,
};
use tempfile::TempDir;

const INPUT: &str = "00000000000000aa";

struct Guest {
    root: TempDir,
    process: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    decoder: Decoder,
}

impl Guest {
    fn start() -> Self {
        Self::launch(&mut Command::new(env!("CARGO_BIN_EXE_sandtable-guest")))
    }

    /// As PID 1 of namespaces of its own; `None` where this machine does not let us.
    fn start_as_init() -> Option<Self> {
        let namespaces = [
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--mount-proc",
        ];
        let possible = Command::new("unshare")
            .args(namespaces)
            .arg("true")
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !possible {
            println!("not run: `unshare` makes no namespaces here");
            return None;
        }
        let mut command = Command::new("unshare");
        command
            .args(namespaces)
            .arg("--kill-child")
            .arg(env!("CARGO_BIN_EXE_sandtable-guest"));
        Some(Self::launch(&mut command))
    }

    fn launch(command: &mut Command) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            root,
            input: process.stdin.take(),
            output: process.stdout.take().unwrap(),
            process,
            decoder: Decoder::new(),
        }
    }

    fn send(&mut self, call: u64, body: RequestBody, payload: &[u8]) {
        let frame = encode(&Request { call, body }, payload).unwrap();
        self.input.as_mut().unwrap().write_all(&frame).unwrap();
    }

    fn next(&mut self) -> (Answer, Frame) {
        frames::next(&mut self.output, &mut self.decoder)
    }

    fn answer(&mut self, call: u64) -> AnswerBody {
        let (answer, _) = self.next();
        assert_eq!(answer.call, call);
        answer.body
    }

    fn hello(&mut self) -> bool {
        self.hello_with(Settings::default())
    }

    /// Says hello with settings, but for the places.
    fn hello_with(&mut self, settings: Settings) -> bool {
        let at = |name: &str| self.root.path().join(name).to_str().unwrap().to_owned();
        let settings = Settings {
            files_root: at("files"),
            tmp_root: at("tmp"),
            work_dir: at("work"),
            ..settings
        };
        let generation = GENERATION;
        self.send(
            1,
            RequestBody::Hello {
                generation,
                settings,
            },
            &[],
        );
        match self.answer(1) {
            AnswerBody::Hello { init, generation } => {
                assert_eq!(generation, GENERATION);
                init
            }
            other => panic!("{other:?}"),
        }
    }

    fn bash(&mut self, call: u64, command: &str, timeout_ms: u64) {
        let body = RequestBody::Exec {
            command: Run::Bash {},
            input_dir: INPUT.to_owned(),
            output_dir: format!("{call:016x}"),
            timeout_ms,
            env: BTreeMap::new(),
        };
        self.send(call, body, command.as_bytes());
    }

    fn done(&mut self, call: u64) -> (ExecDone, String) {
        let (answer, frame) = self.next();
        assert_eq!(answer.call, call);
        match answer.body {
            AnswerBody::ExecDone(done) => (done, String::from_utf8(frame.payload).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// Closes the channel and waits for the end.
    fn hang_up(&mut self) -> ExitStatus {
        drop(self.input.take());
        self.process.wait().unwrap()
    }
}

fn appears(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => assert!(Instant::now() < deadline, "{}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

#[test]
fn the_end_of_the_channel_is_the_end_of_everything() {
    let mut guest = Guest::start();
    assert!(!guest.hello());
    let work = guest.root.path().join("work");
    guest.bash(
        2,
        "(setsid bash -c '(echo $BASHPID > daemon; exec sleep 1000) &'); echo $$ > self; sleep 1000",
        60_000,
    );
    let pids = [appears(&work.join("daemon")), appears(&work.join("self"))];
    assert!(guest.hang_up().success());
    for pid in pids {
        assert!(!is_alive(&pid), "{pid}");
    }
}

#[test]
fn garbage_ends_the_guest_with_a_failure() {
    let mut guest = Guest::start();
    guest
        .input
        .as_mut()
        .unwrap()
        .write_all(b"hello?\n")
        .unwrap();
    assert_eq!(guest.process.wait().unwrap().code(), Some(1));
}

#[test]
fn nothing_is_done_before_hello() {
    let mut guest = Guest::start();
    guest.bash(7, "true", 1000);
    assert!(matches!(
        guest.answer(7),
        AnswerBody::Error {
            kind: ErrorKind::Invalid,
            ..
        }
    ));
    guest.hello();
    guest.bash(8, "echo yes", 10_000);
    assert_eq!(guest.done(8).1, "yes\n");
}

#[test]
fn a_file_comes_only_as_fast_as_it_is_asked_for() {
    let mut guest = Guest::start();
    guest.hello();
    guest.bash(2, "truncate -s 100M $OUTPUT_DIR/a", 10_000);
    guest.done(2);
    let get = RequestBody::Get {
        output_dir: format!("{:016x}", 2),
        name: "a".to_owned(),
    };
    guest.send(3, get, &[]);
    assert!(matches!(guest.answer(3), AnswerBody::Opened { size } if size == 100 << 20));
    let chunks = |guest: &mut Guest, ping: u64| {
        guest.send(ping, RequestBody::Ping {}, &[]);
        let mut count = 0;
        // The pong may overtake chunks that were not queued yet; a second one cannot.
        for ping in [ping, ping + 1] {
            loop {
                match guest.next().0 {
                    Answer {
                        call: 3,
                        body: AnswerBody::Chunk { last: false },
                    } => count += 1,
                    Answer {
                        call,
                        body: AnswerBody::Pong {},
                    } if call == ping => break,
                    other => panic!("{other:?}"),
                }
            }
            if ping % 2 == 0 {
                guest.send(ping + 1, RequestBody::Ping {}, &[]);
            }
        }
        count
    };
    let mut all = chunks(&mut guest, 10);
    all += chunks(&mut guest, 12);
    assert_eq!(all, WINDOW_CHUNKS);
    guest.send(3, RequestBody::More { chunks: 3 }, &[]);
    let more = chunks(&mut guest, 14) + chunks(&mut guest, 16);
    assert_eq!(more, 3);
    guest.send(3, RequestBody::Cancel {}, &[]);
    guest.send(3, RequestBody::More { chunks: 9 }, &[]);
    assert_eq!(chunks(&mut guest, 18), 0);
}

#[test]
fn a_host_that_reads_no_answers_is_not_listened_to_but_not_forgotten() {
    let mut guest = Guest::start();
    guest.hello();
    let file = guest.root.path().join("work/text");
    std::fs::write(&file, "x".repeat(100_000)).unwrap();
    let mut input = guest.input.take().unwrap();
    // 40 MB of answers against requests that fit into any pipe only if the guest takes them.
    let writer = std::thread::spawn(move || {
        for call in 2..402 {
            let body = RequestBody::Edit {
                edit: Edit::View { view_range: None },
                path: "text".to_owned(),
                input_dir: INPUT.to_owned(),
                output_dir: format!("{call:016x}"),
            };
            let frame = encode(&Request { call, body }, &[]).unwrap();
            input.write_all(&frame).unwrap();
        }
        input
    });
    for call in 2..402 {
        assert!(matches!(guest.answer(call), AnswerBody::EditDone { .. }));
        if call == 2 {
            let pid = guest.process.id();
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let peak = status.lines().find(|line| line.starts_with("VmHWM"));
            let kilobytes: u64 = peak
                .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok())
                .unwrap();
            assert!(kilobytes < 20_000, "{kilobytes} kB");
        }
    }
    guest.input = Some(writer.join().unwrap());
    assert!(guest.hang_up().success());
}

#[test]
fn as_pid_1_it_survives_its_programs_reaps_orphans_and_ends_with_its_channel() {
    let Some(mut guest) = Guest::start_as_init() else {
        return;
    };
    assert!(guest.hello());
    guest.bash(
        2,
        "{ kill -9 1; kill -TERM 1; kill -9 -1; } 2> /dev/null; echo alive",
        10_000,
    );
    assert_eq!(guest.done(2).1, "alive\n");
    guest.bash(
        3,
        "for i in 1 2 3 4 5; do (setsid true &); done; echo $PPID",
        10_000,
    );
    assert_eq!(guest.done(3).1, "1\n");
    guest.bash(4, "(setsid bash -c 'sleep 1000 &'); sleep 1000", 200);
    assert_eq!(guest.done(4).0.outcome, Outcome::TimedOut {});
    // The dead take a moment; nobody but the guest and this program is left then.
    guest.bash(
        5,
        "until [ $(ls -d /proc/[0-9]* | wc -l) -le 4 ]; do :; done; echo alone",
        10_000,
    );
    assert_eq!(guest.done(5).1, "alone\n");
    assert!(guest.hang_up().success());
}

#[test]
fn a_program_that_overfills_the_watched_disk_is_killed_and_room_can_be_made() {
    let mut guest = Guest::start();
    guest.hello_with(Settings {
        max_disk_bytes: 8 << 20,
        ..Settings::default()
    });
    let fill = "n=0; while :; do n=$((n + 1)); head -c 1M /dev/zero > hog-$n; sleep 0.02; done";
    guest.bash(2, fill, 60_000);
    let (done, said) = guest.done(2);
    assert_eq!((done.outcome, done.return_code), (Outcome::Exited {}, 137));
    assert!(said.contains("sandtable: disk full"), "{said}");

    let put = RequestBody::Put {
        input_dir: INPUT.to_owned(),
        name: "a.csv".to_owned(),
        unless_there: false,
    };
    guest.send(3, put.clone(), &[]);
    guest.send(3, RequestBody::Chunk { last: true }, b"a,b\n");
    match guest.answer(3) {
        AnswerBody::Error { kind, .. } => assert_eq!(kind, ErrorKind::NoSpace),
        other => panic!("{other:?}"),
    }

    guest.bash(4, "rm hog-*; echo made", 60_000);
    let (done, said) = guest.done(4);
    assert_eq!((done.return_code, said.as_str()), (0, "made\n"));
    guest.send(5, put, &[]);
    guest.send(5, RequestBody::Chunk { last: true }, b"a,b\n");
    assert!(matches!(guest.answer(5), AnswerBody::PutDone { .. }));
}

#[test]
fn the_directory_of_a_calls_outputs_is_made_once() {
    let mut guest = Guest::start();
    assert!(!guest.hello());
    guest.bash(2, "true", 60_000);
    assert_eq!(guest.done(2).0.return_code, 0);
    let outputs = guest.root.path().join("files/output");
    let path = std::ffi::CString::new(outputs.to_str().unwrap()).unwrap();
    let mut changes = [0_u8; 4096];
    #[expect(unsafe_code, reason = "the kernel tells of changes")]
    // SAFETY: a C string, and a buffer with its length; the descriptor ends with the process.
    let bytes = unsafe {
        let watch = libc::inotify_init1(libc::IN_NONBLOCK);
        let mask = libc::IN_CREATE | libc::IN_DELETE;
        assert!(libc::inotify_add_watch(watch, path.as_ptr(), mask) >= 0);
        guest.bash(3, "true", 60_000);
        assert_eq!(guest.done(3).0.return_code, 0);
        libc::read(watch, changes.as_mut_ptr().cast(), changes.len())
    };
    // One change, whose name has 16 digits and is padded: it is never taken away to be made again.
    assert_eq!(bytes, 16 + 32);
}

#[test]
fn a_call_that_is_ended_takes_nothing_along_that_others_have_left() {
    let mut guest = Guest::start();
    assert!(!guest.hello());
    let work = guest.root.path().join("work");
    // Its daemon says nothing of where it comes from.
    guest.bash(
        2,
        "(env -i setsid bash -c 'echo $BASHPID > daemon; exec sleep 1000' > /dev/null 2>&1 <&- &); \
         echo $$ > self; sleep 1000",
        60_000,
    );
    let gone = [appears(&work.join("daemon")), appears(&work.join("self"))];
    guest.bash(
        3,
        "sleep 1000 > /dev/null 2>&1 & echo $! > background; \
         (setsid bash -c 'echo $BASHPID > session; exec sleep 1000' > /dev/null 2>&1 &); \
         until [ -s session ]; do sleep 0.01; done",
        60_000,
    );
    assert_eq!(guest.done(3).0.return_code, 0);
    let left = ["background", "session"].map(|name| appears(&work.join(name)));
    guest.send(2, RequestBody::Cancel {}, &[]);
    assert_eq!(guest.done(2).0.outcome, Outcome::Cancelled {});
    assert_eq!(left.each_ref().map(|pid| is_alive(pid)), [true, true]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while gone.iter().any(|pid| is_alive(pid)) {
        assert!(Instant::now() < deadline, "{gone:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_filter_of_the_shell_is_waited_for_and_a_server_is_not() {
    let mut guest = Guest::start();
    assert!(!guest.hello());
    guest.bash(2, "echo hi > >(sleep 0.2; tr a-z A-Z)", 60_000);
    assert_eq!(guest.done(2).1, "HI\n");
    guest.bash(3, "echo hi > >(sleep 1000; cat)", 60_000);
    assert_eq!(guest.done(3).1, "");
    let begun = Instant::now();
    guest.bash(4, "sleep 1000 & echo hi", 60_000);
    assert_eq!(guest.done(4).1, "hi\n");
    assert!(begun.elapsed() < Duration::from_millis(900));
}

#[test]
fn what_a_call_does_to_itself_costs_others_nothing_the_first_time() {
    let Some(mut guest) = Guest::start_as_init() else {
        return;
    };
    assert!(guest.hello());
    guest.bash(2, "sleep 1000 > /dev/null 2>&1 & echo $! > left", 60_000);
    assert_eq!(guest.done(2).0.return_code, 0);
    let accidents = [
        (1, "chmod 500 .; chmod 0 $INPUT_DIR", 60_000),
        (1, "kill $$", 60_000),
        (1, "kill -INT $$", 60_000),
        (2, "exit 137", 60_000),
        (1, "setsid sleep 100 & kill -STOP $!; sleep 100", 300),
    ];
    let mut call = 3;
    for (times, accident, timeout_ms) in accidents {
        for _ in 0..times {
            guest.bash(call, accident, timeout_ms);
            guest.done(call);
            call += 1;
        }
        guest.bash(call, "touch here; kill -0 $(cat left)", 60_000);
        assert_eq!(guest.done(call).0.return_code, 0, "{accident}");
        call += 1;
    }
    // One that closes them again and again is ended.
    guest.bash(
        call,
        "(while :; do chmod 0 .; done) > /dev/null 2>&1 & sleep 0.1",
        60_000,
    );
    guest.done(call);
    guest.bash(call + 1, "touch here && echo open", 60_000);
    assert_eq!(guest.done(call + 1).1, "open\n");
}

#[test]
fn what_a_call_has_stopped_stays_so_also_after_somebody_was_ended() {
    let Some(mut guest) = Guest::start_as_init() else {
        return;
    };
    assert!(guest.hello());
    guest.bash(2, "sleep 1000 > /dev/null 2>&1 &", 60_000);
    guest.done(2);
    // Held, as it seems, by what the call before has left.
    guest.bash(
        3,
        "(sleep 0.1; kill -CONT $$) & kill -STOP $$; wait",
        60_000,
    );
    guest.done(3);
    guest.bash(
        4,
        "set -m; sleep 1000 > /dev/null & kill -STOP $!; sleep 0.3; cut -d' ' -f3 /proc/$!/stat; kill -9 $!",
        60_000,
    );
    let said = guest.done(4).1;
    assert!(said.starts_with("T\n"), "{said}");
}
