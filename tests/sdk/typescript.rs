//! The TypeScript programs.

use crate::interpreter::Interpreter::Node;
use crate::program::Needs::{Sandbox, Server};
use crate::program::run;

#[tokio::test]
async fn a_csv_is_analyzed_from_typescript() {
    run(Node, "walkthrough.ts", Sandbox).await;
}

#[tokio::test]
async fn the_examples_of_the_documents_run_in_typescript() {
    run(Node, "examples.ts", Sandbox).await;
}

#[tokio::test]
async fn a_stream_gathers_into_the_plain_answer_in_typescript() {
    run(Node, "streams.ts", Sandbox).await;
}

#[tokio::test]
async fn client_tools_are_answered_in_typescript() {
    run(Node, "tools.ts", Sandbox).await;
}

#[tokio::test]
async fn models_batches_and_skills_work_in_typescript() {
    run(Node, "surfaces.ts", Sandbox).await;
}

#[tokio::test]
async fn a_refusal_has_its_class_in_typescript() {
    run(Node, "refusals.ts", Server).await;
}

#[tokio::test]
async fn tools_that_code_awaits_are_answered_in_typescript() {
    run(Node, "programmatic.ts", Sandbox).await;
}

#[tokio::test]
async fn blocks_beside_code_are_gathered_and_come_back_in_typescript() {
    run(Node, "blocks.ts", Server).await;
}
