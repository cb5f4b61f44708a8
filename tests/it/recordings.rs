//! Recorded traffic of the service against ours: the same emissions, scripted, must give the same
//! shape. The recordings are read from `../shared/recordings` or `SANDTABLE_RECORDINGS`.
//!
//! Every difference is in [`KNOWN`] with its reason, and every entry there is still needed.

mod cassette;
mod imports;
mod others;
pub(crate) mod script;
pub(crate) mod shape;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use server::config::Config;
use wire::request::MessagesRequest;
use workspace::quirks::{Layer, Layers};

use crate::harness::canned::Reply;
use crate::harness::sse::events_of;
use crate::harness::{Canned, TestServer};
use cassette::{Answer, Exchange};

/// A difference that is meant: the recordings it is seen in (a part of the file's name; empty for any),
/// the difference, and the reason.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "",
        "usage.server_tool_use.code_execution_requests: ours alone",
        "quirk `code-execution-counter`: documented, never recorded",
    ),
    (
        "",
        "content[].caller: theirs alone",
        "quirk `server-caller`: a fashion of 2025-12 to 2026-03 (F005)",
    ),
    (
        "",
        "content[].caller: ours alone",
        "on client calls since 2026-02; the recording is older (F005)",
    ),
    (
        "",
        "stop_details: ours alone",
        "always there since 2026-04; the recording is older (F001)",
    ),
    (
        "",
        "usage.inference_geo: ours alone",
        "there since 2026-02; the recording is older (F002)",
    ),
    (
        "test_anthropic_code_execution_tool_stream",
        "usage.output_tokens_details: ours alone",
        "with thinking since about 2026-06; the recording is of 2026-04 (F003)",
    ),
    (
        "anthropic-refusal",
        "stop_details.recommended_model: theirs alone",
        "a single hand-made example; the SDK's type has no such field",
    ),
    (
        "anthropic-refusal",
        "usage.output_tokens_details: ours alone",
        "a single hand-made example; other recordings of the model have it (F003)",
    ),
    (
        "anthropic-refusal",
        "usage.inference_geo: \"not_available\" and \"global\"",
        "a single hand-made example; other recordings of current models say `global`",
    ),
    (
        "anthropic-refusal.json",
        "order of keys",
        "a single hand-made example; `stop_sequence` comes first elsewhere",
    ),
];

/// Headers that the service's edge adds, and those that a recorder removed or added.
const OF_THE_EDGE: [&str; 13] = [
    "connection",
    "cf-ray",
    "cf-cache-status",
    "server",
    "vary",
    "content-security-policy",
    "x-robots-tag",
    "strict-transport-security",
    "traceresponse",
    "x-envoy-upstream-service-time",
    "content-length",
    "transfer-encoding",
    "content-encoding",
];

/// Code that waits for the client: two exchanges that belong together, played by a test of their own.
const PROGRAMMATIC: &str = "programmatic";

pub(crate) fn folder() -> Option<PathBuf> {
    let given = std::env::var_os("SANDTABLE_RECORDINGS").map(PathBuf::from);
    let folder = given
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings"));
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name == "recordings"),
        "SANDTABLE_TEST_REQUIRE names recordings, and there are none at {}",
        folder.display()
    );
    eprintln!("SKIPPED: no recordings at {}", folder.display());
    None
}

/// Every recorded Messages exchange that succeeded and that this server can play.
fn playable(folder: &std::path::Path) -> Vec<Exchange> {
    let mut all = cassette::read_all(folder);
    all.retain(|exchange| exchange.status == 200 && !exchange.name.contains(PROGRAMMATIC));
    assert!(all.len() >= 19, "only {} recordings were found", all.len());
    all
}

/// Sets the quirks of the recordings, all older than 2026-09.
fn of_their_time(config: &mut Config) {
    let older = "no-container=absent, hidden-thinking=signature-alone, thinking-details=by-model, \
                 fetch-document=until-2026-05";
    let layer = Layer::from_text(older).expect("rows of the table");
    config.quirks = Layers::default().with(&layer);
}

