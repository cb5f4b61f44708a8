//! The rights and resources of a sandbox, seen from inside through the real guest.

use std::time::Duration;

use sandbox::Limits;
use sandbox::guest::Guest;

use super::bench::{Bench, contract};
use super::talk::{SMALL, bash, new_spec, wake};

async fn inside(limits: Limits) -> Option<(Bench, Guest)> {
    let bench = contract().await?;
    let guest = wake(&bench, &new_spec(limits)).await;
    Some((bench, guest))
}

#[tokio::test]
async fn code_runs_as_an_ordinary_user_in_its_home() {
    let Some((bench, guest)) = inside(Limits::default()).await else {
        return;
    };
    let said = bash(
        &guest,
        "id -u; id -g; pwd; echo $HOME; hostname; whoami; echo $PPID",
    )
    .await;
    // Without namespaces the user has the number that the machine knows.
    let (uid, rest) = said.out.split_once('\n').unwrap();
    if bench.has_namespaces() {
        assert_eq!(uid, "1000");
    }
    assert_ne!(uid, "0");
    let wanted = format!("{uid}\n/home/user\n/home/user\nsandbox\nuser\n1\n");
    assert_eq!(rest, wanted);
    // Without namespaces an ordinary user cannot give up what it may never have: the bounding set.
    let mut sets = vec!["CapInh", "CapPrm", "CapEff", "CapAmb"];
    if bench.has_namespaces() {
        sets.insert(3, "CapBnd");
    }
    let said = bash(
        &guest,
        &format!(
            "grep -E '^({}|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t' ' '",
            sets.join("|")
        ),
    )
    .await;
    let none = "0000000000000000";
    let wanted = sets
        .iter()
        .map(|set| format!("{set}: {none}\n"))
        .collect::<Vec<_>>()
        .concat();
    assert_eq!(said.out, format!("{wanted}NoNewPrivs: 1\nSeccomp: 2\n"));
    bench.end().await;
}

#[tokio::test]
async fn only_the_home_tmp_and_files_can_be_written() {
    let Some((bench, guest)) = inside(Limits::default()).await else {
        return;
    };
    let find =
        "find / -xdev -writable ! -type l ! -path '/proc/*' ! -path '/dev/*' 2>/dev/null | sort";
    let said = bash(&guest, find).await;
    let places: Vec<&str> = said
        .out
        .lines()
        .filter(|path| {
            // Docker makes the place of the skills when there is one.
            *path != "/skills"
                && !["/files/", "/tmp/"]
                    .iter()
                    .any(|below| path.starts_with(below))
        })
        .collect();
    assert_eq!(places, ["/files", "/home/user", "/tmp"]);
    for path in [
        "/x",
        "/etc/x",
        "/usr/local/bin/x",
        "/var/tmp/x",
        "/.sandtable/x",
        "/proc/1/fd/1",
    ] {
        let said = bash(&guest, &format!("echo forged > {path}")).await;
        assert_eq!(said.code, 1, "{path}");
    }
    assert_eq!(
        bash(
            &guest,
            "for f in ~ /tmp /files; do echo x > $f/x && cat $f/x; done"
        )
        .await
        .out,
        "x\nx\nx\n"
    );
    bench.end().await;
}

