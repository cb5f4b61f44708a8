//! Whether what a server answers is what the description of the control API says: more members than it tells
//! count as a mistake, too.

use std::sync::OnceLock;

use control_api::openapi::{self, Call};
use serde_json::{Value, json};

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| openapi::document("0.0.0"))
}

/// The call that a request makes.
fn call(method: &str, path: &str) -> Option<Call> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |call: &Call| {
        let mut wanted = call.path.split('/');
        let mut given = path.split('/');
        loop {
            match (wanted.next(), given.next()) {
                (None, None) | (Some("{path}"), Some(_)) => return true,
                (Some(part), Some(_)) if part.starts_with('{') => {}
                (Some(part), Some(other)) if part == other => {}
                _ => return false,
            }
        }
    };
    let mut calls: Vec<Call> = openapi::calls();
    calls.retain(|call| call.method.eq_ignore_ascii_case(method) && fits(call));
    // `scripts/check` before `…/{id}`.
    calls.sort_by_key(|call| call.path.contains('{'));
    calls.into_iter().next()
}

/// Checks an answer of a control call; one of another path is none of its business.
pub(crate) fn check(method: &str, path: &str, status: u16, body: &[u8]) {
    if !path.starts_with("/_sandtable/") {
        return;
    }
    let Some(call) = call(method, path) else {
        return;
    };
    let answers = &document()["paths"][call.path][call.method]["responses"];
    let answer = match &answers[status.to_string()] {
        Value::Null if status >= 400 => &answers["default"],
        known => known,
    };
    assert!(answer.is_object(), "{method} {path}: {status} is not told");
    let schema = &answer["content"]["application/json"]["schema"];
    if schema.is_null() {
        let is_empty = answer["content"].is_null();
        assert!(!is_empty || body.is_empty(), "{method} {path} has a body");
        return;
    }
    let Ok(body) = common::json::wrapped::<Value>(body) else {
        // A cassette.
        assert!(path.contains("format="), "{method} {path}: no JSON");
        return;
    };
    if path.contains("workspace=%2A") || (path.contains("workspace=*") && body.is_null()) {
        return;
    }
    let mut root = schema.clone();
    let mut components = document()["components"].clone();
    close(&mut components["schemas"]);
    root["components"] = components;
    let validator = jsonschema::validator_for(&root).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(&body)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}\n{body:#}");
}

/// Objects may have no other members than are told.
fn close(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.contains_key("properties") && !members.contains_key("oneOf") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
