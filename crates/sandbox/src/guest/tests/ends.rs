//! How calls and guests end: time-outs, cancels, background processes, death.

use std::time::Instant;

use guest_proto::{AnswerBody, Decoder, Request, RequestBody, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

/// Leaves a child, a child in a session of its own, and a daemon that forked twice; `nobody` hides the
/// daemon's environment too. Each writes its pid when it is up.
const FAMILY: &str = "
    sleep 1000 & echo $! > child
    setsid bash -c 'echo $$ > session; exec sleep 1000' &
    (setsid bash -c '(echo $BASHPID > daemon; exec sleep 1000) &')
    (env -i setsid /bin/bash -c '(echo $BASHPID > nobody; exec sleep 1000) &')
    trap '' TERM INT HUP
    until [ -s child ] && [ -s session ] && [ -s daemon ] && [ -s nobody ]; do sleep 0.01; done
    echo up; echo up > up
    while true; do sleep 1000; done
";

const MEMBERS: [&str; 4] = ["child", "session", "daemon", "nobody"];

#[tokio::test]
async fn a_time_out_kills_the_whole_tree_and_keeps_the_output() {
    let sandbox = Sandbox::start().await;
    let call = ExecCall {
        timeout: Duration::from_secs(1),
        ..bash(1, FAMILY)
    };
    let start = Instant::now();
    let result = sandbox.guest.exec(call).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(result.outcome, Outcome::TimedOut);
    assert_eq!(result.return_code, 137);
    assert_eq!(result.stdout, b"up\n");
    for member in MEMBERS {
        ends(&appears(&sandbox.work(member)).await).await;
    }
    assert_eq!(sandbox.bash(2, "echo fine").await.stdout, b"fine\n");
}

#[tokio::test]
async fn dropping_a_call_kills_its_tree_and_nothing_else() {
    let sandbox = Sandbox::start().await;
    let other =
        "(setsid sleep 1000 & echo $! > other); until [ -e go ]; do sleep 0.01; done; echo ok";
    let guest = sandbox.guest.clone();
    let other = tokio::spawn(async move { guest.exec(bash(7, other)).await.unwrap() });
    let bystander = appears(&sandbox.work("other")).await;

    let guest = sandbox.guest.clone();
    let call = tokio::spawn(async move { guest.exec(bash(1, FAMILY)).await });
    appears(&sandbox.work("up")).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    for member in MEMBERS {
        ends(&appears(&sandbox.work(member)).await).await;
    }

    assert!(is_alive(&bystander));
    sandbox.write("go", "");
    assert_eq!(other.await.unwrap().stdout, b"ok\n");
}

#[tokio::test]
async fn background_processes_do_not_hold_the_call_and_live_on() {
    let sandbox = Sandbox::start().await;
    let command = "(echo $BASHPID > pid; until [ -e go ]; do sleep 0.01; done
                    for i in $(seq 20000); do echo still here; done; echo done > done; exec sleep 1000) &
                   echo started";
    let start = Instant::now();
    let result = sandbox.bash(1, command).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(result.stdout, b"started\n");
    // It may write on: nobody reads it, but its pipe is neither full nor closed.
    sandbox.write("go", "");
    appears(&sandbox.work("done")).await;
    let pid = appears(&sandbox.work("pid")).await;
    assert!(is_alive(&pid));

    // Another call's time-out is not its end either.
    let call = ExecCall {
        timeout: Duration::from_millis(100),
        ..bash(2, "sleep 1000")
    };
    let result = sandbox.guest.exec(call).await.unwrap();
    assert_eq!(result.outcome, Outcome::TimedOut);
    assert!(is_alive(&pid));

    let Sandbox {
        guest,
        mut process,
        root,
        ..
    } = sandbox;
    drop(guest);
    assert!(process.wait().await.unwrap().success());
    ends(&pid).await;
    drop(root);
}

#[tokio::test]
async fn output_of_a_process_substitution_is_not_lost() {
    let sandbox = Sandbox::start().await;
    let result = sandbox
        .bash(1, "echo through | tee >(tr a-z A-Z) > /dev/null")
        .await;
    assert_eq!(result.stdout, b"THROUGH\n");
}

