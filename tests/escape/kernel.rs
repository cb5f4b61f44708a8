//! No system call that gives more rights, another view of the machine, or a new piece of kernel.

use crate::case::{Case, run};
use crate::site::Kind;

pub(crate) async fn hold(kind: Kind) {
    run(kind, CASES).await;
}

pub(crate) const CASES: &[Case] = &[
    Case::python(
        "mount",
        r#"
os.makedirs("/tmp/m", exist_ok=True)
for kind, flags in (b"tmpfs", 0), (b"proc", 0), (b"sysfs", 0), (b"cgroup", 0), (b"cgroup2", 0), (b"overlay", 0), (b"fuse", 0), (b"devtmpfs", 0), (b"ext4", 0), (b"", 4096), (b"", 4096 | 16384), (b"", 32), (b"", 1 << 18):
    denied(f"{kind} {flags}", lambda: call("mount", b"/", b"/tmp/m", kind, flags, None), errno.EPERM, errno.ENOSYS, errno.EACCES)
denied("remount", lambda: call("mount", b"none", b"/", b"", 32 | 4096, None), errno.EPERM, errno.EACCES, errno.ENOSYS)
"#,
    ),
    Case::python(
        "mount by the new calls",
        r#"
denied("fsopen", lambda: call("fsopen", b"tmpfs", 0), errno.EPERM, errno.ENOSYS)
denied("open_tree", lambda: call("open_tree", -100, b"/", 1), errno.EPERM, errno.ENOSYS)
denied("mount_setattr", lambda: call("mount_setattr", -100, b"/", 0, bytes(32), 32), errno.EPERM, errno.ENOSYS)
"#,
    ),
    Case::python(
        "unmount, pivot_root, and chroot",
        r#"
for path in b"/proc", b"/sys", b"/", b"/dev/shm", b"/etc/hosts", b"/.sandtable", b"/files":
    for flags in 0, 2:
        denied(f"umount {path} {flags}", lambda: call("umount2", path, flags), errno.EPERM, errno.ENOSYS)
denied("pivot_root", lambda: call("pivot_root", b"/", b"/tmp"), errno.EPERM, errno.ENOSYS)
denied("chroot", lambda: os.chroot("/tmp"), errno.EPERM)
"#,
    ),
    Case::python(
        "unshare",
        r#"
spaces = {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000, "ipc": 0x8000000, "uts": 0x4000000, "cgroup": 0x2000000, "time": 0x80}
for name, flag in spaces.items():
    denied(name, lambda: call("unshare", flag), errno.EPERM, errno.ENOSYS)
    denied(f"user and {name}", lambda: call("unshare", flag | 0x10000000), errno.EPERM, errno.ENOSYS)
same("unshare", subprocess.run(["unshare", "-Ur", "true"], capture_output=True).returncode != 0, True)
"#,
    ),
    Case::python(
        "clone into new namespaces",
        r#"
def clone(flags):
    pid = call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid
def clone3(flags):
    arguments = struct.pack("=QQQQQQQQ", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = call("clone3", arguments, len(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid
for flag in 0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000, 0x10020000:
    denied(f"clone {flag:x}", lambda: clone(flag))
    denied(f"clone3 {flag:x}", lambda: clone3(flag))
"#,
    ),
    Case::python(
        "setns into the namespaces of others",
        r#"
for pid in "1", "self", os.environ["HOST_PID"]:
    for name in "mnt", "net", "pid", "user", "ipc", "uts", "cgroup", "time":
        def enter():
            fd = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
            try:
                return call("setns", fd, 0)
            finally:
                os.close(fd)
        denied(f"{pid} {name}", enter)
"#,
    ),
    Case::python(
        "tracing the guest",
        r#"
for request, name in (16, "attach"), (0x4206, "seize"), (2, "peek"), (12, "registers"):
    denied(name, lambda: call("ptrace", request, 1, 0, 0), errno.EPERM, errno.ESRCH, errno.ENOSYS, errno.EACCES)
remote = struct.pack("=QQ", 0x400000, 16)
buffer = ctypes.create_string_buffer(16)
local = struct.pack("=QQ", ctypes.addressof(buffer), 16)
denied("read", lambda: call("process_vm_readv", 1, local, 1, remote, 1, 0), errno.EPERM, errno.ENOSYS)
denied("compare", lambda: call("kcmp", 1, os.getpid(), 2, 0, 1), errno.EPERM, errno.ENOSYS)
"#,
    ),
    Case::python(
        "the guest's descriptors by pidfd",
        r#"
try:
    guest = call("pidfd_open", 1, 0)
except OSError as error:
    print("held: pidfd_open -", error)
else:
    for fd in range(8):
        denied(f"descriptor {fd}", lambda: call("pidfd_getfd", guest, fd, 0), errno.EPERM, errno.ENOSYS)
"#,
    ),
    Case::python(
        "key rings",
        r#"
denied("add_key", lambda: call("add_key", b"user", b"canary", b"x", 1, -3), errno.EPERM, errno.ENOSYS)
denied("request_key", lambda: call("request_key", b"user", b"canary", None, -3), errno.EPERM, errno.ENOSYS)
for ring in -1, -3, -4, -5:
    denied(f"ring {ring}", lambda: call("keyctl", 0, ring, 1), errno.EPERM, errno.ENOSYS)
denied("join", lambda: call("keyctl", 1, None), errno.EPERM, errno.ENOSYS)
"#,
    ),
    Case::python(
        "io_uring",
        r#"
denied("io_uring", lambda: call("io_uring_setup", 8, ctypes.create_string_buffer(256)), errno.EPERM, errno.ENOSYS)
"#,
    ),
    Case::python(
        "userfaultfd",
        r#"
for flags in 0, 1, 0x80001:
    denied(f"userfaultfd {flags}", lambda: call("userfaultfd", flags), errno.EPERM, errno.ENOSYS)
denied("device", lambda: os.open("/dev/userfaultfd", os.O_RDWR))
"#,
    ),
    Case::python(
        "perf events",
        r#"
attribute = ctypes.create_string_buffer(struct.pack("=IIQ", 1, 112, 0) + bytes(112))
for pid in 0, 1, -1:
    denied(f"perf {pid}", lambda: call("perf_event_open", attribute, pid, 0 if pid < 0 else -1, -1, 0), errno.EPERM, errno.EACCES, errno.ENOSYS)
"#,
    ),
    Case::python(
        "BPF",
        r#"
buffer = ctypes.create_string_buffer(struct.pack("=IIIII", 2, 4, 4, 1, 0) + bytes(128))
for command in 0, 5, 8:
    denied(f"bpf {command}", lambda: call("bpf", command, buffer, 72), errno.EPERM, errno.ENOSYS)
"#,
    ),
    Case::python(
        "kernel modules, kexec, and reboot",
        r#"
denied("kexec_load", lambda: call("kexec_load", 0, 0, None, 0), errno.EPERM, errno.ENOSYS)
denied("init_module", lambda: call("init_module", b"", 0, b""), errno.EPERM, errno.ENOSYS)
denied("delete_module", lambda: call("delete_module", b"sandtable_none", 0), errno.EPERM, errno.ENOSYS)
# With magic numbers that would be refused to anybody.
denied("reboot", lambda: call("reboot", 1, 2, 3, None), errno.EPERM, errno.ENOSYS)
"#,
    ),
    Case::python(
        "swap, accounting, quotas, and file events",
        r#"
denied("swapon", lambda: call("swapon", b"/nonexistent", 0), errno.EPERM, errno.ENOSYS)
denied("acct", lambda: call("acct", b"/nonexistent"), errno.EPERM, errno.ENOSYS)
denied("quotactl", lambda: call("quotactl", 0x80000600, b"/nonexistent", 0, 0), errno.EPERM, errno.ENOSYS, errno.ENOENT, errno.ENOTBLK)
denied("fanotify", lambda: call("fanotify_init", 4, 0), errno.EPERM, errno.ENOSYS)
"#,
    ),
    Case::python(
        "the clock",
        r#"
# The time as it is: nobody would notice.
for clock in 0, 1, 7, 11:
    now = struct.pack("=qq", int(time.time()), 0)
    denied(f"clock {clock}", lambda: call("clock_settime", clock, now))
denied("adjtimex", lambda: call("adjtimex", ctypes.create_string_buffer(struct.pack("=I", 0x4000) + bytes(204))), errno.EPERM, errno.ENOSYS, errno.EINVAL)
denied("date", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
"#,
    ),
    Case::python(
        "host and domain names",
        r#"
denied("sethostname", lambda: socket.sethostname("escaped"), errno.EPERM)
denied("file", lambda: write("/proc/sys/kernel/hostname", b"escaped"))
denied("domain", lambda: write("/proc/sys/kernel/domainname", b"escaped"))
"#,
    ),
    Case::python(
        "ports of the machine",
        r#"
denied("iopl", lambda: call("iopl", 3), errno.EPERM, errno.ENOSYS)
denied("ioperm", lambda: call("ioperm", 0x80, 1, 1), errno.EPERM, errno.ENOSYS)
denied("/dev/port", lambda: os.open("/dev/port", os.O_RDWR))
"#,
    ),
    Case::python(
        "another user or group",
        r#"
for name, attempt in {
    "setuid": lambda: os.setuid(0), "setgid": lambda: os.setgid(0), "setresuid": lambda: os.setresuid(0, 0, 0),
    "groups": lambda: os.setgroups([0, 999]), "chown": lambda: os.chown("/tmp/made", 0, 0),
    "to another": lambda: os.chown("/tmp/made", 1001, 1001), "setfsuid": None,
}.items():
    open("/tmp/made", "w").close()
    if attempt:
        denied(name, attempt)
libc.setfsuid(0)
same("file system user", libc.setfsuid(0), os.getuid())
same("groups", 0 in os.getgroups(), False)
"#,
    ),
    Case::python(
        "setuid programs: its own, and those of the image",
        r#"
import shutil
for folder in "/tmp", "/home/user", "/dev/shm", os.environ["OUTPUT_DIR"]:
    shutil.copy("/bin/bash", f"{folder}/shell")
    os.chmod(f"{folder}/shell", 0o6755)
    try:
        got = subprocess.run([f"{folder}/shell", "-pc", "id -u; id -ru"], capture_output=True, text=True)
        same(folder, "0" in got.stdout.split(), False)
    except OSError as error:
        print("held:", folder, error)
    os.unlink(f"{folder}/shell")
found = subprocess.run("find / -xdev -type f -perm /6000 2>/dev/null", shell=True, capture_output=True, text=True).stdout
for path in found.split():
    got = subprocess.run([path, "--version"], capture_output=True, timeout=10, stdin=subprocess.DEVNULL)
for command in ["su", "-c", "id -u"], ["sudo", "-n", "id", "-u"], ["pkexec", "id", "-u"], ["newgrp", "root"]:
    try:
        got = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=10)
        same(command[0], got.stdout.strip() == "0", False)
    except OSError as error:
        print("held:", command[0], error)
"#,
    ),
    Case::python(
        "capabilities",
        r#"
same("sets", [line.split()[1].strip("0") for line in open("/proc/self/status") if line.startswith("Cap")], [""] * 5)
header, data = struct.pack("=II", 0x20080522, 0), struct.pack("=IIIIII", *[0xFFFFFFFF] * 6)
def capset():
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")
denied("capset", capset)
open("/tmp/made", "w").close()
grant = struct.pack("=IIIII", 0x02000001, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0)
denied("file", lambda: os.setxattr("/tmp/made", "security.capability", grant))
same("ambient", libc.prctl(47, 2, 21, 0, 0), -1)
"#,
    ),
    Case::python(
        "no_new_privs and the filter stay",
        r#"
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
same("no_new_privs", status["NoNewPrivs"].strip(), "1")
same("filter", status["Seccomp"].strip(), "2")
libc.prctl(38, 0, 0, 0, 0)
same("no_new_privs afterwards", libc.prctl(39, 0, 0, 0, 0), 1)
child = subprocess.run(["grep", "-E", "NoNewPrivs|Seccomp:", "/proc/self/status"], capture_output=True, text=True).stdout
same("of a child", child.split(), ["NoNewPrivs:", "1", "Seccomp:", "2"])
"#,
    ),
    Case::python(
        "calls by the numbers of other architectures",
        r#"
if X86:
    # The x32 numbers of socket and unshare: filters that forget them let everything through.
    for number, arguments in (41, (40, 1, 0)), (272, (0x10000000,)), (425, (8, ctypes.create_string_buffer(256))):
        def x32():
            result = libc.syscall(ctypes.c_long(number | 0x40000000), *arguments)
            if result == -1:
                raise OSError(ctypes.get_errno(), "x32")
            return result
        denied(f"x32 {number}", x32)
"#,
    ),
    Case::python(
        "another process's limits and place in the queue",
        r#"
other = os.fork()
if other == 0:
    time.sleep(30)
    os._exit(0)
denied("limits", lambda: resource.prlimit(other, resource.RLIMIT_NOFILE, (3, 3)), errno.EPERM)
denied("nice", lambda: os.setpriority(os.PRIO_PROCESS, other, 19), errno.EPERM)
denied("nice of a group", lambda: os.setpriority(os.PRIO_PGRP, os.getpgrp(), 19), errno.EPERM)
denied("policy", lambda: os.sched_setscheduler(other, os.SCHED_IDLE, os.sched_param(0)), errno.EPERM)
# Its own may be lowered, and all may be looked at.
resource.prlimit(0, resource.RLIMIT_NOFILE, (64, 64))
same("limits", resource.prlimit(other, resource.RLIMIT_CORE), (0, 0))
same("nice", os.nice(1), 1)
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
os.kill(other, signal.SIGKILL)
"#,
    ),
    Case::python(
        "priorities, affinity, and memory that cannot be taken away",
        r#"
denied("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))
for policy in os.SCHED_FIFO, os.SCHED_RR:
    denied(f"policy {policy}", lambda: os.sched_setscheduler(0, policy, os.sched_param(50)))
denied("limit", lambda: write("/proc/self/oom_score_adj", b"-1000"))
guest = int(open("/proc/1/oom_score_adj").read())
for score in range(-1000, guest, 100):
    denied(f"score {score}", lambda: write("/proc/self/oom_score_adj", str(score).encode()))
denied("score of the guest", lambda: write("/proc/1/oom_score_adj", b"1000"))
"#,
    ),
];
