//! `sandtable mcp` as a coding agent's own client library meets it.

use tokio::process::Command;

use crate::clients::run_in;
use crate::interpreter::mcp_python;
use crate::server::Server;

#[tokio::test]
async fn an_agent_finds_an_unmatched_turn_and_writes_the_rule_that_answers_it() {
    let Some(python) = mcp_python() else {
        return;
    };
    let server = Server::start(&["--backend", "none"]).await;
    let mut agent = Command::new(python);
    agent.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/sdk/mcp/agent.py"
    ));
    let place = [
        ("ANTHROPIC_BASE_URL", &*server.url),
        ("ANTHROPIC_API_KEY", "sk-ant-agent"),
    ];
    run_in("the agent", &mut agent, &place).await;
    server.stop().await;
}
