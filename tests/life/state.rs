//! The state of a workspace, with real files in real containers: taken out, put back, and whole after a
//! kill at any moment.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::clients::Dice;
use crate::http::{Client, message, result};
use crate::server::{Server, backends};
use crate::traces;

fn export(client: &Client) -> Vec<u8> {
    let answer = client.get("/_sandtable/state").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body
}

fn control(client: &Client, method: &str, path: &str, body: &[u8]) -> Value {
    let answer = client.ask(method, path, "application/json", body).unwrap();
    assert!(answer.status < 300, "{path}: {}", answer.text());
    answer.json()
}

/// Everything that a file system may hold and an export must not stumble over.
const MAKE: &str = r#"mkdir -p deep/er empty ro closed/inner; echo 1 > deep/er/file; chmod 755 deep
ln -s deep/er link; ln -s /nowhere dangling; ln deep/er/file hard
head -c 3000 /dev/urandom > bytes; chmod 4750 bytes; : > void
touch "$(printf 'odd\n \377"name')"; mkfifo pipe
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
n=$(printf 'x%.0s' $(seq 150)); mkdir -p $n/$n; echo deep > $n/$n/$n
echo secret > closed/inner/file; chmod 000 closed/inner/file closed/inner closed; chmod 555 ro
echo temporary > /tmp/kept; echo out > $OUTPUT_DIR/out.txt; echo more >> $INPUT_DIR/in.txt"#;

const LOOK: &str = r"cat /tmp/kept in.txt deep/er/file hard link/file; sha256sum < bytes
chmod 755 closed closed/inner; stat -c '%A %F' bytes ro closed/inner/file; chmod 600 closed/inner/file
cat closed/inner/file; chmod 000 closed/inner/file closed/inner closed; readlink dangling; ls -b | head -30";

#[test]
fn an_export_put_back_is_exported_again_byte_for_byte() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        control(&client, "POST", "/_sandtable/clock", br#"{"freeze":true}"#);
        let upload = client.upload("in.txt", b"in\n").unwrap().json();
        let upload = upload["id"].as_str().unwrap();
        let body = message(None, MAKE, &[upload], false);
        let made = client
            .ask("POST", "/v1/messages", "application/json", &body)
            .unwrap();
        assert_eq!(result(&made)["return_code"], 0, "{}", made.text());
        let json = made.json();
        let id = json["container"]["id"].as_str().unwrap();
        let before = result(&client.bash(Some(id), LOOK).unwrap());

        let first = export(&client);
        let document: Value = serde_json::from_slice(&first).unwrap();
        let entries = document["containers"][0]["files"].as_array().unwrap();
        let find = |path: &str| entries.iter().find(|entry| entry["path"] == path);
        assert_eq!(
            find("/home/user/closed/inner/file").unwrap()["mode"],
            "0000"
        );
        assert_eq!(find("/home/user/bytes").unwrap()["mode"], "4750");
        assert_eq!(find("/home/user/link").unwrap()["target"], "deep/er");
        assert!(find("/home/user/pipe").is_none() && find("/home/user/sock").is_none());

        control(&client, "POST", "/_sandtable/reset", b"");
        let empty: Value = serde_json::from_slice(&export(&client)).unwrap();
        assert_eq!(empty["containers"], json!([]));
        control(&client, "PUT", "/_sandtable/state", &first);
        assert!(
            export(&client) == first,
            "{backend}: before its container ran"
        );
        let mut after = result(&client.bash(Some(id), LOOK).unwrap());
        // The two have no content, and are no part of a state.
        let listed = after["stdout"].as_str().unwrap().to_owned();
        assert!(
            !listed.contains("pipe") && !listed.contains("sock"),
            "{listed}"
        );
        let without = before["stdout"].as_str().unwrap();
        after["stdout"] = without.into();
        assert_eq!(listed, without.replace("pipe\n", "").replace("sock\n", ""));
        assert_eq!(after["return_code"], before["return_code"]);
        assert!(
            export(&client) == first,
            "{backend}: after its container ran"
        );
        control(
            &client,
            "POST",
            &format!("/_sandtable/containers/{id}/sleep"),
            b"",
        );
        assert!(export(&client) == first, "{backend}: asleep");

        // What another server exports again is the same, and its container has the id.
        server.kill();
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("another");
        control(&client, "PUT", "/_sandtable/state", &first);
        assert_eq!(
            result(&client.bash(Some(id), "cat in.txt").unwrap())["stdout"],
            "in\nmore\n"
        );
        assert_eq!(
            result(&server.client("key").bash(Some(id), "cat in.txt").unwrap())["stdout"],
            "in\nmore\n"
        );
        assert!(export(&client) == first, "{backend}: on the next server");
        assert!(server.stop().success());
        traces::remove_sandboxes(&data_dir);
    }
}

