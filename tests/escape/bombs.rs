//! Bombs: whatever a program uses up is its own.

use sandbox::guest::{ExecResult, Outcome};

use crate::case::{Case, Must, run};
use crate::site::Kind;

pub(crate) async fn hold(kind: Kind) {
    run(kind, CASES).await;
}

/// Killed, or refused the memory: an ordinary user's `local` limits what a process may ask for. Seen
/// once in some dozens of runs, on a machine with ten times more to do than it has cores: the kernel of a
/// Docker sandbox let the program stand at its limit until the time-out ended it.
fn held(done: &ExecResult) -> bool {
    let refused = String::from_utf8_lossy(&done.stderr).contains("MemoryError");
    match done.outcome {
        Outcome::Exited => done.return_code == 137 || refused,
        Outcome::TimedOut => done.return_code == 137,
        _ => false,
    }
}

/// Where nobody counts files without a name, there are none.
fn held_or_not_there(done: &ExecResult) -> bool {
    let refused = String::from_utf8_lossy(&done.stderr).contains("Function not implemented");
    held(done) || (done.outcome == Outcome::Exited && refused)
}

fn killed_or_told(done: &ExecResult) -> bool {
    done.outcome == Outcome::Exited && done.return_code != 0
}

fn capped(done: &ExecResult) -> bool {
    const MOST: usize = 1024 * 1024 + 100;
    done.outcome == Outcome::TimedOut && done.stdout.len() <= MOST && done.stderr.len() <= MOST
}

fn told_of_the_disk(done: &ExecResult) -> bool {
    let err = String::from_utf8_lossy(&done.stderr);
    done.return_code != 0 && (err.contains("disk full") || err.contains("No space left"))
}

/// Ended with a word about the disk, or never let beyond its size.
fn told_or_held(done: &ExecResult) -> bool {
    let out = String::from_utf8_lossy(&done.stdout);
    let held = out
        .strip_prefix("alive ")
        .and_then(|mebibytes| mebibytes.trim().parse().ok());
    told_of_the_disk(done) || held.is_some_and(|mebibytes: u64| mebibytes <= 64)
}

fn stopped_at_the_size(done: &ExecResult) -> bool {
    done.outcome == Outcome::Exited && matches!(done.return_code, 153 | 1 | 137)
}

