//! The same without an SDK: curl and jq.

use crate::interpreter::Interpreter::Bash;
use crate::program::Needs::Sandbox;
use crate::program::run;

#[tokio::test]
async fn the_examples_of_the_documents_run_with_curl() {
    run(Bash, "examples.sh", Sandbox).await;
}
