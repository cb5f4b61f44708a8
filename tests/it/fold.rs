//! The plain answer is the fold of the stream, for any script; and a decoder that never panics.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};
use serde_json::{Map, Value, json};
use wire::request::MessagesRequest;

use crate::harness::canned::{Canned, Reply};
use crate::harness::server::{code_prompt, streamed, then};
use crate::harness::sse::{events_of, fold};
use crate::harness::{Request, Response, TestServer};

/// Each is two answers with their files and containers; `PROPTEST_CASES` asks for more.
const CASES: u32 = 40;

/// Text in which JSON, SSE, and Unicode have something to get wrong.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{1,40}",
        "\\PC{1,60}",
        "[ \"\\\\\r\n\t\u{0}\u{7f}\u{2028}\u{2029}{}:,é更😀]{1,30}",
        "( ){1,9}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1.0e9..1.0e9).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("\\PC{0,8}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A call, and what the sandbox answers to it.
fn call() -> impl Strategy<Value = (Value, Reply)> {
    let ran = (
        text(),
        text(),
        any::<i8>(),
        prop::collection::vec("[a-z]{1,6}", 0..3),
    );
    let bash = (text(), ran).prop_map(|(command, (stdout, stderr, code, files))| {
        let reply = Reply::Ran {
            stdout,
            stderr,
            return_code: code.into(),
            files: files.into_iter().map(|name| (name.clone(), name)).collect(),
        };
        // A template would be rendered.
        (json!({"bash": command.replace("${", "$ {")}), reply)
    });
    let create = (text(), any::<bool>()).prop_map(|(content, update)| {
        let result = guest_proto::EditResult::Create {
            is_file_update: update,
        };
        let step = json!({"create": {"path": "a", "file_text": content.replace("${", "$ {")}});
        (step, Reply::Edited(result, String::new()))
    });
    let view = text().prop_map(|content| {
        let result = guest_proto::EditResult::View {
            file_type: guest_proto::FileType::Text,
            num_lines: Some(3),
            start_line: Some(1),
            total_lines: Some(3),
        };
        (
            json!({"view": {"path": "a"}}),
            Reply::Edited(result, content),
        )
    });
    prop_oneof![bash, create, view]
}

#[derive(Debug, Clone)]
enum Piece {
    Say(Value),
    Call(Value, Reply),
    Parallel(Vec<(Value, Reply)>),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        text().prop_map(|text| Piece::Say(json!({"text": text.replace("${", "$ {")}))),
        text().prop_map(|text| Piece::Say(json!({"thinking": text.replace("${", "$ {")}))),
        text().prop_map(|text| Piece::Say(json!({"redacted_thinking": text.replace("${", "$ {")}))),
        (text(), prop::collection::vec(text(), 1..3)).prop_map(|(text, cited)| {
            let citation = |text: &String| {
                json!({"type": "char_location", "cited_text": text.replace("${", "$ {"),
                       "document_index": 0, "start_char_index": 0, "end_char_index": 1})
            };
            let citations: Vec<_> = cited.iter().map(citation).collect();
            Piece::Say(json!({"text": text.replace("${", "$ {"), "citations": citations}))
        }),
        (0..5000u64).prop_map(|count| Piece::Say(json!({"usage": {"output_tokens": count}}))),
        (text(), 0..10usize).prop_map(|(text, which)| Piece::Say(hosted(&text, which))),
        call().prop_map(|(step, reply)| Piece::Call(step, reply)),
        prop::collection::vec(call(), 2..4).prop_map(Piece::Parallel),
    ]
}

/// Steps of the service's own work, each in its turn.
fn hosted(text: &str, which: usize) -> Value {
    let text = text.replace("${", "$ {");
    let steps = [
        json!({"thinking": {"update": text}}),
        json!({"tool_search": {"pattern": text, "limit": 2}}),
        json!({"tool_search": {"pattern": "a", "finds": ["g", text]}}),
        json!({"advisor": {"text": text, "redacted": text.len().is_multiple_of(2)}}),
        json!({"advisor": text, "tool_error": "overloaded"}),
        json!({"mcp_tool_use": {"server": "m", "name": "f", "input": {"a": text}, "text": [text, "b"]}}),
        json!({"mcp_tool_listing": {"server": "m", "tools": [{"name": "f", "description": text}]}}),
        json!({"compaction": {"content": text, "tool_changes": [{"type": "tool_removal"}]}}),
        json!({"fallback": {"category": "bio"}}),
        json!({"applied_edits": [{"type": "clear_thinking_20251015", "cleared_thinking_turns": text.len()}]}),
    ];
    steps[which % steps.len()].clone()
}