/// What stands before a `.` or `..` is a directory that may be searched, and a `.` at the end names what cannot be removed by it.
#[tokio::test]
async fn steps_that_stay_or_go_up_need_a_directory_before_them() {
    let Some((bench, guest)) = inside(Limits::default()).await else {
        return;
    };
    let said = bash(
        &guest,
        r#"mkdir -p ~/t/d/e ~/t/nx ~/t/tools; cd ~/t; echo keep >f; ln -s f latest; ln -s ~/t/f/ slash; ln -s d/ folder; chmod 600 nx
printf '#!/bin/sh\r\n' >crlf; printf '#!tools/cat\n' >relative; printf '#!bin/sh\n' >below-root; chmod +x crlf relative below-root; cp /bin/cat tools
python3 - <<'EOF'
import errno, os, subprocess
for place in "", os.path.expanduser("~/t/"):
    for name, does in {
        "f/.": lambda path: open(path, "w"), "f/..": os.stat, "f/../f": open, "f/../new": os.mkdir, "latest/.": os.unlink, "latest/..": os.listdir,
        "d/.": os.rmdir, "d/../d/e/.": os.rmdir, "nx/../f": open, "nx/.": os.stat, "slash": open, "folder": os.listdir, "folder/.": os.stat,
        "d/e/../../f": open, "none/..": os.stat, "./d/./e/": os.stat,
    }.items():
        try:
            does(place + name)
            print(name, "done")
        except OSError as error:
            print(name, errno.errorcode[error.errno])
for script in "./crlf", "./relative", "./below-root":
    try:
        print(subprocess.run([script], capture_output=True, text=True).stdout, end="")
    except OSError as error:
        print(script, errno.errorcode[error.errno])
EOF
cat f; ls"#,
    )
    .await;
    let paths = "\
        f/. ENOTDIR\nf/.. ENOTDIR\nf/../f ENOTDIR\nf/../new ENOTDIR\nlatest/. ENOTDIR\nlatest/.. ENOTDIR\n\
        d/. EINVAL\nd/../d/e/. EINVAL\nnx/../f EACCES\nnx/. EACCES\nslash ENOTDIR\nfolder done\nfolder/. done\n\
        d/e/../../f done\nnone/.. ENOENT\n./d/./e/ done\n";
    let wanted = format!(
        "{paths}{paths}./crlf ENOENT\n#!tools/cat\n./below-root ENOENT\nkeep\n\
         below-root\ncrlf\nd\nf\nfolder\nlatest\nnx\nrelative\nslash\ntools\n"
    );
    assert_eq!(said.out, wanted, "{}", said.err);
    bench.end().await;
}

#[tokio::test]
async fn there_is_no_network_but_loopback() {
    let Some((bench, guest)) = inside(Limits::default()).await else {
        return;
    };
    let devices = bash(&guest, "grep -o '[a-z0-9]*:' /proc/net/dev").await;
    assert_eq!(devices.out, "lo:\n");
    let dial = "python -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 5)' 2>&1 | tail -1";
    let said = bash(&guest, dial).await;
    assert!(said.out.contains("Network is unreachable"), "{}", said.out);
    if !bench.has_namespaces() {
        // It would be the machine's.
        let said = bash(
            &guest,
            "python3 -c 'import socket; socket.create_server((\"127.0.0.1\", 0))' 2>&1 | tail -1",
        )
        .await;
        assert!(said.out.contains("Network is unreachable"), "{said:?}");
        bench.end().await;
        return;
    }
    let lo = "python -c 'import socket; s = socket.create_server((\"127.0.0.1\", 0)); socket.create_connection(s.getsockname()); print(1)'";
    assert_eq!(bash(&guest, lo).await.out, "1\n");
    bench.end().await;
}

#[tokio::test]
async fn there_is_one_cpu() {
    let Some((bench, guest)) = inside(Limits::default()).await else {
        return;
    };
    let said = bash(
        &guest,
        "python -c 'import os; print(len(os.sched_getaffinity(0)))'; nproc",
    )
    .await;
    assert_eq!(said.out, "1\n1\n");
    let more = "import os\ntry: os.sched_setaffinity(0, range(os.cpu_count()))\nexcept OSError: pass\n\
                print(len(os.sched_getaffinity(0)))";
    let said = bash(
        &guest,
        &format!("python -c '{more}'; taskset -c 0-63 nproc; nproc"),
    )
    .await;
    assert!(
        said.out.starts_with("1\n") && said.out.ends_with("1\n"),
        "{said:?}"
    );
    bench.end().await;
}

#[tokio::test]
async fn a_program_over_the_memory_limit_is_killed_and_the_guest_lives() {
    let Some((bench, guest)) = inside(SMALL).await else {
        return;
    };
    let hungry = "python3 -c 'x = b\"x\" * (1 << 30)'";
    for _ in 0..3 {
        let said = bash(&guest, hungry).await;
        if bench.kills_at_the_memory_limit() {
            assert_eq!(said.code, 137, "{}", said.err);
        } else {
            assert!(said.err.contains("MemoryError"), "{said:?}");
        }
    }
    // Many that are each within the limit.
    let many = "for n in 1 2 3 4; do python3 -c 'import time; x = b\"x\" * (60 << 20); time.sleep(2)' & done; \
                for n in 1 2 3 4; do wait -n; echo $?; done";
    let said = bash(&guest, many).await;
    assert!(said.code == 137 || said.out.contains("137\n"), "{said:?}");
    assert!(guest.ping().await.is_ok());
    assert_eq!(bash(&guest, "echo alive").await.out, "alive\n");
    bench.end().await;
}