fn document(name: &str, files: usize) -> Value {
    let file = |n: usize| json!({"id": format!("{name}_{n}"), "content": name.repeat(20_000)});
    json!({
        "clock": {"now": "2030-01-02T03:04:05.000000Z", "frozen": true},
        "files": (0..files).map(file).collect::<Vec<_>>(),
        "containers": [{"id": "container", "files": [{"path": "name", "content": name}]}],
    })
}

#[test]
fn a_kill_in_the_middle_leaves_one_state_or_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut dice = Dice::new(u64::from(std::process::id()));
    let sent = [("a", 30), ("b", 40)].map(|(name, files)| {
        let server = Server::start("none", &folder.path().join(name), &[]).unwrap();
        let client = server.client("key");
        let document = document(name, files).to_string();
        control(&client, "PUT", "/_sandtable/state", document.as_bytes());
        let kept = export(&client);
        (document, kept)
    });
    let server = Server::start("none", &data_dir, &[]).unwrap();
    let first = sent[0].0.as_bytes();
    let begun = Instant::now();
    control(&server.client("key"), "PUT", "/_sandtable/state", first);
    let took = begun.elapsed();
    drop(server);
    // How often the kill came before the new state was there, and after.
    let (mut held, mut last) = ([0, 0], 0);
    for round in 0..16 {
        let server = Server::start("none", &data_dir, &[]).unwrap();
        let client = server.client("key");
        let found = export(&client);
        // The default of `input_dir` follows from the workspace.
        let same = |kept: &[u8]| {
            let strip = |bytes: &[u8]| {
                let mut value: Value = serde_json::from_slice(bytes).unwrap();
                value["containers"][0]["input_dir"] = Value::Null;
                value
            };
            strip(kept) == strip(&found)
        };
        let which = sent.iter().position(|(_, kept)| same(kept));
        let which = which.expect("neither of the two states");
        if round > 0 {
            held[usize::from(which == last)] += 1;
        }
        last = 1 - which;
        let (next, _) = &sent[last];
        let cut = client
            .send(
                "PUT",
                "/_sandtable/state",
                "application/json",
                next.as_bytes(),
            )
            .unwrap();
        let share = u32::try_from(dice.next() % 150).unwrap();
        std::thread::sleep(took * share / 100);
        server.kill();
        drop(cut);
    }
    eprintln!(
        "MEASURED: a put takes {took:?}; killed before it was done: {}, after: {}",
        held[0], held[1]
    );
    // What the last kill left half written goes with the next start.
    let server = Server::start("none", &data_dir, &[]).unwrap();
    let found: Value = serde_json::from_slice(&export(&server.client("key"))).unwrap();
    let files = |dir: &Path| std::fs::read_dir(dir).unwrap().count();
    assert_eq!(files(&data_dir.join("sandtable-tmp")), 0);
    let shelves = std::fs::read_dir(data_dir.join("blobs")).unwrap();
    let blobs: usize = shelves.map(|shelf| files(&shelf.unwrap().path())).sum();
    assert_eq!(blobs, found["files"].as_array().unwrap().len());
}

