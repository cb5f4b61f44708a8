//! Golden transcripts of turns that run no code: each kind of block and of ending, plain and streamed.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::harness::server::{prompt, streamed, then};
use crate::harness::transcript::golden;

/// A server whose only rule has these steps.
async fn saying(steps: Value) -> TestServer {
    let server = TestServer::start().await;
    server.steps(&steps).await;
    server
}

#[tokio::test]
async fn text_is_one_block_with_a_ping_after_its_start() {
    let server =
        saying(json!([{"text": "Hello, and welcome to the \"test\": größer\n\tis 更大."}])).await;
    golden!(
        &server,
        server.messages(&prompt("hi")),
        server.messages(&streamed(prompt("hi"))),
    );
}

#[tokio::test]
async fn thinking_ends_with_one_signature_and_is_counted_by_models_that_print_it() {
    let server = saying(json!([{"thinking": "They greet me."}, {"text": "Hello."}])).await;
    let mut body = prompt("hi");
    body["thinking"] = json!({"type": "adaptive"});
    golden!(
        &server,
        server.messages(&body),
        server.messages(&streamed(body.clone()))
    );
}

#[tokio::test]
async fn a_redacted_thought_comes_whole_and_may_come_back() {
    let server = saying(json!([{"redacted_thinking": "EmwKAhgB"}, {"text": "Hello."}])).await;
    let body = prompt("hi");
    golden!(
        &server,
        server.messages(&body),
        server.messages(&streamed(body.clone()))
    );
    let answer = server.message(&body).await;
    let again = then(body, &answer, &json!([{"type": "text", "text": "again"}]));
    server.message(&again).await;
}

#[tokio::test]
async fn citations_come_before_the_text_they_are_for() {
    let server = saying(json!([{"text": "It rains, says the page.", "citations": [
        {"type": "web_search_result_location", "url": "https://a.example/", "title": "A", "cited_text": "Rain."},
        {"type": "page_location", "cited_text": "Rain.", "document_index": 0, "document_title": "B",
         "start_page_number": 1, "end_page_number": 2},
    ]}]))
    .await;
    let body = prompt("hi");
    golden!(
        &server,
        server.messages(&body),
        server.messages(&streamed(body.clone()))
    );
    let answer = server.message(&body).await;
    let again = then(body, &answer, &json!([{"type": "text", "text": "again"}]));
    server.message(&again).await;
}

#[tokio::test]
async fn a_client_tool_is_called_directly_and_ends_the_turn() {
    let server = saying(json!([
        {"text": "Let me look."},
        {"tool_use": {"name": "get_weather", "input": {"city": "Köln", "days": [1, 2.5, null], "unit": {"c": true}}}},
    ]))
    .await;
    let mut body = prompt("weather?");
    body["tools"] = json!([{"name": "get_weather", "input_schema": {"type": "object"}}]);
    golden!(
        &server,
        server.messages(&body),
        server.messages(&streamed(body.clone()))
    );
}

#[tokio::test]
async fn a_call_without_arguments_has_one_empty_fragment() {
    let server = saying(json!([{"tool_use": {"name": "refresh", "input": {}}}])).await;
    let mut body = prompt("refresh");
    body["tools"] = json!([{"name": "refresh", "input_schema": {"type": "object"}}]);
    golden!(&server, server.messages(&streamed(body.clone())));
}

#[tokio::test]
async fn a_refusal_says_why() {
    let stop = json!({"reason": "refusal", "category": "cyber", "explanation": "Not this."});
    let server = saying(json!([{"stop": stop}])).await;
    golden!(
        &server,
        server.messages(&prompt("hi")),
        server.messages(&streamed(prompt("hi"))),
    );
}

#[tokio::test]
async fn a_refusal_may_say_nothing_of_its_reason() {
    let server = saying(json!([{"text": "I would rather"}, {"stop": "refusal"}])).await;
    let message = server.message(&prompt("hi")).await;
    assert_eq!(
        message["stop_details"],
        json!({"type": "refusal", "category": null, "explanation": null})
    );
}

#[tokio::test]
async fn a_stop_sequence_is_named() {
    let server = saying(json!([
        {"text": "One, two,"},
        {"stop": {"reason": "stop_sequence", "stop_sequence": " three"}},
    ]))
    .await;
    let mut body = prompt("count");
    body["stop_sequences"] = json!([" three"]);
    golden!(
        &server,
        server.messages(&body),
        server.messages(&streamed(body.clone()))
    );
}