#[tokio::test]
async fn shared_memory_counts_as_memory_and_is_small() {
    let Some((bench, guest)) = inside(SMALL).await else {
        return;
    };
    if bench.has_namespaces() {
        let said = bash(&guest, "df -k --output=size /dev/shm | tail -1").await;
        assert_eq!(said.out.trim(), "65536");
    } else {
        // A directory that the sandbox's end empties, and part of its disk.
        let said = bash(&guest, "ls -A /dev/shm; head -c 1G /dev/zero > /dev/shm/x").await;
        assert_eq!((said.out.as_str(), said.code), ("", 153), "{said:?}");
        let python = "from multiprocessing import shared_memory as s; m = s.SharedMemory(create=True, size=9); m.unlink(); print(1)";
        assert_eq!(
            bash(&guest, &format!("python3 -c '{python}'")).await.out,
            "1\n"
        );
    }
    bench.end().await;
}

#[tokio::test]
async fn a_fork_bomb_stops_at_the_process_limit_and_the_guest_lives() {
    let Some((bench, guest)) = inside(SMALL).await else {
        return;
    };
    let bomb = "python3 -c 'import os\nwhile True:\n    if os.fork() == 0: os.execlp(\"sleep\", \"sleep\", \"1000\")'";
    let said = bash(&guest, bomb).await;
    assert!(
        format!("{}{}", said.out, said.err).contains("Resource temporarily unavailable"),
        "{said:?}"
    );
    assert!(guest.ping().await.is_ok());
    assert_eq!(bash(&guest, "echo alive").await.out, "alive\n");
    bench.end().await;
}

#[tokio::test]
async fn a_file_stops_at_the_size_of_the_disk() {
    let Some((bench, guest)) = inside(SMALL).await else {
        return;
    };
    let said = bash(
        &guest,
        "python3 -c 'open(\"big\", \"wb\").truncate(1 << 30)'; stat -c %s big",
    )
    .await;
    assert_eq!(said.out, "0\n", "{}", said.err);
    assert_eq!(bash(&guest, "ulimit -f; ulimit -c").await.out, "65536\n0\n");
    bench.end().await;
}

#[tokio::test]
async fn pid_1_cannot_be_killed_or_looked_into() {
    let Some((bench, guest)) = inside(SMALL).await else {
        return;
    };
    bash(&guest, "kill -9 1; kill -TERM 1; kill -STOP 1; sleep 0.1").await;
    assert!(guest.ping().await.unwrap() < Duration::from_secs(5));
    let said = bash(
        &guest,
        "cat /proc/1/environ; cat /proc/1/mem; ls /proc/1/fd; readlink /proc/1/exe",
    )
    .await;
    assert_eq!(said.out, "", "{}", said.err);
    bench.end().await;
}

#[tokio::test]
async fn memory_and_its_tools_tell_the_sandbox_s_limit_and_cannot_be_made_to_lie() {
    let Some((bench, guest)) = inside(Limits::default()).await else {
        return;
    };
    if !bench.tells_its_memory() {
        // What it tells is the machine's; it cannot be made to lie all the same.
        let said = bash(&guest, "echo 'MemTotal: 1 kB' > /proc/meminfo").await;
        assert_ne!(said.code, 0, "{said:?}");
        bench.end().await;
        return;
    }
    let total = Limits::default().memory_bytes / 1024;
    let said = bash(
        &guest,
        "grep -E '^(MemTotal|SwapTotal)' /proc/meminfo | tr -s ' '",
    )
    .await;
    assert_eq!(
        said.out,
        format!("MemTotal: {total} kB\nSwapTotal: 0 kB\n"),
        "{}",
        said.err
    );
    let said = bash(&guest, "command -v free >/dev/null || exit 9; free -k").await;
    if said.code != 9 {
        let row = said.out.lines().nth(1).unwrap_or_default();
        let numbers: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(numbers[..2], ["Mem:", &total.to_string()], "{}", said.out);
    }
    for attempt in [
        "echo 'MemTotal: 1 kB' > /proc/meminfo",
        "chmod 666 /proc/meminfo && echo x >> /proc/meminfo",
        "rm -f /proc/meminfo",
        "umount /proc/meminfo",
    ] {
        assert_ne!(bash(&guest, attempt).await.code, 0, "{attempt}");
    }
    let said = bash(&guest, "head -1 /proc/meminfo | tr -s ' '").await;
    assert_eq!(said.out, format!("MemTotal: {total} kB\n"));
    bench.end().await;
}