/// Makes 300 files that their owner has closed, and more than can be packed in no time.
const CLOSED: &str =
    "mkdir c; cd c; touch f{1..300}; chmod 000 f*; head -c 30M /dev/urandom > ../big";
/// What others than the client's code may have left or changed.
const REMAINS: &str = "find /files -type f; ls /files/input /files/output; ls ~ | grep state-; stat -c %a c/* | sort | uniq -c";

#[test]
fn an_export_that_is_left_or_killed_leaves_nothing_in_the_container() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        let made = client.bash(None, CLOSED).unwrap().json();
        let id = made["container"]["id"].as_str().unwrap().to_owned();
        let look = |client: &Client| {
            let mut said = String::new();
            // Until the server has seen that the client is gone, both are at work.
            for _ in 0..50 {
                let looked = result(&client.bash(Some(&id), REMAINS).unwrap())["stdout"].clone();
                said = looked.as_str().unwrap().to_owned();
                // Each call has an output directory, which is empty.
                if !said.contains("00000000") && said.contains(" 300 0\n") {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            assert!(said.contains(" 300 0\n"), "{backend}: {said}");
            assert!(!said.contains(".tar"), "{backend}: {said}");
            let own = |line: &&str| line.contains("00000000");
            assert_eq!(said.lines().find(own), None, "{backend}: {said}");
        };
        for share in [50, 200, 400, 700] {
            let cut = client.send("GET", "/_sandtable/state", "", b"").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(share));
            drop(cut);
            look(&client);
        }
        let whole = export(&client);
        let cut = client.send("GET", "/_sandtable/state", "", b"").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(400));
        server.kill();
        drop(cut);
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        look(&client);
        let strip = |bytes: &[u8]| -> Value {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            document["containers"][0]["files"].clone()
        };
        assert_eq!(strip(&export(&client)), strip(&whole), "{backend}");
    }
}

#[test]
fn an_export_that_is_too_large_is_none_of_the_next() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(backend, &folder.path().join("data"), &[]).unwrap();
        let client = server.client("key");
        let made = client.bash(None, "truncate -s 300M sparse");
        let made = made.unwrap().json();
        let id = made["container"]["id"].as_str().unwrap();
        for _ in 0..2 {
            let refused = client.get("/_sandtable/state").unwrap();
            assert_eq!(refused.status, 413, "{}", refused.text());
        }
        let left = client.bash(Some(id), "rm sparse; find /files -type f | wc -l");
        assert_eq!(result(&left.unwrap())["stdout"], "0\n", "{backend}");
        export(&client);
    }
}

#[test]
fn files_of_a_state_are_whole_and_alone_though_the_client_that_has_them_put_leaves() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(backend, &folder.path().join("data"), &[]).unwrap();
        let client = server.client("key");
        let file = |n: usize| json!({"path": format!("d/f{n}"), "content": "x"});
        let files: Vec<Value> = (0..2_000).map(file).collect();
        let container = |n: usize| json!({"id": format!("c{n}"), "files": files});
        let document = json!({"containers": (0..4).map(container).collect::<Vec<_>>()});
        control(
            &client,
            "PUT",
            "/_sandtable/state",
            document.to_string().as_bytes(),
        );
        for n in 0..4_u32 {
            let id = format!("c{n}");
            let body = message(Some(&id), "true", &[], false);
            let cut = client
                .send("POST", "/v1/messages", "application/json", &body)
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(150) * (n + 1));
            drop(cut);
            let said = client.bash(
                Some(&id),
                "ls d | wc -l; find /files ~ -name 'state*'; ls /files/input",
            );
            let said = result(&said.unwrap())["stdout"].clone();
            let said: Vec<&str> = said.as_str().unwrap().lines().collect();
            assert_eq!(said[0], "2000", "{backend} {id}");
            assert!(
                said.len() <= 2 && !said.concat().contains("00000000"),
                "{backend} {id}: {said:?}"
            );
        }
    }
}
