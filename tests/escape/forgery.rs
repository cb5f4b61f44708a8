//! Nobody but the guest speaks for the guest, and nothing of the server's leaks into a program.

use sandbox::guest::{ExecResult, Outcome};

use crate::case::{Case, Must, run};
use crate::site::Kind;

pub(crate) async fn hold(kind: Kind) {
    run(kind, CASES).await;
}

fn is_data(done: &ExecResult) -> bool {
    // What was printed as a frame came as output, and the real end of the call came after it.
    let out = String::from_utf8_lossy(&done.stdout);
    done.outcome == Outcome::Exited
        && done.return_code == 0
        && out.contains("FORGED")
        && out.ends_with("done\n")
}

fn is_raw(done: &ExecResult) -> bool {
    done.return_code == 0
        && done.stdout == b"\x1b]0;title\x07\x1b[2J\x1b[6n\x1bc\0\r\x08\xff\xfe\n"
        && done.stderr == b"\x1b[31m"
}

pub(crate) const CASES: &[Case] = &[
    Case::python(
        "frames into the guest's descriptors",
        r#"
forged = bytes.fromhex(os.environ["FORGED"])
for fd in range(20):
    for flags in os.O_WRONLY, os.O_RDWR, os.O_RDONLY, 0o10000000:
        denied(f"{fd} {flags}", lambda: write(f"/proc/1/fd/{fd}", forged, flags))
        denied(f"task {fd} {flags}", lambda: write(f"/proc/1/task/1/fd/{fd}", forged, flags))
    denied(f"link {fd}", lambda: os.readlink(f"/proc/1/fd/{fd}"))
denied("list", lambda: os.listdir("/proc/1/fd"))
denied("info", lambda: os.listdir("/proc/1/fdinfo"))
"#,
    ),
    Case::python(
        "frames on stdout and stderr stay data",
        r#"
forged = bytes.fromhex(os.environ["FORGED"])
for fd in 1, 2:
    os.write(fd, forged[:60000])
print()
"#,
    )
    .must(Must::Give(is_data)),
    Case::python(
        "frames on every open descriptor",
        r#"
forged = bytes.fromhex(os.environ["FORGED"])[:4000]
for fd in range(3, 4096):
    try:
        kind = os.fstat(fd)
    except OSError:
        continue
    denied(f"descriptor {fd} {stat.filemode(kind.st_mode)}", lambda: os.write(fd, forged))
denied("stdin", lambda: os.write(0, forged))
same("stdin", os.read(0, 10), b"")
"#,
    ),
    Case::bash(
        "inherited descriptors",
        r#"
for fd in /proc/self/fd/*; do
    number=${fd##*/}
    [ "$number" -gt 2 ] && [ -e "/proc/$$/fd/$number" ] && [ "$(readlink /proc/$$/fd/$number)" != "/proc/$$/fd" ] &&
        echo "ESCAPED: descriptor $number: $(readlink /proc/$$/fd/$number)"
done
python3 -c '
import os
open_ones = []
for fd in range(65536):
    try: os.fstat(fd)
    except OSError: continue
    open_ones.append(fd)
print("held:" if open_ones == [0, 1, 2] else "ESCAPED:", open_ones)'
echo done
"#,
    ),
    Case::python(
        "the guest's memory and state",
        r#"
for name in "mem", "environ", "maps", "smaps", "pagemap", "stack", "syscall", "auxv", "io", "personality", "wchan", "timers", "root", "cwd", "exe", "ns/net", "map_files", "task/1/mem", "task/1/environ":
    path = "/proc/1/" + name
    def look():
        try:
            got = os.readlink(path)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            got = read(path) if not os.path.isdir(path) else os.listdir(path)
        # `wchan` says 0 to those who may not know.
        if got in (b"0", b""):
            raise OSError(errno.ENODATA, "empty")
        return got
    denied(name, look)
for name in "mem", "oom_score_adj", "oom_adj", "comm", "clear_refs", "coredump_filter", "timerslack_ns", "sched", "autogroup", "attr/current", "uid_map", "gid_map", "setgroups", "make-it-fail":
    denied("write " + name, lambda: write("/proc/1/" + name, b"1000"))
"#,
    ),
    Case::python(
        "the guest's limits and priority",
        r#"
denied("limits", lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3)))
denied("memory limit", lambda: resource.prlimit(1, resource.RLIMIT_AS, (4096, 4096)))
denied("nice", lambda: os.setpriority(os.PRIO_PROCESS, 1, 19))
denied("nice of its group", lambda: os.setpriority(os.PRIO_PGRP, 1, 19))
denied("nice of its user", lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19))
denied("policy", lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)))
denied("parameters", lambda: os.sched_setparam(1, os.sched_param(0)))
denied("affinity", lambda: os.sched_setaffinity(1, os.sched_getaffinity(0)))
"#,
    ),
    Case::python(
        "the environment holds nothing of the server",
        r#"
own = {"PATH", "HOME", "LANG", "MPLBACKEND", "MPLCONFIGDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "INPUT_DIR", "OUTPUT_DIR", "PYTHONPATH", "PIP_BREAK_SYSTEM_PACKAGES", "PWD", "SHLVL", "_", "LC_CTYPE", "HOST_PID", "FORGED", "NAMESPACES"}
foreign = {name for name in os.environ if name not in own and not name.startswith("CANARY_")}
same("variables", foreign, set())
for word in "CARGO", "ANTHROPIC", "API_KEY", "TOKEN", "DOCKER":
    same(word, [name for name in os.environ if word in name], [])
"#,
    ),
    Case::cell(
        "a cell finds no way to the guest",
        r#"
forged = bytes.fromhex(os.environ["FORGED"])[:4000]
for fd in range(20):
    denied(f"{fd}", lambda: write(f"/proc/1/fd/{fd}", forged, os.O_WRONLY))
denied("list", lambda: os.listdir("/proc/1/fd"))
same("stdin", os.read(0, 10), b"")
import subprocess
held = subprocess.run(["ls", "/proc/self/fd"], capture_output=True, text=True, close_fds=False).stdout
same("descriptors of a program", held.split(), ["0", "1", "2", "3"])
"#,
    ),
    Case::cell(
        "frames of the guest on the interpreter's socket",
        r#"
forged = bytes.fromhex(os.environ["FORGED"])[:60000]
for fd in range(3, 64):
    try:
        os.write(fd, forged)
    except OSError:
        pass
"#,
    )
    .must(Must::End),
    Case::cell(
        "words of the interpreter that are not its own",
        r#"
def say(text):
    for fd in range(3, 64):
        try:
            os.write(fd, len(text).to_bytes(4, "little") + text)
        except OSError:
            pass
for text in b'{"calls": [{"n": 0, "name": "query", "args": "[]"}]}', b'{"done": 300}', b'{"done": 0}' * 1000, b"\xff" * 1000:
    say(text)
"#,
    )
    .must(Must::End),
    Case::cell("a cell that closes every descriptor", "os.closerange(0, 65536)").must(Must::End),
    Case::cell(
        "a cell that floods the guest with words",
        r#"
word = b'{"calls": []}'
fd = next(fd for fd in range(3, 64) if os.path.exists(f"/proc/self/fd/{fd}") and "socket" in os.readlink(f"/proc/self/fd/{fd}"))
while True:
    os.write(fd, (len(word).to_bytes(4, "little") + word) * 1000)
"#,
    )
    .runs_out(1500),
    Case::bash(
        "terminal sequences stay data",
        r"printf '\033]0;title\007\033[2J\033[6n\033c\0\r\b\377\376\n'; printf '\033[31m' >&2",
    )
    .must(Must::Give(is_raw)),
    Case::python(
        "typing into a terminal",
        r#"
import termios
for path in "/dev/tty", "/dev/console", "/proc/1/fd/0", "/dev/pts/0":
    def typed():
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        for character in b"id\n":
            fcntl.ioctl(fd, termios.TIOCSTI, bytes([character]))
        return fd
    denied(path, typed)
for fd in 0, 1, 2:
    denied(f"descriptor {fd}", lambda: fcntl.ioctl(fd, termios.TIOCSTI, b"x"))
    denied(f"control {fd}", lambda: fcntl.ioctl(fd, termios.TIOCSCTTY, 1))
"#,
    ),
    Case::python(
        "poison for the next call's shell and Python",
        r#"
for name in ".bashrc", ".bash_profile", ".profile", ".bash_env", ".inputrc":
    open("/home/user/" + name, "w").write("echo ESCAPED poison; exit 66\n")
for name in "sitecustomize.py", "usercustomize.py":
    open("/home/user/" + name, "w").write("print('ESCAPED poison')\n")
"#,
    ),
    Case::python(
        "the poison has no effect on a cell",
        r#"
for name in ".bashrc", ".bash_profile", ".profile", ".bash_env", ".inputrc", "sitecustomize.py", "usercustomize.py":
    os.unlink("/home/user/" + name)
"#,
    ),
];
