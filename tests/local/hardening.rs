//! The parts of the machine that user code cannot reach.

use sandbox::Limits;
use sandbox::guest::Guest;

use crate::bench::{Bench, contract};
use crate::talk::{bash, new_spec, wake};

async fn awake() -> Option<(Bench, Guest)> {
    let bench = contract().await?;
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    Some((bench, guest))
}

#[tokio::test]
async fn nothing_of_the_machine_is_there_but_its_system_directories() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let said = bash(
        &guest,
        "ls -A /; ls -A /home /opt; ls /etc/shadow /etc/ssh /var /run /root /sys",
    )
    .await;
    let places: Vec<&str> = said.out.split_whitespace().collect();
    for hidden in ["root", "var", "run", "sys", "srv", "mnt", "boot", ".own"] {
        assert!(!places.contains(&hidden), "{places:?}");
    }
    let secret = bench.folder.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let said = bash(
        &guest,
        &format!("cat {0} /proc/1/root{0} /..{0}", secret.display()),
    )
    .await;
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    bench.end().await;
}

#[tokio::test]
async fn nothing_of_the_server_is_inherited() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let said = bash(
        &guest,
        "ls /proc/self/fd | wc -l; env | cut -d= -f1 | sort | tr '\\n' ' '",
    )
    .await;
    // Three and the one that lists them.
    let wanted = "4\nHOME INPUT_DIR LANG MKL_NUM_THREADS MPLBACKEND MPLCONFIGDIR OMP_NUM_THREADS \
                  OPENBLAS_NUM_THREADS OUTPUT_DIR PATH PIP_BREAK_SYSTEM_PACKAGES PWD PYTHONPATH SHLVL _ ";
    assert_eq!(said.out, wanted);
    let said = bash(&guest, "tr '\\0' ' ' < /proc/1/cmdline").await;
    assert_eq!(said.out, "sandtable-guest __sandbox-init ");
    bench.end().await;
}

#[tokio::test]
async fn other_processes_are_invisible() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let other = wake(&bench, &new_spec(Limits::default())).await;
    assert_eq!(
        bash(
            &other,
            "echo mine > /tmp/mine; (sleep 1000 > /dev/null 2>&1 &)"
        )
        .await
        .code,
        0
    );
    let said = bash(
        &guest,
        "all=$(ls -d /proc/[0-9]*); wc -l <<<\"$all\"; pgrep -c sleep; ls /tmp",
    )
    .await;
    assert_eq!(said.out, "3\n0\n", "PID 1, bash, and `ls`");
    let said = bash(&guest, &format!("kill -9 {}", std::process::id())).await;
    assert!(said.err.contains("No such process"), "{said:?}");
    bench.end().await;
}

#[tokio::test]
async fn the_ways_to_more_rights_are_shut() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let code = r#"
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    ctypes.set_errno(0)
    return "ok" if libc.syscall(*arguments) >= 0 else errno.errorcode[ctypes.get_errno()]
for name, arguments in {
    "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0), "umount2": (166, b"/tmp", 2), "pivot_root": (155, b".", b"."),
    "unshare": (272, 0x10000000), "setns": (308, 0, 0), "ptrace": (101, 0, 0, 0, 0), "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, 0, 0, 0), "keyctl": (250, 0, 0), "add_key": (248, 0, 0, 0, 0, 0),
    "io_uring_setup": (425, 1, 0), "userfaultfd": (323, 0), "init_module": (175, 0, 0, 0),
    "open_by_handle_at": (304, 0, 0, 0), "open_tree": (428, -100, b"/", 1), "chroot": (161, b"/tmp"),
    "x32 mount": (165 | 0x40000000, b"none", b"/tmp", b"tmpfs", 0, 0),
    "clone NEWUSER": (56, 0x10000011, 0, 0, 0, 0), "clone NEWNS": (56, 0x00020011, 0, 0, 0, 0),
    "clone3": (435, 0, 0), "setuid": (105, 0), "setgid": (106, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
}.items():
    print(name, call(*arguments))
for family in (socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK, socket.AF_ALG, 38):
    try: socket.socket(family, socket.SOCK_RAW if family != socket.AF_VSOCK else socket.SOCK_STREAM); print("open", family)
    except OSError as e: print(family.__int__(), errno.errorcode[e.errno])
try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print("open raw")
except OSError as e: print("raw", errno.errorcode[e.errno])
"#;
    if cfg!(not(target_arch = "x86_64")) {
        eprintln!("SKIPPED, nothing was tested: the numbers are those of x86-64");
        return;
    }
    bash(&guest, &format!("cat > try.py <<'END'\n{code}\nEND")).await;
    let said = bash(&guest, "python3 try.py").await;
    assert_eq!(said.code, 0, "{}", said.err);
    for line in said.out.lines() {
        let (name, outcome) = line.rsplit_once(' ').unwrap();
        let wanted = match name {
            "clone3" => "ENOSYS",
            // In a namespace with one user there is no other to become.
            "setuid" | "setgid" if bench.has_namespaces() => "EINVAL",
            _ if name.parse::<u32>().is_ok() => "EAFNOSUPPORT",
            "raw" if !bench.has_namespaces() => "ENETUNREACH",
            _ => "EPERM",
        };
        assert_eq!(outcome, wanted, "{line}");
    }
    assert_eq!(said.out.lines().count(), 29, "{}", said.out);
    bench.end().await;
}

#[tokio::test]
async fn system_directories_cannot_be_written_by_any_name() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let said = bash(
        &guest,
        "for f in /usr/x /etc/x /etc/passwd /bin/x /dev/x /opt/sandtable/bin/x /proc/sys/kernel/hostname; do \
         (echo x >> $f) 2>/dev/null && echo $f; done; mv /etc /e 2>/dev/null && echo moved; \
         ln -s /usr/bin/sudo su 2>/dev/null; ./su true 2>/dev/null && echo root; true",
    )
    .await;
    assert_eq!(said.out, "");
    bench.end().await;
}
