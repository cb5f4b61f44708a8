//! Cassettes mounted through the control API.

use serde_json::{Value, json};

use super::{Studio, ask};
use crate::harness::TestServer;

const YAML: &str = "cassette: 1\nexchanges:\n- response: {status: 200, headers: {content-type: application/json}, body: {json: {type: message, id: msg_1, content: []}}}\n";

async fn call(server: &TestServer, body: &Value) -> crate::harness::Response {
    let request = server.request("PUT", "/_sandtable/cassettes").json(body);
    server.send(&request).await
}

#[tokio::test]
async fn a_cassette_is_mounted_on_one_workspace_and_taken_out_again() {
    let server = TestServer::start().await;
    let request = server.request("PUT", "/_sandtable/cassettes").body(YAML);
    let mounted = server.send(&request).await;
    assert_eq!(
        mounted.json(),
        json!({"mounted": true, "exchanges": 1, "unused": ["request body #1"]})
    );
    let neighbour = ask(&server, "hi")
        .without("x-api-key")
        .header("x-api-key", "another");
    assert_ne!(server.send(&neighbour).await.json()["id"], "msg_1");
    assert_eq!(server.send(&ask(&server, "hi")).await.json()["id"], "msg_1");
    let out = server
        .send(&server.request("DELETE", "/_sandtable/cassettes"))
        .await;
    assert_eq!(out.json(), json!({"recorded": null}));
    assert_ne!(server.send(&ask(&server, "hi")).await.json()["id"], "msg_1");
}

#[tokio::test]
async fn a_test_records_into_the_folder_of_the_server_and_nowhere_else() {
    let upstream = TestServer::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let outside = tempfile::TempDir::new().unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
    let url = format!("http://{}", upstream.address);
    let server = TestServer::with(|config| {
        config.cassette_dir = Some(folder.path().to_owned());
        config.upstream = Some(cassette::Upstream::new(&url).unwrap());
    })
    .await;
    for (order, told) in [
        (json!({"path": "../x.yaml", "mode": "all"}), "is not below"),
        (
            json!({"path": "/etc/x.yaml", "mode": "all"}),
            "is not below",
        ),
        (
            json!({"path": "link/x.yaml", "mode": "all"}),
            "is not below",
        ),
        (json!({"path": "x.sh", "mode": "all"}), "no cassette's name"),
        (json!({"path": "x.yaml", "mode": "always"}), "`always`"),
        (json!({"path": "x.yaml", "mode": "none"}), "cannot read"),
        (
            json!({"path": "x.yaml", "mode": "all", "upstream": "http://127.0.0.1:1"}),
            "only if it was started so",
        ),
        (json!({"file": "x.yaml"}), "unknown field"),
    ] {
        let refused = call(&server, &order).await;
        assert_eq!(refused.status, 400, "{order}");
        assert!(refused.message().contains(told), "{}", refused.text());
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);

    let order = json!({"path": "sub/x.yaml", "mode": "once"});
    assert_eq!(call(&server, &order).await.status, 200);
    let first = server.send(&ask(&server, "hi")).await;
    let out = server
        .send(&server.request("DELETE", "/_sandtable/cassettes"))
        .await
        .json();
    assert_eq!(out["recorded"]["exchanges"], 1);
    upstream.control("POST", "reset", &json!({})).await;
    assert_eq!(call(&server, &order).await.status, 200);
    assert_eq!(server.send(&ask(&server, "hi")).await.body, first.body);
}