pub(crate) const CASES: &[Case] = &[
    Case::bash("fork bomb in bash", ":(){ :|:& };:; sleep 100").runs_out(2000),
    Case::bash("fork bomb that outlives its call", ":(){ :|:& };:")
        .must(Must::End),
    Case::python(
        "fork bomb of leaders of sessions",
        r"
while True:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        time.sleep(0.01)
",
    )
    .runs_out(2000),
    Case::python(
        "as many daemons as there is room for",
        r#"
for _ in range(200):
    try:
        subprocess.Popen(["sleep", "1000"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={})
    except OSError:
        break
"#,
    )
    .must(Must::End),
    Case::python(
        "thread bomb",
        r#"
threads = 0
try:
    while threads < 2000:
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        threads += 1
except RuntimeError:
    pass
same("threads stop at the limit", threads < 128, True)
"#,
    ),
    Case::python(
        "zombie storm",
        r#"
made = 0
try:
    while made < 2000:
        if os.fork() == 0:
            os._exit(0)
        made += 1
except OSError:
    pass
same("zombies stop at the limit", made < 128, True)
"#,
    ),
    Case::python("memory bomb", "hog = bytearray(1 << 30)").must(Must::Give(held)),
    Case::python(
        "memory bomb that hides from the kernel's choice",
        r#"
for score in range(0, 1000, 100):
    try:
        write("/proc/self/oom_score_adj", str(score).encode())
        break
    except OSError:
        pass
hog = bytearray(1 << 30)
"#,
    )
    .must(Must::Give(held)),
    Case::python(
        "memory bomb in a grandchild",
        r#"
got = subprocess.run(["bash", "-c", "python3 -c 'hog = bytearray(1 << 30)'; echo $?"], capture_output=True, text=True)
# Killed, or refused the memory.
ended = got.stdout.strip()
same(f"the grandchild ended with {ended!r}", ended in ("137", "1", ""), True)
"#,
    )
    .must(Must::End),
    Case::python(
        "memory bomb by many",
        r"
for _ in range(8):
    if os.fork() == 0:
        hog = []
        while True:
            hog.append(bytearray(1 << 20))
for _ in range(8):
    os.wait()
",
    )
    .must(Must::End),
    Case::python(
        "memory bomb by an anonymous file",
        r#"
while True:
    fd = os.memfd_create("hog")
    for _ in range(32):
        os.write(fd, bytes(1 << 20))
"#,
    )
    .must(Must::Give(held_or_not_there)),
    Case::bash("memory that stays: /dev/shm", "head -c 1G /dev/zero > /dev/shm/hog")
        .must(Must::Give(killed_or_told)).messy(),
    Case::python(
        "memory that stays: shared segments",
        r#"
libc.shmat.restype = ctypes.c_void_p
taken = 0
for _ in range(64):
    segment = libc.shmget(0, 16 << 20, 0o1600)
    if segment < 0:
        break
    place = libc.shmat(segment, None, 0)
    ctypes.memset(place, 1, 16 << 20)
    taken += 16
same("segments stop before the memory", taken <= 64, True)
"#,
    )
    .messy(),
    Case::python(
        "memory that stays: messages and semaphores",
        r#"
queues = 0
for _ in range(40000):
    queue = libc.msgget(0, 0o1600)
    if queue < 0:
        break
    queues += 1
    message = struct.pack("=q", 1) + bytes(8000)
    libc.msgsnd(queue, message, 8000, 0o4000)
    libc.msgsnd(queue, message, 8000, 0o4000)
sets = 0
while sets < 4000 and libc.semget(0, 250, 0o1600) >= 0:
    sets += 1
same("queues are few", queues <= 64, True)
same("sets are few", sets <= 128, True)
"#,
    )
    .messy(),
    Case::bash(
        "disk bomb in one file",
        "head -c 10G /dev/zero > hog",
    )
    .must(Must::Give(stopped_at_the_size)),
    Case::bash(
        "disk bomb in many files",
        "rm -f hog; n=0; while :; do n=$((n + 1)); head -c 4M /dev/zero > hog-$n || exit 1; sleep 0.02; done",
    )
    .must(Must::Give(told_of_the_disk)),
    Case::bash("room can be made again", "rm -f hog-*; echo done"),
    Case::python(
        "disk bomb in a deleted file",
        r#"
files = []
while True:
    files.append(open("/tmp/hog", "wb", buffering=0))
    os.unlink("/tmp/hog")
    for _ in range(8):
        files[-1].write(bytes(1 << 20))
    time.sleep(0.05)
"#,
    )
    .must(Must::Give(told_of_the_disk)),
    Case::python(
        "disk bomb in closed directories",
        r#"
os.mkdir("/tmp/closed")
files = [open(f"/tmp/closed/{n}", "wb", buffering=0) for n in range(8)]
os.chmod("/tmp/closed", 0)
while True:
    for file in files:
        file.write(bytes(1 << 20))
    time.sleep(0.05)
"#,
    )
    .must(Must::Give(told_of_the_disk)),
    Case::bash("room can be made in closed directories", "chmod 700 /tmp/closed && rm -r /tmp/closed; echo done"),
    Case::python(
        "inode bomb",
        r#"
os.makedirs("/tmp/inodes", exist_ok=True)
n = 0
while True:
    os.close(os.open(f"/tmp/inodes/{n}", os.O_CREAT | os.O_WRONLY))
    n += 1
    if n % 1000 == 0:
        time.sleep(0.02)
"#,
    )
    .must(Must::Give(told_of_the_disk))
    .messy(),
    Case::python(
        "disk bomb deeper than a path reaches",
        r#"
for _ in range(30):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
n = 0
while True:
    open(f"hog-{n}", "wb").write(bytes(1 << 20))
    n += 1
    time.sleep(0.01)
"#,
    )
    .must(Must::Give(told_of_the_disk))
    .messy(),
    Case::python(
        "disk bomb behind an unreadable process",
        r#"
libc.prctl(4, 0, 0, 0, 0)
files = []
while True:
    files.append(open("/tmp/hog", "wb", buffering=0))
    os.unlink("/tmp/hog")
    for _ in range(8):
        files[-1].write(bytes(1 << 20))
    time.sleep(0.05)
"#,
    )
    .must(Must::Give(told_of_the_disk)),
    Case::bash(
        "disk bomb by a daemon",
        "(setsid bash -c 'n=0; while :; do n=$((n + 1)); head -c 4M /dev/zero > /tmp/hog-$n; sleep 0.02; done' >/dev/null 2>&1 &) ; sleep 0.1; sleep 5; echo alive $(du -sm /tmp | cut -f1)",
    )
    .must(Must::Give(told_or_held))
    .messy(),
    Case::python(
        "descriptor bomb",
        r#"
taken = []
try:
    while len(taken) < 100_000:
        taken.append(os.dup(1))
except OSError as error:
    print("held:", error)
"#,
    ),
    Case::python(
        "terminal bomb",
        r#"
taken = 0
try:
    while taken < 4000:
        os.openpty()
        taken += 1
except OSError as error:
    print("held:", error)
same("terminals stop at the limit", 0 < taken <= 64, True)
"#,
    ),
    Case::python(
        "terminal bomb by many, which stays",
        r#"
for _ in range(8):
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 3)
        taken = []
        while True:
            for name in "/dev/ptmx", "/dev/pts/ptmx", "/dev/pts/../ptmx":
                try: taken.append(os.open(name, os.O_RDWR | os.O_NOCTTY))
                except OSError: time.sleep(0.01)
time.sleep(0.3)
same("terminals of all", len(os.listdir("/dev/pts")) <= 65, True)
"#,
    )
    .messy(),
    Case::python(
        "programs that need a terminal have one",
        r#"
import pty
heard = []
def hear(fd):
    heard.append(os.read(fd, 1024))
    return heard[-1]
same("pty.spawn", pty.spawn(["/bin/sh", "-c", "test -t 0 && test -t 1 && tty < /dev/tty > /dev/null && echo ok"], hear), 0)
same("what it said", b"ok" in b"".join(heard), True)
import shutil
if shutil.which("script"):
    got = subprocess.run(["script", "-qec", "test -t 1 && echo ok", "/dev/null"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    same("script", (got.returncode, "ok" in got.stdout), (0, True))
"#,
    ),
    Case::python(
        "pipes, timers, and watches of the user",
        r#"
# These quotas are the user's on the whole machine: a neighbour must be able to work all the same.
pipes = []
try:
    while len(pipes) < 2000:
        reader, writer = os.pipe()
        pipes.append((reader, writer))
        os.set_blocking(writer, False)
        try:
            os.write(writer, bytes(65536))
        except OSError:
            pass
except OSError as error:
    print("held:", error)
for _ in range(200):
    libc.inotify_init()
"#,
    ),
    Case::bash("endless output", "yes & yes >&2 & cat /dev/zero").must(Must::Give(capped)).runs_for(1000),
    Case::bash("endless lines without an end", "tr '\\0' x < /dev/zero").must(Must::Give(capped)).runs_for(700),
    Case::bash(
        "file larger than the disk",
        "truncate -s 1T hog; dd if=/dev/zero of=hog bs=1 count=1 seek=900G 2>/dev/null || echo done",
    ),
    Case::bash("core dumps", "ulimit -c unlimited 2>/dev/null; ulimit -c; bash -c 'kill -SEGV $$'; ls core* 2>/dev/null && echo ESCAPED; echo done"),
    Case::bash(
        "a command line of two megabytes and an environment of its own size",
        "x=$(head -c 2M /dev/zero | tr '\\0' x); /bin/echo \"$x\" > /dev/null && echo ESCAPED; echo done",
    ),
];
