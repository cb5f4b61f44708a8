//! The inspector's own calls, against a workspace that was asked something.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::config::Config;
use crate::control::tests::Server;

fn turn(said: &str) -> Value {
    json!({
        "model": "claude-opus-4-6", "max_tokens": 16, "messages": [{"role": "user", "content": said}],
    })
}

const RULE: &str = "- name: lunch\n  when: { user: lunch }\n  then:\n    - text: Soup.\n    - if: \"${{ 1 == 2 }}\"\n      then: [{ text: No. }]\n";

async fn asked() -> Server {
    let server = Server::start(Config::default());
    server
        .send(Some("a"), Method::PUT, "/_sandtable/scripts", RULE)
        .await;
    for said in ["lunch?", "dinner?"] {
        server.post("a", "/v1/messages", &turn(said)).await;
    }
    server
}

#[tokio::test]
async fn the_timeline_grows_by_numbers_and_holds_no_bodies() {
    let server = asked().await;
    let (_, newest) = server.get("a", "/_sandtable/page/timeline").await;
    let said = |page: &Value| -> Vec<String> {
        let rows = page["data"].as_array().unwrap().iter();
        rows.map(|row| row["said"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(said(&newest), ["dinner?", "lunch?"]);
    assert_eq!(newest["kept"], 2);
    let row = &newest["data"][1];
    assert_eq!(row["source"], "lunch");
    assert_eq!(row["model"], "claude-opus-4-6");
    assert!(row.get("request_body").is_none());
    let after = format!("/_sandtable/page/timeline?after={}", row["n"]);
    let (_, later) = server.get("a", &after).await;
    assert_eq!(said(&later), ["dinner?"]);
    let before = format!(
        "/_sandtable/page/timeline?before={}",
        newest["data"][0]["n"]
    );
    assert_eq!(said(&server.get("a", &before).await.1), ["lunch?"]);
    let one = server
        .get("a", "/_sandtable/page/timeline?after=0&limit=1")
        .await;
    assert_eq!(one.1["data"].as_array().unwrap().len(), 1);
    let (status, _) = server.get("a", "/_sandtable/page/timeline?after=x").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn turns_of_a_conversation_share_a_thread() {
    let server = asked().await;
    let next = json!({"model": "claude-opus-4-6", "max_tokens": 16, "messages": [
        {"role": "user", "content": "lunch?"}, {"role": "assistant", "content": "Soup."},
        {"role": "user", "content": [{"type": "text", "text": "More lunch"}]},
    ]});
    server.post("a", "/v1/messages", &next).await;
    let (_, page) = server.get("a", "/_sandtable/page/timeline").await;
    let rows = &page["data"];
    assert_eq!(rows[0]["said"], "More lunch");
    assert_eq!(rows[0]["turn"], 2);
    assert_eq!(rows[0]["thread"], rows[2]["thread"]);
    assert_ne!(rows[0]["thread"], rows[1]["thread"]);
}

#[tokio::test]
async fn a_turn_names_its_rule_and_steps_or_what_was_nearest() {
    let server = asked().await;
    let (_, page) = server.get("a", "/_sandtable/page/timeline").await;
    let path = |at: usize| {
        format!(
            "/_sandtable/page/turns/{}",
            page["data"][at]["id"].as_str().unwrap()
        )
    };
    let (_, answered) = server.get("a", &path(1)).await;
    assert_eq!(answered["rule"]["line"], 1);
    assert_eq!(answered["steps"], json!([{"step": "text", "line": 4}]));
    assert_eq!(answered["miss"], Value::Null);
    let (_, missed) = server.get("a", &path(0)).await;
    assert_eq!(missed["miss"]["nearest"][0]["failed"]["clause"], "user");
    let (status, _) = server.get("b", &path(0)).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "another workspace's");
}

#[tokio::test]
async fn a_turn_names_the_faults_that_met_it() {
    let server = asked().await;
    server
        .post(
            "a",
            "/_sandtable/faults",
            &json!({"at": "http", "status": 529}),
        )
        .await;
    server.post("a", "/v1/messages", &turn("lunch?")).await;
    let (_, page) = server.get("a", "/_sandtable/page/timeline?limit=1").await;
    assert_eq!(page["data"][0]["faults"], 1);
    let path = format!(
        "/_sandtable/page/turns/{}",
        page["data"][0]["id"].as_str().unwrap()
    );
    let (_, turn) = server.get("a", &path).await;
    assert_eq!(turn["faults"][0]["fault"]["status"], 529);
}

#[tokio::test]
async fn a_turn_names_the_rule_that_answered_or_none_of_several() {
    let server = Server::start(Config::default());
    let same = "- name: same\n  when: { user: lunch }\n  then: [{ text: Soup. }]\n- name: same\n  then: [{ text: No. }]\n";
    server
        .send(Some("a"), Method::PUT, "/_sandtable/scripts", same)
        .await;
    for said in ["lunch?", "dinner?"] {
        server.post("a", "/v1/messages", &turn(said)).await;
    }
    let (_, page) = server.get("a", "/_sandtable/page/timeline").await;
    let newest = |page: &Value, at: usize| {
        let id = page["data"][at]["id"].as_str().unwrap();
        format!("/_sandtable/page/turns/{id}")
    };
    for (at, line) in [(1, 1), (0, 4)] {
        let (_, shown) = server.get("a", &newest(&page, at)).await;
        assert_eq!(shown["rule"]["line"], line, "{shown}");
    }
    // Texts of their own that say the same at the same place.
    for _ in 0..2 {
        let rule = "- then: [{ text: Soup. }]\n";
        server
            .send(Some("b"), Method::POST, "/_sandtable/scripts", rule)
            .await;
    }
    server.post("b", "/v1/messages", &turn("lunch?")).await;
    let (_, page) = server.get("b", "/_sandtable/page/timeline").await;
    let (_, shown) = server.get("b", &newest(&page, 0)).await;
    assert_eq!(shown["rule"], Value::Null, "{shown}");
}

#[tokio::test]
async fn a_timeline_takes_as_many_rows_as_the_journal() {
    let server = asked().await;
    for query in ["limit=0", "limit=1001", "limit=x", "limt=1"] {
        let path = format!("/_sandtable/page/timeline?{query}");
        assert_eq!(
            server.get("a", &path).await.0,
            StatusCode::BAD_REQUEST,
            "{query}"
        );
    }
    let (status, _) = server
        .get("a", "/_sandtable/page/timeline?limit=1000")
        .await;
    assert_eq!(status, StatusCode::OK);
}
