//! Programs: environment, output, and what they leave in `$OUTPUT_DIR`.

use std::time::Instant;

use super::*;

#[tokio::test]
async fn a_command_gives_its_output_its_errors_and_its_return_code() {
    let sandbox = Sandbox::start().await;
    let result = sandbox.bash(1, "echo out; echo err >&2; exit 3").await;
    assert_eq!(result.outcome, Outcome::Exited);
    assert_eq!(result.return_code, 3);
    assert_eq!(result.stdout, b"out\n");
    assert_eq!(result.stderr, b"err\n");
    assert!(result.outputs.is_empty());
}

#[tokio::test]
async fn death_by_a_signal_is_128_and_its_number() {
    let sandbox = Sandbox::start().await;
    let result = sandbox.bash(1, "kill -SEGV $$").await;
    assert_eq!(
        (result.outcome, result.return_code),
        (Outcome::Exited, 128 + 11)
    );
}

#[tokio::test]
async fn output_that_is_no_text_comes_back_byte_for_byte() {
    let sandbox = Sandbox::start().await;
    let result = sandbox.bash(1, r"printf '\000\377\200a\r\n'").await;
    assert_eq!(result.stdout, b"\x00\xff\x80a\r\n");
}

#[tokio::test]
async fn the_environment_is_clean_and_says_where_things_are() {
    let sandbox = Sandbox::with(|settings| {
        settings.env.insert("FROM_SETTINGS".into(), "yes".into());
    })
    .await;
    let mut call = bash(1, "pwd; env");
    call.env.push(("FROM_CALL".into(), "yes".into()));
    let result = sandbox.guest.exec(call).await.unwrap();
    let text = String::from_utf8(result.stdout).unwrap();
    let work = &sandbox.settings.work_dir;
    let files = &sandbox.settings.files_root;
    assert!(text.starts_with(&format!("{work}\n")), "{text}");
    for line in [
        format!("HOME={work}"),
        format!("INPUT_DIR={files}/input/{INPUT}"),
        format!("OUTPUT_DIR={files}/output/{}", output_dir(1)),
        "LANG=C.UTF-8".to_owned(),
        "MPLBACKEND=Agg".to_owned(),
        "OPENBLAS_NUM_THREADS=1".to_owned(),
        "FROM_SETTINGS=yes".to_owned(),
        "FROM_CALL=yes".to_owned(),
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    assert!(!text.contains("SECRET_OF_THE_SERVER"), "{text}");
    assert!(!text.contains("PYTHONUNBUFFERED"), "{text}");
}

#[tokio::test]
async fn programs_get_no_descriptor_no_input_no_core_and_die_first() {
    let sandbox = Sandbox::start().await;
    let result = sandbox
        .bash(
            1,
            "ls /proc/self/fd; cat; ulimit -c; cat /proc/self/oom_score_adj; \
             grep -o 'SigIgn.*' /proc/self/status | tail -c 9; ulimit -f",
        )
        .await;
    let text = String::from_utf8(result.stdout).unwrap();
    let (fds, rest) = text.split_at(8);
    // 3 is the directory that `ls` reads.
    assert_eq!(fds, "0\n1\n2\n3\n");
    let rest: Vec<&str> = rest.lines().collect();
    let blocks = (5 * 1024 * 1024).to_string();
    assert_eq!(
        (rest[0], rest[1], rest[3]),
        ("0", "1000", blocks.as_str()),
        "{text}"
    );
    let ignored = u32::from_str_radix(rest[2], 16).unwrap();
    // The C library keeps signals from 32 on to itself.
    assert_eq!(ignored & 0x7fff_ffff, 0, "{text}");
}

#[tokio::test]
async fn user_code_cannot_reach_the_guests_channel_memory_or_environment() {
    let sandbox = Sandbox::start().await;
    let command = r#"for f in fd/0 fd/1 environ mem; do
                         (exec 5< "/proc/$PPID/$f") && echo "can read $f"
                         (exec 5> "/proc/$PPID/$f") && echo "can write $f"
                     done
                     ls "/proc/$PPID/fd" && echo "can list"
                     id -u"#;
    let result = sandbox.bash(1, command).await;
    let user = fs::metadata(sandbox.work("")).unwrap().uid();
    let text = String::from_utf8_lossy(&result.stdout);
    assert_eq!(text, format!("{user}\n"));
    assert_ne!(user, 0);
    let denied = String::from_utf8_lossy(&result.stderr);
    assert_eq!(denied.matches("Permission denied").count(), 9, "{denied}");
}

#[tokio::test]
async fn long_output_keeps_its_beginning_and_its_end_and_blocks_nobody() {
    let sandbox = Sandbox::start().await;
    let result = sandbox
        .bash(
            1,
            "echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last; echo done >&2",
        )
        .await;
    assert_eq!(result.return_code, 0);
    assert_eq!(result.stderr, b"done\n");
    let text = String::from_utf8(result.stdout).unwrap();
    assert!(text.starts_with("first\nxxx"));
    assert!(text.ends_with("xxx\nlast\n"));
    let total = 6 + 50_000_000 + 1 + 5;
    let dropped = total - 1024 * 1024;
    assert!(text.contains(&format!("\n[… {dropped} bytes dropped …]\n")));
}

#[tokio::test]
async fn a_command_longer_than_an_argument_may_be_runs_all_the_same() {
    let sandbox = Sandbox::start().await;
    let text = "y".repeat(300_000);
    let result = sandbox
        .bash(1, &format!("cat <<'END' | wc -c\n{text}\nEND\n"))
        .await;
    assert_eq!(result.stdout, b"300001\n");
    let left = fs::read_dir(&sandbox.settings.tmp_root).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_cannot_start_is_told_from_what_failed() {
    let sandbox = Sandbox::start().await;
    let result = sandbox.bash(1, "echo a\0b").await;
    assert_eq!(
        result.outcome,
        Outcome::CouldNotStart {
            message: "the command contains a NUL byte".to_owned()
        }
    );
    let error = sandbox.guest.exec(ExecCall {
        output_dir: "../../etc".to_owned(),
        ..bash(2, "true")
    });
    assert!(matches!(
        error.await,
        Err(GuestError::Refused {
            kind: ErrorKind::Invalid,
            ..
        })
    ));
}

#[tokio::test]
async fn a_cell_runs_as_a_file_named_after_its_call_and_keeps_no_state() {
    let sandbox = Sandbox::with(|settings| {
        // Wherever this machine has its Python.
        settings.path += ":";
        settings.path += &std::env::var("PATH").unwrap();
    })
    .await;
    let cell = |number, code: &str| ExecCall {
        kind: ExecKind::Python {
            code: code.to_owned(),
            tag: format!("srvtoolu_{number}"),
        },
        ..bash(number, "")
    };
    let first = sandbox.guest.exec(cell(1, "x = 1\nprint(f'x is {x}')"));
    assert_eq!(first.await.unwrap().stdout, b"x is 1\n");
    let second = sandbox.guest.exec(cell(2, "print(x)")).await.unwrap();
    assert_eq!(second.return_code, 1);
    let traceback = String::from_utf8(second.stderr).unwrap();
    let file = format!(
        "File \"{}/srvtoolu_2/cell.py\", line 1, in <module>",
        sandbox.settings.tmp_root
    );
    assert!(traceback.contains(&file), "{traceback}");
    assert!(traceback.contains("NameError"), "{traceback}");
}

#[tokio::test]
async fn commands_run_side_by_side() {
    let sandbox = Sandbox::start().await;
    // Each waits for what the other makes: one after the other would never end.
    let (one, two) = tokio::join!(
        sandbox.bash(1, "touch a; until [ -e b ]; do sleep 0.01; done; echo one"),
        sandbox.bash(2, "touch b; until [ -e a ]; do sleep 0.01; done; echo two"),
    );
    assert_eq!((one.stdout, two.stdout), (b"one\n".into(), b"two\n".into()));
}

#[tokio::test]
async fn only_regular_files_at_the_top_of_the_output_directory_are_handed_back() {
    let sandbox = Sandbox::start().await;
    let result = sandbox
        .bash(
            1,
            r#"cd "$OUTPUT_DIR"
               echo b > b.txt; echo aa > a.txt; ln b.txt hard.txt
               echo secret > unreadable; chmod 0 unreadable
               ln -s /etc/passwd link; ln -s nowhere broken
               mkfifo fifo; mkdir dir; echo x > dir/inner
               python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")' || true
               echo x > 'what?'; echo x > $'bad\xff'; echo x > .hidden"#,
        )
        .await;
    let names: Vec<(&str, u64)> = result
        .outputs
        .iter()
        .map(|file| (file.name.as_str(), file.size))
        .collect();
    assert_eq!(
        names,
        [
            (".hidden", 2),
            ("a.txt", 3),
            ("b.txt", 2),
            ("hard.txt", 2),
            ("unreadable", 7)
        ]
    );
    assert_eq!(result.refused, ["bad\u{fffd}", "what?"]);
    assert_eq!(result.left_out, 0);
}

#[tokio::test]
async fn a_link_in_place_of_the_output_directory_hands_back_nothing() {
    let sandbox = Sandbox::start().await;
    let result = sandbox
        .bash(1, r#"rmdir "$OUTPUT_DIR" && ln -s /etc "$OUTPUT_DIR""#)
        .await;
    assert_eq!((result.return_code, result.outputs), (0, Vec::new()));
}

#[tokio::test]
async fn each_call_has_an_output_directory_of_its_own() {
    let sandbox = Sandbox::start().await;
    sandbox.bash(1, r#"echo 1 > "$OUTPUT_DIR/one""#).await;
    let second = sandbox.bash(2, r#"ls -A "$OUTPUT_DIR""#).await;
    assert_eq!((second.stdout, second.outputs), (vec![], vec![]));
    // The same one again is refused rather than mixed up or emptied.
    let again = sandbox.bash(1, "true").await;
    assert!(matches!(again.outcome, Outcome::CouldNotStart { .. }));
    assert!(sandbox.output(1).join("one").exists());
}

#[tokio::test]
async fn ten_thousand_output_files_are_listed_at_once_and_capped_by_name() {
    let sandbox = Sandbox::start().await;
    let guest = sandbox.guest.clone();
    let command =
        r#"echo > "$OUTPUT_DIR/f00001"; echo up > up; until [ -e go ]; do sleep 0.01; done"#;
    let call = tokio::spawn(async move { guest.exec(bash(1, command)).await.unwrap() });
    appears(&sandbox.work("up")).await;
    // Links: many times faster to make than files.
    let first = sandbox.output(1).join("f00001");
    for number in 2..=10_000 {
        let link = first.with_file_name(format!("f{number:05}"));
        fs::hard_link(&first, link).unwrap();
    }
    let start = Instant::now();
    sandbox.write("go", "");
    let result = call.await.unwrap();
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    assert_eq!(result.outputs.len(), 1000);
    assert_eq!(result.outputs[0].name, "f00001");
    assert_eq!(result.outputs[999].name, "f01000");
    assert_eq!(result.left_out, 9000);
}

#[tokio::test]
async fn a_file_over_the_cap_is_named_with_its_size() {
    let sandbox = Sandbox::start().await;
    let start = Instant::now();
    let result = sandbox
        .bash(
            1,
            r#"truncate -s 600M "$OUTPUT_DIR/big"; echo x > "$OUTPUT_DIR/small""#,
        )
        .await;
    assert!(start.elapsed() < Duration::from_secs(5));
    let big = OutputFile::new("big", 600 * 1024 * 1024);
    assert_eq!(result.too_large, [big]);
    assert_eq!(result.outputs.len(), 1);
}

#[tokio::test]
async fn a_program_that_writes_too_large_a_file_is_stopped_by_the_system() {
    let sandbox = Sandbox::with(|settings| settings.max_file_bytes = 1024 * 1024).await;
    let result = sandbox.bash(1, "head -c 2000000 /dev/zero > big").await;
    assert_eq!(result.return_code, 128 + 25);
    assert_eq!(
        fs::metadata(sandbox.work("big")).unwrap().len(),
        1024 * 1024
    );
}
