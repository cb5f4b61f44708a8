//! Lists and single objects: every parameter of every query, and every id of every path.

use std::fmt::Write as _;

use serde_json::json;

use super::fields::answers;
use super::refused;
use super::table::{BATCH, cases};
use crate::harness::TestServer;
use crate::harness::server::prompt;

/// A list.
struct List {
    /// `SKILL` is an own skill's id.
    path: &'static str,
    beta: &'static str,
    /// Its highest `limit`.
    most: u32,
    cursors: &'static [&'static str],
    /// Parameters of its own with values they do not take.
    own: &'static [(&'static str, &'static str)],
}

const IDS: &[&str] = &["after_id", "before_id"];

#[rustfmt::skip]
const LISTS: &[List] = &[
    List { path: "/v1/files", beta: "", most: 1000, cursors: &["page"],
           own: &[("after_id", "file_1"), ("before_id", "file_1")] },
    List { path: "/v1/files", beta: "files-api-2025-04-14", most: 1000, cursors: IDS, own: &[("page", "page_1")] },
    List { path: "/v1/messages/batches", beta: "", most: 1000, cursors: IDS, own: &[] },
    List { path: "/v1/models", beta: "", most: 1000, cursors: IDS,
           own: &[("lifecycle[]", "x"), ("lifecycle[]", ""), ("lifecycle", "new")] },
    List { path: "/v1/skills", beta: "", most: 1000, cursors: &["page"],
           own: &[("source", "x"), ("source", "Custom")] },
    List { path: "/v1/skills", beta: "skills-2025-10-02", most: 100, cursors: &["page"], own: &[("source", "x")] },
    List { path: "/v1/skills/SKILL/versions", beta: "", most: 1000, cursors: &["page"], own: &[] },
    List { path: "/v1/skills/SKILL/versions", beta: "skills-2025-10-02", most: 100, cursors: &["page"], own: &[] },
    List { path: "/v1/skills/xlsx/versions", beta: "", most: 1000, cursors: &["page"], own: &[] },
];

