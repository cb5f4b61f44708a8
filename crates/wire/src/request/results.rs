//! Results of code execution that come back in a history: their shape is checked, so that a client
//! that builds them wrongly learns it here.

use serde_json::Value;

use super::{callers, rest, sources};
use crate::ToolErrorCode;
use crate::decode::{Decoded, Node};
use crate::tool_error::{OF_FETCH, OF_SEARCH};

/// Of each tool of code execution: which of them has which has changed from version to version (F044).
const OF_CODE: &[ToolErrorCode] = &[
    ToolErrorCode::Unavailable,
    ToolErrorCode::InvalidToolInput,
    ToolErrorCode::TooManyRequests,
    ToolErrorCode::ExecutionTimeExceeded,
    ToolErrorCode::OutputFileTooLarge,
    ToolErrorCode::FileNotFound,
    ToolErrorCode::StringNotFound,
    ToolErrorCode::ContainerExpired,
];

/// The contents a result block may have, and the name of its error in the service's union.
struct Shape {
    block: &'static str,
    results: &'static [&'static str],
    error: &'static str,
    /// The class the service names when nothing fits.
    class: &'static str,
}

// Parity: the first class is quoted in public threads (F043); the others are named after it.
const SHAPES: [Shape; 3] = [
    Shape {
        block: "code_execution_tool_result",
        results: &["code_execution_result", "encrypted_code_execution_result"],
        error: "code_execution_tool_result_error",
        class: "RequestCodeExecutionToolResultError",
    },
    Shape {
        block: "bash_code_execution_tool_result",
        results: &["bash_code_execution_result"],
        error: "bash_code_execution_tool_result_error",
        class: "RequestBashCodeExecutionToolResultError",
    },
    Shape {
        block: "text_editor_code_execution_tool_result",
        results: &[
            "text_editor_code_execution_create_result",
            // What quirk `editor-keys` sends comes back.
            "text_editor_code_execution_result",
            "text_editor_code_execution_str_replace_result",
            "text_editor_code_execution_view_result",
        ],
        error: "text_editor_code_execution_tool_result_error",
        class: "RequestTextEditorCodeExecutionToolResultError",
    },
];

/// Every `encrypted_…` text of a result.
pub(super) fn encrypted(content: &Value) -> Vec<String> {
    let texts = |content: &Value| {
        ["encrypted_stdout", "encrypted_content"]
            .map(|key| content[key].as_str().map(str::to_owned))
    };
    match content {
        Value::Array(items) => items.iter().flat_map(texts).flatten().collect(),
        content => texts(content).into_iter().flatten().collect(),
    }
}

/// Checks the `content` of a search result: a list of pages, or an error.
fn check_search(content: &Node<'_>) -> Decoded<()> {
    if content.value().is_object() {
        let class = content.tagged("RequestWebSearchToolResultError");
        class
            .required("type")?
            .literal(&["web_search_tool_result_error"])?;
        return check_error(&class, OF_SEARCH);
    }
    for item in content.items()? {
        item.required("type")?.literal(&["web_search_result"])?;
        for key in ["encrypted_content", "title", "url"] {
            item.required(key)?.string()?;
        }
        rest::check_texts(&item, &["page_age"])?;
    }
    Ok(())
}

/// Checks the `content` of a fetched page: a document, or an error.
fn check_fetch(content: &Node<'_>) -> Decoded<()> {
    if content.value()["type"] == "web_fetch_result" {
        let result = content.tagged("web_fetch_result");
        result.required("url")?.string()?;
        rest::check_texts(&result, &["retrieved_at"])?;
        let document = result.required("content")?;
        document.required("type")?.literal(&["document"])?;
        rest::check_cache_control(&document)?;
        return sources::check_fetched(&document);
    }
    let class = content.tagged("RequestWebFetchToolResultError");
    class
        .required("type")?
        .literal(&["web_fetch_tool_result_error"])?;
    check_error(&class, OF_FETCH)
}

/// Checks why there is no result: `codes` are those of the tool.
pub(super) fn check_error(error: &Node<'_>, codes: &[ToolErrorCode]) -> Decoded<()> {
    let names: Vec<&str> = codes.iter().map(|code| code.name()).collect();
    error.required("error_code")?.literal(&names).map(|_| ())
}

