//! Processes and files that a call has left behind keep no later one from working, and get no rights that it lacks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sandbox::guest::{
    Edit, EditCall, ExecCall, ExecKind, ExecResult, GuestError, Outcome, PutFile,
};

use crate::case::Program;
use crate::site::{INPUT, Kind, PRELUDE, Room, Site};

/// A call that only starts something may take no longer than this beside it.
const SOON: Duration = Duration::from_secs(20);

/// A process that stays, and what it does as long as it lives.
struct Leftover {
    name: &'static str,
    /// The body of an endless loop; `others` are all processes but itself and the guest.
    does: &'static str,
    how_many: usize,
    /// Whether it may strike one call, though not another: a call may have done the same to itself.
    strikes: bool,
}

const fn leftover(name: &'static str, does: &'static str) -> Leftover {
    Leftover {
        name,
        does,
        how_many: 1,
        strikes: false,
    }
}

const fn striker(name: &'static str, does: &'static str) -> Leftover {
    Leftover {
        strikes: true,
        ..leftover(name, does)
    }
}

const LEFTOVERS: &[Leftover] = &[
    leftover("stops everything", "os.kill(-1, signal.SIGSTOP)"),
    Leftover {
        how_many: 8,
        ..leftover("eight stop everything", "os.kill(-1, signal.SIGSTOP)")
    },
    leftover(
        "stops everything, now and then",
        "os.kill(-1, signal.SIGSTOP); time.sleep(0.05)",
    ),
    leftover(
        "stops one after the other",
        "for pid in others(): os.kill(pid, signal.SIGSTOP)",
    ),
    leftover(
        "stops and wakes",
        "os.kill(-1, signal.SIGSTOP); os.kill(-1, signal.SIGCONT); os.kill(-1, signal.SIGSTOP)",
    ),
    leftover(
        "stops everything as a terminal does",
        "for number in signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU: os.kill(-1, number)",
    ),
    leftover(
        "stops everything and is never the same process",
        "os.kill(-1, signal.SIGSTOP)\n    if os.fork() > 0: os._exit(0)\n    os.setsid()",
    ),
    leftover(
        "traces everything",
        "for pid in others(): libc.ptrace(16, pid, 0, 0)",
    ),
    leftover(
        "seizes and stops everything",
        "for pid in others(): libc.ptrace(0x4206, pid, 0, 0); libc.ptrace(0x4207, pid, 0, 0)",
    ),
    leftover(
        "takes everybody's place in the queue",
        "for pid in others(): os.setpriority(os.PRIO_PROCESS, pid, 19); os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))",
    ),
    leftover(
        "takes everybody's limits",
        "for pid in others():\n        for limit in resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE: resource.prlimit(pid, limit, (1, 1))",
    ),
    // It has none beside its first, and none may come.
    leftover(
        "takes the limits of the guest's threads",
        "for thread in range(2, 40):\n        try: thread in (*others(), os.getpid()) or resource.prlimit(thread, resource.RLIMIT_NOFILE, (1, 1))\n        except OSError: pass",
    ),
    leftover(
        "takes all processes",
        "if os.fork() == 0:\n        while True: time.sleep(3600)",
    ),
    striker("kills everything", "os.kill(-1, signal.SIGKILL)"),
    striker(
        "kills one after the other",
        "for pid in others(): os.kill(pid, signal.SIGKILL)",
    ),
    striker(
        "kills everything, now and then",
        "os.kill(-1, signal.SIGKILL); time.sleep(0.02)",
    ),
    striker(
        "sends everything every signal",
        "for number in range(1, 65): os.kill(-1, number)",
    ),
    striker(
        "ends everything politely",
        "for number in signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1: os.kill(-1, number)",
    ),
    striker(
        "closes the directories",
        "for path in '/files', '/files/input', '/files/output', '/home/user', '/tmp': os.chmod(path, 0)",
    ),
    striker(
        "moves the directories",
        "os.rename('/files/input', f'/files/was-{time.time()}'); os.symlink('/etc', '/files/input'); time.sleep(0.001)",
    ),
    striker(
        "puts directories in the place of files",
        // Not in the place of the upload that has just come: taking that away is the program's good right.
        "for path in [f'{folder}/data.csv' for folder in glob.glob('/files/input/*')]: os.path.isfile(path) and time.time() - os.path.getmtime(path) > 1 and os.unlink(path); os.makedirs(f'{path}/x/y', exist_ok=True)",
    ),
];

