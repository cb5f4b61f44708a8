//! An acknowledged batch outlives a kill of the server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Client, message};
use crate::server::{Server, backends};
use crate::traces;

const PATH: &str = "/v1/messages/batches";
const QUIRKS: &str = "/_sandtable/quirks";
const ITEMS: usize = 12;

fn create(client: &Client) -> String {
    let items: Vec<Value> = (0..ITEMS)
        .map(|n| {
            let body = message(None, &format!("sleep 0.2; echo {n}"), &[], false);
            let params: Value = serde_json::from_slice(&body).unwrap();
            json!({"custom_id": format!("item-{n}"), "params": params})
        })
        .collect();
    let body = serde_json::to_vec(&json!({ "requests": items })).unwrap();
    let answer = client.ask("POST", PATH, "application/json", &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// How many containers there are: each item makes one.
fn containers(client: &Client) -> usize {
    let list = client.get("/_sandtable/containers").unwrap().json();
    list["data"].as_array().map_or(0, Vec::len)
}

fn ended(client: &Client, id: &str) -> Value {
    let begun = Instant::now();
    loop {
        let answer = client.get(&format!("{PATH}/{id}")).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let batch = answer.json();
        if batch["processing_status"] == "ended" {
            return batch;
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "{batch}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_batch_goes_on_after_each_kill_and_every_item_has_one_result() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        // Kept with the batch; the workspace itself forgets it.
        let quirk = json!({"code-execution-counter": "absent"}).to_string();
        let set = client.ask("PUT", QUIRKS, "application/json", quirk.as_bytes());
        assert_eq!(set.unwrap().status, 200);
        let id = create(&client);
        server.kill();
        // Cut short in the middle of its items, too.
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        while containers(&client) < 6 {
            std::thread::sleep(Duration::from_millis(20));
        }
        server.kill();

        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let client = server.client("key");
        let batch = ended(&client, &id);
        assert_eq!(batch["request_counts"]["succeeded"], ITEMS, "{batch}");
        let results = client.get(&format!("{PATH}/{id}/results")).unwrap();
        let counted = results.text().contains("code_execution_requests");
        assert!(!counted, "the quirks of the first request hold");
        let said: BTreeSet<(String, String)> = results
            .text()
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|line| {
                let block = &line["result"]["message"]["content"];
                let stdout = block
                    .as_array()
                    .into_iter()
                    .flatten()
                    .find_map(|block| block["content"]["stdout"].as_str());
                let id = line["custom_id"].as_str().unwrap_or_default();
                (id.to_owned(), stdout.unwrap_or_default().trim().to_owned())
            })
            .collect();
        let expected = (0..ITEMS).map(|n| (format!("item-{n}"), n.to_string()));
        assert_eq!(said, expected.collect());
        assert!(server.stop().success());
        traces::remove_sandboxes(&data_dir);
    }
}