#[tokio::test]
async fn what_the_server_keeps_out_a_recording_in_its_folder_keeps_out() {
    let upstream = TestServer::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("http://{}", upstream.address);
    let server = TestServer::with(|config| {
        config.cassette_dir = Some(folder.path().to_owned());
        config.upstream = Some(cassette::Upstream::new(&url).unwrap());
        config.redact = vec!["tel:[0-9]+".to_owned()];
        config.secrets = vec!["acme-4711".to_owned()];
    })
    .await;
    let order = json!({"path": "x.yaml", "mode": "all"});
    assert_eq!(call(&server, &order).await.status, 200);
    let answer = server.send(&ask(&server, "acme-4711, tel:5550123")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let written = std::fs::read_to_string(folder.path().join("x.yaml")).unwrap();
    assert!(written.contains("[redacted], [redacted]"), "{written}");
    assert!(!written.contains("acme-4711") && !written.contains("5550123"));
}

#[tokio::test]
async fn a_reset_gives_the_recorded_ids_again() {
    let studio = Studio::open().await;
    let recorded = studio.recorder.send(&ask(&studio.recorder, "one")).await;
    let player = super::player(&studio.path()).await;
    assert_eq!(player.send(&ask(&player, "one")).await.body, recorded.body);
    assert_ne!(player.send(&ask(&player, "one")).await.body, recorded.body);
    player.control("POST", "reset", &json!({})).await;
    assert_eq!(player.send(&ask(&player, "one")).await.body, recorded.body);
}

#[tokio::test]
async fn an_order_is_told_from_a_cassette_by_what_it_says() {
    let folder = tempfile::TempDir::new().unwrap();
    let cassette = r#"{"cassette": 1, "exchanges": []}"#;
    std::fs::write(folder.path().join("a.yaml"), cassette).unwrap();
    let server =
        TestServer::with(|config| config.cassette_dir = Some(folder.path().to_owned())).await;
    for kind in ["application/json", "application/x-www-form-urlencoded"] {
        for (body, status) in [
            (r#"{"path": "a.yaml"}"#, 200),
            (cassette, 200),
            ("{\"path\": ", 400),
        ] {
            let request = server
                .request("PUT", "/_sandtable/cassettes")
                .header("content-type", kind)
                .body(body);
            let answer = server.send(&request).await;
            assert_eq!(answer.status, status, "{kind} {body}: {}", answer.text());
        }
        // What is neither is told as what it was meant for, and the hint once.
        for (body, told) in [
            (
                r#"{"pat": "a.yaml"}"#,
                "order to mount a cassette: unknown field `pat`",
            ),
            ("{}", "order to mount a cassette: missing field `path`"),
            (r#"{"exchanges": 1}"#, "no cassette"),
            ("cassette: 1\nexchange: []\n", "no cassette"),
        ] {
            let request = server
                .request("PUT", "/_sandtable/cassettes")
                .header("content-type", kind)
                .body(body);
            let answer = server.send(&request).await;
            let error = &answer.json()["error"];
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(told), "{kind} {body}: {error}");
            assert!(!message.contains("hint:"), "{kind} {body}: {error}");
        }
    }
}

#[tokio::test]
async fn a_mounted_cassette_ignores_what_its_order_names() {
    let folder = tempfile::TempDir::new().unwrap();
    let yaml = "cassette: 1\nexchanges:\n- request: {method: POST, path: /v1/messages, body: {json: {model: m, system: today}}}\n  response: {status: 200, headers: {content-type: application/json}, body: {json: {type: message, id: msg_1, content: []}}}\n";
    std::fs::write(folder.path().join("a.yaml"), yaml).unwrap();
    let server =
        TestServer::with(|config| config.cassette_dir = Some(folder.path().to_owned())).await;
    let asked = server.messages(&json!({"model": "m", "system": "tomorrow"}));
    for (ignore, status) in [(json!([]), 400), (json!(["$.system"]), 200)] {
        let mounted = call(&server, &json!({"path": "a.yaml", "ignore": ignore})).await;
        assert_eq!(mounted.status, 200, "{}", mounted.text());
        assert_eq!(server.send(&asked).await.status, status);
    }
    let refused = call(&server, &json!({"path": "a.yaml", "ignore": ["system"]})).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("no JSON path"),
        "{}",
        refused.text()
    );
}
