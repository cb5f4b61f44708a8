//! The differences of sandboxes without namespaces: paths are exchanged, calls answered.

use sandbox::Limits;
use sandbox::guest::Guest;

use crate::bench::{Bench, ISOLATION, contract};
use crate::talk::{bash, new_spec, wake};

/// All of this again where namespaces may be made, so that the third rung is tested there, too.
#[test]
fn forced() {
    if std::env::var_os(ISOLATION).is_some() {
        return;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--test-threads",
            "2",
            "--skip",
            "contained::",
            "--skip",
            "user::",
        ])
        .env(ISOLATION, "landlock")
        .status()
        .unwrap();
    assert!(status.success());
}

/// Machines whose folder for temporary files is memory.
#[test]
fn a_disk_in_memory_is_as_large_as_any() {
    let df = std::process::Command::new("df")
        .args(["-B1", "--output=avail", "/dev/shm"])
        .output()
        .unwrap();
    let room = String::from_utf8_lossy(&df.stdout);
    let room = room
        .lines()
        .nth(1)
        .and_then(|room| room.trim().parse().ok());
    // Twice what the sandbox of the test may hold. Containers have 64 MiB there.
    if room.is_none_or(|bytes: u64| bytes < 2 << 30) {
        eprintln!("SKIPPED, nothing was tested: /dev/shm has no room for a disk");
        return;
    }
    let test = "inside::the_disk_is_as_large_and_as_full_as_the_sandbox_s";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ISOLATION, "landlock")
        .env("TMPDIR", "/dev/shm")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

async fn awake() -> Option<(Bench, Guest)> {
    let bench = contract().await?;
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    Some((bench, guest))
}

async fn says(command: &str, wanted: &str) {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let said = bash(&guest, command).await;
    assert_eq!(said.out, wanted, "{}", said.err);
    bench.end().await;
}

#[tokio::test]
async fn programs_and_scripts_of_the_container_run_by_every_kind_of_path() {
    says(
        r#"
cp /bin/true /tmp/program; cp /bin/true program
/tmp/program && echo absolute; ./program && echo relative; env -i /tmp/program && echo bare
printf '#!/bin/bash\necho "$0 $*"\n' > /tmp/script; chmod +x /tmp/script
/tmp/script a; (cd /tmp; ./script b)
printf '#!/tmp/script -x\n' > nested; chmod +x nested; /home/user/nested c; ./nested d
ln -s /tmp/script link; ./link e; /proc/self/cwd/link f
python3 -c 'import subprocess; subprocess.run(["/tmp/script", "g"], env={}); subprocess.run("/tmp/script h", shell=True)'
python3 -m venv --without-pip /tmp/venv && /tmp/venv/bin/python -c 'import sys; print(sys.executable)'
printf '#!/tmp/venv/bin/python\nprint(__file__)\n' > own.py; chmod +x own.py; ./own.py
"#,
        "absolute\nrelative\nbare\n/tmp/script a\n./script b\n/tmp/script -x /home/user/nested c\n\
         /tmp/script -x ./nested d\n./link e\n/proc/self/cwd/link f\n/tmp/script g\n/tmp/script h\n\
         /tmp/venv/bin/python\n/home/user/./own.py\n",
    )
    .await;
}

/// `static/reads.s`, assembled.
#[cfg(target_arch = "x86_64")]
const STATIC: &str = "\
f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAABAAAAAAAAAAEAAAAHAAAAeAAAAAAAAAB4AE\
AAAAAAAHgAQAAAAAAAbgAAAAAAAABuAAAAAAAAAAEAAAAAAAAASIHsAAEAALgCAAAASI09TwAAADH2DwWJxzHASInmuoAAAAAPBYnDuAIAAABI\
jT03AAAAvkEAAAC6pAEAAA8Fice4AQAAAEiJ5onaDwW4AQAAAL8BAAAADwW4PAAAADH/DwUvdG1wL2luAG91dAA=";

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn a_static_program_finds_the_container_s_paths() {
    says(
        &format!(
            r"
echo {STATIC} | base64 -d > /tmp/static; chmod +x /tmp/static; echo through > /tmp/in
mkdir -p below; cd below; /tmp/static; cat ~/below/out; ../../../tmp/static; find ~ /tmp -name out
"
        ),
        "through\nthrough\nthrough\n/home/user/below/out\n",
    )
    .await;
}

