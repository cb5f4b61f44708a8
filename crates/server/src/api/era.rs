//! The API of 2025 (quirk `era`): beta headers that were required, and shapes that have changed since.
//!
//! Which texts are the service's is said beside them; the others are inferred.

use serde_json::{Map, Value};

use crate::api::caller::Betas;
use crate::api::error::{ApiError, ApiResult};

const FILES: &str = "files-api-2025-04-14";
const SKILLS: &str = "skills-2025-10-02";
const CODE: [&str; 2] = ["code-execution-2025-05-22", "code-execution-2025-08-25"];
const ADVANCED: &str = "advanced-tool-use-2025-11-20";

/// Tool types, each with the beta it needed.
const TOOLS: &[(&str, Option<&str>)] = &[
    ("bash_20250124", None),
    ("code_execution_20250522", Some(CODE[0])),
    ("code_execution_20250825", Some(CODE[1])),
    ("custom", None),
    ("memory_20250818", Some("context-management-2025-06-27")),
    ("text_editor_20250124", None),
    ("text_editor_20250429", None),
    ("text_editor_20250728", None),
    ("tool_search_tool_bm25_20251119", Some(ADVANCED)),
    ("tool_search_tool_regex_20251119", Some(ADVANCED)),
    ("web_fetch_20250910", Some("web-fetch-2025-09-10")),
    ("web_search_20250305", None),
];
/// Blocks of that time, without `container_upload`.
const BLOCKS: &str = "'document', 'image', 'redacted_thinking', 'search_result', 'server_tool_use', 'text', 'thinking', \
                      'tool_result', 'tool_use', 'web_search_tool_result'";
/// Keys of a message that came later, `stop_details` in 2026-04.
const LATER_KEYS: [&str; 2] = ["stop_details", "diagnostics"];
/// The others before 2025-09, in their order (F001); what is not among them comes last.
const MESSAGE_KEYS: [&str; 9] = [
    "id",
    "type",
    "role",
    "model",
    "content",
    "container",
    "stop_reason",
    "stop_sequence",
    "usage",
];

/// Versions are dates and compare as text.
pub(super) fn check_version(version: &str) -> ApiResult<()> {
    if version < "2026" {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "anthropic-version: \"{version}\" is not a valid version"
    )))
}

/// Endpoints that were open to their beta alone.
pub(super) fn check_path(path: &str, betas: &Betas) -> ApiResult<()> {
    for (prefix, beta) in [("/v1/files", FILES), ("/v1/skills", SKILLS)] {
        let rest = path.strip_prefix(prefix);
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && !betas.has(beta) {
            return Err(ApiError::invalid(format!(
                "anthropic-beta: this endpoint requires the `{beta}` beta header"
            )));
        }
    }
    Ok(())
}

/// Checks a Messages body against the fields, blocks, and tools that these betas allowed.
pub(super) fn check_body(body: &Value, betas: &Betas) -> ApiResult<()> {
    for (index, tool) in items(&body["tools"]).enumerate() {
        check_tool(index, tool, betas)?;
    }
    for (index, message) in items(&body["messages"]).enumerate() {
        for (position, block) in items(&message["content"]).enumerate() {
            let path = format!("messages.{index}.content.{position}");
            let kind = block["type"].as_str().unwrap_or_default();
            let with_files = betas.has(FILES);
            let runs_code = CODE.iter().any(|beta| betas.has(beta));
            if kind == "container_upload" && !(with_files && runs_code) {
                return Err(ApiError::invalid(format!(
                    "{path}: Input tag 'container_upload' found using 'type' does not match any of the expected tags: {BLOCKS}"
                )));
            }
            if block["source"]["type"] == "file" && !with_files {
                // Parity: quoted (F133).
                let tags = match kind {
                    "image" => "'base64', 'url'",
                    _ => "'base64', 'content', 'text', 'url'",
                };
                return Err(ApiError::invalid(format!(
                    "{path}.{kind}.source: Input tag 'file' found using 'type' does not match any of the expected tags: {tags}"
                )));
            }
        }
    }
    if body["container"].is_object() && !betas.has(SKILLS) {
        // Parity: F054.
        return Err(ApiError::invalid(
            "container: Input should be a valid string",
        ));
    }
    Ok(())
}

