//! Plans, costs, and comparisons without a service.

use serde_json::{Value, json};

use super::heard::Heard;
use super::run::compare;
use super::*;
use cassette::{Body, Request, Response};
use common::hinted::{self, Mistake};

fn exchange(path: &str, body: Value, answer: Value) -> Exchange {
    Exchange {
        request: Some(Request {
            method: "POST".to_owned(),
            path: path.to_owned(),
            body: Body::Json(body),
            ..Request::default()
        }),
        response: Response {
            status: 200,
            body: Body::Json(answer),
            ..Response::default()
        },
        timing: None,
    }
}

fn sales() -> Cassette {
    let model = "claude-opus-4-7";
    let asked = json!({"model": model, "max_tokens": 1000});
    let used = json!({"usage": {"input_tokens": 100_000, "output_tokens": 100}});
    let batch = json!({"requests": [{"params": asked}, {"params": {"model": "nobody's", "max_tokens": 7}}]});
    Cassette {
        name: "sales".to_owned(),
        exchanges: vec![
            exchange("/v1/messages", asked.clone(), used),
            exchange("/v1/messages/batches", batch, json!({})),
            exchange("/v1/messages/count_tokens", asked, json!({})),
        ],
        ..Cassette::default()
    }
}

fn plan(only: &[&str]) -> Result<Plan, Mistake> {
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    Plan::of(vec![sales()], only, &Prices::default(), Limits::default())
}

#[test]
fn costs_are_what_was_used_and_at_most_what_the_requests_allow() {
    let costs = plan(&["sales #1"]).unwrap().costs;
    assert_eq!((costs.requests, costs.paid_requests), (1, 1));
    assert_eq!(
        (
            costs.input_tokens,
            costs.output_tokens,
            costs.most_output_tokens
        ),
        (100_000, 100, 1000)
    );
    // 5 and 25 dollars for a million.
    assert!((costs.usd - 0.5025).abs() < 1e-9, "{costs:?}");
    assert!((costs.most_usd - 0.525).abs() < 1e-9, "{costs:?}");

    let costs = plan(&[]).unwrap().costs;
    assert_eq!((costs.requests, costs.paid_requests), (3, 3));
    assert_eq!(costs.unpriced, ["nobody's"]);
    assert!(costs.to_string().contains("without a price"), "{costs}");
}

#[test]
fn a_name_that_nothing_has_is_a_mistake() {
    for known in ["sales", "sales #3"] {
        assert!(plan(&[known]).is_ok(), "{known}");
    }
    for unknown in ["sale", "sales #4", "sales #0"] {
        let told = hinted::told(&plan(&[unknown]).unwrap_err());
        assert!(told.contains(unknown) && told.contains("hint: "), "{told}");
    }
}

fn heard(status: u16, kind: &str, body: &str) -> Heard {
    Heard {
        status,
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        body: body.to_owned().into(),
        broke: None,
    }
}

#[test]
fn statuses_headers_and_kinds_of_bodies_are_compared_and_not_the_bytes_of_files() {
    let told = |recorded: &Heard, live: &Heard| -> Vec<String> {
        compare(recorded, live)
            .into_iter()
            .map(|found| found.what)
            .collect()
    };
    let json = heard(200, "application/json", "{\"a\": 1}");
    assert!(
        told(
            &json,
            &heard(200, "application/json; charset=utf-8", "{\"a\": 2}")
        )
        .is_empty()
    );
    assert_eq!(
        told(&json, &heard(404, "application/json", "{\"b\": 2}")),
        ["status", "a", "b"]
    );
    assert_eq!(
        told(&json, &heard(200, "text/html", "<p>")),
        ["content-type"]
    );
    assert_eq!(
        told(&json, &heard(200, "application/json", "<p>")),
        ["body"]
    );
    let lines = heard(
        200,
        "application/x-jsonl",
        "{\"a\": 1}\n{\"a\": 1, \"b\": null}\n",
    );
    assert!(told(&lines, &heard(200, "application/x-jsonl", "{\"a\": 1}\n")).is_empty());
    let file = heard(200, "image/png", "\u{89}PNG one");
    assert!(told(&file, &heard(200, "image/png", "\u{89}PNG another")).is_empty());
    let mut cut = json.clone();
    cut.broke = Some("reset".to_owned());
    assert_eq!(told(&json, &cut), ["body"]);
    let mut told_to_retry = json.clone();
    told_to_retry
        .headers
        .push(("x-should-retry".to_owned(), "true".to_owned()));
    assert_eq!(told(&json, &told_to_retry), ["x-should-retry"]);
}
