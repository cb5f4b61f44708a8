//! The cost that turns would have on the service: `GET /_sandtable/usage`.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed, then, with_tool};
use crate::harness::{Processes, TestServer};

async fn usage(server: &TestServer) -> Value {
    server.control("GET", "usage", &Value::Null).await
}

async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.freeze().await;
    server.steps(&steps).await;
    server
}

fn on(container: &Value, mut body: Value) -> Value {
    body["container"] = container["container"]["id"].clone();
    body
}

#[tokio::test]
async fn the_tutorials_query_costs_what_it_says_once_a_script_sets_its_tokens() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prices/tutorial.json");
    let prices = workspace::billing::Prices::load(&path).expect("the fixture");
    let server = TestServer::with(|config| config.prices = prices).await;
    let steps = json!([{"usage": {"input_tokens": 1500, "output_tokens": 800}}, {"text": "Done."}]);
    server.steps(&steps).await;
    let mut body = prompt("Summarize revenue.");
    body["model"] = "claude-opus-4-7".into();
    let message = server.message(&body).await;
    let usage = usage(&server).await;
    let line = &usage["turns"][0];
    assert_eq!(line["usd"], 0.0825);
    assert_eq!(line["message_id"], message["id"]);
    assert_eq!(usage["tokens"]["usd"], 0.0825);
    assert_eq!(usage["container_time"]["seconds"], 0);
}

#[tokio::test]
async fn a_container_is_billed_five_minutes_at_least_and_once_for_uses_that_follow_closely() {
    let server = running(json!([{"bash": "true"}])).await;
    let first = server.message(&code_prompt("go")).await;
    server.advance("2m").await;
    server.message(&on(&first, code_prompt("again"))).await;
    let time = usage(&server).await["container_time"]["seconds"].clone();
    assert_eq!(time, 300);
    server.advance("20m").await;
    let later = on(&first, streamed(code_prompt("later")));
    assert_eq!(server.send(&server.messages(&later)).await.status, 200);
    let usage = usage(&server).await;
    assert_eq!(usage["container_time"]["seconds"], 600);
    assert_eq!(
        usage["containers"][0]["sessions"].as_array().map(Vec::len),
        Some(2)
    );
    let container = &usage["turns"][2]["container"];
    assert_eq!(container["id"], first["container"]["id"]);
    assert_eq!(container["usd_beyond_free_hours"], 0.004_167);
}

#[tokio::test]
async fn a_preloaded_file_is_billed_though_nothing_runs() {
    let server = running(json!([{"text": "I looked away."}])).await;
    let file = server.upload("data.csv", "text/csv", "a,b\n").await;
    let mut body = code_prompt("go");
    body["messages"][0]["content"] = json!([
        {"type": "text", "text": "go"},
        {"type": "container_upload", "file_id": file},
    ]);
    server.message(&body).await;
    assert_eq!(usage(&server).await["container_time"]["seconds"], 300);
}

#[tokio::test]
async fn beside_a_newer_web_tool_the_container_is_free() {
    for (tag, quirk, seconds) in [
        ("web_search_20260209", "free-with-web=20260209", 0),
        ("web_search_20250305", "free-with-web=20260209", 300),
        ("web_search_20250305", "free-with-web=any", 0),
    ] {
        let server = running(json!([{"text": "Nothing to search."}])).await;
        let file = server.upload("data.csv", "text/csv", "a,b\n").await;
        let mut body = with_tool(code_prompt("go"), "code_execution_20260120");
        body["messages"][0]["content"] = json!([
            {"type": "text", "text": "go"},
            {"type": "container_upload", "file_id": file},
        ]);
        let tools = body["tools"].as_array_mut().expect("tools");
        tools.push(json!({"type": tag, "name": "web_search"}));
        let request = server.messages(&body).header("x-sandtable-quirk", quirk);
        let response = server.send(&request).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let time = usage(&server).await["container_time"]["seconds"].clone();
        assert_eq!(time, seconds, "{tag} with {quirk}");
    }
}

#[tokio::test]
async fn what_the_service_refuses_costs_nothing_and_a_reset_forgets() {
    let server = running(json!([{"text": "Hello."}])).await;
    let request = server.messages(&json!({"model": "claude-opus-5"}));
    assert_eq!(server.send(&request).await.status, 400);
    assert_eq!(usage(&server).await["turns"], json!([]));
    server.message(&prompt("hi")).await;
    assert_eq!(
        usage(&server).await["turns"].as_array().map(Vec::len),
        Some(1)
    );
    server.control("POST", "reset", &Value::Null).await;
    let usage = usage(&server).await;
    assert_eq!(usage["turns"], json!([]));
    assert_eq!(usage["usd"], 0.0);
}

