//! Clients that leave in the middle of a call, and clients that come two at a time.

use std::io::Read as _;
use std::time::{Duration, Instant};

use crate::http::{Client, message, result};
use crate::server::{Server, backends};
use crate::traces;

fn with_container(test: impl Fn(&Client, &str)) {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        let answer = client.bash(None, "true").unwrap();
        let id = answer.json()["container"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        test(&client, &id);
        assert!(server.stop().success());
        traces::remove_sandboxes(&data_dir);
    }
}

#[test]
fn a_client_that_leaves_ends_its_call_with_all_it_started() {
    const CALL: &str = "(setsid sleep 4321 &) ; sleep 4321 & touch under-way; wait";
    with_container(|client, id| {
        for stream in [false, true] {
            let body = message(Some(id), CALL, &[], stream);
            let mut connection = client
                .send("POST", "/v1/messages", "application/json", &body)
                .unwrap();
            if stream {
                connection.read_exact(&mut [0; 64]).unwrap();
            }
            while result(&client.bash(Some(id), "rm under-way").unwrap())["return_code"] != 0 {}
            drop(connection);
            let begun = Instant::now();
            let count = "pgrep -cf '[s]leep 4321'";
            while result(&client.bash(Some(id), count).unwrap())["stdout"] != "0\n" {
                let time = begun.elapsed();
                assert!(
                    time < Duration::from_secs(10),
                    "stream: {stream}: it goes on"
                );
            }
        }
    });
}

#[test]
fn two_calls_in_one_container_run_side_by_side() {
    // Each waits for the other: one after the other they would wait for ever.
    const FIRST: &str = "touch first; until [ -e second ]; do sleep 0.01; done; echo met";
    const SECOND: &str = "touch second; until [ -e first ]; do sleep 0.01; done; echo met";
    with_container(|client, id| {
        std::thread::scope(|scope| {
            let calls = [FIRST, SECOND].map(|command| {
                scope.spawn(move || result(&client.bash(Some(id), command).unwrap()))
            });
            for call in calls {
                assert_eq!(call.join().unwrap()["stdout"], "met\n");
            }
        });
    });
}
