//! What is told to those who listen.

use std::time::Duration;

use super::*;
use workspace::events::{Heard, Subscription};

async fn next(heard: &mut Subscription) -> Value {
    let next = tokio::time::timeout(Duration::from_secs(20), heard.next());
    match next.await.unwrap().unwrap() {
        Heard::Event(event) => event.to_json(),
        Heard::Dropped(count) => panic!("{count} were lost"),
    }
}

#[tokio::test]
async fn items_of_a_batch_are_told_and_found_by_the_name_that_findings_have() {
    let server = Server::start(Config::default());
    let rule = "- when: { user: lunch }\n  then: [{ text: Soup. }]\n";
    server
        .send(Some("a"), Method::PUT, "/_sandtable/scripts", rule)
        .await;
    let mut heard = server.app.containers.events().subscribe(None).unwrap();
    let item = |name: &str, said: &str| {
        let message = json!({"role": "user", "content": said});
        json!({"custom_id": name, "params": {"model": "claude-opus-4-6", "max_tokens": 16, "messages": [message]}})
    };
    let body = json!({"requests": [item("one", "lunch?"), item("two", "dinner?")]});
    let (status, batch) = server.post("a", "/v1/messages/batches", &body).await;
    assert_eq!(status, StatusCode::OK, "{batch}");
    let mut ended = Vec::new();
    while ended.len() < 2 {
        let event = next(&mut heard).await;
        if event["batch"].is_object() && event["type"] == "request_ended" {
            assert_eq!(event["batch"]["id"], batch["id"], "{event}");
            ended.push((
                event["batch"]["custom_id"].clone(),
                event["request_id"].clone(),
            ));
        }
    }
    ended.sort_by_key(|(name, _)| name.to_string());
    let (_, verdict) = server.get("a", "/_sandtable/verify").await;
    let missed = verdict["unmatched"][0]["request_id"].as_str().unwrap();
    assert_eq!(missed, format!("{}/two", batch["id"].as_str().unwrap()));
    let named = missed.replace('/', "%2F");
    let by_id = ended[1].1.as_str().unwrap();
    for id in [named.as_str(), by_id] {
        let (_, shown) = server
            .get("a", &format!("/_sandtable/page/turns/{id}"))
            .await;
        assert!(shown["miss"]["message"].is_string(), "{shown}");
        let (_, entry) = server.get("a", &format!("/_sandtable/journal/{id}")).await;
        assert_eq!(entry["id"], by_id, "{entry}");
    }
}

#[tokio::test]
async fn a_reset_tells_that_the_clock_and_the_containers_are_others() {
    let server = Server::start(Config::default());
    let state = json!({"containers": [{"id": "c"}, {"id": "over", "state": "expired"}]});
    let put = |body: Value| {
        let body = body.to_string();
        let server = &server;
        async move {
            server
                .send(Some("a"), Method::PUT, "/_sandtable/state", &body)
                .await
        }
    };
    let (status, restored) = put(state).await;
    assert_eq!(status, StatusCode::OK, "{restored}");
    let mut heard = server.app.containers.events().subscribe(None).unwrap();
    server.post("a", "/_sandtable/reset", &Value::Null).await;
    let gone = next(&mut heard).await;
    assert_eq!(
        (&gone["type"], &gone["container"]),
        (&json!("container_expired"), &json!("c"))
    );
    assert_eq!(next(&mut heard).await["type"], "clock_moved");
    let changed = next(&mut heard).await;
    assert_eq!(
        (&changed["type"], &changed["what"]),
        (&json!("setup_changed"), &json!("all"))
    );
    put(json!({"clock": {"now": "2100-01-01T00:00:00Z", "frozen": true}})).await;
    let moved = next(&mut heard).await;
    assert_eq!(moved["now"], "2100-01-01T00:00:00.000000Z", "{moved}");
}
