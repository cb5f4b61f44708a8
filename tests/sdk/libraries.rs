//! Libraries that stand between a user and the API: what they give their user of what the server said.

use crate::interpreter::Interpreter::{self, Node, PythonLibraries};
use crate::program::Needs::Sandbox;
use crate::program::run_with;

#[tokio::test]
async fn agents_of_pydantic_ai_talk_stream_call_and_run_code() {
    flows(PythonLibraries, "flows_pydantic_ai.py").await;
}

#[tokio::test]
async fn the_tool_runner_of_the_sdk_compacts_and_goes_on() {
    flows(PythonLibraries, "compacts.py").await;
}

#[tokio::test]
async fn a_chat_model_of_langchain_talks_streams_calls_and_runs_code() {
    flows(PythonLibraries, "flows_langchain.py").await;
}

#[tokio::test]
async fn completions_of_litellm_talk_stream_call_and_run_code() {
    flows(PythonLibraries, "flows_litellm.py").await;
}

#[tokio::test]
async fn functions_of_the_ai_sdk_talk_stream_call_and_run_code() {
    flows(Node, "flows-ai-sdk.ts").await;
}

/// Runs a program against the script that all of them share.
async fn flows(interpreter: Interpreter, file: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/library.yaml");
    run_with(interpreter, file, Sandbox, &["--script", script]).await;
}
