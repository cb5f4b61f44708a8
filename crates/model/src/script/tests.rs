//! The script language as its users meet it: models are driven by hand, with made-up results.

mod compaction;
mod continuation;
mod diagnostics;
mod documents;
mod layers;
mod matching;
mod running;

use std::sync::Arc;

use serde_json::{Value, json};

use super::Scripts;
use crate::{
    CallResult, CodeTool, DeclaredTool, Model, ModelError, OutputFile, Step, TurnRequest, Upload,
};

/// A workspace with these rules.
fn scripts(source: &str) -> Scripts {
    let scripts = Scripts::default();
    scripts
        .replace(source, "a.yaml")
        .unwrap_or_else(|found| panic!("{}", common::hinted::told_all(&found)));
    scripts
}

/// A request with one user message and the code execution tool.
fn request(text: &str) -> TurnRequest {
    let body = json!({
        "model": "claude-sonnet-4-5",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": text}],
    });
    TurnRequest {
        body: Arc::new(body),
        user_text: text.to_owned(),
        tools: vec![tool("code_execution_20250825", "code_execution")],
        code_tool: Some(CodeTool::BashAndEditor),
        uploads: Vec::new(),
        answered: Vec::new(),
        resumes_pause: false,
    }
}

fn tool(kind: &str, name: &str) -> DeclaredTool {
    DeclaredTool {
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

fn upload(name: &str) -> Upload {
    Upload {
        file_id: format!("file_{name}").into(),
        filename: name.to_owned(),
    }
}

/// The same conversation with more messages.
fn with_messages(request: &TurnRequest, more: &[Value]) -> TurnRequest {
    let mut body = (*request.body).clone();
    body["messages"]
        .as_array_mut()
        .unwrap()
        .extend_from_slice(more);
    TurnRequest {
        body: Arc::new(body),
        ..request.clone()
    }
}

/// A continuation after client tools.
fn answered(request: &TurnRequest, assistant: &Value, answers: &[(&str, &str)]) -> TurnRequest {
    let results: Vec<Value> = answers
        .iter()
        .map(|(id, text)| json!({"type": "tool_result", "tool_use_id": id, "content": text}))
        .collect();
    let more = [
        json!({"role": "assistant", "content": assistant}),
        json!({"role": "user", "content": results}),
    ];
    TurnRequest {
        answered: answers.iter().map(|(id, _)| (*id).to_owned()).collect(),
        ..with_messages(request, &more)
    }
}

/// A continuation after a pause.
fn after_pause(request: &TurnRequest, assistant: &Value) -> TurnRequest {
    TurnRequest {
        resumes_pause: true,
        ..with_messages(
            request,
            &[json!({"role": "assistant", "content": assistant})],
        )
    }
}

/// A command that went well.
fn ran(id: &str, stdout: &str) -> CallResult {
    CallResult {
        id: id.to_owned(),
        name: "bash_code_execution".to_owned(),
        stdout: stdout.to_owned(),
        stderr: String::new(),
        return_code: Some(0),
        error_code: None,
        content: json!({"type": "bash_code_execution_result", "stdout": stdout}),
        files: Vec::new(),
    }
}

fn output(name: &str) -> OutputFile {
    OutputFile {
        file_id: format!("file_{name}").into(),
        filename: name.to_owned(),
        size_bytes: 3,
    }
}

/// The next step, which must be a text.
fn text(model: &mut Box<dyn Model>, results: &[CallResult]) -> String {
    match model.next(results) {
        Ok(Some(Step::Text(text))) => text,
        other => panic!("{other:?}"),
    }
}

/// All the texts of a turn without calls.
fn texts(model: Result<Box<dyn Model>, ModelError>) -> Vec<String> {
    let mut model = model.unwrap();
    let mut texts = Vec::new();
    while let Some(step) = model.next(&[]).unwrap() {
        match step {
            Step::Text(text) => texts.push(text),
            other => panic!("{other:?}"),
        }
    }
    texts
}