/// A server that has answered `first`, and the body of `second`, which names the container of that.
async fn in_its_container(first: &Exchange, second: &Exchange) -> (TestServer, Value) {
    let played = [first, second].map(|exchange| script::of(&exchange.answer.message()));
    let scripts = played.each_ref().map(script::Played::script);
    let replies = played.into_iter().flat_map(|played| played.replies);
    let server = TestServer::on_with(Arc::new(Canned::new(replies)), of_their_time).await;
    server.rules(&scripts[0]).await;
    let mut body = first.request_body();
    body["stream"] = json!(false);
    let before = server.message(&body).await;
    server.rules(&scripts[1]).await;
    let mut body = second.request_body();
    body["container"] = before["container"]["id"].clone();
    (server, body)
}

#[tokio::test]
async fn the_same_emissions_have_the_recorded_shape() {
    let Some(folder) = folder() else { return };
    let mut found = BTreeSet::new();
    let mut surprises = Vec::new();
    let mut reused = 0;
    let mut before: Option<Exchange> = None;
    for exchange in playable(&folder) {
        let message = exchange.answer.message();
        let first = before
            .take()
            .filter(|before| exchange.names_container_of(before));
        let (server, mut body) = match &first {
            None => {
                let played = script::of(&message);
                let script = played.script();
                let server =
                    TestServer::on_with(Arc::new(Canned::new(played.replies)), of_their_time).await;
                server.rules(&script).await;
                (server, exchange.request_body())
            }
            Some(first) => {
                reused += 1;
                in_its_container(first, &exchange).await
            }
        };
        body["stream"] = json!(matches!(exchange.answer, Answer::Stream { .. }));
        let response = server.send(&server.messages(&body)).await;
        assert_eq!(
            response.status,
            200,
            "{}: {}",
            exchange.name,
            response.text()
        );
        let differences = match &exchange.answer {
            Answer::Message { sorted, .. } => {
                shape::of_messages(&message, &response.json(), *sorted)
            }
            Answer::Stream { events, .. } => {
                shape::of_streams(events, &events_of([response.body.as_slice()]))
            }
        };
        for difference in differences {
            let known = KNOWN.iter().position(|(name, known, _)| {
                exchange.name.contains(name) && difference.contains(known)
            });
            match known {
                Some(entry) => {
                    found.insert(entry);
                }
                None => surprises.push(format!("{}: {difference}", exchange.name)),
            }
        }
        before = Some(exchange);
    }
    assert!(reused >= 1, "a container that is used again");
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    let unused: Vec<_> = (0..KNOWN.len())
        .filter(|entry| !found.contains(entry))
        .map(|entry| KNOWN[entry])
        .collect();
    assert!(unused.is_empty(), "differences that are gone: {unused:#?}");
}

/// Newer keys than the recording's.
fn is_newer_than_2025(difference: &str) -> bool {
    [
        "usage.server_tool_use.code_execution_requests: ours alone",
        "usage.server_tool_use.web_fetch_requests: ours alone",
        "stop_details: ours alone",
        "usage.inference_geo: ours alone",
        "content.abort_reason: ours alone",
        "content[].caller: theirs alone",
    ]
    .iter()
    .any(|known| difference.contains(known))
}

