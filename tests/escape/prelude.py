# What every Python program of the suite starts with.
import ctypes, errno, fcntl, glob, os, resource, signal, socket, stat, struct, subprocess, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
# Whether the sandbox has namespaces of its own.
NAMESPACES = os.environ.get("NAMESPACES", "1") == "1"
X86 = os.uname().machine == "x86_64"
# Numbers on x86-64, and on arm64 and all newer architectures.
NUMBERS = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "chroot": (161, 51),
    "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435), "delete_module": (176, 106),
    "fanotify_init": (300, 262), "fsopen": (430, 430), "init_module": (175, 105), "io_uring_setup": (425, 425),
    "ioperm": (173, -1), "iopl": (172, -1), "kcmp": (312, 272), "kexec_load": (246, 104), "keyctl": (250, 219),
    "mount": (165, 40), "mount_setattr": (442, 442), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434),
    "pivot_root": (155, 41), "process_vm_readv": (310, 270), "ptrace": (101, 117), "quotactl": (179, 60),
    "reboot": (169, 142), "request_key": (249, 218), "sethostname": (170, 161), "setns": (308, 268), "swapon": (167, 224),
    "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282),
}


def call(name, *arguments):
    number = NUMBERS[name][0 if X86 else 1]
    if number < 0:
        raise OSError(errno.ENOSYS, "not on this architecture")
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *converted)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def denied(what, attempt, *errors):
    """The attempt fails; if errors are named, with one of them."""
    try:
        got = attempt()
    except OSError as error:
        if errors and error.errno not in errors:
            print("ESCAPED:", what, "fails only with", error)
        else:
            print("held:", what, "-", error)
    else:
        print("ESCAPED:", what, repr(got)[:200])


def same(what, got, wanted):
    print("held:" if got == wanted else "ESCAPED:", what, "-", repr(got)[:300])


def read(path, most=4096):
    with open(path, "rb") as file:
        return file.read(most)


def nothing_in(path):
    """Fails, as it must, if nothing can be read."""
    got = read(path, 64)
    if not got.strip(b"\0"):
        raise OSError(errno.ENODATA, "empty")
    return got


def write(path, data=b"x", flags=os.O_WRONLY):
    fd = os.open(path, flags | os.O_NONBLOCK)
    try:
        return os.write(fd, data)
    finally:
        os.close(fd)


def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as made:
        made.settimeout(2)
        made.connect(address)
        return made.getpeername()
