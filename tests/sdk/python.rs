//! The Python programs.

use crate::interpreter::Interpreter::{Python, Python075};
use crate::program::Needs::{Sandbox, Server};
use crate::program::{run, run_with};

#[tokio::test]
async fn a_csv_is_analyzed_its_chart_fetched_and_its_container_used_again() {
    run(Python, "walkthrough.py", Sandbox).await;
}

#[tokio::test]
async fn a_csv_is_analyzed_with_the_sdk_of_the_beta_era() {
    run(Python075, "walkthrough.py", Sandbox).await;
}

#[tokio::test]
async fn what_goes_wrong_in_the_documents_goes_wrong_here() {
    run(Python, "mishaps.py", Sandbox).await;
}

#[tokio::test]
async fn the_examples_of_the_documents_run() {
    run(Python, "examples.py", Sandbox).await;
}

#[tokio::test]
async fn a_notebook_s_helpers_run() {
    run(Python, "notebook.py", Sandbox).await;
}

#[tokio::test]
async fn a_notebook_s_helpers_run_with_the_sdk_of_the_beta_era() {
    run(Python075, "notebook.py", Sandbox).await;
}

#[tokio::test]
async fn a_tool_type_that_never_was_runs_under_an_alias() {
    let alias = "code_execution_20260104=code_execution_20250825";
    run_with(Python, "alias.py", Sandbox, &["--tool-alias", alias]).await;
}

#[tokio::test]
async fn the_tool_of_2025_05_has_its_own_blocks_and_outputs() {
    run(Python, "legacy.py", Sandbox).await;
}

#[tokio::test]
async fn the_tool_of_2025_05_works_with_an_sdk_of_its_time() {
    run(Python075, "legacy.py", Sandbox).await;
}

#[tokio::test]
async fn blocks_beside_code_are_of_the_sdk_s_types_and_come_back() {
    run(Python, "blocks.py", Server).await;
}

#[tokio::test]
async fn results_that_a_script_brings_need_no_sandbox_and_their_files_are_downloaded() {
    run(Python, "results.py", Server).await;
}

#[tokio::test]
async fn a_stream_gathers_into_the_plain_answer() {
    run(Python, "streams.py", Sandbox).await;
}

#[tokio::test]
async fn a_stream_gathers_into_the_plain_answer_in_the_beta_era() {
    run(Python075, "streams.py", Sandbox).await;
}

#[tokio::test]
async fn client_tools_are_answered_by_hand_and_by_the_runner() {
    run(Python, "tools.py", Sandbox).await;
}

#[tokio::test]
async fn client_tools_are_answered_in_the_beta_era() {
    run(Python075, "tools.py", Sandbox).await;
}

#[tokio::test]
async fn every_block_and_event_fits_the_sdk_s_types() {
    run(Python, "shapes.py", Sandbox).await;
}

#[tokio::test]
async fn a_refusal_has_its_class_its_text_and_no_second_try() {
    run(Python, "refusals.py", Server).await;
}

#[tokio::test]
async fn a_refusal_has_its_class_in_the_beta_era() {
    run(Python075, "refusals.py", Server).await;
}

#[tokio::test]
async fn models_are_listed_and_tokens_counted() {
    run(Python, "models.py", Server).await;
}

#[tokio::test]
async fn models_are_listed_and_tokens_counted_in_the_beta_era() {
    run(Python075, "models.py", Server).await;
}

#[tokio::test]
async fn a_batch_runs_code_and_its_results_are_read() {
    run(Python, "batches.py", Sandbox).await;
}

#[tokio::test]
async fn a_batch_runs_code_in_the_beta_era() {
    run(Python075, "batches.py", Sandbox).await;
}

#[tokio::test]
async fn a_skill_is_uploaded_and_one_of_the_vendor_s_makes_a_workbook() {
    run(Python, "skills.py", Sandbox).await;
}

#[tokio::test]
async fn skills_have_titles_and_epochs_in_the_beta_era() {
    run(Python075, "skills.py", Sandbox).await;
}

#[tokio::test]
async fn files_are_listed_named_and_deleted() {
    run(Python, "files.py", Server).await;
}

#[tokio::test]
async fn files_are_listed_named_and_deleted_in_the_beta_shape() {
    run(Python075, "files.py", Server).await;
}

#[tokio::test]
async fn tools_that_code_awaits_are_answered_by_hand_and_by_the_runner() {
    run(Python, "programmatic.py", Sandbox).await;
}

#[tokio::test]
async fn tools_that_code_awaits_are_answered_in_the_beta_era() {
    run(Python075, "programmatic.py", Sandbox).await;
}

#[tokio::test]
async fn the_scripted_web_is_searched_by_the_model_and_by_code() {
    run(Python, "web.py", Sandbox).await;
}

#[tokio::test]
async fn the_scripted_web_is_searched_in_the_beta_era() {
    run(Python075, "web.py", Sandbox).await;
}

#[tokio::test]
async fn every_member_that_the_sdk_s_types_have_is_taken() {
    run(Python, "members.py", Server).await;
}

#[tokio::test]
async fn calls_over_their_time_and_cells_out_of_patience_are_told_so() {
    let flags = ["--call-timeout", "--cell-timeout", "--cell-queue-timeout"];
    let flags = flags.map(|flag| [flag, "1"]).concat();
    run_with(Python, "waits.py", Sandbox, &flags).await;
}