#[tokio::test]
async fn code_that_waits_for_the_client_is_recorded_as_we_play_it() {
    let Some(folder) = folder() else { return };
    let all = cassette::read_all(&folder);
    let recorded: Vec<&Exchange> = all
        .iter()
        .filter(|exchange| exchange.name.contains(PROGRAMMATIC))
        .collect();
    let [first, second] = recorded.as_slice() else {
        panic!("{} exchanges", recorded.len());
    };
    let theirs = [first.answer.message(), second.answer.message()];
    let call = &theirs[0]["content"][2];
    let name = call["name"].as_str().unwrap().to_owned();
    let stdout = theirs[1]["content"][0]["content"]["stdout"].as_str();
    let canned = Canned::new([
        Reply::Calls(vec![(0, name, call["input"].clone())]),
        Reply::stdout(stdout.unwrap()),
    ]);
    let server = TestServer::on_with(Arc::new(canned), of_their_time).await;
    let steps = json!([
        {"text": theirs[0]["content"][0]["text"]},
        {"python": theirs[0]["content"][1]["input"]["code"]},
        {"text": theirs[1]["content"][1]["text"]},
    ]);
    server.steps(&steps).await;
    let ours = server.message(&first.request_body()).await;
    // The recorded continuation, with the ids of this run.
    let mut text = second.request.as_ref().unwrap().to_string();
    for (their_id, our_id) in [
        (&theirs[0]["content"][1]["id"], &ours["content"][1]["id"]),
        (&theirs[0]["content"][2]["id"], &ours["content"][2]["id"]),
        (&theirs[0]["container"]["id"], &ours["container"]["id"]),
    ] {
        let (their_id, our_id) = (their_id.as_str().unwrap(), our_id.as_str().unwrap());
        text = text.replace(their_id, our_id);
    }
    assert_eq!(
        ours["content"][2]["caller"]["tool_id"],
        ours["content"][1]["id"]
    );
    let continuation: Value = serde_json::from_str(&text).unwrap();
    let last = server.message(&continuation).await;
    for (theirs, ours) in theirs.iter().zip([&ours, &last]) {
        let mut differences = shape::of_messages(theirs, ours, false);
        differences.retain(|difference| !is_newer_than_2025(difference));
        assert_eq!(differences, Vec::<String>::new());
        assert_eq!(ours["stop_reason"], theirs["stop_reason"]);
    }
    assert_eq!(
        ours["content"][2]["caller"]["type"],
        "code_execution_20250825"
    );
}

#[tokio::test]
async fn recorded_streams_are_framed_like_ours() {
    let Some(folder) = folder() else { return };
    let (mut paddings, mut counted) = ([0_usize; 16], 0);
    for exchange in playable(&folder) {
        let Answer::Stream {
            text: Some(text),
            events,
        } = &exchange.answer
        else {
            continue;
        };
        let (name, _) = events.get(2).expect("a third event");
        assert!(
            matches!(name.as_str(), "ping" | "content_block_delta"),
            "{}: {name}",
            exchange.name
        );
        for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            if data.contains("ping") {
                assert_eq!(data, r#"{"type": "ping"}"#, "{}", exchange.name);
                continue;
            }
            let bare = data
                .strip_suffix('}')
                .expect("an object")
                .trim_end_matches(' ');
            let padding = data.len() - 1 - bare.len();
            assert!(padding < 16, "{}: {data}", exchange.name);
            let value: Value = serde_json::from_str(data).unwrap();
            assert_eq!(
                value.to_string(),
                format!("{bare}}}"),
                "{}: compact",
                exchange.name
            );
            paddings[padding] += 1;
            counted += 1;
        }
    }
    assert!(counted > 100, "{counted}");
    assert!(
        paddings.iter().all(|count| *count > 0),
        "from 0 to 15: {paddings:?}"
    );
}

#[test]
fn recorded_requests_are_taken() {
    let Some(folder) = folder() else { return };
    let mut taken = 0;
    for exchange in cassette::read_all(&folder) {
        let Some(body) = &exchange.request else {
            continue;
        };
        let decoded = MessagesRequest::decode(body, true)
            .unwrap_or_else(|fault| panic!("{}: {fault}", exchange.name));
        if exchange.status == 200 {
            engine::validate::history(&decoded)
                .unwrap_or_else(|text| panic!("{}: {text}", exchange.name));
        }
        taken += 1;
    }
    assert!(taken >= 10, "{taken}");
}

