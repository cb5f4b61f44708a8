//! What a restart keeps: background jobs where a sandbox has a lease, nothing of a temporary server.

use std::time::{Duration, Instant};

use crate::http::result;
use crate::server::{Server, backends};
use crate::traces;

#[test]
fn a_background_job_outlives_a_kill_of_the_server_where_the_sandbox_has_a_lease() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        let command = "echo kept > note; (setsid sleep 1000 > /dev/null 2>&1 & echo $! > pid)";
        let answer = client.bash(None, command).unwrap();
        let id = answer.json()["container"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        // A call is under way when the server dies; it must not go on without its client.
        let body = crate::http::message(Some(&id), "touch under-way; sleep 999", &[], false);
        let cut = client
            .send("POST", "/v1/messages", "application/json", &body)
            .unwrap();
        while result(&client.bash(Some(&id), "ls under-way").unwrap())["return_code"] != 0 {}
        server.kill();
        drop(cut);

        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        let begun = Instant::now();
        let command =
            "cat note; kill -0 $(cat pid) && echo lives; while pgrep -f '[s]leep 999'; do :; done";
        let said = result(&client.bash(Some(&id), command).unwrap());
        eprintln!(
            "MEASURED: {backend}: first call after a restart: {:?}",
            begun.elapsed()
        );
        let expected = if backend == "docker" {
            "kept\nlives\n"
        } else {
            "kept\n"
        };
        let stdout = said["stdout"].as_str().unwrap_or_default();
        assert!(stdout.starts_with(expected), "{said}");
        assert!(server.stop().success());
        assert!(
            traces::sandboxes(&data_dir)
                .iter()
                .all(|sandbox| !sandbox.runs)
        );
        traces::remove_sandboxes(&data_dir);
    }
}

#[test]
fn what_a_killed_temporary_server_left_goes_at_the_next_start_and_a_living_ones_stays() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let count = || std::fs::read_dir(folder.path()).unwrap().count();
        let living = Server::start_temporary(backend, folder.path());
        living.client("key").bash(None, "true").unwrap();
        let killed = Server::start_temporary(backend, folder.path());
        let answer = killed.client("key").bash(None, "true").unwrap();
        let orphan = answer.json()["container"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        killed.kill();
        assert_eq!(count(), 2);

        let next = Server::start_temporary(backend, folder.path());
        let begun = Instant::now();
        while count() != 2 || traces::exists(&orphan) {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{orphan} or its data stays"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let answer = living.client("key").upload("a.txt", b"a").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(next.stop().success());
        assert!(living.stop().success());
        assert_eq!(count(), 0);
    }
}
