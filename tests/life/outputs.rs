//! Files that come back from `$OUTPUT_DIR` take no more room on the server than they have in their container, and a
//! container that code has filled or spoilt goes on working.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::http::{message, result};
use crate::server::{Server, backends};
use crate::traces;

const MIB: u64 = 1024 * 1024;

fn on_every_backend(test: impl Fn(&Server, &Path)) {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        test(&server, &data_dir);
        assert!(server.stop().success());
        traces::remove_sandboxes(&data_dir);
    }
}

/// The room that the blobs take on the disk in bytes, each counted once whatever its names.
fn room_of_blobs(data_dir: &Path) -> u64 {
    let shelves = fs::read_dir(data_dir.join("blobs")).unwrap().flatten();
    let blobs = shelves.flat_map(|shelf| fs::read_dir(shelf.path()).unwrap().flatten());
    let mut seen = std::collections::HashSet::new();
    let blobs = blobs.map(|blob| blob.metadata().unwrap());
    let blobs = blobs.filter(|blob| seen.insert(blob.ino()));
    blobs.map(|blob| blob.blocks() * 512).sum()
}

#[test]
fn a_file_under_fifteen_names_is_kept_once_and_comes_back_under_each() {
    const CALL: &str = "cd $OUTPUT_DIR; head -c 8M /dev/urandom > 00; for n in $(seq 10 23); do ln 00 $n; done; echo own > own";
    on_every_backend(|server, data_dir| {
        let client = server.client("key");
        let answer = client.bash(None, CALL).unwrap();
        let files = result(&answer)["content"].as_array().unwrap().clone();
        assert_eq!(files.len(), 16, "{}", answer.text());
        let room = room_of_blobs(data_dir);
        assert!((8 * MIB..10 * MIB).contains(&room), "{room}");
        let content = |n: usize| {
            let id = files[n]["file_id"].as_str().unwrap();
            client.get(&format!("/v1/files/{id}/content")).unwrap()
        };
        let (first, last) = (content(0).body, content(14).body);
        assert!(first.len() >= 8 * 1024 * 1024 && content(15).text().ends_with("own\n"));
        let whole = |bytes: &[u8]| bytes[bytes.len() - 8 * 1024 * 1024..].to_vec();
        assert!(whole(&first) == whole(&last));
        // Each name is a file of its own: the others outlive it.
        let id = files[0]["file_id"].as_str().unwrap();
        let gone = client.ask("DELETE", &format!("/v1/files/{id}"), "", b"");
        assert_eq!(gone.unwrap().status, 200);
        assert_eq!(content(0).status, 404);
        assert!(whole(&content(14).body) == whole(&last));
    });
}

#[test]
fn a_container_that_is_too_full_for_an_upload_still_runs_the_call_that_makes_room() {
    on_every_backend(|server, _| {
        let client = server.client("key");
        let filled = client.bash(None, "fallocate -l 6G hog || for n in $(seq 3); do fallocate -l 2G hog-$n; done; fallocate -l 700M hog-4; true");
        let filled = filled.unwrap();
        let id = filled.json()["container"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let upload = client
            .upload("data.csv", &vec![b'x'; 400 * 1024 * 1024])
            .unwrap();
        let file = upload.json()["id"].as_str().unwrap().to_owned();
        let ask = |command: &str| {
            let body = message(Some(&id), command, &[&file], false);
            let answer = client.ask("POST", "/v1/messages", "application/json", &body);
            result(&answer.unwrap())
        };
        let made = ask("rm -f hog*; echo made room");
        assert_eq!(made["stdout"], "made room\n", "{made}");
        let there = ask("stat -c %s $INPUT_DIR/data.csv");
        assert_eq!(there["stdout"], "419430400\n", "{there}");
    });
}
