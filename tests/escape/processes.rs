//! Signals, sessions, and daemons: the guest stays, and what a call leaves is no harm to the next.

use crate::case::{Case, Must, run};
use crate::site::Kind;

pub(crate) async fn hold(kind: Kind) {
    run(kind, CASES).await;
}

pub(crate) const CASES: &[Case] = &[
    Case::python(
        "every signal to the guest",
        r#"
for number in list(range(1, 65)) * 2:
    try:
        os.kill(1, number)
    except OSError as error:
        print("held:", number, error)
time.sleep(0.2)
os.kill(1, 0)
"#,
    ),
    Case::python(
        "queued and thread-directed signals to the guest",
        r"
tgkill = 234 if X86 else 131
for number in range(1, 65):
    libc.syscall(ctypes.c_long(tgkill), 1, 1, number)
for _ in range(5000):
    libc.sigqueue(1, 40, ctypes.c_void_p(1))
",
    ),
    Case::bash("kill everything", "kill -9 -1; sleep 100").runs_out(700),
    Case::bash("stop everything", "(sleep 1000 >/dev/null 2>&1 &); kill -STOP -1; kill -STOP $$; sleep 100").runs_out(1000),
    Case::bash(
        "stopped for ever",
        "kill -STOP $$",
    )
    .runs_out(700),
    Case::bash(
        "deaf to every signal",
        "trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM TSTP; while :; do sleep 1; done",
    )
    .runs_out(700),
    Case::bash(
        "a daemon that survives its time-out, with nohup",
        "nohup sleep 31337 >/dev/null 2>&1 & sleep 100",
    )
    .runs_out(700),
    Case::bash(
        "a daemon that survives its time-out, by a double fork",
        "(setsid setsid bash -c 'exec -a deep sleep 31337' >/dev/null 2>&1 &) ; (env -i setsid sleep 31337 <&- >&- 2>&- &) ; sleep 100",
    )
    .runs_out(700),
    Case::python(
        "a daemon that survives its time-out, disguised",
        r#"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        libc.prctl(4, 0, 0, 0, 0)
        libc.prctl(15, b"1) S 1 1 (x", 0, 0, 0)
        os.closerange(0, 3)
        os.environ.clear()
        os.execve("/bin/sleep", ["sleep", "31337"], {"OUTPUT_DIR": "/files/output/ffffffffffffffff"})
    os._exit(0)
time.sleep(100)
"#,
    )
    .runs_out(1000),
    Case::python(
        "nothing has survived",
        r#"
left = []
for pid in os.listdir("/proc"):
    if pid.isdigit() and pid != "1" and int(pid) != os.getpid() and os.path.exists(f"/proc/{pid}"):
        left.append(read(f"/proc/{pid}/cmdline"))
same("daemons", [line for line in left if b"31337" in line], [])
"#,
    ),
    Case::bash(
        "a daemon that holds on to the output",
        "(while :; do echo noise; sleep 0.01; done &) ; echo done",
    )
    .must(Must::End),
    Case::python(
        "a daemon that takes over the terminal and its session",
        r#"
os.setpgid(0, 0) if os.getpgrp() != os.getpid() else None
try:
    master, slave = os.openpty()
except OSError as error:
    print("held: no terminals -", error)
else:
    if os.fork() == 0:
        os.setsid()
        fcntl.ioctl(slave, 0x540E, 0)
        os.dup2(slave, 0), os.dup2(slave, 1), os.dup2(slave, 2)
        os.execlp("sleep", "sleep", "1000")
"#,
    ),
    Case::python(
        "children that reparent and exit at once",
        r"
for _ in range(100):
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            os._exit(7)
        os._exit(0)
    os.waitpid(pid, 0)
",
    ),
    Case::python(
        "becoming the heir of orphans",
        r#"
libc.prctl(36, 1, 0, 0, 0)
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.1)
        os._exit(0)
    os._exit(0)
time.sleep(0.3)
denied("waiting for the guest", lambda: os.waitpid(1, 0))
"#,
    ),
    Case::bash("running out of CPU", "for n in $(seq 20); do (while :; do :; done) & done; wait").runs_out(1500),
    Case::bash(
        "locks and leases on files of the guest",
        "exec 9</.sandtable/guest; flock -n 9 true; (flock 9; sleep 1000) >/dev/null 2>&1 & (flock /etc/passwd sleep 1000) >/dev/null 2>&1 & echo done",
    ),
];