/// A query as it is sent.
fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| {
        let value =
            percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
        format!("{}={value}", name.replace("[]", "%5B%5D"))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Queries with one fault each.
fn queries(most: u32, cursors: &[&str], own: &[(&str, &str)]) -> Vec<(String, String)> {
    let over = (most + 1).to_string();
    let mut queries = Vec::new();
    for limit in [
        "",
        "x",
        "1.5",
        "true",
        "[1]",
        "0",
        "-1",
        &over,
        "99999999999999999999",
    ] {
        queries.push(("limit".to_owned(), query(&[("limit", limit)])));
    }
    for cursor in cursors {
        for value in [
            "",
            "x",
            "page_",
            "page_zz",
            "page_0123",
            "file_1",
            "../x",
            "é",
            "0",
        ] {
            queries.push(((*cursor).to_owned(), query(&[(cursor, value)])));
        }
    }
    if let [first, second] = cursors {
        queries.push(((*second).to_owned(), query(&[(first, "x"), (second, "x")])));
    }
    for (name, value) in own {
        let name = *name;
        queries.push((
            name.trim_end_matches("[]").to_owned(),
            query(&[(name, value)]),
        ));
    }
    queries
}

/// A message without the id it names, so that lines that differ in it alone are one.
fn unquoted(message: &str) -> String {
    match message.split('`').collect::<Vec<_>>().as_slice() {
        [before, _, after] => format!("{before}`…`{after}"),
        _ => message.to_owned(),
    }
}

#[tokio::test]
async fn every_wrong_parameter_of_a_list_is_refused_by_name_and_changes_nothing() {
    let server = TestServer::start().await;
    server.upload("a.txt", "text/plain", "a").await;
    let skill = super::uploads::skill(&server).await;
    let before = server.state().await;
    let (mut texts, mut count) = (String::new(), 0);
    let mut send = async |path: &str, beta: &str, name: &str, query: &str| {
        let path = format!("{}?{query}", path.replace("SKILL", &skill));
        let mut request = server.request("GET", &path);
        if !beta.is_empty() {
            request = request.header("anthropic-beta", beta);
        }
        let (status, kind, message) = refused(&server, &request).await;
        assert_eq!(
            (status, kind.as_str()),
            (400, "invalid_request_error"),
            "{path}"
        );
        let named = message.split(':').next().unwrap_or_default();
        assert!(
            named.split(", ").any(|part| part.starts_with(name)),
            "{path}: {message}"
        );
        count += 1;
        message
    };
    for List {
        path,
        beta,
        most,
        cursors,
        own,
    } in LISTS
    {
        writeln!(texts, "{path} {beta}").unwrap();
        let mut lines: Vec<(String, Vec<String>)> = Vec::new();
        for (name, query) in queries(*most, cursors, own) {
            let message = send(path, beta, &name, &query).await;
            let message = unquoted(&message);
            match lines.last_mut() {
                Some((last, queries)) if *last == message => queries.push(query),
                _ => lines.push((message, vec![query])),
            }
        }
        for (message, queries) in lines {
            writeln!(texts, "  {}\n    {message}", queries.join(" | ")).unwrap();
        }
    }
    let many: Vec<String> = (0..101).map(|n| format!("file_{n}")).collect();
    let many: Vec<_> = many.iter().map(|id| ("ids[]", id.as_str())).collect();
    for (name, wrong) in [
        ("ids", query(&many)),
        ("limit", query(&[("ids[]", "file_1"), ("limit", "5")])),
        ("page", query(&[("ids[]", "file_1"), ("page", "page_1")])),
    ] {
        let message = send("/v1/files", "", name, &wrong).await;
        writeln!(texts, "/v1/files with `ids[]` and {name}\n  {message}").unwrap();
    }
    let stages = query(&[("lifecycle[]", "active"); 4]);
    let message = send("/v1/models", "", "lifecycle", &stages).await;
    writeln!(texts, "/v1/models {stages}\n  {message}").unwrap();
    assert!(count >= 140, "{count}");
    assert_eq!(server.state().await, before);
    insta::assert_snapshot!(texts);
}

/// Everything that is addressed by an id.
const OBJECTS: &[(&str, &str)] = &[
    ("GET", "/v1/files/ID"),
    ("GET", "/v1/files/ID/content"),
    ("DELETE", "/v1/files/ID"),
    ("GET", "/v1/messages/batches/ID"),
    ("GET", "/v1/messages/batches/ID/results"),
    ("POST", "/v1/messages/batches/ID/cancel"),
    ("DELETE", "/v1/messages/batches/ID"),
    ("GET", "/v1/models/ID"),
    ("GET", "/v1/skills/ID"),
    ("DELETE", "/v1/skills/ID"),
    ("GET", "/v1/skills/ID/versions"),
    ("GET", "/v1/skills/ID/versions/latest"),
    ("GET", "/v1/skills/ID/versions/latest/content"),
    ("DELETE", "/v1/skills/ID/versions/latest"),
    ("GET", "/v1/skills/SKILL/versions/ID"),
    ("GET", "/v1/skills/SKILL/versions/ID/content"),
    ("DELETE", "/v1/skills/SKILL/versions/ID"),
    ("GET", "/v1/skills/xlsx/versions/ID"),
];

#[tokio::test]
async fn an_id_of_nothing_is_not_found_and_named() {
    let server = TestServer::start().await;
    let skill = super::uploads::skill(&server).await;
    let before = server.state().await;
    let mut texts = String::new();
    for (method, path) in OBJECTS {
        for id in [
            "file_1",
            "0",
            "%2e%2e",
            "%2Fetc%2Fpasswd",
            "%ff",
            "%00",
            "a%20b",
        ] {
            let sent = path.replace("ID", id).replace("SKILL", &skill);
            let (status, kind, message) = refused(&server, &server.request(method, &sent)).await;
            // The form of a version's id is looked at before it is looked for.
            let wanted = if message.starts_with("Invalid version ") {
                (400, "invalid_request_error")
            } else {
                (404, "not_found_error")
            };
            assert_eq!((status, kind.as_str()), wanted, "{method} {sent}");
            let named = if id == "%ff" { "\u{fffd}" } else { "" };
            assert!(message.contains(named), "{method} {sent}: {message}");
            if id == "file_1" {
                assert!(message.contains(id), "{method} {sent}: {message}");
                writeln!(texts, "{method} {path}\n  {message}").unwrap();
            }
        }
    }
    assert_eq!(server.state().await, before);
    insta::assert_snapshot!(texts);
}

#[tokio::test]
async fn every_fault_of_a_batch_is_refused_with_its_path_and_changes_nothing() {
    let server = TestServer::start().await;
    let whole = json!({"requests": [{"custom_id": "a", "params": prompt("hi")}]});
    let before = server.state().await;
    let create =
        |body: &serde_json::Value| server.request("POST", "/v1/messages/batches").json(body);
    let mut texts = answers(&server, &cases(BATCH, &whole), create).await;
    for (pointer, value) in [
        ("/requests", json!([])),
        ("/requests/0/custom_id", json!("")),
        ("/requests/0/custom_id", json!("a b")),
        ("/requests/0/custom_id", json!("x".repeat(65))),
        (
            "/requests",
            json!([{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}]),
        ),
        ("/requests", json!([{"custom_id": "a", "params": {}}, 7])),
    ] {
        let mut body = whole.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        let (status, _, message) = refused(&server, &create(&body)).await;
        assert!(
            status == 400 && message.starts_with("requests"),
            "{message}"
        );
        writeln!(texts, "{pointer} out of range\n  {message}").unwrap();
    }
    assert_eq!(server.state().await, before);
    insta::assert_snapshot!(texts);
}
