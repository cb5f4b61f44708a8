//! Files that come back are regular ones of the output directory, whatever a program puts there.

use std::time::Duration;

use sandbox::guest::{ExecCall, ExecKind, ExecResult};
use tokio::io::AsyncReadExt as _;

use crate::case::{Case, Must, names, run};
use crate::site::{INPUT, Kind, Site};

pub(crate) async fn hold(kind: Kind) {
    run(kind, CASES).await;
    races(kind).await;
}

fn nothing(done: &ExecResult) -> bool {
    done.outputs.is_empty() && done.too_large.is_empty() && done.left_out == 0
}

fn one(done: &ExecResult) -> bool {
    names(done) == ["real"] && done.outputs[0].size == 5
}

fn a_thousand(done: &ExecResult) -> bool {
    done.outputs.len() == 1000 && done.left_out == 9000
}

fn refused(done: &ExecResult) -> bool {
    names(done) == [&"n".repeat(255)[..], "real"] && done.refused.len() == 6
}

pub(crate) const CASES: &[Case] = &[
    Case::bash(
        "links to files",
        r#"cd "$OUTPUT_DIR"; echo real > real
           for to in /etc/passwd /etc/shadow /proc/1/environ "$CANARY_FILE" /proc/self/mem real ../../../etc/hosts; do ln -s "$to" "link-$RANDOM$RANDOM"; done"#,
    )
    .must(Must::Give(one)),
    Case::bash(
        "links to directories and loops of links",
        r#"cd "$OUTPUT_DIR"; echo real > real; ln -s / root; ln -s . here; ln -s b a; ln -s a b; ln -s /proc/1 guest"#,
    )
    .must(Must::Give(one)),
    Case::bash(
        "hard links to files of others",
        r#"cd "$OUTPUT_DIR"; echo real > real
           for from in /etc/shadow /etc/passwd /.sandtable/guest /proc/1/environ /bin/bash; do ln "$from" "hard-$RANDOM" && echo "ESCAPED: $from"; done; true"#,
    )
    .must(Must::End),
    Case::bash(
        "FIFOs, sockets, and devices",
        r#"cd "$OUTPUT_DIR"; echo real > real; mkfifo fifo; mknod device c 1 5
           python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'"#,
    )
    .must(Must::Give(one)),
    Case::bash(
        "the output directory as a link",
        r#"cd /; rmdir "$OUTPUT_DIR"; ln -s /etc "$OUTPUT_DIR""#,
    )
    .must(Must::Give(nothing)),
    Case::bash(
        "the output directory as a file, gone, or closed",
        r#"cd /; rmdir "$OUTPUT_DIR"; echo x > "$OUTPUT_DIR""#,
    )
    .must(Must::Give(nothing)),
    Case::bash(
        "the directory above the outputs as a link",
        r"cd /; mv /files/output /files/moved; ln -s /etc /files/output",
    )
    .must(Must::Give(nothing))
    .messy(),
    Case::bash(
        "the directories above as files",
        r"cd /; rm -rf /files/output /files/input; echo x > /files/output; echo x > /files/input",
    )
    .must(Must::Give(nothing))
    .messy(),
    Case::bash(
        "everything closed with chmod 000",
        r#"cd /; echo real > "$OUTPUT_DIR/real"; chmod 000 "$OUTPUT_DIR" /files/output /files/input /files /home/user /tmp 2>/dev/null; true"#,
    )
    .must(Must::End)
    .messy(),
    Case::bash(
        "names too long, with newlines, and not UTF-8",
        r#"cd "$OUTPUT_DIR"; echo real > real; echo x > "$(printf 'n%.0s' $(seq 255))"
           echo x > $'new\nline'; echo x > $'\xff\xfe'; echo x > 'a:b'; echo x > 'a\b'; echo x > '"'; echo x > $'\x1b[2J'"#,
    )
    .must(Must::Give(refused)),
    Case::python(
        "ten thousand files",
        r#"
for n in range(10000):
    os.close(os.open(f"{os.environ['OUTPUT_DIR']}/{n:05}", os.O_CREAT | os.O_WRONLY))
"#,
    )
    .must(Must::Give(a_thousand)),
    Case::python(
        "directories a thousand deep",
        r#"
os.chdir(os.environ["OUTPUT_DIR"])
open("real", "w").write("real\n")
for _ in range(1000):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
"#,
    )
    .must(Must::End)
    .messy(),
    Case::bash(
        "a sparse file larger than is allowed",
        r#"cd "$OUTPUT_DIR"; truncate -s 1T huge; truncate -s 600M large; echo real > real; rm -f huge large"#,
    )
    .must(Must::Give(one)),
    Case::bash(
        "the call before's files",
        r#"cd "$OUTPUT_DIR/.."; for other in *; do [ "$other" != "${OUTPUT_DIR##*/}" ] && cp -r "$other" "$OUTPUT_DIR/" 2>/dev/null; done; echo real > "$OUTPUT_DIR/real""#,
    )
    .must(Must::Give(one)),
];

