//! The editor runs in the guest itself: it must reach no further than the code it edits.

use std::time::Duration;

use sandbox::Limits;
use sandbox::guest::{Edit, EditCall, EditErrorKind, EditOutcome, GuestError, View};

use crate::case::Program;
use crate::site::{INPUT, Kind, LIMITS, Room, Site};

/// Paths that must be neither shown nor written, and what leads there.
const BEYOND: &[&str] = &[
    "/proc/1/environ",
    "/proc/self/environ",
    "/proc/thread-self/environ",
    "/proc/1/mem",
    "/proc/self/mem",
    "/proc/1/maps",
    "/proc/1/fd/0",
    "/proc/1/fd/1",
    "/proc/self/fd/1",
    "/proc/1/fd/2",
    "/proc/1/cmdline",
    "/proc/1/oom_score_adj",
    "/proc/self/oom_score_adj",
    "/proc/self/comm",
    "/proc/self/timerslack_ns",
    "/proc/self/coredump_filter",
    "/proc/1/task/1/comm",
    "/proc/1/root/proc/1/environ",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/zero",
    "/dev/random",
    "/dev/tty",
    "/dev/stdin",
    "/dev/stdout",
    "/dev/fd/0",
    "/dev/shm",
    "/etc/shadow",
    "/proc/kmsg",
    "/proc/sysrq-trigger",
    "/proc/kcore",
    "to-environ",
    "to-comm",
    "to-guest/environ",
    "to-guest/oom_score_adj",
    "../../../proc/1/environ",
    "$INPUT_DIR/../../../proc/1/environ",
    "$OUTPUT_DIR//proc/1/environ/",
    "~/../../proc/self/comm",
    "loop",
    "loop-a",
    "fifo",
    "socket",
    "device",
];
/// Paths that can be seen by all, and written by nobody.
const READ_ONLY: &[&str] = &[
    "/etc/passwd",
    "/etc/hosts",
    "/.sandtable/guest",
    "/usr/bin/env",
    "/sys/kernel/uevent_seqnum",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/new",
    "/etc/new",
    "/.sandtable/new",
    "../../etc/new",
    "$INPUT_DIR/../../../new",
];

pub(crate) async fn hold(kind: Kind) {
    let Some(site) = Site::open(kind).await else {
        return;
    };
    let room = site.room("editor").await;
    let prepare = "mkfifo fifo; ln -s loop loop; ln -s loop-b loop-a; ln -s loop-a loop-b; ln -s /dev/zero device; \
                   ln -s /proc/1/environ to-environ; ln -s /proc/self/comm to-comm; ln -s /proc/1 to-guest; \
                   python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'";
    room.say(prepare).await.unwrap();
    let before = state(&room).await;
    let mut faults = Vec::new();
    for path in BEYOND {
        if let Some(shown) = view(&room, path).await {
            faults.push(format!("view {path}: {shown:.200?}"));
        }
    }
    for path in BEYOND.iter().chain(READ_ONLY) {
        if create(&room, path, "1000").await {
            faults.push(format!("create {path}"));
        }
        if replace(&room, path).await {
            faults.push(format!("str_replace {path}"));
        }
    }
    let canary = site.canary.env();
    for (_, path) in canary
        .iter()
        .filter(|(name, _)| name == "CANARY_FILE" || name == "CANARY_SOCKET")
    {
        if view(&room, path).await.is_some() {
            faults.push(format!("view {path}"));
        }
    }
    // Made in the sandbox, if it may be made at all: the host's stays as it is.
    create(&room, &canary[0].1, "changed").await;
    faults.extend(site.canary.harm());
    for path in [
        "a\0b",
        "",
        "/",
        ".",
        "..",
        &"x".repeat(300),
        &"x/".repeat(3000),
    ] {
        if create(&room, path, "x").await {
            faults.push(format!("create {path:.40?}"));
        }
    }
    assert_eq!(state(&room).await, before);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(
        view(&room, "/proc/cpuinfo").await.is_some(),
        "what all may see stays to be seen"
    );
    drop(room);
    let roomy = Limits {
        memory_bytes: 2 << 30,
        disk_bytes: 2 << 30,
        ..LIMITS
    };
    let room = site.room_with("large", roomy).await;
    large(&room).await;

    let program = Program::Bash("echo ok");
    let done = site
        .exec(&room.guest, program, Duration::from_secs(10))
        .await;
    assert_eq!(done.unwrap().stdout, b"ok\n");
    drop(room);
    site.close().await;
}

/// The guest, as far as others can see it.
async fn state(room: &Room) -> String {
    room.say("cat /proc/1/comm /proc/1/oom_score_adj; md5sum /etc/passwd; hostname")
        .await
        .unwrap()
}

/// Texts as large as a call can carry, and larger.
async fn large(room: &Room) {
    for megabytes in [16, 64, 100] {
        let text = "x".repeat(megabytes << 20);
        let edit = Edit::Create {
            path: "large".to_owned(),
            file_text: text.clone(),
        };
        match ask(room, edit).await {
            Ok(_) | Err(GuestError::TooLarge { .. } | GuestError::Refused { .. }) => {}
            Err(error) => panic!("{megabytes} MB: {error}"),
        }
        let edit = Edit::StrReplace {
            path: "large".to_owned(),
            old_str: text,
            new_str: "y".repeat(megabytes << 20),
        };
        match ask(room, edit).await {
            Ok(_) | Err(GuestError::TooLarge { .. } | GuestError::Refused { .. }) => {}
            Err(error) => panic!("{megabytes} MB: {error}"),
        }
    }
    room.say("rm -f large").await.unwrap();
}

async fn ask(room: &Room, edit: Edit) -> Result<Result<EditOutcome, EditErrorKind>, GuestError> {
    let call = EditCall {
        edit,
        input_dir: INPUT.to_owned(),
        output_dir: "00000000ed170000".to_owned(),
    };
    Ok(room.guest.edit(call).await?.map_err(|error| error.kind))
}

async fn view(room: &Room, path: &str) -> Option<String> {
    let edit = Edit::View {
        path: path.to_owned(),
        view_range: None,
    };
    match ask(room, edit).await.unwrap() {
        Ok(EditOutcome::View(View::Text { content, .. })) => Some(content),
        Ok(other) => Some(format!("{other:?}")),
        Err(_) => None,
    }
}

async fn create(room: &Room, path: &str, text: &str) -> bool {
    let edit = Edit::Create {
        path: path.to_owned(),
        file_text: text.to_owned(),
    };
    ask(room, edit).await.unwrap().is_ok()
}

async fn replace(room: &Room, path: &str) -> bool {
    let edit = Edit::StrReplace {
        path: path.to_owned(),
        old_str: "0".to_owned(),
        new_str: "1".to_owned(),
    };
    ask(room, edit).await.unwrap().is_ok()
}
