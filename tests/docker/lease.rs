//! Sandboxes that outlive their server: taken up by the next one, or ended by themselves.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptions,
};
use cli::image::Flavor;
use sandbox::docker::{DockerBackend, DockerConfig};
use sandbox::guest::{
    ExecCall, ExecKind, GRACE, Guest, GuestError, RESUME_TIMEOUT, Settings, embedded,
};
use sandbox::{Host as _, Launcher as _, Limits, SandboxSpec};
use tokio::io::AsyncWriteExt as _;

use crate::bench::{SMALL, bash, config, exec, image_ready, in_30_days, new_spec};

async fn server(folder: &Path) -> DockerBackend {
    let config = DockerConfig {
        temporary: false,
        guest: embedded(),
        ..config(folder)
    };
    DockerBackend::connect(config).await.unwrap()
}

async fn launch(server: &DockerBackend, spec: &SandboxSpec) -> Guest {
    let launched = server.launch(spec).await.unwrap();
    let (guest, left) = Guest::resume(launched, Settings::default(), RESUME_TIMEOUT)
        .await
        .unwrap();
    assert_eq!(left.unclaimed, []);
    guest
}

/// Simulates a kill of a server: no word of farewell, and its lock is free.
fn kill(server: DockerBackend, guest: Guest) {
    drop((server, guest));
}

#[tokio::test]
async fn the_next_server_takes_a_sandbox_up_with_all_that_runs_in_it() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path()).await;
    let spec = new_spec(SMALL);
    let guest = launch(&first, &spec).await;
    bash(&guest, "(setsid sleep 1000 > /dev/null 2>&1 &)").await;
    // Two calls are cut off: one goes on and is adopted, one is released.
    for (number, command) in [(1, "read _ < <(sleep 2); echo adopted"), (2, "sleep 1000")] {
        let call = guest.exec(ExecCall {
            kind: ExecKind::Bash(command.to_owned()),
            input_dir: "00000000000000aa".to_owned(),
            output_dir: format!("{number:016x}"),
            timeout: Duration::from_mins(1),
            env: Vec::new(),
        });
        let mut call = Box::pin(call);
        let early = tokio::time::timeout(Duration::from_millis(100), &mut call).await;
        assert!(early.is_err());
        // As in a process that dies: nobody calls it off.
        std::mem::forget(call);
    }
    kill(first, guest);

    let second = server(folder.path()).await;
    let begun = Instant::now();
    let launched = second.take_up(&spec.sandbox_id).await.unwrap().unwrap();
    let (guest, left) = Guest::resume(launched, Settings::default(), RESUME_TIMEOUT)
        .await
        .unwrap();
    let mut unclaimed = left.unclaimed;
    guest.ping().await.unwrap();
    eprintln!("MEASURED: taking a sandbox up: {:?}", begun.elapsed());
    unclaimed.sort_by(|a, b| a.output_dir.cmp(&b.output_dir));
    assert_eq!(unclaimed.len(), 2, "{unclaimed:?}");
    let adopted = guest.adopt(&unclaimed[0], GRACE);
    let (adopted, ()) = tokio::join!(adopted, async { guest.release() });
    assert_eq!(adopted.unwrap().stdout, b"adopted\n");
    while bash(&guest, "pgrep -c sleep").await.out != "1\n" {}
    second.remove(&spec.sandbox_id).await.unwrap();
}

#[tokio::test]
async fn a_sandbox_without_a_server_ends_itself_and_keeps_its_files() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let span = Duration::from_secs(1);
    let first = server(folder.path()).await.with_lease(span);
    let spec = new_spec(SMALL);
    let guest = launch(&first, &spec).await;
    bash(&guest, "echo kept > note").await;
    // As long as the server lives, so does the sandbox: it is pinged.
    let guarded = tokio::time::timeout(3 * span, guest.closed()).await;
    assert!(guarded.is_err(), "the sandbox ended under its server");
    kill(first, guest);

    let second = server(folder.path()).await;
    let begun = Instant::now();
    while second.is_running(&spec.sandbox_id).await.unwrap() == Some(true) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it runs still");
        tokio::task::yield_now().await;
    }
    assert!(second.take_up(&spec.sandbox_id).await.unwrap().is_none());
    let guest = launch(&second, &spec).await;
    assert_eq!(bash(&guest, "cat note").await.out, "kept\n");
    second.remove(&spec.sandbox_id).await.unwrap();
}