#[tokio::test]
async fn the_disk_is_as_large_and_as_full_as_the_sandbox_s() {
    const FILE: u64 = 64 << 20;
    // Small beside what this machine's disk has free: else that is what programs are told, and others write to it.
    let limit = 1 << 30;
    let limits = Limits {
        disk_bytes: limit,
        ..Limits::default()
    };
    let Some((bench, guest)) = inside(limits).await else {
        return;
    };
    // A file system keeps a little for itself.
    let size = limit / 10 * 9..=limit;
    let numbers = async |command: String| -> Vec<u64> {
        let said = bash(&guest, &command).await;
        let numbers = said.out.split_whitespace().map(str::parse).collect();
        let Ok(numbers) = numbers else {
            panic!("{command}: {said:?}");
        };
        numbers
    };
    for place in ["/", "~", ".", "/tmp", "/files", "$OUTPUT_DIR"] {
        let told = numbers(format!("df -B1 --output=size,avail {place} | tail -1")).await;
        assert!(size.contains(&told[0]), "{place}: {told:?}");
        assert!(told[1] <= told[0], "{place}: {told:?}");
    }
    let python = "import os, shutil; d = os.open(\".\", os.O_RDONLY); v = os.fstatvfs(d); \
                  print(shutil.disk_usage(\"/tmp\").total, v.f_blocks * v.f_frsize)";
    for told in numbers(format!("python3 -c '{python}'")).await {
        assert!(size.contains(&told), "{told}");
    }
    let free = "df -B1 --output=avail ~ | tail -1";
    let before = counted(async || numbers(free.to_owned()).await[0]).await;
    let said = bash(
        &guest,
        &format!("head -c {FILE} /dev/zero > ~/big; sync ~/big"),
    )
    .await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let after = counted(async || numbers(free.to_owned()).await[0]).await;
    let grown = before.saturating_sub(after);
    assert!((FILE..FILE * 2).contains(&grown), "{before} {after}");
    // What is not there is the kernel's to say.
    let said = bash(&guest, "df /nowhere; stat -f ''").await;
    assert!(said.err.contains("No such file or directory"), "{said:?}");
    let bad = "import ctypes, errno; c = ctypes.CDLL(None, use_errno=True); r = c.statfs(b\"/\", 8); \
               print(r, ctypes.get_errno() == errno.EFAULT, c.fstatfs(99, 8), ctypes.get_errno() == errno.EBADF)";
    assert_eq!(
        bash(&guest, &format!("python3 -c '{bad}'")).await.out,
        "-1 True -1 True\n"
    );
    bench.end().await;
}

/// The room on a disk that has been counted: said twice alike, but for the directory that each call leaves. A watch
/// counts a second after a call, or when the machine comes to it; until then what others write on the same disk counts.
async fn counted(room: impl AsyncFn() -> u64) -> u64 {
    const ALIKE: u64 = 64 << 10;
    let mut last = room().await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = room().await;
        if last.abs_diff(now) < ALIKE {
            return now;
        }
        last = now;
    }
    panic!("the room on the disk changes and changes: {last}");
}

#[tokio::test]
async fn pip_fails_for_want_of_a_network_and_of_nothing_else() {
    let Some((bench, guest)) = inside(Limits::default()).await else {
        return;
    };
    if bash(&guest, "python3 -m pip --version").await.code != 0 {
        eprintln!("SKIPPED, nothing was tested: this machine's Python has no pip");
        bench.end().await;
        return;
    }
    for pip in ["python3 -m pip", "pip"] {
        let said = bash(&guest, &format!("{pip} install --retries 1 left-over")).await;
        assert_eq!(said.code, 1, "{pip}: {} {}", said.out, said.err);
        // For one family of addresses alone the C library knows but one word.
        let resolver = if bench.has_namespaces() {
            "Temporary failure in name resolution"
        } else {
            "Name or service not known"
        };
        for words in [
            resolver,
            "ERROR: Could not find a version that satisfies the requirement left-over (from versions: none)",
            "ERROR: No matching distribution found for left-over",
        ] {
            assert!(said.err.contains(words), "{pip}: {}", said.err);
        }
        assert!(!said.err.contains("externally-managed"), "{}", said.err);
    }
    bench.end().await;
}