fn ending() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(json!("pause_turn"))),
        Just(Some(json!({"stop": "max_tokens"}))),
        text().prop_map(|text| Some(
            json!({"stop": {"reason": "refusal", "explanation": text.replace("${", "$ {")}})
        )),
        prop::collection::hash_map("[a-z]{1,5}", value(), 0..4).prop_map(|input| {
            let input = Value::Object(
                input
                    .into_iter()
                    .map(|(key, value)| (key, untemplated(value)))
                    .collect(),
            );
            Some(json!({"tool_use": {"name": "f", "input": input}}))
        }),
    ]
}

/// A value in which nothing is a template.
fn untemplated(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${", "$ {")),
        Value::Array(items) => items.into_iter().map(untemplated).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key, untemplated(value)))
            .collect(),
        other => other,
    }
}

/// The steps as a script, and the replies to its calls.
fn script(pieces: Vec<Piece>, end: Option<Value>) -> (Value, Vec<Reply>) {
    let (mut steps, mut replies) = (vec![json!({"text": "begin"})], Vec::new());
    for piece in pieces {
        match piece {
            Piece::Say(step) => steps.push(step),
            Piece::Call(step, reply) => {
                steps.push(step);
                replies.push(reply);
            }
            Piece::Parallel(calls) => {
                let (group, more): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
                steps.push(json!({"parallel": group}));
                replies.extend(more);
            }
        }
    }
    steps.extend(end);
    (Value::Array(steps), replies)
}

/// A server that forgets everything between two answers: another one that is asked the same gives the
/// same ids.
struct Forgetful {
    server: TestServer,
    canned: Canned,
}

impl Forgetful {
    async fn start() -> Self {
        let canned = Canned::default();
        let server = TestServer::on(Arc::new(canned.clone())).await;
        Self { server, canned }
    }

    async fn answer(&self, steps: &Value, replies: &[Reply], body: &Value) -> Response {
        self.server.control("POST", "reset", &Value::Null).await;
        self.server.freeze().await;
        self.server.steps(steps).await;
        self.canned.tell(replies.to_vec());
        self.server.send(&asked(&self.server, body)).await
    }
}

/// Under betas that bring every block.
fn asked(server: &TestServer, body: &Value) -> Request {
    let betas = "advisor-tool-2026-03-01, mcp-client-2025-11-20, compact-2026-01-12";
    server.messages(body).header("anthropic-beta", betas)
}

fn body() -> Value {
    let mut body = code_prompt("go");
    let tools = body["tools"].as_array_mut().expect("tools");
    tools.extend([
        json!({"name": "f", "input_schema": {"type": "object"}}),
        json!({"name": "g", "input_schema": {"type": "object"}, "defer_loading": true}),
        json!({"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}),
        json!({"type": "advisor_20260301", "name": "advisor", "model": "claude-fable-5"}),
        json!({"type": "mcp_toolset", "mcp_server_name": "m"}),
    ]);
    body["mcp_servers"] = json!([{"type": "url", "url": "https://m.example/", "name": "m"}]);
    body["fallbacks"] = json!([{"model": "claude-opus-4-8"}]);
    body["thinking"] = json!({"type": "adaptive"});
    body["context_management"] = json!({"edits": [{"type": "compact_20260112"}]});
    body
}

#[test]
fn the_plain_answer_is_the_fold_of_the_stream_byte_for_byte() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let (plainly, streaming) =
        runtime.block_on(async { tokio::join!(Forgetful::start(), Forgetful::start()) });
    let (plain_body, stream_body) = (body(), streamed(body()));
    let strategy = (
        prop::collection::vec(piece(), 0..6),
        ending(),
        prop::collection::vec(1..200usize, 0..6),
    );
    let result = runner.run(&strategy, |(pieces, end, cuts)| {
        let (steps, replies) = script(pieces, end);
        let (plain, stream) = runtime.block_on(async {
            tokio::join!(
                plainly.answer(&steps, &replies, &plain_body),
                streaming.answer(&steps, &replies, &stream_body),
            )
        });
        prop_assert_eq!(plain.status, 200, "{}", plain.text());
        prop_assert_eq!(stream.status, 200, "{}", stream.text());
        let events = events_of(cut(&stream.body, &cuts));
        prop_assert_eq!(fold(&events).to_string(), plain.text());
        check_stream(stream.text()).map_err(TestCaseError::fail)?;
        Ok(())
    });
    if let Err(TestError::Fail(reason, input)) = &result {
        panic!("{reason}\n{input:#?}");
    }
    result.unwrap();
}

/// The same bytes in other pieces.
fn cut<'b>(bytes: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, tail) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

/// Checks the rules that hold for the text of every stream that ends well.
fn check_stream(text: &str) -> Result<(), String> {
    let frames: Vec<&str> = text.split_terminator("\n\n").collect();
    for frame in &frames {
        let lines: Vec<&str> = frame.split('\n').collect();
        let [name, data] = lines.as_slice() else {
            return Err(format!("two lines expected: {frame:?}"));
        };
        let name = name.strip_prefix("event: ").ok_or("no name")?;
        let data = data.strip_prefix("data: ").ok_or("no data")?;
        if name == "ping" {
            if data != r#"{"type": "ping"}"# {
                return Err(format!("a ping is always the same: {data}"));
            }
            continue;
        }
        let bare = data
            .strip_suffix('}')
            .ok_or("no object")?
            .trim_end_matches(' ');
        let padding = data.len() - 1 - bare.len();
        let value: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
        let compact = value.to_string();
        if padding > 15 || compact.strip_suffix('}') != Some(bare) {
            return Err(format!(
                "compact with 0 to 15 spaces at the end expected: {data:?}"
            ));
        }
    }
    match (frames.first(), frames.get(2), frames.last()) {
        (Some(first), Some(third), Some(last))
            if first.starts_with("event: message_start\n")
                && third.starts_with("event: ping\n")
                && last.starts_with("event: message_stop\n") =>
        {
            Ok(())
        }
        _ => Err(
            "a stream is framed by its start and its stop, and its third event is a ping"
                .to_owned(),
        ),
    }
}

