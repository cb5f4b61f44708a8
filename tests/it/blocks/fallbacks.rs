//! `fallbacks` with several entries.

use serde_json::{Value, json};

use super::{answer, refused};
use crate::harness::TestServer;
use crate::harness::server::prompt;

/// One model after another declines: blocks, samplings, and what the last one ends with.
#[tokio::test]
async fn models_go_on_in_the_order_of_the_request_and_the_last_that_declines_ends_it() {
    let server = TestServer::start().await;
    let mut body = prompt("who invented the press?");
    body["model"] = json!("claude-fable-5");
    body["fallbacks"] = json!([{"model": "claude-opus-4-8"}, {"model": "claude-sonnet-4-5"}]);
    let hops = |said: &Value| -> Vec<(String, String)> {
        let blocks = said["content"].as_array().expect("blocks").iter();
        let name = |side: &Value| side["model"].as_str().expect("a model").to_owned();
        blocks
            .filter(|block| block["type"] == "fallback")
            .map(|block| (name(&block["from"]), name(&block["to"])))
            .collect()
    };
    let kinds = |said: &Value| -> Vec<(String, String)> {
        let all = said["usage"]["iterations"].as_array().expect("iterations");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        all.iter()
            .map(|one| (text(&one["type"]), text(&one["model"])))
            .collect()
    };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let dated = "claude-sonnet-4-5-20250929";
    let both = vec![
        pair("claude-fable-5", "claude-opus-4-8"),
        pair("claude-opus-4-8", dated),
    ];
    server
        .steps(&json!([{"text": "I"}, {"fallback": null}, {"fallback": {"category": "bio"}}, {"text": "Around 1440."}]))
        .await;
    let said = answer(&server, &body).await;
    assert_eq!(hops(&said), both);
    assert_eq!(
        (&said["model"], &said["stop_reason"]),
        (&json!(dated), &json!("end_turn"))
    );
    assert_eq!(
        kinds(&said),
        [
            pair("message", "claude-fable-5"),
            pair("message", "claude-opus-4-8"),
            pair("fallback_message", dated)
        ]
    );
    // One more: nobody is left.
    server
        .steps(&json!([{"fallback": null}, {"fallback": null}, {"fallback": {"category": "cyber"}}, {"text": "never"}]))
        .await;
    let said = answer(&server, &body).await;
    assert_eq!(hops(&said), both);
    assert_eq!(said["stop_reason"], "refusal");
    assert_eq!(said["stop_details"]["category"], "cyber");
    assert_eq!(
        kinds(&said),
        [
            pair("message", "claude-fable-5"),
            pair("message", "claude-opus-4-8"),
            pair("message", dated)
        ]
    );
    // A script may pass one over, and names none that is not there.
    server
        .steps(&json!([{"fallback": "claude-sonnet-4-5"}, {"text": "ok"}]))
        .await;
    assert_eq!(
        hops(&answer(&server, &body).await),
        [pair("claude-fable-5", dated)]
    );
    server.steps(&json!([{"fallback": "claude-opus-5"}])).await;
    let refused = refused(&server, &body).await;
    assert!(
        refused.contains("none of those that the request's `fallbacks` have left"),
        "{refused}"
    );
    // Of `default` the script knows it.
    body["fallbacks"] = json!("default");
    server
        .steps(&json!([{"fallback": "claude-opus-5"}, {"text": "ok"}]))
        .await;
    assert_eq!(
        hops(&answer(&server, &body).await),
        [pair("claude-fable-5", "claude-opus-5")]
    );
}

#[tokio::test]
async fn an_attempt_has_its_entrys_thinking_and_wrong_entries_are_refused_by_their_path() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"fallback": null}, {"thinking": "Hm."}, {"text": "ok"}]))
        .await;
    let with = |entry: Value| {
        let mut body = prompt("go");
        body["model"] = json!("claude-opus-4-8");
        body["fallbacks"] = json!([entry]);
        body
    };
    let thinks =
        json!({"model": "claude-opus-4-6", "thinking": {"type": "adaptive", "display": "omitted"}});
    let said = answer(&server, &with(thinks)).await;
    assert_eq!(said["content"][1]["thinking"], "");
    let said = refused(&server, &with(json!({"model": "claude-opus-4-6"}))).await;
    assert!(
        said.contains("the model thinks, but the request has no"),
        "{said}"
    );
    for (entry, expected) in [
        (
            json!({"max_tokens": 9}),
            "fallbacks.0.model: Field required",
        ),
        (
            json!({"model": "m", "temperature": 1}),
            "fallbacks.0: 'temperature' is not a supported field. Supported: model, max_tokens, output_config, speed, thinking.",
        ),
        (
            json!({"model": "m", "max_tokens": "9"}),
            "fallbacks.0.max_tokens: Input should be a valid integer",
        ),
        (
            json!({"model": "m", "speed": "slow"}),
            "fallbacks.0.speed: Input should be 'standard' or 'fast'",
        ),
        (
            json!({"model": "m", "output_config": {"effort": 1}}),
            "fallbacks.0.output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
        ),
        (
            json!({"model": "m", "thinking": {"type": "enabled"}}),
            "fallbacks.0.thinking.enabled.budget_tokens: Field required",
        ),
        (
            json!({"model": "claude-opus-4-8", "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}),
            "fallbacks.0: \"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior.",
        ),
        (
            json!({"model": "claude-sonnet-4-5", "max_tokens": 64001}),
            "fallbacks.0: max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for claude-sonnet-4-5-20250929",
        ),
        (
            json!({"model": "claude-sonnet-4-5", "thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 2000}),
            "fallbacks.0: `max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
        ),
        (
            json!({"model": "claude-haiku-4-5", "output_config": {"effort": "max"}}),
            "fallbacks.0: This model does not support the effort parameter.",
        ),
    ] {
        assert_eq!(refused(&server, &with(entry)).await, expected);
    }
}
