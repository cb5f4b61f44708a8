//! Requests as deep as a server takes them: recorded, replayed, and compared with others.

use common::limits::JSON_DEPTH;
use serde_json::Value;

use super::{Studio, player};
use crate::depth::deep;
use crate::harness::TestServer;
use crate::harness::server::prompt;

/// Asks for what is there, and for what is not: that is refused, and the verdict is bad.
async fn replay(player: &TestServer, levels: &[usize]) {
    for levels in levels {
        let answer = player.send(&player.messages(&deep(*levels))).await;
        assert_eq!(answer.status, 200, "{levels}: {}", answer.text());
    }
    for request in [
        player.messages(&prompt("shallow")),
        player.messages(&deep(100)),
        player.request("GET", "/v1/models"),
    ] {
        let missed = player.send(&request).await;
        assert_eq!(missed.status, 400, "{}", missed.text());
        assert!(
            missed.text().contains("no recorded exchange"),
            "{}",
            missed.text()
        );
    }
    let verdict = player.control("GET", "verify", &Value::Null).await;
    assert_eq!(verdict["ok"], false);
    assert_eq!(verdict["unmatched"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_deepest_requests_are_recorded_and_a_miss_beside_them_is_one() {
    let studio = Studio::open().await;
    let all: Vec<usize> = (JSON_DEPTH - 6..=JSON_DEPTH).collect();
    for levels in &all {
        let recorder = &studio.recorder;
        let answer = recorder.send(&recorder.messages(&deep(*levels))).await;
        assert_eq!(answer.status, 200, "{levels}: {}", answer.text());
    }
    replay(&player(&studio.path()).await, &all).await;
}

#[tokio::test]
async fn a_cassette_of_a_journal_with_the_deepest_request_is_one() {
    let server = TestServer::start().await;
    server.message(&deep(JSON_DEPTH)).await;
    let journal = server.request("GET", "/_sandtable/journal?format=cassette");
    let cassette = server.send(&journal).await;
    assert_eq!(cassette.status, 200, "{}", cassette.text());
    let folder = tempfile::TempDir::new().unwrap();
    let path = super::path(&folder);
    std::fs::write(&path, cassette.text()).unwrap();
    replay(&player(&path).await, &[JSON_DEPTH]).await;
}