fn check_tool(index: usize, tool: &Value, betas: &Betas) -> ApiResult<()> {
    let tag = tool["type"].as_str().unwrap_or("custom");
    let open = |beta: Option<&str>| beta.is_none_or(|beta| betas.has(beta));
    if !TOOLS.iter().any(|(name, beta)| *name == tag && open(*beta)) {
        let tags = TOOLS
            .iter()
            .filter(|(_, beta)| open(*beta))
            .map(|(name, _)| format!("'{name}'"));
        let tags = tags.collect::<Vec<_>>().join(", ");
        return Err(ApiError::invalid(format!(
            "tools.{index}: Input tag '{tag}' found using 'type' does not match any of the expected tags: {tags}"
        )));
    }
    if tool.get("allowed_callers").is_some() && !betas.has(ADVANCED) {
        return Err(ApiError::invalid(format!(
            "tools.{index}.{tag}.allowed_callers: Extra inputs are not permitted"
        )));
    }
    Ok(())
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Takes what has come since 2025 out of an event or a message.
pub(super) fn age(value: &mut Value) {
    if let Some(message) = value.get_mut("message") {
        age_message(message);
    }
    if value["type"] == "message" {
        age_message(value);
    }
    if let Some(block) = value.get_mut("content_block") {
        age_block(block);
    }
    if let Some(delta) = value.get_mut("delta").and_then(Value::as_object_mut) {
        delta.shift_remove("stop_details");
        if delta.get("container").is_some_and(Value::is_null) {
            delta.shift_remove("container");
        }
    }
    age_usage(value);
}

fn age_message(message: &mut Value) {
    age_usage(message);
    let content = message.get_mut("content");
    if let Some(blocks) = content.and_then(Value::as_array_mut) {
        blocks.iter_mut().for_each(age_block);
    }
    if let Some(members) = message.as_object_mut() {
        for key in LATER_KEYS {
            members.shift_remove(key);
        }
        if members.get("container").is_some_and(Value::is_null) {
            members.shift_remove("container");
        }
        let mut old = Map::new();
        for key in MESSAGE_KEYS {
            if let Some((key, value)) = members.shift_remove_entry(key) {
                old.insert(key, value);
            }
        }
        old.append(members);
        *members = old;
    }
}

fn age_usage(value: &mut Value) {
    if let Some(usage) = value.get_mut("usage").and_then(Value::as_object_mut) {
        usage.shift_remove("inference_geo");
        usage.shift_remove("output_tokens_details");
    }
}

fn age_block(block: &mut Value) {
    // Calls that code made had theirs from the beginning (F005).
    if block["type"] == "tool_use"
        && block["caller"]["type"] == "direct"
        && let Some(members) = block.as_object_mut()
    {
        members.shift_remove("caller");
    }
    if let Some(content) = block.get_mut("content").and_then(Value::as_object_mut) {
        content.shift_remove("abort_reason");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::identify::version::BETAS;
    use serde_json::json;

    fn betas(names: &[&str]) -> Betas {
        Betas(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn every_beta_that_was_required_is_a_known_one() {
        let of_tools = TOOLS.iter().filter_map(|(_, beta)| *beta);
        for beta in of_tools.chain([FILES, SKILLS, ADVANCED]).chain(CODE) {
            assert!(BETAS.contains(&beta), "{beta}");
        }
    }

    #[test]
    fn a_tool_of_a_later_year_is_unknown_whatever_the_headers() {
        let body =
            json!({"tools": [{"type": "code_execution_20260120", "name": "code_execution"}]});
        assert!(check_body(&body, &betas(&CODE)).is_err());
        let body =
            json!({"tools": [{"type": "code_execution_20250522", "name": "code_execution"}]});
        assert!(check_body(&body, &betas(&[CODE[0]])).is_ok());
        assert!(check_body(&body, &betas(&[CODE[1]])).is_err());
    }

    #[test]
    fn what_came_later_is_taken_out_and_the_rest_stays() {
        let mut message = json!({"model": "m", "id": "i", "type": "message", "role": "assistant",
            "content": [{"type": "tool_use", "caller": {"type": "direct"}}, {"type": "x", "content": {"abort_reason": null, "stdout": ""}}],
            "container": null, "stop_reason": "end_turn", "stop_sequence": null, "stop_details": null,
            "usage": {"input_tokens": 1, "service_tier": "standard", "inference_geo": "global"},
            "context_management": {"applied_edits": []}, "diagnostics": null});
        age(&mut message);
        assert_eq!(
            message.to_string(),
            r#"{"id":"i","type":"message","role":"assistant","model":"m","content":[{"type":"tool_use"},{"type":"x","content":{"stdout":""}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"service_tier":"standard"},"context_management":{"applied_edits":[]}}"#
        );
    }
}