#[tokio::test]
async fn the_other_reasons_to_stop_stand_alone() {
    let server = TestServer::start().await;
    for reason in ["max_tokens", "model_context_window_exceeded", "end_turn"] {
        server
            .steps(&json!([{"text": "a"}, {"stop": reason}]))
            .await;
        let message = server.message(&prompt("hi")).await;
        assert_eq!(message["stop_reason"], reason);
        assert_eq!(message["stop_sequence"], Value::Null);
        assert_eq!(message["stop_details"], Value::Null);
    }
}

#[tokio::test]
async fn a_request_for_no_tokens_generates_nothing() {
    let server = saying(json!([{"text": "never said"}])).await;
    let mut body = prompt("warm up");
    body["max_tokens"] = json!(0);
    let message = server.message(&body).await;
    assert_eq!(message["content"], json!([]));
    assert_eq!(message["stop_reason"], "max_tokens");
}

#[tokio::test]
async fn a_script_can_set_every_counter() {
    let server = saying(json!([
        {"usage": {"input_tokens": 105, "output_tokens": 239, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 3031}},
        {"text": "Counted."},
    ]))
    .await;
    golden!(
        &server,
        server.messages(&prompt("hi")),
        server.messages(&streamed(prompt("hi"))),
    );
}

#[tokio::test]
async fn model_names_resolve_and_print_what_that_model_prints() {
    let server = saying(json!([{"text": "a"}])).await;
    let mut answers = String::new();
    for model in [
        "claude-sonnet-4-5",
        "claude-haiku-4-5",
        "claude-opus-4-6",
        "claude-opus-4-7",
        "claude-sonnet-5",
        "my-own-model",
    ] {
        let mut body = prompt("hi");
        body["model"] = json!(model);
        let message = server.message(&body).await;
        let usage = &message["usage"];
        writeln!(
            answers,
            "{model} -> {} inference_geo={} output_tokens_details={}",
            message["model"], usage["inference_geo"], usage["output_tokens_details"]
        )
        .unwrap();
    }
    insta::assert_snapshot!(answers);
}

#[tokio::test]
async fn the_key_may_come_in_either_header_and_an_unusable_one_gives_way() {
    let server = saying(json!([{"text": "a"}])).await;
    let plain = server.messages(&prompt("hi")).without("x-api-key");
    let both = |own: &str, bearer: &str| {
        plain
            .clone()
            .header("x-api-key", own)
            .header("authorization", &format!("Bearer {bearer}"))
    };
    for request in [
        plain.clone().header("authorization", "Bearer sk-ant-test"),
        both("sk-ant-test", "other"),
        both("sk-ant-invalid", "sk-ant-test"),
        both("", "sk-ant-test"),
    ] {
        let response = server.send(&request).await;
        assert_eq!(response.status, 200, "{request:?}: {}", response.text());
        assert_eq!(
            response.json()["content"][0]["text"],
            "a",
            "the script is this key's"
        );
    }
}

#[tokio::test]
async fn the_same_conversation_gets_new_ids_each_time_and_the_same_ones_in_another_run() {
    let ids = async || {
        let server = saying(json!([{"text": "a"}])).await;
        let mut ids = Vec::new();
        for body in [
            prompt("hi"),
            streamed(prompt("hi")),
            prompt("hi"),
            prompt("other"),
        ] {
            let response = server.send(&server.messages(&body)).await;
            let text = response.text();
            let start = text.find("msg_").expect("an id");
            ids.push(text[start..start + 28].to_owned());
            ids.push(response.header("request-id").expect("an id").to_owned());
        }
        ids
    };
    let (first, second) = (ids().await, ids().await);
    assert_eq!(first, second);
    let distinct: std::collections::HashSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), first.len(), "{first:?}");
}

#[tokio::test]
async fn two_keys_get_different_ids_for_the_same_conversation() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for key in ["sk-ant-one", "sk-ant-two"] {
        let request = server
            .messages(&prompt("hi"))
            .without("x-api-key")
            .header("x-api-key", key);
        let response = server.send(&request).await;
        ids.push((
            response.json()["id"].clone(),
            response.header("request-id").map(str::to_owned),
        ));
    }
    assert_ne!(ids[0].0, ids[1].0);
    assert_ne!(ids[0].1, ids[1].1);
}
