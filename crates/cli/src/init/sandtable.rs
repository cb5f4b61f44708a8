//! Tests of code that uses the code execution tool: the model is scripted, its calls really run.
//!
//! `sandtable run --script tests/first.yaml -- cargo test --test sandtable` starts a server for them.

use serde_json::{Value, json};

/// Stands for your own code: call it instead, with its base URL from the environment.
fn make_table() -> String {
    let server = std::env::var("ANTHROPIC_BASE_URL").expect("run this with `sandtable run`");
    let key = std::env::var("ANTHROPIC_API_KEY").unwrap_or_else(|_| "sk-ant-local".to_owned());
    let answer: Value = ureq::post(format!("{server}/v1/messages"))
        .header("x-api-key", &key)
        .header("anthropic-version", "2023-06-01")
        .send_json(json!({
            "model": "claude-opus-4-6",
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": "Make a table of cities."}],
            "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
        }))
        .and_then(|mut response| response.body_mut().read_json())
        .expect("an answer");
    let blocks = answer["content"].as_array().expect("blocks");
    let result = blocks
        .iter()
        .find(|block| block["type"] == "bash_code_execution_tool_result")
        .expect("a result");
    let file = result["content"]["content"][0]["file_id"].as_str().expect("a file");
    ureq::get(format!("{server}/v1/files/{file}/content"))
        .header("x-api-key", &key)
        .header("anthropic-version", "2023-06-01")
        .call()
        .and_then(|mut response| response.body_mut().read_to_string())
        .expect("its bytes")
}

#[test]
fn the_file_comes_back() {
    assert_eq!(make_table(), "city,degrees\nOslo,4\nCairo,31\n");
}
