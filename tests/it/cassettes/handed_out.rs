//! Every recording handed out imports and replays: with its request where it has one, by its answer where
//! not, and comes back equal.

use std::path::Path;

use cassette::{Body, Cassette, Exchange, Part, Writer, import};
use serde_json::{Value, json};

use crate::harness::{Request, TestServer};
use crate::recordings::folder;

/// Mounts a cassette on a workspace of its own.
async fn mount(server: &TestServer, folder: &Path, number: usize, cassette: &Cassette) -> String {
    let name = format!("{number}.yaml");
    let mut writer = Writer::create(&folder.join(&name), &cassette.about).unwrap();
    for (order, exchange) in (0..).zip(&cassette.exchanges) {
        writer.put(order, exchange).unwrap();
    }
    let key = format!("key-{number}");
    let request = server.request("PUT", "/_sandtable/cassettes");
    let request = as_key(request, &key).json(&json!({ "path": name }));
    let mounted = server.send(&request).await;
    assert_eq!(mounted.status, 200, "{}", mounted.text());
    key
}

fn as_key(request: Request, key: &str) -> Request {
    request.without("x-api-key").header("x-api-key", key)
}

/// The recorded request again; where there is none, the one that its answer goes with.
fn asked(server: &TestServer, exchange: &Exchange) -> Request {
    let Some(request) = &exchange.request else {
        let streams = exchange.response.is_stream();
        let body = exchange.response.body.json();
        let kind = body.as_ref().and_then(|body| body["type"].as_str());
        let id = body.as_ref().and_then(|body| body["id"].as_str());
        let path = match (kind, id) {
            (Some("skill_version"), _) => "/v1/skills/any/versions",
            (None, Some(id)) if id.starts_with("skill_") => "/v1/skills",
            _ => "/v1/messages",
        };
        return server
            .request("POST", path)
            .json(&json!({"stream": streams, "messages": []}));
    };
    let query = request
        .query
        .as_ref()
        .map_or(String::new(), |query| format!("?{query}"));
    let again = server.request(&request.method, &format!("{}{query}", request.path));
    match &request.body {
        Body::Form(parts) => {
            let text = |part: &Part| match &part.body {
                Body::Missing(_) => "what was not kept".to_owned(),
                body => String::from_utf8_lossy(&body.bytes().unwrap().unwrap()).into_owned(),
            };
            let texts: Vec<String> = parts.iter().map(text).collect();
            let parts: Vec<(&str, Option<&str>, &str)> = parts
                .iter()
                .zip(&texts)
                .map(|(part, text)| (part.name.as_str(), part.filename.as_deref(), text.as_str()))
                .collect();
            again.multipart(&parts)
        }
        Body::Empty => again,
        Body::Missing(_) => again.body("anything"),
        body => again.body(body.bytes().unwrap().unwrap().to_vec()),
    }
}

#[tokio::test]
async fn every_recording_imports_and_comes_back_equal() {
    let Some(recordings) = folder() else {
        return;
    };
    let cassettes = import::import(&recordings).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let server =
        TestServer::with(|config| config.cassette_dir = Some(folder.path().to_owned())).await;
    let (mut given, mut with_request) = (0, 0);
    for (number, cassette) in cassettes.iter().enumerate() {
        assert!(!cassette.exchanges.is_empty(), "{} is empty", cassette.name);
        let key = mount(&server, folder.path(), number, cassette).await;
        for (at, exchange) in cassette.exchanges.iter().enumerate() {
            let name = format!("{} #{}", cassette.name, at + 1);
            let answer = server.send(&as_key(asked(&server, exchange), &key)).await;
            assert_eq!(
                answer.status,
                exchange.response.status,
                "{name}: {}",
                answer.text()
            );
            let recorded = exchange.response.body.bytes().unwrap().unwrap();
            // A batch's results are to be had from who is asked.
            let here = format!("http://{}/v1/messages/batches/", server.address);
            let there = "https://api.anthropic.com/v1/messages/batches/";
            let recorded = String::from_utf8_lossy(&recorded).replace(there, &here);
            assert_eq!(answer.text(), recorded, "{name}");
            given += 1;
            with_request += usize::from(exchange.request.is_some());
        }
        let shown = server.request("GET", "/_sandtable/cassettes");
        let shown: Value = server.send(&as_key(shown, &key)).await.json();
        assert_eq!(shown["unused"], json!([]), "{}", cassette.name);
    }
    assert!(cassettes.len() >= 31, "{} files", cassettes.len());
    assert!(
        given >= 40 && with_request >= 20,
        "{given} answers, {with_request} with a request"
    );
}
