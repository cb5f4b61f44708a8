//! Faults that are real, in real sandboxes.

use std::io;
use std::sync::Arc;

use cli::image::Flavor;
use common::ids::SandboxId;
use sandbox::guest::{Settings, embedded};
use sandbox::{BoxFuture, Launched, Launcher, SandboxError, SandboxSpec};
use serde_json::{Value, json};
use server::Server;
use server::config::{BackendChoice, Config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::{Bench, SMALL, bench};

/// The bench's backend with little memory, so that it is soon exhausted.
#[derive(Debug)]
struct Little(Arc<Bench>);

impl Launcher for Little {
    ends_with_its_channel!();

    fn launch<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        Box::pin(async move {
            let spec = SandboxSpec {
                limits: SMALL,
                ..spec.clone()
            };
            self.0.backend.launch(&spec).await
        })
    }

    fn stop<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.0.backend.stop(id)
    }

    fn remove<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.0.backend.remove(id)
    }

    fn settings(&self, spec: &SandboxSpec) -> Settings {
        self.0.backend.settings(spec)
    }
}

host!(Little, "docker", |backend| backend.0.backend.ready());

/// One exchange over a connection of its own.
async fn exchange(
    url: &str,
    method: &str,
    path: &str,
    fault: &Value,
    body: &Value,
) -> io::Result<Value> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    let body = body.to_string();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nx-api-key: sk-test\r\n\
         anthropic-version: 2023-06-01\r\nx-sandtable-fault: {fault}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    Ok(serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

fn prompt(tool: &str) -> Value {
    json!({
        "model": "claude-opus-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "go"}],
        "tools": [{"type": tool, "name": "code_execution"}],
    })
}

fn results(message: &Value) -> Vec<&Value> {
    let blocks = message["content"]
        .as_array()
        .unwrap_or_else(|| panic!("{message}"));
    let results = blocks
        .iter()
        .filter(|block| block["tool_use_id"].is_string());
    results.map(|block| &block["content"]).collect()
}

#[tokio::test]
async fn memory_runs_out_and_a_sandbox_is_killed_and_the_next_call_works() {
    let Some(bench) = bench(Flavor::Slim, embedded()).await else {
        return;
    };
    let bench = Arc::new(bench);
    let config = Config {
        port: 0,
        backend: BackendChoice::None,
        ..Config::default()
    };
    let backend = Arc::new(Little(Arc::clone(&bench)));
    let server = Server::start_with(config, backend).await.unwrap();
    let url = server.url().to_owned();

    for (tool, step) in [
        ("code_execution_20250825", "bash"),
        ("code_execution_20250522", "python"),
    ] {
        let (first, second) = match step {
            "bash" => ("echo said; echo kept > kept.txt; exit 0", "cat kept.txt"),
            _ => (
                "open('kept.txt', 'w').write('kept\\n'); print('said', flush=True)",
                "print(open('kept.txt').read(), end='')",
            ),
        };
        let script = json!([{"name": "test", "then": [{step: first}, {step: second}]}]);
        exchange(&url, "PUT", "/_sandtable/scripts", &json!([]), &script)
            .await
            .unwrap();
        let fault = json!({"at": "tool", "do": "exhaust_memory"});
        let message = exchange(&url, "POST", "/v1/messages", &fault, &prompt(tool))
            .await
            .unwrap();
        let results = results(&message);
        assert_eq!(results[0]["return_code"], 137, "{message}");
        assert_eq!(results[0]["stdout"], "said\n");
        assert_eq!(results[1]["stdout"], "kept\n", "{message}");
    }

    let steps =
        json!([{"bash": "echo kept > kept.txt"}, {"bash": "sleep 60"}, {"bash": "cat kept.txt"}]);
    let script = json!([{"name": "test", "then": steps}]);
    exchange(&url, "PUT", "/_sandtable/scripts", &json!([]), &script)
        .await
        .unwrap();
    let fault = json!({"at": "tool", "do": "kill_sandbox", "nth": 2});
    let message = exchange(
        &url,
        "POST",
        "/v1/messages",
        &fault,
        &prompt("code_execution_20250825"),
    )
    .await
    .unwrap();
    let results = results(&message);
    assert_eq!(results[1]["error_code"], "unavailable", "{message}");
    assert_eq!(results[2]["stdout"], "kept\n", "{message}");

    server.stop().await;
    let bench = Arc::try_unwrap(bench);
    bench.expect("the server is gone").end().await;
}
