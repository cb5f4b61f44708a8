//! Uploads land in their own directory, whatever a program has put in its place.

use sandbox::guest::PutFile;

use crate::site::{INPUT, Kind, Room, Site};

/// The changes that a program makes to the directory before the upload.
const BEFORE: &[(&str, &str)] = &[
    ("nothing", "true"),
    (
        "a link in its place",
        "mkdir -p /tmp/aside; cd /files/input; mv $TAG was; ln -s /tmp/aside $TAG",
    ),
    (
        "a link to nowhere",
        "cd /files/input; mv $TAG was; ln -s /tmp/nowhere $TAG",
    ),
    (
        "a link to the guest",
        "cd /files/input; mv $TAG was; ln -s /proc/1 $TAG",
    ),
    (
        "a file in its place",
        "cd /files/input; mv $TAG was; echo x > $TAG",
    ),
    (
        "a FIFO in its place",
        "cd /files/input; mv $TAG was; mkfifo $TAG",
    ),
    (
        "a link above",
        "mkdir -p /tmp/aside; mv /files/input /files/was; ln -s /tmp/aside /files/input",
    ),
    (
        "a file above",
        "mv /files/input /files/was; echo x > /files/input",
    ),
    (
        "a directory in the file's place",
        "mkdir -p /files/input/$TAG/data.csv/x",
    ),
    (
        "a closed directory with content in the file's place",
        "mkdir -p /files/input/$TAG/data.csv/x/y; echo z > /files/input/$TAG/data.csv/x/z; chmod 000 /files/input/$TAG/data.csv/x /files/input/$TAG/data.csv",
    ),
    (
        "directories in the places of the parts",
        "for n in $(seq 300); do mkdir -p /files/input/$TAG/.put-$n/x /files/input/$TAG/.link/x; done",
    ),
    (
        "a socket above",
        r#"mv /files/input /files/was; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/files/input")'"#,
    ),
    (
        "everything closed",
        "chmod 000 /files/input/$TAG /files/input ~ /files 2>/dev/null; true",
    ),
    (
        "a lease on what is there",
        r#"echo x > /files/input/$TAG/data.csv; (python3 -c 'import fcntl, os, signal, time; signal.signal(signal.SIGIO, signal.SIG_IGN); fd = os.open("/files/input/'$TAG'/data.csv", os.O_RDONLY); fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK); time.sleep(60)' > /dev/null 2>&1 &); sleep 0.2"#,
    ),
    (
        "a link in the file's place",
        "echo keep > ~/kept; ln -sf ~/kept /files/input/$TAG/data.csv",
    ),
    (
        "a link in the part's place",
        "echo keep > ~/kept; for n in $(seq 200); do ln -sf ~/kept /files/input/$TAG/.put-$n; done",
    ),
    (
        "a closed directory",
        "chmod 000 /files/input/$TAG /files/input",
    ),
    (
        "a FIFO in the link's place",
        "rm -f ~/data.csv; mkfifo ~/data.csv",
    ),
    (
        "a directory in the link's place",
        "rm -f ~/data.csv; mkdir ~/data.csv",
    ),
];

pub(crate) async fn hold(kind: Kind) {
    let Some(site) = Site::open(kind).await else {
        return;
    };
    let room = site.room("uploads").await;
    let mut faults = Vec::new();
    for (what, before) in BEFORE {
        let clean = "chmod -R u+rwx /files ~ 2>/dev/null; rm -rf /files/input /files/was /tmp/aside ~/data.csv; mkdir -p /files/input/$TAG";
        run(&room, clean).await;
        run(&room, before).await;
        let put = put(&room, "data.csv").await;
        let aside = run(
            &room,
            "ls -A /tmp/aside 2>/dev/null; cat ~/kept 2>/dev/null",
        )
        .await;
        if !["", "keep\n"].contains(&aside.as_str()) {
            faults.push(format!("{what}: left the tree: {aside:?}"));
        }
        let held = run(
            &room,
            "test -L /files/input || test -L /files/input/$TAG || cat /files/input/$TAG/data.csv",
        )
        .await;
        if held != "a,b\n" {
            faults.push(format!("{what}: {put:?}, {held:?}"));
        }
        let works = run(&room, "echo ok").await;
        if works != "ok\n" {
            faults.push(format!("{what}: afterwards {works:?}"));
        }
    }
    for name in [
        "",
        ".",
        "..",
        "../x",
        "/etc/x",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        "a:b",
        "<x>",
        &"n".repeat(256),
        &"ä".repeat(255),
    ] {
        if put(&room, name).await.is_ok() {
            faults.push(format!("{name:?} was taken"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    drop(room);
    site.close().await;
}

async fn run(room: &Room, command: &str) -> String {
    room.say(&format!("TAG={INPUT}; {command}"))
        .await
        .unwrap_or_else(|error| error)
}

async fn put(room: &Room, name: &str) -> Result<(), String> {
    let file = PutFile {
        name,
        input_dir: INPUT,
    };
    let content = room.guest.put_file(file, &mut &b"a,b\n"[..]).await;
    content.map(drop).map_err(|error| error.to_string())
}