#[tokio::test]
async fn half_a_frame_of_the_old_server_does_not_spoil_the_new_ones_stream() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path()).await;
    let spec = new_spec(SMALL);
    let guest = launch(&first, &spec).await;
    bash(&guest, "true").await;
    drop(guest);
    // A frame that announces 64 KiB and holds ten bytes, then garbage with half a mark in it.
    let mut launched = first.take_up(&spec.sandbox_id).await.unwrap().unwrap();
    let token = launched.lease.unwrap().token;
    let writer = &mut launched.channel.writer;
    writer.write_all(&token.mark()).await.unwrap();
    writer
        .write_all(b"\xF5sbx\x02\0\0\0\x10\0\0\0\0\0\x01\0ten bytes!")
        .await
        .unwrap();
    writer.write_all(&token.mark()[..20]).await.unwrap();
    writer.flush().await.unwrap();
    let guest = {
        let launched = first.take_up(&spec.sandbox_id).await.unwrap().unwrap();
        let resumed = Guest::resume(launched, Settings::default(), RESUME_TIMEOUT).await;
        resumed.unwrap().0
    };
    assert_eq!(bash(&guest, "echo sound").await.out, "sound\n");

    // What is no frame at all ends this stream, not the sandbox.
    launched.channel.writer.write_all(b"garbage").await.ok();
    launched.channel.writer.flush().await.ok();
    let outcome = tokio::time::timeout(Duration::from_secs(10), guest.closed()).await;
    if outcome.is_ok() {
        assert!(matches!(
            exec(&guest, ExecKind::Bash("true".to_owned())).await,
            Err(GuestError::Gone)
        ));
        assert!(!guest.is_spoilt());
    }
    let launched = first.take_up(&spec.sandbox_id).await.unwrap().unwrap();
    let resumed = Guest::resume(launched, Settings::default(), RESUME_TIMEOUT).await;
    assert_eq!(bash(&resumed.unwrap().0, "echo sound").await.out, "sound\n");
    first.remove(&spec.sandbox_id).await.unwrap();
}

#[tokio::test]
async fn a_warm_sandbox_is_there_at_once_and_only_for_a_container_that_has_none() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let backend = std::sync::Arc::new(server(folder.path()).await);
    backend.keep_warm(2, SMALL);
    let filled = async || {
        let begun = Instant::now();
        while backend.warm_count() < 2 {
            assert!(begun.elapsed() < Duration::from_mins(1), "no pool");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut times = Vec::new();
    for _ in 0..5 {
        filled().await;
        let spec = new_spec(SMALL);
        let begun = Instant::now();
        let guest = launch(&backend, &spec).await;
        times.push(begun.elapsed());
        bash(&guest, "echo kept > note").await;
        backend.stop(&spec.sandbox_id).await.unwrap();
        filled().await;
        let guest = launch(&backend, &spec).await;
        assert_eq!(backend.warm_count(), 2, "a container has its own sandbox");
        assert_eq!(bash(&guest, "cat note").await.out, "kept\n");
        backend.remove(&spec.sandbox_id).await.unwrap();
    }
    times.sort();
    eprintln!("MEASURED: taking a warm sandbox: {times:?}");
    let other = new_spec(Limits { pids: 65, ..SMALL });
    launch(&backend, &other).await;
    assert_eq!(backend.warm_count(), 2, "limits differ");
    backend.remove(&other.sandbox_id).await.unwrap();
    backend.close().await.unwrap();
    drop(backend);

    let next = server(folder.path()).await;
    let now = crate::bench::in_30_days() - chrono::TimeDelta::days(30);
    assert_eq!(next.remove_all_of_this_directory().await.unwrap(), 0);
    next.reap_at(now, |_| true).await.unwrap();
}

/// Where sandboxes end with their server, a call does not wait for the new name; and one whose name somebody has taken stays
/// its container's.
#[tokio::test]
async fn a_warm_sandbox_is_its_containers_before_it_has_its_name_and_without_it() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = DockerConfig {
        guest: embedded(),
        ..config(folder.path())
    };
    let filters = HashMap::from([(
        "label".to_owned(),
        vec![format!("sandtable.server={}", config.server_id)],
    )]);
    let docker = Docker::connect_with_defaults().unwrap();
    let names = async || {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let all = docker.list_containers(Some(options)).await.unwrap();
        let names = all
            .into_iter()
            .flat_map(|one| one.names.unwrap_or_default());
        names
            .map(|name| name.trim_start_matches('/').to_owned())
            .collect::<Vec<_>>()
    };
    let backend = std::sync::Arc::new(DockerBackend::connect(config).await.unwrap());
    backend.keep_warm(1, SMALL);
    for is_taken in [false, true] {
        while backend.warm_count() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let spec = new_spec(SMALL);
        let all = names().await;
        let warm = all.iter().find(|name| name.contains("-warm-")).unwrap();
        let (own, _) = warm.split_once("warm-").unwrap();
        let name = format!("{own}{}", spec.sandbox_id);
        if is_taken {
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            let body = ContainerCreateBody {
                image: Some(Flavor::Slim.image()),
                ..ContainerCreateBody::default()
            };
            docker.create_container(Some(options), body).await.unwrap();
        }
        for round in ["one", "two"] {
            let launched = backend.launch(&spec).await.unwrap();
            let (guest, _) = Guest::resume(launched, Settings::default(), RESUME_TIMEOUT)
                .await
                .unwrap();
            let said = bash(&guest, &format!("echo {round} >> note; cat note"))
                .await
                .out;
            assert!(
                said.starts_with("one\n") && said.ends_with(&format!("{round}\n")),
                "{said}"
            );
            backend.stop(&spec.sandbox_id).await.unwrap();
            assert_eq!(
                backend.is_running(&spec.sandbox_id).await.unwrap(),
                Some(false)
            );
        }
        assert!(!backend.has_lost(&spec.sandbox_id).await.unwrap());
        assert_eq!(names().await.contains(warm), is_taken);
        backend.remove(&spec.sandbox_id).await.unwrap();
        let left = names().await;
        assert!(!left.contains(warm) && !left.contains(&name), "{left:?}");
        if is_taken {
            docker
                .remove_container(&name, None::<RemoveContainerOptions>)
                .await
                .unwrap();
        }
    }
    backend.close().await.unwrap();
    assert_eq!(names().await, Vec::<String>::new());
}

