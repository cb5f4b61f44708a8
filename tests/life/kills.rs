//! The proof: a server under load is killed at random moments, and what it has acknowledged is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::clients::{Actor, Dice};
use crate::http::Client;
use crate::server::{Server, backends, log_path};
use crate::traces;

const CLIENTS: u64 = 4;
const DEFAULT_KILLS: usize = 6;
/// Longest a server lives under load. Every other one lives on until a call in a container is
/// acknowledged, and so long again, so that a busy machine does not make the proof hollow.
const LIFE_MS: u64 = 1500;
/// Longest wait for that call.
const PATIENCE: Duration = Duration::from_secs(30);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_left_over_when_a_server_is_killed() {
    let kills = number("SANDTABLE_KILLS").map_or(DEFAULT_KILLS, |n| usize::try_from(n).unwrap());
    let seed = number("SANDTABLE_SEED_OF_KILLS").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("again with: SANDTABLE_KILLS={kills} SANDTABLE_SEED_OF_KILLS={seed}");
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let survived = std::panic::catch_unwind(|| survive(backend, &data_dir, kills, seed));
        traces::remove_sandboxes(&data_dir);
        if let Err(reason) = survived {
            let folder = folder.keep();
            eprintln!(
                "seed {seed}; {} and {}",
                folder.display(),
                log_path(&data_dir).display()
            );
            std::panic::resume_unwind(reason);
        }
    }
}

/// So many sandboxes started ahead, where that can be.
fn ahead<'a>(backend: &str, count: &'a str) -> Vec<&'a str> {
    match backend {
        "docker" => vec!["--warm", count],
        _ => Vec::new(),
    }
}

fn survive(backend: &str, data_dir: &Path, kills: usize, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut actors: Vec<Actor> = (0..CLIENTS).map(|n| Actor::new(n, seed)).collect();
    let (mut starts, mut pids) = (Vec::new(), Vec::new());
    for kill in 0..kills {
        if dice.below(8) == 0 {
            let after = Duration::from_millis(dice.next() % 150);
            pids.push(Server::start_and_kill(backend, data_dir, after));
        }
        let begun = Instant::now();
        let warm = ["0", "1"][dice.below(2)];
        let server =
            Server::start(backend, data_dir, &ahead(backend, warm)).expect("it starts again");
        starts.push(begun.elapsed());
        pids.push(server.pid());
        check(&server, &actors, &mut dice);
        let life = Duration::from_millis(dice.next() % LIFE_MS + 20);
        let called = AtomicBool::new(kill % 2 == 0);
        std::thread::scope(|scope| {
            for actor in &mut actors {
                let client = server.client(&actor.key);
                let called = &called;
                scope.spawn(move || actor.act(&client, called));
            }
            let begun = Instant::now();
            while !called.load(Ordering::Relaxed) && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(life);
            server.kill();
        });
        for actor in &actors {
            let wrong = &actor.ledger.wrong;
            assert!(wrong.is_empty(), "kill {kill}, {}: {wrong:#?}", actor.key);
        }
    }
    starts.sort();

    let server = Server::start(backend, data_dir, &ahead(backend, "1")).expect("it starts again");
    let containers: usize = actors.iter().map(|a| a.ledger.containers.len()).sum();
    for actor in &actors {
        let client = server.client(&actor.key);
        actor.ledger.check_files(&client, true);
        actor.ledger.check_uploads(&client);
        for id in actor.ledger.containers.keys() {
            actor.ledger.check_container(&client, id);
        }
    }
    strangers(&server.client("client-0"));
    let files: usize = (0..CLIENTS).map(|n| count(&server, n)).sum();
    assert_eq!(traces::blobs(data_dir), files, "blobs and files");
    let known = traces::known_containers(&server.client("client-0"));
    pids.push(server.pid());
    assert!(server.stop().success());
    traces::assert_nothing_is_left(data_dir, &known, &pids);
    let acknowledged: usize = actors.iter().map(|a| a.ledger.acknowledged).sum();
    let calls: usize = actors.iter().map(|a| a.ledger.calls).sum();
    assert!(calls > kills / 2, "{calls} calls prove nothing");
    eprintln!(
        "MEASURED: {backend}: {kills} kills survived; {acknowledged} requests acknowledged, \
         {calls} of them calls in {containers} containers, {files} files; start to answer: median {:?}, max {:?}",
        starts.get(starts.len() / 2),
        starts.last()
    );
}

/// Between two kills: some files, and one container of each client.
fn check(server: &Server, actors: &[Actor], dice: &mut Dice) {
    for actor in actors {
        let client = server.client(&actor.key);
        actor.ledger.check_files(&client, false);
        if let Some(id) = actor.open().get(dice.below(3)) {
            actor.ledger.check_container(&client, id);
        }
    }
}

fn strangers(client: &Client) {
    let file = client
        .get("/v1/files/file_011111111111111111111111")
        .unwrap();
    assert_eq!(file.status, 404, "{}", file.text());
    let unknown = "container_011111111111111111111111";
    let turn = client.bash(Some(unknown), "true").unwrap();
    assert!(matches!(turn.status, 400 | 404), "{}", turn.text());
}

/// The files that a client's workspace has.
fn count(server: &Server, number: u64) -> usize {
    let client = server.client(&format!("client-{number}"));
    let mut seen = BTreeSet::new();
    let mut after = String::new();
    loop {
        let answer = client.get(&format!("/v1/files?limit=1000{after}")).unwrap();
        let json = answer.json();
        let files = json["data"].as_array().expect("a list").clone();
        for file in &files {
            assert!(seen.insert(file["id"].to_string()), "twice in the list");
        }
        match (json["has_more"].as_bool(), files.last()) {
            (Some(true), Some(last)) => {
                after = format!("&after_id={}", last["id"].as_str().unwrap());
            }
            _ => return seen.len(),
        }
    }
}
