//! The verdict on a run against recordings, and the parts of a request that count when one is looked for.

use serde_json::{Value, json};

use super::{Studio, ask, container_of, converse, player};
use crate::harness::server::{code_prompt, prompt};
use crate::harness::{Request, TestServer};

async fn verdict(server: &TestServer) -> Value {
    server.control("GET", "verify", &Value::Null).await
}

fn codes(verdict: &Value) -> Vec<&str> {
    let lints = verdict["lints"].as_array().unwrap().iter();
    lints.map(|lint| lint["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_miss_a_pause_and_an_unread_file_count_in_replay_as_in_scripts() {
    let studio = Studio::open().await;
    converse(&studio.recorder, "fjord").await;
    let steps = json!([{"text": "Half."}, "pause_turn", {"text": "Whole."}]);
    studio.upstream.steps(&steps).await;
    let paused = studio.recorder.send(&ask(&studio.recorder, "pauses")).await;
    assert_eq!(paused.json()["stop_reason"], "pause_turn");

    let player = player(&studio.path()).await;
    let missed = player.send(&ask(&player, "never recorded")).await;
    assert_eq!(missed.status, 400);
    let found = verdict(&player).await;
    assert_eq!(found["ok"], false, "{found}");
    let unmatched = found["unmatched"].as_array().unwrap();
    assert_eq!(unmatched.len(), 1, "{found}");
    let message = unmatched[0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("no recorded exchange answers"),
        "{message}"
    );

    player.control("POST", "reset", &Value::Null).await;
    player.send(&ask(&player, "pauses")).await;
    assert_eq!(codes(&verdict(&player).await), ["ignored_pause_turn"]);

    player.control("POST", "reset", &Value::Null).await;
    converse(&player, "fjord").await;
    assert_eq!(
        codes(&verdict(&player).await),
        Vec::<&str>::new(),
        "its file was read"
    );
    player.control("POST", "reset", &Value::Null).await;
    let text = "```bash\ncat \"$INPUT_DIR/notes.txt\"; echo fjord > \"$OUTPUT_DIR/out.txt\"\n```";
    let upload =
        player
            .request("POST", "/v1/files")
            .multipart(&[("file", Some("notes.txt"), "fjord")]);
    let file = player.send(&upload).await.json()["id"].clone();
    let mut body = code_prompt(text);
    body["messages"][0]["content"] = json!([
        {"type": "text", "text": text},
        {"type": "container_upload", "file_id": file},
    ]);
    let answer = player.send(&player.messages(&body)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(codes(&verdict(&player).await), ["unfetched_output"]);
    // A request that no recording answers hands nothing on.
    let made = answer.json()["content"].to_string();
    let made = made
        .split('"')
        .find(|part| part.starts_with("file_"))
        .unwrap();
    body["messages"][0]["content"] = json!([
        {"type": "text", "text": "never recorded"},
        {"type": "container_upload", "file_id": made},
    ]);
    assert_eq!(player.send(&player.messages(&body)).await.status, 400);
    assert_eq!(codes(&verdict(&player).await), ["unfetched_output"]);
}

/// A request of a message thread: its first one, or one that goes on from `answer` with these messages.
fn in_thread(server: &TestServer, first: &str, on: Option<(&Value, Value)>) -> Request {
    let mut body = code_prompt(first);
    if let Some((answer, messages)) = on {
        body["thread"] = json!({"type": "continue", "previous_message_id": answer["id"]});
        body["messages"] = messages;
        body.as_object_mut().unwrap().shift_remove("tools");
    } else {
        body["thread"] = json!({"type": "create"});
        let get = json!({"name": "get", "input_schema": {"type": "object"}});
        body["tools"].as_array_mut().unwrap().push(get);
    }
    let request = server.messages(&body);
    request.header("anthropic-beta", "message-threads-2026-08-12")
}

/// A pause in a thread, and a container that is over, and how each goes on.
async fn threads(server: &TestServer) {
    let send = async |request: Request| {
        let answer = server.send(&request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let paused = send(in_thread(server, "pauses", None)).await;
    assert_eq!(paused["stop_reason"], "pause_turn");
    let whole = send(in_thread(server, "", Some((&paused, json!([]))))).await;
    assert_eq!(whole["stop_reason"], "end_turn");
    let over = send(in_thread(server, "over", None)).await;
    assert_eq!(over["stop_reason"], "tool_use");
    let call = over["content"].as_array().unwrap().last().unwrap();
    let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "x"});
    let result = json!([{"role": "user", "content": [result]}]);
    let ran = send(in_thread(server, "", Some((&over, result)))).await;
    assert_eq!(ran["stop_reason"], "end_turn");
}

#[tokio::test]
async fn a_thread_that_goes_on_has_gone_on_in_replay() {
    let studio = Studio::open().await;
    let over = json!({"bash": "true", "tool_error": "container_expired"});
    studio
        .upstream
        .rules(&json!([
            {"when": {"user": "pauses"}, "then": [{"bash": "true"}, "pause_turn", {"text": "Whole."}]},
            {"when": {"user": "over"}, "then": [over, {"tool_use": "get"}, {"bash": "true"}]},
        ]))
        .await;
    threads(&studio.recorder).await;
    let player = player(&studio.path()).await;
    // The second time with other ids.
    for _ in 0..2 {
        threads(&player).await;
        let found = verdict(&player).await;
        assert_eq!(codes(&found), Vec::<&str>::new(), "{found}");
    }
    for first in ["pauses", "over"] {
        player.send(&in_thread(&player, first, None)).await;
    }
    assert_eq!(
        codes(&verdict(&player).await),
        ["ignored_pause_turn", "ignored_container_expired"]
    );
}

/// The same request, laid out for people.
fn pretty(body: &Value) -> String {
    serde_json::to_string_pretty(body).unwrap()
}

#[tokio::test]
async fn json_is_compared_as_values_at_any_size_and_in_any_layout() {
    for size in [100, 20_000, 1_200_000] {
        let studio = Studio::open().await;
        let mut body = prompt(&"x".repeat(size));
        body["messages"].as_array_mut().unwrap().extend([
            json!({"role": "assistant", "content": "one"}),
            json!({"role": "user", "content": "two"}),
        ]);
        let request = studio.recorder.messages(&body).body(pretty(&body));
        assert_eq!(studio.recorder.send(&request).await.status, 200);
        let player = player(&studio.path()).await;
        let compact = player.messages(&body);
        let answer = player.send(&compact).await;
        assert_eq!(answer.status, 200, "{size}: {}", answer.text());
        let spaced = compact.body(pretty(&body).replace("  ", "\t"));
        assert_eq!(player.send(&spaced).await.status, 200, "{size}");
        let mut other = body.clone();
        other["messages"][2]["content"] = json!("three");
        let missed = player.send(&player.messages(&other)).await;
        assert_eq!(missed.status, 400, "{size}");
        assert!(
            missed
                .message()
                .contains(r#"body.messages[2].content[0].text: recorded "two", sent "three""#),
            "{size}: {}",
            missed.message()
        );
    }
}

#[tokio::test]
async fn the_nearest_recording_is_the_one_that_shares_most() {
    let studio = Studio::open().await;
    let talk = |topic: &str, turns: usize| {
        let mut body = prompt("");
        let mut messages = Vec::new();
        for n in 0..turns {
            messages.push(json!({"role": "user", "content": format!("{topic}, question {n}, with many words about it")}));
            if n + 1 < turns {
                messages
                    .push(json!({"role": "assistant", "content": format!("{topic}, answer {n}")}));
            }
        }
        body["messages"] = json!(messages);
        body
    };
    // Another conversation of the same length differs in one list; the same one is a turn shorter.
    for body in [talk("weather", 5), talk("sales", 4)] {
        let sent = studio.recorder.send(&studio.recorder.messages(&body)).await;
        assert_eq!(sent.status, 200);
    }
    let player = player(&studio.path()).await;
    let missed = player.send(&player.messages(&talk("sales", 5))).await;
    let message = missed.message();
    assert!(message.contains("the nearest is run #2"), "{message}");
    assert!(message.contains("body.messages[7]: sent "), "{message}");
    assert!(!message.contains("weather"), "{message}");
}

/// A replayed conversation whose second request names a container, under these quirks and after so long.
async fn second(quirks: &Value, after: &str) -> (u16, String) {
    let studio = Studio::open().await;
    converse(&studio.recorder, "fjord").await;
    let player = player(&studio.path()).await;
    player.freeze().await;
    player.control("PUT", "quirks", quirks).await;
    let first = converse(&player, "fjord").await;
    player.advance(after).await;
    let mut body = code_prompt("```bash\necho again\n```");
    body["container"] = json!(container_of(&first[1].json()));
    body["stream"] = json!(true);
    let response = player.send(&player.messages(&body)).await;
    let text = response.text().to_owned();
    (response.status, text)
}

#[tokio::test]
async fn a_container_ends_in_replay_as_it_does_in_a_turn() {
    for (value, after, status, expected) in [
        ("tool-error", "29d", 200, "again"),
        (
            "tool-error",
            "30d",
            200,
            r#""error_code":"container_expired""#,
        ),
        ("server-error", "30d", 500, "Internal server error"),
        ("request-error", "30d", 400, "container: `container_"),
    ] {
        let quirks = json!({"expired-container": value});
        let (found, text) = second(&quirks, after).await;
        assert_eq!(found, status, "{value} after {after}: {text}");
        assert!(text.contains(expected), "{value} after {after}: {text}");
    }
    let idle = json!({"container-idle": "270s", "expired-container": "request-error"});
    assert_eq!(second(&idle, "269s").await.0, 200);
    let (status, text) = second(&idle, "270s").await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("has expired"), "{text}");
}

#[tokio::test]
async fn a_server_that_needs_no_sandbox_is_ready_and_says_so() {
    let studio = Studio::open().await;
    converse(&studio.recorder, "fjord").await;
    let player = player(&studio.path()).await;
    let ready = player
        .send(&player.request("GET", "/_sandtable/ready"))
        .await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    let ready = ready.json();
    assert_eq!(ready["status"], "ok");
    assert_eq!(
        (&ready["sandboxes"], &ready["backend"]),
        (&json!(false), &json!("none"))
    );
    assert!(ready["reason"].is_string(), "{ready}");
}