#[tokio::test]
async fn warm_sandboxes_of_a_killed_server_are_removed_by_the_next() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first = std::sync::Arc::new(server(folder.path()).await);
    first.keep_warm(1, SMALL);
    while first.warm_count() < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let spec = new_spec(SMALL);
    let _guest = launch(&first, &spec).await;
    while first.warm_count() < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.abandon();
    drop(first);

    let next = server(folder.path()).await;
    let now = crate::bench::in_30_days() - chrono::TimeDelta::days(30);
    let known = spec.sandbox_id.clone();
    let removed = next.reap_at(now, |id| id == &*known).await.unwrap();
    assert!(removed >= 1);
    assert_eq!(next.is_running(&spec.sandbox_id).await.unwrap(), Some(true));
    assert_eq!(next.remove_all_of_this_directory().await.unwrap(), 1);
}

#[tokio::test]
async fn a_data_directory_that_is_moved_has_its_sandboxes_and_a_copy_takes_them_from_no_other() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let [first, moved, copied] = ["first", "moved", "copied"].map(|name| base.path().join(name));
    std::fs::create_dir(&first).unwrap();
    let spec = new_spec(SMALL);
    let original = server(&first).await;
    bash(&launch(&original, &spec).await, "echo one > note").await;
    original.close().await.unwrap();
    drop(original);

    std::fs::rename(&first, &moved).unwrap();
    let original = server(&moved).await;
    assert!(!original.has_lost(&spec.sandbox_id).await.unwrap());
    let guest = launch(&original, &spec).await;
    assert_eq!(bash(&guest, "cat note").await.out, "one\n");

    // A copy beside it, both in use.
    let copying = std::process::Command::new("cp")
        .arg("-a")
        .args([&moved, &copied])
        .status();
    assert!(copying.unwrap().success());
    let copy = server(&copied).await;
    assert!(copy.has_lost(&spec.sandbox_id).await.unwrap());
    let theirs = new_spec(SMALL);
    bash(&launch(&copy, &theirs).await, "echo theirs > note").await;
    let now = in_30_days() - chrono::TimeDelta::days(30);
    copy.reap_at(now, |id| id == &*theirs.sandbox_id)
        .await
        .unwrap();
    copy.remove(&spec.sandbox_id).await.unwrap();
    assert_eq!(bash(&guest, "cat note").await.out, "one\n");

    // The original is gone, at first in the middle of its work.
    std::fs::remove_dir_all(&moved).unwrap();
    let why = copy.has_lost(&spec.sandbox_id).await.unwrap_err();
    assert!(why.to_string().contains("runs for the server"), "{why}");
    drop(guest);
    original.close().await.unwrap();
    assert!(!copy.has_lost(&spec.sandbox_id).await.unwrap());
    let guest = launch(&copy, &spec).await;
    assert_eq!(bash(&guest, "cat note").await.out, "one\n");
    assert!(original.has_lost(&spec.sandbox_id).await.unwrap());
    drop(guest);
    // It is the copy's now: known by its name, not by its labels.
    let known = |id: &str| [&*spec.sandbox_id, &*theirs.sandbox_id].contains(&id);
    copy.reap_at(now, known).await.unwrap();
    original.reap_at(now, |_| false).await.unwrap();
    assert_eq!(copy.is_running(&spec.sandbox_id).await.unwrap(), Some(true));
    copy.close().await.unwrap();
    assert_eq!(
        copy.is_running(&spec.sandbox_id).await.unwrap(),
        Some(false)
    );
    drop(copy);
    let last = server(&copied).await;
    assert_eq!(last.remove_all_of_this_directory().await.unwrap(), 2);
}