#[tokio::test]
async fn links_and_ways_up_lead_where_the_names_say() {
    says(
        r#"
mkdir -p /tmp/a/b; echo x > /tmp/a/b/c; ln -s /tmp/a here; ln -s ../../tmp/a/b up
cat here/b/c up/c /tmp/a/../a/b/c /home/../tmp/a/b/c ../../tmp/a/b/c; cd here; pwd; pwd -P; cd ..; pwd -P
readlink /home/user/here; readlink -f /home/user/up/c; realpath here
cd /tmp/a/b; cat ../../../home/user/here/b/c; python3 -c 'import os; print(os.getcwd(), os.path.realpath("/home/user/up"))'
find -L /home/user/here -name c; ls -d /tmp /files /skills /home/user; mv /tmp/a/b/c /home/user/moved && cat ~/moved
"#,
        "x\nx\nx\nx\nx\n/home/user/here\n/tmp/a\n/home/user\n/tmp/a\n/tmp/a/b/c\n/tmp/a\nx\n/tmp/a/b /tmp/a/b\n/home/user/here/b/c\n\
         /files\n/home/user\n/skills\n/tmp\nx\n",
    )
    .await;
}

#[tokio::test]
async fn pipes_by_name_sockets_by_path_and_locks_work() {
    says(
        r#"
mkfifo /tmp/pipe; (echo through > /tmp/pipe &); cat /tmp/pipe; echo in | cat /dev/stdin; cat <(echo part)
python3 - <<'END'
import fcntl, multiprocessing, os, socket
server = socket.socket(socket.AF_UNIX); server.bind("/tmp/socket"); server.listen(); print(server.getsockname())
client = socket.socket(socket.AF_UNIX); client.connect("/tmp/socket"); client.send(b"hi"); print(server.accept()[0].recv(9))
os.chmod("/tmp/socket", 0o600); os.utime("/tmp/socket", (1, 2)); print(oct(os.stat("/tmp/socket").st_mode), os.stat("/tmp/socket").st_mtime)
manager = multiprocessing.Manager(); shared = manager.dict(); shared["a"] = 1; print(dict(shared))
with multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1, -2]))
END
"#,
        "through\nin\npart\n/tmp/socket\nb'hi'\n0o140600 2.0\n{'a': 1}\n[1, 2]\n",
    )
    .await;
}

#[tokio::test]
async fn nothing_outside_has_its_mode_owner_or_times_changed() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let outside = bench.folder.path().join("outside");
    std::fs::write(&outside, "x").unwrap();
    let before = std::fs::metadata(&outside).unwrap();
    let code = format!(
        "import os\nfor path in {:?}, '/usr/bin', '/etc/passwd', '/proc/1', '/proc/self/root{}':\n    \
         for change in (lambda: os.chmod(path, 0o777)), (lambda: os.utime(path, (1, 1))), (lambda: os.chown(path, os.getuid(), -1)), (lambda: os.setxattr(path, 'user.x', b'x')):\n        \
         try: change(); print('changed', path)\n        \
         except OSError: pass\n\
         fd = os.open('/usr/bin/env', os.O_RDONLY)\nfor change in (lambda: os.fchmod(fd, 0o777)), (lambda: os.utime(fd, (1, 1))):\n    \
         try: change(); print('changed')\n    \
         except OSError: pass\n",
        outside.display().to_string(),
        outside.display(),
    );
    bash(&guest, &format!("cat > try.py <<'END'\n{code}\nEND")).await;
    let said = bash(&guest, "python3 try.py && echo done").await;
    assert_eq!(said.out, "done\n", "{}", said.err);
    let after = std::fs::metadata(&outside).unwrap();
    assert_eq!(after.permissions(), before.permissions());
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    bench.end().await;
}
