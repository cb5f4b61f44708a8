//! The prompts of the public documents that need a client's tool, a file, or a thought.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, kinds, prompt, streamed, then, with_tool};
use crate::harness::sse::events_of;
use crate::harness::{Processes, TestServer};

const WEATHER: &str = "Get weather for 5 cities and find the warmest";

async fn server() -> TestServer {
    TestServer::on(Arc::new(Processes::new())).await
}

/// The documents' request: a tool that `callers` may call, with `properties`.
fn weather(code: &str, callers: &Value, properties: &Value) -> Value {
    let mut body = with_tool(prompt(WEATHER), code);
    let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
    let mut tool = json!({
        "name": "get_weather",
        "description": "Get weather for a city",
        "input_schema": {"type": "object", "properties": properties, "required": required},
    });
    if !callers.is_null() {
        tool["allowed_callers"] = callers.clone();
    }
    body["tools"].as_array_mut().unwrap().push(tool);
    body
}

fn calls(message: &Value) -> Vec<&Value> {
    let blocks = message["content"].as_array().unwrap();
    blocks
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .collect()
}

/// Answers of the client's tool for each city: Sydney is the warmest.
fn answered(body: Value, message: &Value, place: &str, say: impl Fn(i32) -> String) -> Value {
    let results = calls(message).into_iter().map(|call| {
        let degrees = if call["input"][place] == "Sydney" {
            31
        } else {
            -4
        };
        json!({"type": "tool_result", "tool_use_id": call["id"], "content": say(degrees)})
    });
    let mut body = then(body, message, &Value::Array(results.collect()));
    body["container"] = message["container"]["id"].clone();
    body
}

fn last_text(message: &Value) -> &str {
    message["content"].as_array().unwrap().last().unwrap()["text"]
        .as_str()
        .unwrap()
}

#[tokio::test]
async fn the_warmest_of_five_cities_is_found_by_code_that_calls_the_client_s_tool() {
    let said: [fn(i32) -> String; 3] = [
        |degrees| format!("Sunny, {degrees} degrees at 80% humidity"),
        |degrees| format!(r#"{{"humidity": 80, "temperature": {degrees}}}"#),
        |degrees| degrees.to_string(),
    ];
    for (code, caller) in [
        ("code_execution_20250825", "code_execution_20250825"),
        ("code_execution_20260120", "code_execution_20260120"),
        ("code_execution_20260521", "code_execution_20260120"),
    ] {
        for (place, say) in ["city", "location", "place_name"].into_iter().zip(said) {
            let properties = json!({
                place: {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]},
            });
            let server = server().await;
            let body = weather(code, &json!([caller]), &properties);
            let first = server.message(&body).await;
            assert_eq!(first["stop_reason"], "tool_use", "{first}");
            let asked = calls(&first);
            assert_eq!(asked.len(), 5, "{first}");
            for call in &asked {
                assert_eq!(call["caller"]["type"], caller, "{call}");
                assert_eq!(call["input"]["unit"], "celsius", "{call}");
            }
            let last = server.message(&answered(body, &first, place, say)).await;
            assert_eq!(last["stop_reason"], "end_turn", "{last}");
            let text = last_text(&last);
            assert!(text.contains("Warmest: Sydney (31)"), "{text}");
            assert!(text.contains("sandtable's tour answered"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_code_may_not_call_is_called_for_each_city() {
    for place in ["city", "location"] {
        let server = server().await;
        let properties = json!({ place: {"type": "string"} });
        let body = weather("code_execution_20250825", &Value::Null, &properties);
        let first = server.message(&body).await;
        assert_eq!(calls(&first).len(), 5, "{first}");
        let body = answered(body, &first, place, |degrees| format!("{degrees} °C"));
        let mut again = body.clone();
        if again["container"].is_null() {
            again.as_object_mut().unwrap().remove("container");
        }
        let last = server.message(&again).await;
        let text = last_text(&last);
        assert!(text.contains("Warmest: Sydney (31)"), "{text}");
    }
}

#[tokio::test]
async fn data_that_was_sent_is_looked_at() {
    let server = server().await;
    let sales = include_str!("../../fixtures/files/sales.csv");
    let file = server.upload("sales.csv", "text/csv", sales).await;
    let mut body = with_tool(prompt(""), "code_execution_20250522");
    body["messages"][0]["content"] = json!([
        {"type": "text", "text": "Analyze this data..."},
        {"type": "container_upload", "file_id": file},
    ]);
    let message = server.message(&body).await;
    let text = last_text(&message);
    let missing = text.contains("is not in this sandbox");
    assert!(
        missing || text.contains("sales.csv: 9 rows, 5 columns"),
        "{text}"
    );
    assert!(text.contains("sandtable's tour answered"), "{text}");
    // What holds no table is told by its name.
    let file = server.upload("notes.txt", "text/plain", "notes").await;
    body["messages"][0]["content"][1]["file_id"] = json!(file);
    let text = server.message(&body).await;
    let text = last_text(&text).to_owned();
    assert!(missing || text.contains("notes.txt is none of"), "{text}");
}

#[tokio::test]
async fn where_thinking_is_on_the_tour_thinks_before_it_speaks() {
    const PROMPTS: [&str; 2] = [
        "Calculate the mean and standard deviation of [1, 2, 3]",
        "Create a config.yaml file with database settings, then update the port from 5432 to 3306",
    ];
    let server = server().await;
    for text in PROMPTS {
        let plain = server.message(&code_prompt(text)).await;
        assert_eq!(kinds(&plain)[0], "text", "{plain}");
        for (model, thinking) in [
            ("claude-opus-4-6", json!({"type": "adaptive"})),
            (
                "claude-sonnet-4-5",
                json!({"type": "enabled", "budget_tokens": 1024}),
            ),
            ("claude-opus-4-6", json!({"type": "disabled"})),
        ] {
            let mut body = code_prompt(text);
            body["model"] = json!(model);
            body["max_tokens"] = json!(4096);
            body["thinking"] = thinking.clone();
            let message = server.message(&body).await;
            let kinds = kinds(&message);
            if thinking["type"] == "disabled" {
                assert!(!kinds.contains(&"thinking"), "{message}");
                continue;
            }
            assert_eq!(kinds[..2], ["thinking", "text"], "{message}");
            let thought = &message["content"][0];
            assert!(
                thought["signature"].as_str().unwrap().len() > 20,
                "{thought}"
            );
            let response = server.send(&server.messages(&streamed(body))).await;
            let events = events_of([response.body.as_slice()]);
            let first = &events[1].1["content_block"];
            assert_eq!(first["type"], "thinking", "{first}");
        }
    }
}

#[tokio::test]
async fn a_thought_comes_once_in_a_turn_that_the_client_continues() {
    let server = server().await;
    let properties = json!({"city": {"type": "string"}});
    let callers = json!(["code_execution_20260120"]);
    let mut body = weather("code_execution_20260120", &callers, &properties);
    body["model"] = json!("claude-opus-4-6");
    body["thinking"] = json!({"type": "adaptive"});
    let first = server.message(&body).await;
    assert_eq!(kinds(&first)[0], "thinking", "{first}");
    let body = answered(body, &first, "city", |degrees| degrees.to_string());
    let last = server.message(&body).await;
    assert!(!kinds(&last).contains(&"thinking"), "{last}");
    assert!(last_text(&last).contains("Warmest: Sydney"), "{last}");
}