/// Between the listing and the fetching of a file, it is something else.
async fn races(kind: Kind) {
    let Some(site) = Site::open(kind).await else {
        return;
    };
    let room = site.room("racer").await;
    let swaps = [
        ("a link to a file", r"ln -sf /etc/passwd real"),
        ("a link to the guest", r"ln -sf /proc/1/environ real"),
        ("a FIFO", r"rm real; mkfifo real"),
        ("a directory", r"rm real; mkdir real"),
        (
            "a link above",
            r#"cd ..; mv "$T" moved-$T; mkdir x-$T; ln -s /etc x-$T/real; ln -s x-$T "$T""#,
        ),
        (
            "another directory above",
            r#"cd ..; mv "$T" moved-$T; ln -s /etc "$T"; true"#,
        ),
        (
            "a link two above",
            r"cd /files; mkdir -p o/$T; echo ROOTED > o/$T/real; mv output was; ln -s o output",
        ),
    ];
    for (n, (what, swap)) in swaps.iter().enumerate() {
        let output_dir = format!("{:016x}", 0xace0_0000 + n);
        let call = |command: String, output_dir: String| {
            room.guest.exec(ExecCall {
                kind: ExecKind::Bash(command),
                input_dir: INPUT.to_owned(),
                output_dir,
                timeout: Duration::from_secs(20),
                env: vec![("T".to_owned(), format!("{:016x}", 0xace0_0000 + n))],
            })
        };
        let done = call(
            "echo real > $OUTPUT_DIR/real".to_owned(),
            output_dir.clone(),
        )
        .await;
        assert_eq!(names(&done.unwrap()), ["real"], "{what}");
        let before = room.guest.get_file(&output_dir, "real").await.unwrap();
        let swapped = call(
            format!("cd /files/output/$T; {swap}"),
            format!("{:016x}", 0xbce0_0000 + n),
        );
        swapped.await.unwrap();
        // What was opened stays what it was; what is opened now is no longer there.
        assert_eq!(content(before).await, "real\n", "{what}");
        let after = room.guest.get_file(&output_dir, "real").await;
        assert!(
            after.is_err(),
            "{what}: {:?}",
            content(after.unwrap()).await
        );
        let again = call("echo ok".to_owned(), format!("{:016x}", 0xcce0_0000 + n));
        assert_eq!(again.await.unwrap().stdout, b"ok\n", "{what}");
    }
    // Names and links exchanged as fast as they can be, while calls end.
    for n in 0..10 {
        let command = "cd $OUTPUT_DIR; echo real > a; ln -s /etc/passwd b; \
                       timeout 0.3 python3 -c 'import os\nwhile True: os.rename(\"a\", \"c\"); os.rename(\"b\", \"a\"); os.rename(\"a\", \"b\"); os.rename(\"c\", \"a\")' & \
                       sleep 0.05";
        let output_dir = format!("{:016x}", 0xdce0_0000_u64 + n);
        let call = ExecCall {
            kind: ExecKind::Bash(command.to_owned()),
            input_dir: INPUT.to_owned(),
            output_dir: output_dir.clone(),
            timeout: Duration::from_secs(20),
            env: Vec::new(),
        };
        let done = room.guest.exec(call).await.unwrap();
        for name in names(&done).iter().chain(&["a", "b", "c"]) {
            if let Ok(file) = room.guest.get_file(&output_dir, name).await {
                assert_eq!(content(file).await, "real\n");
            }
        }
    }
    assert_eq!(room.say("echo ok").await.unwrap(), "ok\n");
    drop(room);
    site.close().await;
}

async fn content(mut file: sandbox::guest::FileStream) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).await.unwrap();
    text
}