/// Checks the `content` of a result block; other tools' results pass.
pub(super) fn check(tag: &str, block: &Node<'_>) -> Decoded<()> {
    let content = block.required("content")?;
    match tag {
        "web_search_tool_result" => {
            return callers::cell(block).and_then(|_| check_search(&content));
        }
        "web_fetch_tool_result" => return callers::cell(block).and_then(|_| check_fetch(&content)),
        _ => {}
    }
    let Some(shape) = SHAPES.iter().find(|shape| shape.block == tag) else {
        return Ok(());
    };
    let kind = content.value()["type"].as_str().unwrap_or_default();
    if kind == shape.error {
        let error = content.tagged(shape.error);
        rest::check_texts(&error, &["error_message"])?;
        return check_error(&error, OF_CODE);
    }
    // What quirk `editor-keys` sends comes back.
    if tag.starts_with("text_editor") && kind == "text_editor_code_execution_result" {
        return Ok(());
    }
    let Some(kind) = shape.results.iter().find(|known| **known == kind) else {
        let class = content.tagged(shape.class);
        return Err(match class.required("type") {
            Ok(node) => node.fault(format!("Input should be '{}'", shape.error)),
            Err(fault) => fault,
        });
    };
    let result = content.tagged(kind);
    match *kind {
        "text_editor_code_execution_create_result" => {
            result.required("is_file_update")?.boolean().map(|_| ())
        }
        // Its counters and lines may all be null.
        "text_editor_code_execution_str_replace_result" => {
            rest::check_list_of_texts(&result, "lines")?;
            let counters = ["new_lines", "new_start", "old_lines", "old_start"];
            rest::check_numbers(&result, &counters)
        }
        "text_editor_code_execution_view_result" => {
            result.required("content")?.string()?;
            result
                .required("file_type")?
                .literal(&["text", "image", "pdf"])?;
            rest::check_numbers(&result, &["num_lines", "start_line", "total_lines"])
        }
        "encrypted_code_execution_result" => {
            check_run(&result, "encrypted_stdout", "code_execution_output")
        }
        "code_execution_result" => check_run(&result, "stdout", "code_execution_output"),
        _ => check_run(&result, "stdout", "bash_code_execution_output"),
    }
}

/// Checks a program's result: its output, its return code, and the files it left, which are of the type `left`.
fn check_run(result: &Node<'_>, stdout: &str, left: &str) -> Decoded<()> {
    result.required(stdout)?.string()?;
    result.required("stderr")?.string()?;
    result.required("return_code")?.whole()?;
    for file in result.required("content")?.items()? {
        file.required("file_id")?.string()?;
        file.required("type")?.literal(&[left])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(block: &Value) -> Option<String> {
        let tag = block["type"].as_str().unwrap();
        check(tag, &Node::root(block))
            .err()
            .map(|fault| fault.to_string())
    }

    #[test]
    fn what_the_server_sends_comes_back() {
        for content in [
            json!({"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": -1,
                   "content": [{"type": "bash_code_execution_output", "file_id": "file_1"}], "more": null}),
            json!({"type": "bash_code_execution_tool_result_error", "error_code": "container_expired"}),
        ] {
            let block = json!({"type": "bash_code_execution_tool_result", "content": content});
            assert_eq!(fault(&block), None, "{block}");
        }
        for content in [
            json!({"type": "text_editor_code_execution_create_result", "is_file_update": true}),
            json!({"type": "text_editor_code_execution_view_result", "file_type": "text", "content": "", "num_lines": null}),
            json!({"type": "text_editor_code_execution_str_replace_result", "lines": null}),
            json!({"type": "text_editor_code_execution_tool_result_error", "error_code": "string_not_found", "error_message": null}),
        ] {
            let block =
                json!({"type": "text_editor_code_execution_tool_result", "content": content});
            assert_eq!(fault(&block), None, "{block}");
        }
        let encrypted = json!({"type": "encrypted_code_execution_result", "encrypted_stdout": "E", "stderr": "",
                               "return_code": 0, "content": []});
        let block = json!({"type": "code_execution_tool_result", "content": encrypted});
        assert_eq!(fault(&block), None);
    }

    #[test]
    fn a_result_of_another_tool_is_refused_as_the_service_does() {
        let block = json!({"type": "code_execution_tool_result", "content": {"type": "bash_code_execution_result"}});
        assert_eq!(
            fault(&block).unwrap(),
            "content.RequestCodeExecutionToolResultError.type: Input should be 'code_execution_tool_result_error'"
        );
    }

    #[test]
    fn a_missing_part_is_named() {
        let block = json!({"type": "bash_code_execution_tool_result",
                           "content": {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0}});
        assert_eq!(
            fault(&block).unwrap(),
            "content.bash_code_execution_result.content: Field required"
        );
    }
}
