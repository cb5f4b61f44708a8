//! Bash, Python, the editor, and files, in a sandbox of any backend.

use std::time::{Duration, Instant};

use sandbox::guest::{
    Edit, EditCall, EditErrorKind, EditOutcome, ExecCall, ExecKind, Guest, Outcome, PutFile,
};
use sandbox::{Launcher as _, Limits};
use tokio::io::AsyncReadExt as _;

use super::bench::{Bench, contract};
use super::talk::{INPUT_DIR, bash, exec, exec_within, new_output_dir, new_spec, wake};

async fn awake() -> Option<(Bench, Guest)> {
    let bench = contract().await?;
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    Some((bench, guest))
}

#[tokio::test]
async fn output_is_handed_back_byte_for_byte() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let command = ExecKind::Bash(r"printf '\x00\xff\xfe'; printf 'e\x01' >&2; exit 3".to_owned());
    let done = exec(&guest, command).await.unwrap();
    assert_eq!(done.return_code, 3);
    assert_eq!(done.stdout, [0, 0xff, 0xfe]);
    assert_eq!(done.stderr, [b'e', 1]);
    bench.end().await;
}

#[tokio::test]
async fn python_runs_as_a_cell() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let kind = ExecKind::Python {
        code: "import sys, multiprocessing as m\n\
               if __name__ == '__main__':\n    print(sys.argv[0], m.Pool(2).map(abs, [-1, -2]))\n"
            .to_owned(),
        tag: "srvtoolu_01cell".to_owned(),
    };
    let done = exec(&guest, kind).await.unwrap();
    let out = String::from_utf8(done.stdout).unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!(out, "/tmp/srvtoolu_01cell/cell.py [1, 2]\n", "{err}");
    bench.end().await;
}

#[tokio::test]
async fn the_editor_makes_changes_and_says_what_it_cannot() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let edit = async |edit: Edit| {
        let call = EditCall {
            edit,
            input_dir: INPUT_DIR.to_owned(),
            output_dir: new_output_dir(),
        };
        guest.edit(call).await.unwrap()
    };
    let create = |path: &str, text: &str| Edit::Create {
        path: path.to_owned(),
        file_text: text.to_owned(),
    };
    edit(create("config.yaml", "port: 5432\n")).await.unwrap();
    let replace = Edit::StrReplace {
        path: "config.yaml".to_owned(),
        old_str: "5432".to_owned(),
        new_str: "3306".to_owned(),
    };
    let replaced = edit(replace).await.unwrap();
    assert!(
        matches!(replaced, EditOutcome::StrReplace { hunk: Some(_) }),
        "{replaced:?}"
    );
    assert_eq!(bash(&guest, "cat config.yaml").await.out, "port: 3306\n");
    // Whether the kernel says that it is read-only or another's.
    for path in ["/usr/bin/x", "/etc/x"] {
        let refused = edit(create(path, "")).await.unwrap_err();
        assert_eq!(refused.kind, EditErrorKind::PermissionDenied, "{refused:?}");
    }
    let view = Edit::View {
        path: "config.yaml/x".to_owned(),
        view_range: None,
    };
    let refused = edit(view).await.unwrap_err();
    assert_eq!(refused.kind, EditErrorKind::FileNotFound, "{refused:?}");
    bash(&guest, "ln -s target link").await;
    for is_file_update in [false, true] {
        let done = edit(create("link", "a\n")).await.unwrap();
        assert_eq!(done, EditOutcome::Create { is_file_update });
    }
    assert_eq!(bash(&guest, "cat target").await.out, "a\n");
    if bench.has_namespaces() {
        let fill = "cd /dev/shm; yes | head -c 4000 > notes; echo needle >> notes; cat /dev/zero > rest; sha256sum notes";
        let before = bash(&guest, fill).await.out;
        let long = Edit::StrReplace {
            path: "/dev/shm/notes".to_owned(),
            old_str: "needle".to_owned(),
            new_str: "pin".repeat(100_000),
        };
        let full = edit(long).await.unwrap_err();
        assert_eq!(full.kind, EditErrorKind::Io, "{full:?}");
        let after = bash(&guest, "cd /dev/shm; sha256sum notes; rm *").await.out;
        assert_eq!(after, before, "an edit that fails changes nothing");
    }
    bench.end().await;
}

