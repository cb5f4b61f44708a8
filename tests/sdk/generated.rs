//! Generated conversations through the official SDKs.

use serde_json::{Value, json};
use sweep::generate;

use crate::interpreter::Interpreter::{self, Node, Python};
use crate::program::given;
use crate::server::Server;

const SEED: u64 = 20_261_128;
const CASES: u64 = 200;

async fn read_all(interpreter: Interpreter, file: &str) {
    if interpreter.find().is_none() {
        return;
    }
    let cases: Vec<Value> = (0..CASES)
        .map(|index| generate::case(SEED, index))
        .map(|case| {
            json!({"script": case.script, "faults": case.faults, "says": case.says, "ends_well": case.ends_well})
        })
        .collect();
    let server = Server::start(&["--backend", "none"]).await;
    given(&server, interpreter, file, &Value::from(cases)).await;
    server.stop().await;
}

#[tokio::test]
async fn generated_conversations_are_read_from_python() {
    read_all(Python, "generated.py").await;
}

#[tokio::test]
async fn generated_conversations_are_read_from_typescript() {
    read_all(Node, "generated.ts").await;
}