pub(crate) async fn hold(kind: Kind) {
    let Some(site) = Site::open(kind).await else {
        return;
    };
    let mut faults = Vec::new();
    for leftover in LEFTOVERS {
        let begun = Instant::now();
        let room = site.room("leftovers").await;
        for [left_by, met_by] in [
            [Way::Program, Way::Program],
            [Way::Cell, Way::Program],
            [Way::Cell, Way::Cell],
        ] {
            for fault in beside(&site, &room, leftover, left_by, met_by).await {
                let ways = format!("left by a {left_by:?}, met by a {met_by:?}");
                faults.push(format!("{}, {ways}: {fault}", leftover.name));
            }
        }
        site.backend().remove(&room.spec.sandbox_id).await.unwrap();
        eprintln!("{:>6} ms  {}", begun.elapsed().as_millis(), leftover.name);
    }
    faults.extend(unfiltered(&site).await);
    site.close().await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// How a call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Program,
    Cell,
}

/// Leaves it in a sandbox and does all that the guest does beside it. The first calls that meet it are of one kind:
/// who sees to it does so for them.
async fn beside(
    site: &Site,
    room: &Room,
    leftover: &Leftover,
    left_by: Way,
    met_by: Way,
) -> Vec<String> {
    let code = format!(
        r#"
def others():
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid())]
def run():
    for number in range(1, 65):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while not os.path.exists("/tmp/go"):
        time.sleep(0.01)
    while True:
        try:
            {}
        except OSError: pass
if os.path.exists("/tmp/go"): os.unlink("/tmp/go")
for _ in range({}):
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 3) if not {} else None
        run()
"#,
        leftover.does.replace("\n    ", "\n            "),
        leftover.how_many,
        if left_by == Way::Cell {
            "True"
        } else {
            "False"
        },
    );
    let code: &'static str = Box::leak(code.into_boxed_str());
    let program = match left_by {
        Way::Program => Program::Python(code),
        Way::Cell => Program::Cell(code),
    };
    let mut faults = Vec::new();
    match exec(site, room, program, SOON).await {
        Ok(done) if done.outcome == Outcome::Exited && done.return_code == 0 => {}
        other => faults.push(format!("the call that leaves it: {other:?}")),
    }
    let first = match met_by {
        Way::Program => [
            Program::Bash("touch /tmp/go; sleep 0.2; echo ok"),
            Program::Bash("echo ok"),
        ],
        Way::Cell => [
            Program::Cell(
                "import time; open('/tmp/go', 'w').close(); time.sleep(0.2); print('ok')",
            ),
            Program::Cell("print('ok')"),
        ],
    };
    let [met, next] = first;
    let calls = [
        ("the call that is met", met),
        ("the next", next),
        (
            "two programs",
            Program::Bash("cat /dev/null; ls / > /dev/null; echo ok"),
        ),
        ("Python", Program::Python("print('ok')")),
        ("a cell", Program::Cell("print('ok')")),
        (
            "bash again",
            Program::Bash("echo ok; ulimit -n > /dev/null"),
        ),
    ];
    let mut struck = 0;
    for (what, call) in calls {
        let begun = Instant::now();
        let done = exec(site, room, call, SOON).await;
        let took = begun.elapsed();
        match done {
            Ok(done) if works(&done) => {}
            Ok(done) if leftover.strikes && struck == 0 && done.outcome != Outcome::TimedOut => {
                struck += 1;
                eprintln!("{what} was struck by what {}", leftover.name);
            }
            other => faults.push(format!("{what}: {other:?}")),
        }
        // What holds it up shows as its time-out; less than that is a busy machine.
        if took > SOON {
            faults.push(format!("{what} took {took:?}"));
        }
    }
    faults.extend(files(room).await);
    faults
}

