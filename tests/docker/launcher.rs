//! The launcher alone: what it starts, stops, keeps, and clears away. A shell stands in for the guest.

use cli::image::Flavor;
use sandbox::docker::{DockerBackend, DockerConfig};
use sandbox::{Host as _, Launcher as _, Limits, SandboxError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::bench::Start as _;
use crate::bench::{SHELL, SMALL, bash, bench, config, contract, in_30_days, new_spec, run, wake};

#[tokio::test]
async fn a_stopped_sandbox_starts_again_with_its_files_and_a_removed_one_without() {
    let Some(bench) = bench(Flavor::Slim, SHELL).await else {
        return;
    };
    let spec = new_spec(Limits::default());
    let channel = bench.backend.start(&spec).await.unwrap();
    run(
        channel,
        "echo kept > note; echo kept > /tmp/note; echo kept > /files/note",
    )
    .await;

    bench.backend.stop(&spec.sandbox_id).await.unwrap();
    let channel = bench.backend.start(&spec).await.unwrap();
    let said = run(channel, "cat ~/note /tmp/note /files/note").await;
    assert_eq!(said, "kept\nkept\nkept\n");

    bench.backend.remove(&spec.sandbox_id).await.unwrap();
    assert_eq!(
        bench.backend.is_running(&spec.sandbox_id).await.unwrap(),
        None
    );
    let channel = bench.backend.start(&spec).await.unwrap();
    assert_eq!(
        run(channel, "ls ~ /tmp /files").await,
        "/files:\ninput\noutput\n\n/home/user:\n\n/tmp:\n"
    );
    bench.end().await;
}

#[tokio::test]
async fn stopping_and_removing_what_is_not_there_is_fine() {
    let Some(bench) = bench(Flavor::Slim, SHELL).await else {
        return;
    };
    let spec = new_spec(SMALL);
    for _ in 0..2 {
        bench.backend.stop(&spec.sandbox_id).await.unwrap();
        bench.backend.remove(&spec.sandbox_id).await.unwrap();
    }
    let mut channel = bench.backend.start(&spec).await.unwrap();
    assert_eq!(
        bench.backend.is_running(&spec.sandbox_id).await.unwrap(),
        Some(true)
    );
    for _ in 0..2 {
        bench.backend.stop(&spec.sandbox_id).await.unwrap();
        assert_eq!(
            bench.backend.is_running(&spec.sandbox_id).await.unwrap(),
            Some(false)
        );
    }
    let end = channel.reader.read(&mut [0]).await.unwrap();
    assert_eq!(end, 0, "the channel is over");
    bench.end().await;
}

#[tokio::test]
async fn starting_a_running_sandbox_ends_the_former_run() {
    let Some(bench) = bench(Flavor::Slim, SHELL).await else {
        return;
    };
    let spec = new_spec(SMALL);
    let mut first = bench.backend.start(&spec).await.unwrap();
    let second = bench.backend.start(&spec).await.unwrap();
    assert_eq!(
        first.reader.read(&mut [0]).await.unwrap(),
        0,
        "the former channel is over"
    );
    assert_eq!(run(second, "echo second").await, "second\n");
    bench.end().await;
}

#[tokio::test]
async fn bytes_pass_unchanged_in_both_directions() {
    const CAT: &[u8] = b"#!/bin/bash\nprintf 'noise on stderr' >&2\nexec cat\n";
    let Some(bench) = bench(Flavor::Slim, CAT).await else {
        return;
    };
    let spec = new_spec(SMALL);
    let mut channel = bench.backend.start(&spec).await.unwrap();
    let sent: Vec<u8> = (0..1_000_003_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let (writer, reader) = (&mut channel.writer, &mut channel.reader);
    let write = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let read = async {
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.unwrap();
        got
    };
    let ((), got) = tokio::join!(write, read);
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    bench.end().await;
}

#[tokio::test]
async fn a_sandbox_ends_when_its_channel_is_dropped() {
    let Some(bench) = bench(Flavor::Slim, SHELL).await else {
        return;
    };
    let spec = new_spec(SMALL);
    drop(bench.backend.start(&spec).await.unwrap());
    let mut tries = 0;
    while bench.backend.is_running(&spec.sandbox_id).await.unwrap() == Some(true) {
        tries += 1;
        assert!(tries < 10_000, "still running");
        tokio::task::yield_now().await;
    }
    bench.end().await;
}

#[tokio::test]
async fn sixteen_sandboxes_start_at_once() {
    let Some(bench) = bench(Flavor::Slim, SHELL).await else {
        return;
    };
    let specs: Vec<_> = (0..16).map(|_| new_spec(SMALL)).collect();
    let starts = specs.iter().map(|spec| bench.backend.start(spec));
    let started = std::time::Instant::now();
    let channels = futures_util::future::join_all(starts).await;
    eprintln!("MEASURED: 16 sandboxes up in {:?}", started.elapsed());
    for channel in channels {
        assert_eq!(run(channel.unwrap(), "echo up").await, "up\n");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_guest_volume_that_was_cleared_away_is_filled_again() {
    // A guest of its own, so that no other test's volume goes.
    const GUEST: &[u8] =
        b"#!/bin/bash\n# of the test that clears its volume away\nexec /bin/bash -s\n";
    let Some(bench) = bench(Flavor::Slim, GUEST).await else {
        return;
    };
    let spec = new_spec(SMALL);
    run(
        bench.backend.start(&spec).await.unwrap(),
        "echo kept > note",
    )
    .await;
    bench.backend.remove(&spec.sandbox_id).await.unwrap();
    bench.backend.forget_guest_volume().await.unwrap();
    let channel = bench.backend.start(&spec).await.unwrap();
    assert_eq!(run(channel, "echo up").await, "up\n");
    bench.end().await;
}

#[tokio::test]
async fn servers_that_fill_a_new_guest_volume_at_once_do_not_disturb_one_another() {
    // A guest that no engine has yet.
    let id = common::ids::Ids::random().next(common::ids::Kind::Request);
    let script = format!("#!/bin/bash\n# {id}\nexec /bin/bash -s\n");
    let guest: &'static [u8] = script.into_bytes().leak();
    let mut servers = Vec::new();
    for _ in 0..6 {
        let Some(server) = bench(Flavor::Slim, guest).await else {
            return;
        };
        servers.push(server);
    }
    let specs: Vec<_> = servers.iter().map(|_| new_spec(SMALL)).collect();
    let starts = servers.iter().zip(&specs);
    let starts = starts.map(|(server, spec)| server.backend.start(spec));
    for channel in futures_util::future::join_all(starts).await {
        assert_eq!(run(channel.unwrap(), "echo up").await, "up\n");
    }
    for (server, spec) in servers.iter().zip(&specs) {
        server.backend.remove(&spec.sandbox_id).await.unwrap();
    }
    servers[0].backend.forget_guest_volume().await.unwrap();
    for server in servers {
        server.end().await;
    }
}

#[tokio::test]
async fn a_gone_servers_sandboxes_are_reaped_and_a_live_ones_are_not() {
    let Some(gone) = bench(Flavor::Slim, SHELL).await else {
        return;
    };
    let live = bench(Flavor::Slim, SHELL).await.unwrap();
    let reaper = bench(Flavor::Slim, SHELL).await.unwrap();
    let (orphan, kept) = (new_spec(SMALL), new_spec(SMALL));
    drop(gone.backend.start(&orphan).await.unwrap());
    let channel = live.backend.start(&kept).await.unwrap();
    let now = in_30_days() - chrono::TimeDelta::days(30);

    reaper.backend.reap_at(now, |_| true).await.unwrap();
    assert!(
        gone.backend
            .is_running(&orphan.sandbox_id)
            .await
            .unwrap()
            .is_some()
    );

    // As if the process had died: its lock is free, and its folder is still there.
    let folder = gone.folder;
    let looker = config(&tempfile::tempdir().unwrap().keep());
    drop(gone.backend);
    assert!(reaper.backend.reap_at(now, |_| true).await.unwrap() >= 1);
    let again = DockerConfig {
        data_dir: folder.path().to_owned(),
        ..looker
    };
    let again = DockerBackend::connect(again).await.unwrap();
    assert_eq!(again.is_running(&orphan.sandbox_id).await.unwrap(), None);
    assert_eq!(run(channel, "echo alive").await, "alive\n");
    live.end().await;
}

#[tokio::test]
async fn the_next_server_of_a_data_directory_finds_the_files_and_drops_what_it_does_not_know() {
    if !crate::bench::image_ready(Flavor::Slim).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kept = || DockerConfig {
        temporary: false,
        ..config(folder.path())
    };
    let first = DockerBackend::connect(kept()).await.unwrap();
    let refused = DockerBackend::connect(kept())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("another server uses the data directory"),
        "{refused}"
    );
    let spec = |id: &str| sandbox::SandboxSpec {
        sandbox_id: id.into(),
        expires_at: in_30_days(),
        limits: SMALL,
    };
    let (known, unknown) = (spec("container_01known"), spec("container_01unknown"));
    run(first.start(&known).await.unwrap(), "echo kept > note").await;
    run(first.start(&unknown).await.unwrap(), "true").await;
    first.close().await.unwrap();
    drop(first);

    let second = DockerBackend::connect(kept()).await.unwrap();
    let now = in_30_days() - chrono::TimeDelta::days(30);
    second
        .reap_at(now, |id| id == &*known.sandbox_id)
        .await
        .unwrap();
    assert_eq!(second.is_running(&unknown.sandbox_id).await.unwrap(), None);
    assert_eq!(
        run(second.start(&known).await.unwrap(), "cat note").await,
        "kept\n"
    );
    second.remove(&known.sandbox_id).await.unwrap();
}

#[tokio::test]
async fn a_missing_image_is_unavailable_with_the_command_that_helps() {
    let Some(bench) = bench(Flavor::Slim, SHELL).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let image = Some("sandtable-no-such-image:latest".to_owned());
    let backend = DockerBackend::connect(DockerConfig {
        image,
        ..config(folder.path())
    })
    .await
    .unwrap();
    for error in [
        backend.ready().await.unwrap_err(),
        backend.start(&new_spec(SMALL)).await.unwrap_err(),
    ] {
        let SandboxError::Unavailable { hint, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(hint, "docker pull sandtable-no-such-image:latest");
    }
    assert!(bench.backend.ready().await.is_ok());
    bench.end().await;
}

#[tokio::test]
async fn no_engine_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let host = Some(format!(
        "unix://{}",
        folder.path().join("none.sock").display()
    ));
    let started = std::time::Instant::now();
    let error = DockerBackend::connect(DockerConfig {
        host,
        ..config(folder.path())
    })
    .await
    .unwrap_err();
    assert!(matches!(error, SandboxError::Unavailable { .. }), "{error}");
    assert!(started.elapsed().as_secs() < 2);
}

#[tokio::test]
async fn nothing_in_the_image_gives_another_identity() {
    let Some(bench) = contract().await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    let said = bash(
        &guest,
        "find / -xdev -type f -perm /6000 2>/dev/null; getcap -r / 2>/dev/null; su -c id; true",
    )
    .await;
    assert_eq!(said.out, "");
    bench.end().await;
}
