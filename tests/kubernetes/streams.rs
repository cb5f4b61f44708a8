//! Streams to guests: their end says nothing of the guest, and nobody but the relay has one.

use std::time::Duration;

use sandbox::{Launcher as _, Limits};

use crate::bench::{contract, light};
use crate::talk::{SMALL, bash, new_spec};
use crate::talk_light::{again, start};

#[tokio::test]
async fn a_restart_of_the_api_server_ends_every_stream_and_no_program() {
    let bench = light(|_| {}).await;
    let specs = [new_spec(SMALL), new_spec(SMALL)];
    let mut guests = Vec::new();
    // Both have their files in one folder here.
    for (n, spec) in specs.iter().enumerate() {
        let guest = start(&bench, spec).await.unwrap();
        let begin = format!("(setsid sleep 1000 > /dev/null 2>&1 & echo $! > pid{n})");
        bash(&guest, &begin).await;
        guests.push(guest);
    }
    bench.cluster().restart(Duration::from_millis(300)).await;
    for guest in &guests {
        guest.closed().await;
    }
    for (n, spec) in specs.iter().enumerate() {
        let guest = again(&bench, spec).await.unwrap();
        let look = format!("kill -0 $(cat pid{n}) && echo lives");
        assert_eq!(bash(&guest, &look).await.out, "lives\n");
        bash(&guest, &format!("kill $(cat pid{n})")).await;
    }
    assert_eq!(bench.cluster().pods().len(), 2);
    bench.end().await;
}

#[tokio::test]
async fn an_answer_on_its_way_when_the_stream_ends_is_lost_and_the_next_call_works() {
    let bench = light(|_| {}).await;
    let spec = new_spec(SMALL);
    let guest = start(&bench, &spec).await.unwrap();
    let call = bash_or_lost(&guest, "touch begun; sleep 1000");
    let cut = async {
        while bash(&guest, "ls begun").await.code != 0 {}
        bench.cluster().restart(Duration::from_millis(50)).await;
    };
    let (said, ()) = tokio::join!(call, cut);
    assert_eq!(said, None, "a stream that ended is no end of a program");
    let guest = again(&bench, &spec).await.unwrap();
    guest.release();
    assert_eq!(bash(&guest, "echo on").await.out, "on\n");
    bench.end().await;
}

async fn bash_or_lost(guest: &sandbox::guest::Guest, command: &str) -> Option<i32> {
    let kind = sandbox::guest::ExecKind::Bash(command.to_owned());
    let done = crate::talk::exec(guest, kind).await;
    done.ok().map(|done| done.return_code)
}

#[tokio::test]
async fn a_new_stream_takes_the_place_of_the_one_before() {
    let bench = light(|_| {}).await;
    let spec = new_spec(SMALL);
    let first = start(&bench, &spec).await.unwrap();
    let second = again(&bench, &spec).await.unwrap();
    first.closed().await;
    assert_eq!(bash(&second, "echo here").await.out, "here\n");
    bench.end().await;
}

#[tokio::test]
async fn all_bytes_pass_both_ways() {
    let bench = light(|_| {}).await;
    let guest = start(&bench, &new_spec(SMALL)).await.unwrap();
    let bytes: Vec<u8> = (0..16 << 20)
        .map(|n: u32| n.to_le_bytes()[n as usize % 4])
        .collect();
    let target = sandbox::guest::PutFile {
        input_dir: crate::talk::INPUT_DIR,
        name: "bytes.bin",
    };
    guest.put_file(target, &mut bytes.as_slice()).await.unwrap();
    let output = crate::talk::new_output_dir();
    let call = sandbox::guest::ExecCall {
        kind: sandbox::guest::ExecKind::Bash("cp $INPUT_DIR/bytes.bin $OUTPUT_DIR/".to_owned()),
        input_dir: crate::talk::INPUT_DIR.to_owned(),
        output_dir: output.clone(),
        timeout: Duration::from_mins(1),
        env: Vec::new(),
    };
    assert_eq!(guest.exec(call).await.unwrap().return_code, 0);
    let mut back = Vec::new();
    let mut stream = guest.get_file(&output, "bytes.bin").await.unwrap();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut back)
        .await
        .unwrap();
    assert!(back == bytes, "{} of {} bytes", back.len(), bytes.len());
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_sees_the_door_of_its_guest_and_gets_no_word_through_it() {
    let Some(bench) = contract().await else {
        return;
    };
    let spec = new_spec(Limits::default());
    let guest = crate::talk::wake(&bench, &spec).await;
    let find = "awk '$8 ~ /^@sandtable-/ { print substr($8, 2) }' /proc/net/unix | sort -u";
    let door = bash(&guest, find).await.out;
    assert!(door.starts_with("sandtable-"), "{door}");
    let knock = format!(
        "import socket\nfor n in range(300):\n    s = socket.socket(socket.AF_UNIX)\n    s.connect('\\0{}')\n    \
         try: s.sendall(b'x' * 100)\n    except OSError: pass\n    try: got = s.recv(100)\n    except ConnectionError: got = b''\n    \
         assert got == b'', got\nprint('shut')",
        door.trim()
    );
    let said = bash(
        &guest,
        &format!("cat > k.py <<'P'\n{knock}\nP\npython3 k.py"),
    )
    .await;
    assert_eq!(said.out, "shut\n", "{}", said.err);
    // A crowd at the door does not keep the server out.
    bash(
        &guest,
        "(while true; do python3 k.py; done > /dev/null 2>&1 &)",
    )
    .await;
    let launched = bench
        .backend
        .take_up(&spec.sandbox_id)
        .await
        .unwrap()
        .unwrap();
    let settings = bench.backend.settings(&spec);
    let limit = Duration::from_secs(20);
    let taken = sandbox::guest::Guest::resume(launched, settings, limit).await;
    let (guest, _) = taken.unwrap();
    assert_eq!(bash(&guest, "echo in").await.out, "in\n");
    // Neither the relay nor what it is told can be seen.
    let look = "cat /proc/*/cmdline | tr '\\0' ' ' | grep -c '[g]uest relay'; env | grep -c SANDTABLE_GUEST";
    assert_eq!(bash(&guest, look).await.out, "0\n0\n");
    bench.end().await;
}