/// Without the canaries and forged frames of the suite, which so many calls make too long.
async fn exec(
    site: &Site,
    room: &Room,
    program: Program,
    timeout: Duration,
) -> Result<ExecResult, GuestError> {
    static CALLS: AtomicU64 = AtomicU64::new(1 << 40);
    let number = CALLS.fetch_add(1, Ordering::Relaxed);
    let kind = match program {
        Program::Bash(command) => ExecKind::Bash(command.to_owned()),
        Program::Python(code) => ExecKind::Python {
            code: format!("{PRELUDE}\n{code}"),
            tag: format!("srvtoolu_{number}"),
        },
        cell @ Program::Cell(_) => return site.exec(&room.guest, cell, timeout).await,
    };
    let call = ExecCall {
        kind,
        input_dir: INPUT.to_owned(),
        output_dir: format!("{number:016x}"),
        timeout,
        env: Vec::new(),
    };
    room.guest.exec(call).await
}

fn works(done: &ExecResult) -> bool {
    let out = String::from_utf8_lossy(&done.stdout);
    done.outcome == Outcome::Exited && done.return_code == 0 && out.contains("ok\n")
}

/// An upload and an edit.
async fn files(room: &Room) -> Vec<String> {
    let mut faults = Vec::new();
    let file = PutFile {
        name: "data.csv",
        input_dir: INPUT,
    };
    let content = b"a,b\n";
    if let Err(error) = room.guest.put_file(file, &mut &content[..]).await {
        faults.push(format!("an upload: {error}"));
    }
    let said = room.say("cat $INPUT_DIR/data.csv").await;
    if said.as_deref() != Ok("a,b\n") {
        faults.push(format!("the upload holds {said:?}"));
    }
    let call = EditCall {
        edit: Edit::Create {
            path: "note".to_owned(),
            file_text: "kept\n".to_owned(),
        },
        input_dir: INPUT.to_owned(),
        output_dir: "00000000000000ed".to_owned(),
    };
    match room.guest.edit(call).await {
        Ok(Ok(_)) => {}
        other => faults.push(format!("an edit: {other:?}")),
    }
    faults
}

/// A process that reaches for all that begin, between their fork and their own first step: whoever lets
/// it in must have every filter that it has itself.
async fn unfiltered(site: &Site) -> Vec<String> {
    const WATCH: &str = r#"
def filters(pid):
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
    return int(status["Seccomp"]), int(status.get("Seccomp_filters", "0"))
def reach(pid):
    yield "memory", lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
    yield "descriptors", lambda: os.listdir(f"/proc/{pid}/fd")
    yield "environment", lambda: os.close(os.open(f"/proc/{pid}/environ", os.O_RDONLY))
own = filters("self")
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    known = set()
    end = time.time() + 120
    with open("/tmp/found", "w", buffering=1) as found:
        def look(pid):
            for what, attempt in reach(int(pid)):
                try:
                    before = filters(pid)
                    attempt()
                    after = filters(pid)
                except OSError:
                    continue
                if before < own and after < own:
                    print("ESCAPED", what, before, "of", own, file=found)
                else:
                    known.add(pid)
        try:
            while time.time() < end and not os.path.exists("/tmp/enough"):
                for pid in os.listdir("/proc"):
                    # Where every step is told to a warden, a round among many takes its time.
                    if os.path.exists("/tmp/enough"):
                        break
                    if pid.isdigit() and int(pid) not in (1, os.getpid()):
                        look(pid)
        except Exception as error:
            print("broke:", repr(error), file=found)
        print("saw", len(known), file=found)
    os._exit(0)
"#;
    let room = site.room("unfiltered").await;
    let mut faults = Vec::new();
    if let Err(error) = exec(site, &room, Program::Python(WATCH), SOON).await {
        faults.push(format!("the watcher breaks: {error}"));
    }
    for _ in 0..60 {
        for program in [Program::Bash("true"), Program::Python("pass")] {
            if let Err(error) = exec(site, &room, program, SOON).await {
                faults.push(format!("beside the watcher: {error}"));
            }
        }
    }
    let enough = "touch /tmp/enough; for n in $(seq 400); do grep -s saw /tmp/found && break; sleep 0.05; done; cat /tmp/found";
    let said = room.say(enough).await.unwrap();
    faults.extend(
        said.lines()
            .filter(|line| line.starts_with("ESCAPED"))
            .map(|line| format!("a child without its filter: {line}")),
    );
    eprintln!("the watcher {}", said.lines().last().unwrap_or_default());
    if !said.contains("saw ") || said.contains("saw 0\n") || said.contains("broke:") {
        faults.push(format!("the watcher saw nothing: {said:?}"));
    }
    faults
}
