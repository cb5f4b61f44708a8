//! The life of a sandbox with the real guest: begun, ended from outside, begun again; and how long it takes.

use std::time::Instant;

use sandbox::guest::{ExecKind, GuestError};
use sandbox::{Launcher as _, Limits};

use super::bench::contract;
use super::talk::{SMALL, bash, exec, new_spec, wake};

#[tokio::test]
async fn files_outlive_the_sandbox_and_processes_do_not() {
    let Some(bench) = contract().await else {
        return;
    };
    let spec = new_spec(Limits::default());
    let guest = wake(&bench, &spec).await;
    let first =
        "echo 7 > number.txt; echo 8 > /tmp/number.txt; (setsid sleep 1000 > /dev/null 2>&1 &)";
    assert_eq!(bash(&guest, first).await.code, 0);

    bench.backend.stop(&spec.sandbox_id).await.unwrap();
    guest.closed().await;
    let guest = wake(&bench, &spec).await;
    assert_eq!(
        bash(&guest, "cat number.txt /tmp/number.txt").await.out,
        "7\n8\n"
    );
    assert_eq!(bash(&guest, "pgrep -c sleep").await.out, "0\n");

    bench.backend.remove(&spec.sandbox_id).await.unwrap();
    guest.closed().await;
    let guest = wake(&bench, &spec).await;
    assert_eq!(bash(&guest, "ls -A ~").await.out, "");
    bench.end().await;
}

#[tokio::test]
async fn skills_lie_in_a_place_of_their_own_and_outlive_the_sandbox() {
    let Some(bench) = contract().await else {
        return;
    };
    let spec = new_spec(Limits::default());
    let guest = wake(&bench, &spec).await;
    for (path, content) in [
        ("my-skill/SKILL.md", &b"text\n"[..]),
        ("my-skill/scripts/run.sh", b"#!/bin/sh\necho ran\n"),
    ] {
        // Again for each: what is there stays.
        bench
            .backend
            .prepare_skills(&spec.sandbox_id)
            .await
            .unwrap();
        let put = guest.put_skill_file(path.to_owned(), content).await;
        put.unwrap();
    }
    for path in ["my-skill", "../x/y", "/etc/x", "a//b", "a/../../b"] {
        let refused = guest.put_skill_file(path.to_owned(), b"x").await;
        assert!(refused.is_err(), "{path}");
    }
    let look = "cd /skills/my-skill; cat SKILL.md; scripts/run.sh; stat -c %a SKILL.md scripts/run.sh; ls /skills";
    let expected = "text\nran\n444\n555\nmy-skill\n";
    assert_eq!(bash(&guest, look).await.out, expected);

    bench.backend.stop(&spec.sandbox_id).await.unwrap();
    guest.closed().await;
    let guest = wake(&bench, &spec).await;
    assert_eq!(bash(&guest, look).await.out, expected);
    // A newer version takes the place of what is there.
    let path = "my-skill/SKILL.md".to_owned();
    guest.put_skill_file(path, b"newer\n").await.unwrap();
    assert_eq!(bash(&guest, "cat /skills/*/SKILL.md").await.out, "newer\n");
    bench.end().await;
}

#[tokio::test]
async fn a_sandbox_killed_during_a_call_is_gone_and_starts_again() {
    let Some(bench) = contract().await else {
        return;
    };
    let spec = new_spec(SMALL);
    let guest = wake(&bench, &spec).await;
    bash(&guest, "echo kept > note").await;
    let call = exec(
        &guest,
        ExecKind::Bash("touch running; sleep 1000".to_owned()),
    );
    let kill = async {
        while bash(&guest, "ls running").await.code != 0 {}
        bench.backend.stop(&spec.sandbox_id).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(call, kill);
    assert!(matches!(outcome, Err(GuestError::Gone)), "{outcome:?}");
    assert!(guest.is_closed());

    let guest = wake(&bench, &spec).await;
    assert_eq!(bash(&guest, "cat note").await.out, "kept\n");
    bench.end().await;
}

#[tokio::test]
async fn starting_takes_no_longer_than_it_should() {
    const ROUNDS: usize = 15;
    let Some(bench) = contract().await else {
        return;
    };
    // The first start of all fills the guest's volume.
    let spec = new_spec(SMALL);
    drop(wake(&bench, &spec).await);
    let (mut cold, mut again, mut pings, mut bashes) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let spec = new_spec(SMALL);
        let started = Instant::now();
        let guest = wake(&bench, &spec).await;
        guest.ping().await.unwrap();
        cold.push(started.elapsed());
        pings.push(guest.ping().await.unwrap());
        let started = Instant::now();
        bash(&guest, "true").await;
        bashes.push(started.elapsed());
        bench.backend.stop(&spec.sandbox_id).await.unwrap();
        let started = Instant::now();
        wake(&bench, &spec).await.ping().await.unwrap();
        again.push(started.elapsed());
        bench.backend.remove(&spec.sandbox_id).await.unwrap();
    }
    for (what, times) in [
        ("cold start to first pong", &mut cold),
        ("start again to first pong", &mut again),
        ("ping", &mut pings),
        ("bash -c true", &mut bashes),
    ] {
        times.sort();
        eprintln!(
            "MEASURED: {what}: median {:?}, max {:?}",
            times[ROUNDS / 2],
            times[ROUNDS - 1]
        );
        assert!(times[ROUNDS / 2] < bench.patience(), "{what}: {times:?}");
    }
    bench.end().await;
}