#[tokio::test]
async fn usage_says_what_was_asked_for_and_counts_what_was_run() {
    let server = running(json!([{"bash": "true"}])).await;
    let mut body = code_prompt("go");
    body["model"] = "claude-opus-4-6".into();
    let usage = |message: Value| message["usage"].clone();
    let plain = usage(server.message(&body).await);
    assert_eq!(plain["inference_geo"], "global");
    assert_eq!(plain.get("speed"), None);
    assert_eq!(plain["server_tool_use"]["code_execution_requests"], 1);
    body["inference_geo"] = "us".into();
    body["speed"] = "fast".into();
    let asked = usage(server.message(&body).await);
    assert_eq!(asked["inference_geo"], "us");
    // It takes `fast`, and is no faster any more.
    assert_eq!(asked["speed"], "standard");
    body["model"] = "claude-opus-5-5".into();
    assert_eq!(usage(server.message(&body).await)["speed"], "fast");
    // Older models are in no place, and do not say where they ran.
    body["model"] = "claude-haiku-4-5".into();
    body.as_object_mut()
        .unwrap()
        .retain(|key, _| !matches!(key.as_str(), "inference_geo" | "speed"));
    assert_eq!(
        usage(server.message(&body).await)["inference_geo"],
        "not_available"
    );
}

#[tokio::test]
async fn a_call_that_came_to_no_sandbox_is_not_counted() {
    for code in ["unavailable", "too_many_requests", "container_expired"] {
        let server = running(json!([{"bash": "true", "tool_error": code}])).await;
        let counted = server.message(&code_prompt("go")).await["usage"]["server_tool_use"].clone();
        assert_eq!(counted["code_execution_requests"], 0, "{code}");
    }
    let code = "execution_time_exceeded";
    let server = running(json!([{"bash": "true", "tool_error": code}])).await;
    let counted = server.message(&code_prompt("go")).await["usage"]["server_tool_use"].clone();
    assert_eq!(counted["code_execution_requests"], 1);
}

#[tokio::test]
async fn nothing_is_run_or_generated_for_a_cache() {
    let server = running(json!([{"bash": "true"}, "pause_turn", {"text": "Done."}])).await;
    let body = code_prompt("go");
    let mut next = then(body.clone(), &server.message(&body).await, &Value::Null);
    next["messages"].as_array_mut().unwrap()[1]["content"]
        .as_array_mut()
        .unwrap()
        .truncate(1);
    next["max_tokens"] = 0.into();
    let warmed = server.message(&next).await;
    assert_eq!(warmed["content"], json!([]));
    assert_eq!(warmed["usage"]["output_tokens"], 0);
}

/// Whatever `usage.iterations` tells is billed, at the price of its model.
#[tokio::test]
async fn every_sampling_is_billed_to_its_model() {
    let server = TestServer::start().await;
    let betas = "advisor-tool-2026-03-01, compact-2026-01-12, server-side-fallback-2026-07-01";
    let steps = json!([
        {"text": "four"}, {"advisor": {"text": "Some advice."}}, {"compaction": "a summary"},
        {"text": "eight"}, {"fallback": null}, {"text": "So much longer than what was said before."},
    ]);
    server.steps(&steps).await;
    let mut body = prompt("go");
    body["model"] = json!("claude-opus-4-8");
    body["tools"] =
        json!([{"type": "advisor_20260301", "name": "advisor", "model": "claude-fable-5"}]);
    body["context_management"] = json!({"edits": [{"type": "compact_20260112"}]});
    body["fallbacks"] = json!([{"model": "claude-sonnet-4-5"}]);
    let request = server.messages(&body).header("anthropic-beta", betas);
    let answer = server.send(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let message = answer.json();
    let usage = usage(&server).await;
    let count = |value: &Value| value.as_u64().expect("a number");
    let lines = usage["turns"].as_array().expect("lines");
    let models: Vec<&Value> = lines.iter().map(|line| &line["model"]).collect();
    assert_eq!(
        models,
        [
            "claude-sonnet-4-5-20250929",
            "claude-fable-5",
            "claude-opus-4-8"
        ]
    );
    let iterations = message["usage"]["iterations"]
        .as_array()
        .expect("iterations");
    let kinds: Vec<&Value> = iterations.iter().map(|one| &one["type"]).collect();
    assert_eq!(
        kinds,
        [
            "message",
            "advisor_message",
            "compaction",
            "message",
            "fallback_message"
        ]
    );
    for tokens in ["input_tokens", "output_tokens"] {
        let sum = |of: &[usize]| {
            of.iter()
                .map(|at| count(&iterations[*at][tokens]))
                .sum::<u64>()
        };
        let booked = lines.iter().map(|line| count(&line[tokens]));
        assert_eq!(
            booked.collect::<Vec<_>>(),
            [sum(&[4]), sum(&[1]), sum(&[0, 2, 3])],
            "{tokens}: {message}"
        );
    }
    assert!(lines.iter().all(|line| line["message_id"] == message["id"]));
}