#[tokio::test]
async fn a_fork_bomb_ends_with_its_call() {
    let sandbox = Sandbox::start().await;
    // Not the endless one: a test must not take the machine along.
    let command =
        "bomb() { [ $1 -gt 0 ] && { bomb $(($1 - 1)) & bomb $(($1 - 1)) & }; sleep 1000; }
                   bomb 6 & echo up > up; wait";
    let call = ExecCall {
        timeout: Duration::from_millis(300),
        ..bash(1, command)
    };
    let result = sandbox.guest.exec(call).await.unwrap();
    assert_eq!(result.outcome, Outcome::TimedOut);
    let pid = sandbox.process.id().unwrap();
    let children = format!("/proc/{pid}/task/{pid}/children");
    let deadline = Instant::now() + Duration::from_secs(5);
    while !fs::read_to_string(&children).unwrap().is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn signals_from_inside_do_not_end_the_guest() {
    let sandbox = Sandbox::start().await;
    let signals =
        "for s in TERM INT HUP QUIT PIPE USR1 XFSZ TSTP; do kill -$s $PPID; done; echo ok";
    assert_eq!(sandbox.bash(1, signals).await.stdout, b"ok\n");
    sandbox.guest.ping().await.unwrap();
}

#[tokio::test]
async fn a_guest_that_dies_takes_every_pending_call_with_it() {
    let mut sandbox = Sandbox::start().await;
    let pending: Vec<_> = (1..4)
        .map(|number| {
            let guest = sandbox.guest.clone();
            let call = bash(number, &format!("echo up > up{number}; exec sleep 30"));
            tokio::spawn(async move { guest.exec(call).await })
        })
        .collect();
    for number in 1..4 {
        appears(&sandbox.work(&format!("up{number}"))).await;
    }
    assert!(!sandbox.guest.is_closed());
    sandbox.process.kill().await.unwrap();
    for call in pending {
        assert!(matches!(call.await.unwrap(), Err(GuestError::Gone)));
    }
    sandbox.guest.closed().await;
    assert!(sandbox.guest.is_closed());
    assert!(matches!(sandbox.guest.ping().await, Err(GuestError::Gone)));
}

#[tokio::test]
async fn a_guest_that_hangs_is_noticed_and_given_up() {
    let (guest, mut theirs) = spoken_to().await;
    tokio::time::pause();
    let error = guest.exec(bash(1, "true")).await.unwrap_err();
    let seconds = (Duration::from_secs(30) + GRACE).as_secs();
    assert!(matches!(error, GuestError::Timeout { seconds: s } if s == seconds));
    // The call it gave up is cancelled, should the guest ever wake.
    assert!(matches!(
        next_request(&mut theirs).await.body,
        RequestBody::Exec { .. }
    ));
    assert_eq!(next_request(&mut theirs).await.body, RequestBody::Ping {});
    assert_eq!(next_request(&mut theirs).await.body, RequestBody::Cancel {});
    assert!(!guest.is_closed());
    guest.closed().await;
    assert!(guest.is_spoilt());
    let error = guest.exec(bash(2, "true")).await.unwrap_err();
    let seconds = STEP_TIMEOUT.as_secs();
    assert!(matches!(error, GuestError::Timeout { seconds: s } if s == seconds));
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_lives_is_asked_only_while_it_owes_an_answer_and_has_its_time() {
    let (guest, mut theirs) = spoken_to().await;
    tokio::time::sleep(STEP_TIMEOUT * 10).await;
    let long = ExecCall {
        timeout: STEP_TIMEOUT * 10,
        ..bash(1, "sleep 600")
    };
    let call = tokio::spawn({
        let guest = guest.clone();
        async move { guest.exec(long).await }
    });
    let exec = next_request(&mut theirs).await;
    assert!(matches!(exec.body, RequestBody::Exec { .. }));
    let mut pings = 0;
    loop {
        let request = next_request(&mut theirs).await;
        if request.body == (RequestBody::Cancel {}) {
            break;
        }
        assert_eq!(request.body, RequestBody::Ping {});
        pings += 1;
        // Late, and alive.
        tokio::time::sleep(STEP_TIMEOUT / 2).await;
        say(&mut theirs, request.call, AnswerBody::Pong {}).await;
    }
    assert!(pings > 10, "{pings}");
    let error = call.await.unwrap().unwrap_err();
    let seconds = (STEP_TIMEOUT * 10 + GRACE).as_secs();
    assert!(matches!(error, GuestError::Timeout { seconds: s } if s == seconds));
    assert!(!guest.is_closed());
}

/// A server that says hello, and the end of its channel at which a test plays the guest.
fn greeted() -> (
    JoinHandle<Result<Guest, GuestError>>,
    tokio::io::DuplexStream,
) {
    let (ours, theirs) = tokio::io::duplex(1024);
    let (reader, writer) = tokio::io::split(ours);
    let channel = Channel {
        reader: Box::new(reader),
        writer: Box::new(writer),
    };
    let hello = tokio::spawn(Guest::connect(channel, Settings::default()));
    (hello, theirs)
}

/// The same once the guest has answered.
async fn spoken_to() -> (Guest, tokio::io::DuplexStream) {
    let (hello, mut theirs) = greeted();
    let call = next_request(&mut theirs).await.call;
    say(&mut theirs, call, hello_answer(guest_proto::GENERATION)).await;
    (hello.await.unwrap().unwrap(), theirs)
}

#[tokio::test]
async fn nonsense_from_the_guest_closes_the_channel_and_says_why() {
    let (hello, mut theirs) = greeted();
    theirs
        .write_all(b"bash: guest: command not found\n")
        .await
        .unwrap();
    let error = hello.await.unwrap().unwrap_err();
    assert!(matches!(error, GuestError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_nobody_waits_for_is_dropped_and_another_generation_refused() {
    let (hello, mut theirs) = greeted();
    let call = next_request(&mut theirs).await.call;
    say(&mut theirs, call + 1000, AnswerBody::Pong {}).await;
    say(&mut theirs, call, hello_answer(99)).await;
    assert!(matches!(
        hello.await.unwrap(),
        Err(GuestError::Generation { theirs: 99, .. })
    ));
}

fn hello_answer(generation: u16) -> AnswerBody {
    AnswerBody::Hello {
        generation,
        init: true,
    }
}

async fn next_request(stream: &mut tokio::io::DuplexStream) -> Request {
    let mut decoder = Decoder::new();
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return frame.header().unwrap();
        }
        // Byte by byte, so that nothing of the next request is taken.
        decoder.push(&[stream.read_u8().await.unwrap()]);
    }
}

async fn say(stream: &mut tokio::io::DuplexStream, call: u64, body: AnswerBody) {
    let frame = encode(&guest_proto::Answer { call, body }, &[]).unwrap();
    stream.write_all(&frame).await.unwrap();
}