#[tokio::test]
async fn files_go_in_and_come_out() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let target = PutFile {
        name: "in.bin",
        input_dir: INPUT_DIR,
    };
    guest.put_file(target, &mut bytes.as_slice()).await.unwrap();
    let output_dir = new_output_dir();
    let call = ExecCall {
        kind: ExecKind::Bash(
            "cmp in.bin $INPUT_DIR/in.bin && cp in.bin $OUTPUT_DIR/out.bin".to_owned(),
        ),
        input_dir: INPUT_DIR.to_owned(),
        output_dir: output_dir.clone(),
        timeout: Duration::from_mins(1),
        env: Vec::new(),
    };
    let done = guest.exec(call).await.unwrap();
    let names: Vec<_> = done
        .outputs
        .iter()
        .map(|file| (file.name.as_str(), file.size))
        .collect();
    assert_eq!(names, [("out.bin", 3_000_000)], "{done:?}");
    let mut back = Vec::new();
    let mut file = guest.get_file(&output_dir, "out.bin").await.unwrap();
    file.read_to_end(&mut back).await.unwrap();
    assert!(back == bytes, "{} bytes came back changed", back.len());
    bench.end().await;
}

#[tokio::test]
async fn what_a_call_has_closed_comes_out_all_the_same() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    for closing in [
        "chmod 000 $OUTPUT_DIR",
        "chmod 300 $OUTPUT_DIR",
        "chmod 000 $OUTPUT_DIR/a $OUTPUT_DIR",
        "chmod 000 $OUTPUT_DIR/..",
    ] {
        let output_dir = new_output_dir();
        let call = ExecCall {
            kind: ExecKind::Bash(format!("printf x > $OUTPUT_DIR/a; {closing}")),
            input_dir: INPUT_DIR.to_owned(),
            output_dir: output_dir.clone(),
            timeout: Duration::from_mins(1),
            env: Vec::new(),
        };
        let done = guest.exec(call).await.unwrap();
        let names: Vec<_> = done.outputs.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a"], "{closing}: {done:?}");
        let mut back = String::new();
        let mut file = guest.get_file(&output_dir, "a").await.unwrap();
        file.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "x", "{closing}");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_call_over_its_time_ends_with_all_it_started() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let started = Instant::now();
    let command = "echo before; (setsid sleep 1000 &); sleep 1000".to_owned();
    let done = exec_within(&guest, ExecKind::Bash(command), Duration::from_millis(500))
        .await
        .unwrap();
    assert_eq!(
        (done.outcome, done.stdout),
        (Outcome::TimedOut, b"before\n".to_vec())
    );
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(bash(&guest, "pgrep -c sleep").await.out, "0\n");
    bench.end().await;
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_ended() {
    let Some((bench, guest)) = awake().await else {
        return;
    };
    let call = exec(
        &guest,
        ExecKind::Bash("touch running; sleep 1000".to_owned()),
    );
    let seen = async { while bash(&guest, "ls running").await.code != 0 {} };
    tokio::select! {
        outcome = call => panic!("{outcome:?}"),
        () = seen => {}
    }
    while bash(&guest, "pgrep -c sleep").await.out != "0\n" {}
    bench.end().await;
}

#[tokio::test]
async fn a_skill_s_new_files_lie_in_an_empty_place() {
    let Some(bench) = contract().await else {
        return;
    };
    let spec = new_spec(Limits::default());
    let guest = wake(&bench, &spec).await;
    bench
        .backend
        .prepare_skills(&spec.sandbox_id)
        .await
        .unwrap();
    let put = async |path: &str| {
        guest
            .put_skill_file(path.to_owned(), b"text")
            .await
            .unwrap();
    };
    guest.new_skill("maps".to_owned()).await.unwrap();
    put("maps/SKILL.md").await;
    put("maps/old/data.txt").await;
    // As a program may leave it: closed, and with a link out of it.
    let mess = "cd /skills/maps; touch ~/kept; ln -s ~/kept out; mkdir shut; touch shut/in; chmod 0 shut; chmod 555 .";
    assert_eq!(bash(&guest, mess).await.code, 0);
    guest.new_skill("maps".to_owned()).await.unwrap();
    put("maps/SKILL.md").await;
    let look = bash(&guest, "find /skills/maps -mindepth 1; ls ~/kept").await;
    assert_eq!(look.out, "/skills/maps/SKILL.md\n/home/user/kept\n");
    // Where a file or a link stands in its way.
    assert_eq!(
        bash(
            &guest,
            "mv /skills/maps /skills/.mine; ln -s ~ /skills/maps"
        )
        .await
        .code,
        0
    );
    guest.new_skill("maps".to_owned()).await.unwrap();
    put("maps/SKILL.md").await;
    assert_eq!(
        bash(&guest, "ls /skills/maps; ls ~").await.out,
        "SKILL.md\nkept\n"
    );
    let wrong = guest.new_skill("../home".to_owned()).await;
    assert!(wrong.is_err(), "{wrong:?}");
    bench.end().await;
}