#[tokio::test]
async fn recorded_answers_come_back_in_a_history_as_clients_send_them() {
    let Some(folder) = folder() else { return };
    let server = TestServer::with(of_their_time).await;
    server.steps(&json!([{"text": "ok"}])).await;
    for exchange in cassette::read_all(&folder) {
        if exchange.status != 200 || exchange.name.contains(PROGRAMMATIC) {
            continue;
        }
        let mut message = exchange.answer.message();
        let Some(blocks) = message["content"]
            .as_array_mut()
            .filter(|blocks| !blocks.is_empty())
        else {
            continue;
        };
        let mut results = Vec::new();
        for block in blocks {
            // SDK models keep what they do not know, and send null for what is absent.
            for key in ["citations", "caller", "cache_control", "unknown"] {
                if block.get(key).is_none() {
                    block[key] = Value::Null;
                }
            }
            if block["type"] == "tool_use" {
                results.push(
                    json!({"type": "tool_result", "tool_use_id": block["id"], "content": "ok"}),
                );
            }
        }
        let next = if results.is_empty() {
            json!("go on")
        } else {
            Value::Array(results)
        };
        let mut body = exchange.request_body();
        body["stream"] = json!(false);
        body["tools"] = json!([
            {"type": "code_execution_20260120", "name": "code_execution"},
            // Not every recorded model lets code call tools.
            {"type": "web_fetch_20260209", "name": "web_fetch", "allowed_callers": ["direct"]},
        ]);
        body["messages"] = json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": message["content"]},
            {"role": "user", "content": next},
        ]);
        let response = server.send(&server.messages(&body)).await;
        assert_eq!(
            response.status,
            200,
            "{}: {}",
            exchange.name,
            response.text()
        );
    }
}

#[tokio::test]
async fn recorded_refusals_are_worded_like_ours() {
    let Some(folder) = folder() else { return };
    let server = TestServer::with(of_their_time).await;
    let text = |name: &str| std::fs::read_to_string(folder.join("vercel-ai").join(name)).unwrap();
    let call = |source: &str| {
        json!({"type": "tool_use", "id": "toolu_01Issue12504Lookup", "name": "lookup", "input": {},
               "caller": {"type": "code_execution_20250825", "tool_id": source}})
    };
    let answer = |id: &str| json!([{"type": "tool_result", "tool_use_id": id, "content": "ok"}]);
    for (name, assistant, user) in [
        (
            "anthropic-issue-12504-orphaned-caller-error.1.json",
            json!([call("srvtoolu_01Issue12504Source")]),
            answer("toolu_01Issue12504Lookup"),
        ),
        (
            "anthropic-issue-17366-error.json",
            json!("text"),
            answer("srvtoolu_issue_17366_invalid"),
        ),
    ] {
        let theirs: Value = serde_json::from_str(&text(name)).unwrap();
        let body = json!({"model": "claude-opus-5", "max_tokens": 16, "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": assistant},
            {"role": "user", "content": user},
        ]});
        let ours = server.send(&server.messages(&body)).await.json();
        assert_eq!(
            shape::of_messages(&theirs, &ours, false),
            Vec::<String>::new(),
            "{name}"
        );
        assert_eq!(
            ours["error"]["message"], theirs["error"]["message"],
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_headers_of_recorded_answers_are_there() {
    let Some(folder) = folder() else { return };
    let server = TestServer::with(of_their_time).await;
    server.steps(&json!([{"text": "ok"}])).await;
    let mut compared = 0;
    for exchange in cassette::read_all(&folder) {
        if exchange.headers.is_empty() || exchange.status != 200 {
            continue;
        }
        let body = json!({"model": "claude-opus-5", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}],
                          "stream": matches!(exchange.answer, Answer::Stream { .. })});
        let ours = server.send(&server.messages(&body)).await;
        for name in exchange
            .headers
            .iter()
            .map(|name| name.to_ascii_lowercase())
        {
            let expected = !OF_THE_EDGE.contains(&name.as_str()) && name != "server-timing";
            assert!(
                !expected || ours.header(&name).is_some(),
                "{}: no `{name}`",
                exchange.name
            );
        }
        compared += 1;
    }
    assert!(compared >= 5, "{compared}");
}