#[tokio::test]
async fn a_continuation_folds_to_its_plain_answer_as_well() {
    let steps = json!([
        {"parallel": [{"bash": "echo"}, {"tool_use": {"name": "f", "input": {}}}]},
        {"text": "done"},
    ]);
    let mut answers = Vec::new();
    for stream in [false, true] {
        let server = TestServer::on(Arc::new(Canned::new([Reply::stdout("out\n")]))).await;
        server.steps(&steps).await;
        let first = server.send(&asked(&server, &body())).await.json();
        let results = json!([{"type": "tool_result", "tool_use_id": first["content"][1]["id"], "content": "x"}]);
        let mut next = then(body(), &first, &results);
        next["container"] = first["container"]["id"].clone();
        let next = if stream { streamed(next) } else { next };
        answers.push(server.send(&asked(&server, &next)).await);
    }
    assert_eq!(
        fold(&events_of([answers[1].body.as_slice()])).to_string(),
        answers[0].text()
    );
}

fn mostly_messages() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("model"),
        Just("max_tokens"),
        Just("messages"),
        Just("tools"),
        Just("container"),
        Just("thinking"),
        Just("tool_choice"),
        Just("system"),
        Just("stream"),
        Just("stop_sequences"),
        Just("temperature"),
        Just("metadata"),
        Just("service_tier"),
        Just("skills"),
        Just("id"),
        Just("role"),
        Just("content"),
        Just("type"),
        Just("text"),
        Just("name"),
        Just("input"),
        Just("input_schema"),
        Just("source"),
        Just("tool_use_id"),
        Just("file_id"),
        Just("caller"),
        Just("tool_id"),
        Just("is_error"),
    ];
    let word = prop_oneof![
        Just("user"),
        Just("assistant"),
        Just("text"),
        Just("tool_use"),
        Just("tool_result"),
        Just("server_tool_use"),
        Just("bash_code_execution_tool_result"),
        Just("text_editor_code_execution_tool_result"),
        Just("container_upload"),
        Just("bash_code_execution_result"),
        Just("document"),
        Just("base64"),
        Just("file"),
        Just("enabled"),
        Just("auto"),
        Just("custom"),
        Just("object"),
        Just("code_execution_20250825"),
        Just("code_execution"),
        Just("thinking"),
    ];
    let leaf = prop_oneof![
        4 => word.prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => text().prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 80, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_never_panics_and_every_fault_has_a_reason(body in prop_oneof![value(), mostly_messages()], betas: bool) {
        if let Err(fault) = MessagesRequest::decode(&body, betas) {
            prop_assert!(!fault.reason.is_empty());
        }
    }

    #[test]
    fn whatever_decodes_can_be_checked(messages in prop::collection::vec(mostly_messages(), 1..4), tools in mostly_messages()) {
        let body = json!({"model": "m", "max_tokens": 1, "messages": messages, "tools": tools});
        if let Ok(request) = MessagesRequest::decode(&body, true) {
            let checks = [
                engine::validate::history(&request).err(),
                engine::validate::tools(&request).err(),
                engine::validate::strict(&request).err(),
            ];
            prop_assert!(checks.iter().flatten().all(|invalid| !invalid.to_string().is_empty()));
        }
    }
}
