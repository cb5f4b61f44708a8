//! No file of the host: by no path, no device, no window of the kernel.

use crate::case::{Case, run};
use crate::site::Kind;

pub(crate) async fn hold(kind: Kind) {
    run(kind, CASES).await;
}

pub(crate) const CASES: &[Case] = &[
    Case::python(
        "the canary through every root and working directory",
        r#"
canary, new = os.environ["CANARY_FILE"], os.environ["CANARY_NEW_FILE"]
roots = ["", "/proc/self/root", "/proc/self/cwd/../../../../..", "/proc/1/root", "/proc/1/cwd/../../..", "/proc/thread-self/root"]
roots += ["/host", "/mnt", "/media", "/rootfs", "/hostfs", "/.sandtable/..", "/dev/fd/..", "/files/../..", "/proc/1/fd/0/../.."]
roots += [f"/proc/{pid}/root" for pid in os.listdir("/proc") if pid.isdigit()]
roots += [f"/proc/{os.environ['HOST_PID']}/root", f"/proc/{os.environ['HOST_PID']}/cwd"]
for root in roots:
    denied(root, lambda: read(root + canary))
    denied(root, lambda: write(root + new, flags=os.O_WRONLY | os.O_CREAT))
"#,
    ),
    Case::python(
        "password hashes and keys",
        r#"
for path in "/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/sudoers", "/root/.ssh/id_rsa", "/root/.bash_history":
    denied(path, lambda: read(path))
for pattern in "/etc/ssh/*key", "/root/*", "/home/*/.ssh/*", "/home/*/.aws/*", "/var/lib/docker/*", "/run/secrets/*":
    same(pattern, glob.glob(pattern), [])
"#,
    ),
    Case::python(
        "the engine's socket and state",
        r#"
for path in "/var/run/docker.sock", "/run/docker.sock", "/var/lib/docker", "/var/lib/containerd", "/run/containerd", "/var/lib/kubelet":
    for root in "", "/proc/1/root", "/.sandtable":
        denied(root + path, lambda: os.stat(root + path))
"#,
    ),
    Case::python(
        "writing below every mount",
        r#"
def make(folder):
    path = os.path.join(folder, f".canary-{os.getpid()}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)
    return path
mounts = {line.split()[4].encode().decode("unicode_escape") for line in open("/proc/self/mountinfo")}
for mount in sorted(mounts | {"/", "/etc", "/usr", "/usr/local/bin", "/var", "/var/tmp", "/var/cache", "/root", "/home", "/opt", "/run", "/srv", "/dev"}):
    if mount not in ("/dev/shm", "/dev/mqueue", "/tmp", "/files", "/home/user", "/files/input", "/files/output", "/skills"):
        denied(mount, lambda: make(mount))
"#,
    ),
    Case::python(
        "writing to files of the system",
        r#"
for path in "/etc/passwd", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/ld.so.preload", "/etc/ld.so.cache", "/bin/bash", "/usr/bin/env", sys.executable, "/.sandtable/guest", "/.dockerenv":
    denied(path, lambda: write(path))
    denied(path, lambda: os.chmod(path, 0o777))
    denied(path, lambda: os.unlink(path))
    denied(path, lambda: os.rename(path, "/tmp/moved"))
"#,
    ),
    Case::python(
        "device nodes of its own",
        r#"
for name, kind, major, minor in ("mem", stat.S_IFCHR, 1, 1), ("kmsg", stat.S_IFCHR, 1, 11), ("disk", stat.S_IFBLK, 8, 0), ("loop", stat.S_IFBLK, 7, 0), ("vda", stat.S_IFBLK, 254, 0), ("fuse", stat.S_IFCHR, 10, 229):
    for folder in "/tmp", "/home/user", "/dev/shm", os.environ["OUTPUT_DIR"]:
        denied(name, lambda: os.mknod(f"{folder}/{name}", kind | 0o666, os.makedev(major, minor)))
"#,
    ),
    Case::python(
        "devices that are there",
        r#"
harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin", "stdout", "stderr", "pts", "shm", "mqueue"}
found = sorted(set(os.listdir("/dev")) - harmless - {"core", "console"})
same("devices", found, [])
for name in "mem", "kmem", "port", "kmsg", "kvm", "fuse", "loop-control", "net/tun", "vhost-vsock", "vsock", "mapper/control", "sda", "vda", "nvme0n1", "loop0", "core", "console", "tty":
    denied(name, lambda: os.read(os.open("/dev/" + name, os.O_RDWR | os.O_NONBLOCK), 1))
"#,
    ),
    Case::python(
        "the magic key, by its file",
        r#"
# `h` only prints a list of keys.
denied("sysrq", lambda: write("/proc/sysrq-trigger", b"h"))
denied("sysrq", lambda: write("/proc/1/root/proc/sysrq-trigger", b"h"))
"#,
    ),
    Case::python(
        "the kernel's memory and log",
        r#"
for path in "/proc/kcore", "/proc/kmsg", "/dev/mem", "/dev/kmem", "/dev/kmsg", "/proc/kallsyms", "/proc/vmcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats", "/proc/sched_debug", "/proc/iomem":
    def secrets():
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        got = os.read(fd, 200)
        first = got.split(b" ")[0].split(b"-")[0].strip()
        # Without rights the kernel shows addresses as zeros.
        if not first.strip(b"0"):
            raise OSError(errno.ENODATA, "empty")
        return got
    denied(path, secrets)
denied("log", lambda: call("syslog", 3, ctypes.create_string_buffer(4096), 4096))
denied("clear log", lambda: call("syslog", 10, 0, 0))
"#,
    ),
    Case::python(
        "settings of the kernel",
        r#"
for top in "/proc/sys", "/sys", "/proc/irq", "/proc/bus", "/proc/acpi", "/proc/fs", "/proc/scsi":
    for folder, _, files in os.walk(top):
        for name in files:
            path = os.path.join(folder, name)
            if os.access(path, os.W_OK, follow_symlinks=False) and not os.path.islink(path):
                # What is there already, written once more.
                try:
                    now = read(path)
                except OSError:
                    now = b"\n"
                denied(path, lambda: write(path, now))
for path in "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches", "/proc/sys/kernel/sysrq", "/proc/sys/fs/binfmt_misc/register", "/sys/kernel/uevent_helper":
    denied(path, lambda: os.close(os.open(path, os.O_WRONLY)) or "opened")
"#,
    ),
    Case::python(
        "debugfs, tracefs, bpf, and other windows into the kernel",
        r#"
for path in "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/debug/tracing", "/sys/fs/bpf", "/sys/kernel/security", "/sys/firmware/efi/efivars", "/sys/kernel/config", "/sys/fs/fuse/connections":
    def inside():
        names = os.listdir(path)
        if not names:
            raise OSError(errno.ENODATA, "empty")
        return names
    denied(path, inside)
"#,
    ),
    Case::python(
        "control groups",
        r#"
found = 0
for folder, folders, files in os.walk("/sys/fs/cgroup"):
    found += 1
    denied(folder, lambda: os.mkdir(folder + "/canary"))
    for name in files:
        if name in ("cgroup.procs", "tasks", "release_agent", "notify_on_release", "memory.limit_in_bytes", "memory.max", "pids.max", "devices.allow", "cpu.max", "cpu.cfs_quota_us"):
            denied(name, lambda: os.close(os.open(f"{folder}/{name}", os.O_WRONLY)) or "opened")
    if found > 200:
        break
"#,
    ),
    Case::python(
        "files by their handle",
        r#"
handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
mount = ctypes.c_int()
# The handle of the root directory of an ext4: inode 2.
for folder in "/", "/tmp", "/home/user", "/etc/hosts", "/files":
    fd = os.open(folder, os.O_RDONLY)
    guessed = ctypes.create_string_buffer(struct.pack("=IiII", 8, 1, 2, 0))
    denied(folder, lambda: call("open_by_handle_at", fd, ctypes.byref(guessed), 0), errno.EPERM, errno.ENOSYS)
"#,
    ),
    Case::python(
        "processes of the host",
        r#"
# Without namespaces the list has the numbers of others, and no more than the numbers.
pids = sorted(int(pid) for pid in os.listdir("/proc") if pid.isdigit() and os.path.exists(f"/proc/{pid}"))
same("only our own", len(pids) < 10 and pids[0] == 1, True)
for pid in os.environ["HOST_PID"], "2":
    if pid != str(os.getpid()) and pid not in map(str, pids):
        denied(pid, lambda: os.kill(int(pid), 0))
        denied(pid, lambda: read(f"/proc/{pid}/environ"))
same("parent", os.getppid(), 1)
"#,
    ),
];
