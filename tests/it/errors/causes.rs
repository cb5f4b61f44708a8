//! The natural causes of errors, by the names that `docs/ERRORS.md` gives them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{call, failed, results};
use crate::harness::canned::Reply;
use crate::harness::server::{code_prompt, prompt, streamed, then, with_tool};
use crate::harness::sse::{events_of, fold};
use crate::harness::{Canned, Processes, Response, TestServer};

/// The real guest, as a process.
async fn real(steps: &Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(steps).await;
    server
}

/// The answers to a call of `tool`, plain and streamed.
pub(super) async fn tool(cause: &str, tool: &str) -> [Value; 2] {
    let (step, body) = call(tool);
    match cause {
        "no backend" => {
            let server = TestServer::start().await;
            server.steps(&json!([step])).await;
            results(&server, &body).await
        }
        "edited call" => edited_call(&step, &body).await,
        "bad pattern" => {
            let server = TestServer::start().await;
            server.steps(&json!([{"tool_search": "["}])).await;
            results(&server, &body).await
        }
        "unknown command" => {
            let step = json!({"text_editor": {"command": "undo_edit", "path": "a.txt"}});
            results(&real(&json!([step])).await, &body).await
        }
        "too many calls" => {
            let calls = vec![json!({"bash": "sleep 10"}); 260];
            let server = real(&json!([{"parallel": calls}])).await;
            results(&server, &body).await
        }
        // The guest is told to say what it says then; real ones: `tests/sdk/python/waits.py`.
        "long queue" => {
            let server = TestServer::on(Arc::new(Canned::new([Reply::Busy, Reply::Busy]))).await;
            server.steps(&json!([step])).await;
            let body = with_tool(prompt("go"), "code_execution_20260120");
            results(&server, &body).await
        }
        "over time" => {
            let server = TestServer::on_with(Arc::new(Processes::new()), |config| {
                config.timeouts.call = Duration::from_millis(200);
            })
            .await;
            let step = match tool {
                "bash_code_execution" => json!({"bash": "sleep 60"}),
                _ => json!({"python": "import time; time.sleep(60)"}),
            };
            server.steps(&json!([step])).await;
            results(&server, &body).await
        }
        "max uses" => {
            let server = TestServer::start().await;
            server.steps(&json!([step, step])).await;
            let mut body = body;
            body["tools"][0]["max_uses"] = json!(1);
            results(&server, &body).await
        }
        "long URL" => {
            let server = TestServer::start().await;
            let url = format!("https://example.com/{}", "a".repeat(300));
            let step = json!({"web_fetch": {"url": url, "text": "sand"}});
            server.steps(&json!([step])).await;
            results(&server, &body).await
        }
        "blocked domain" => {
            let server = TestServer::start().await;
            server.steps(&json!([step])).await;
            let mut body = body;
            body["tools"][0]["blocked_domains"] = json!(["example.com"]);
            results(&server, &body).await
        }
        "500 MB" => {
            let step = json!({"bash": "truncate -s 501M \"$OUTPUT_DIR/large\""});
            results(&real(&json!([step])).await, &body).await
        }
        "missing file" => results(&real(&json!([step])).await, &body).await,
        "missing string" => {
            let steps = json!([
                {"create": {"path": "a.txt", "file_text": "a"}},
                {"str_replace": {"path": "a.txt", "old_str": "b", "new_str": "c"}},
            ]);
            results(&real(&steps).await, &body).await
        }
        "thirty days" => {
            let server = real(&json!([step])).await;
            let first = server.message(&body).await;
            server.advance("30d").await;
            let mut again = body;
            again["container"] = first["container"]["id"].clone();
            results(&server, &again).await
        }
        other => panic!("the page names a cause that nobody knows: {other}"),
    }
}

/// A call waits beside a client's; the client answers its own and edits the other.
async fn edited_call(step: &Value, body: &Value) -> [Value; 2] {
    let server = real(&json!([{"parallel": [{"tool_use": "f"}, step]}, {"text": "ok"}])).await;
    let mut body = body.clone();
    let tools = body["tools"].as_array_mut().expect("tools");
    tools.push(json!({"name": "f", "input_schema": {"type": "object"}}));
    let mut answer = server.message(&body).await;
    let blocks = answer["content"].as_array_mut().expect("content");
    let mut results = Vec::new();
    for block in blocks {
        if block["type"] == "server_tool_use" {
            block["input"] = json!({});
        } else {
            results
                .push(json!({"type": "tool_result", "tool_use_id": block["id"], "content": "ok"}));
        }
    }
    let body = then(body, &answer, &Value::Array(results));
    let plain = server.message(&body).await;
    let response = server.send(&server.messages(&streamed(body))).await;
    [
        failed(&plain),
        failed(&fold(&events_of([response.body.as_slice()]))),
    ]
}

/// The answers to a request that goes wrong; plain and streamed where it is one of Messages.
pub(super) async fn request(cause: &str) -> Vec<Response> {
    let server = TestServer::with(|config| {
        if cause == "full storage" {
            config.quota_bytes = 10;
        }
    })
    .await;
    server.steps(&json!([{"text": "ok"}])).await;
    let both = async |body: Value| {
        let mut responses = Vec::new();
        for body in [body.clone(), streamed(body)] {
            responses.push(server.send(&server.messages(&body)).await);
        }
        responses
    };
    let with = |key: &str, value: Value| {
        let mut body = prompt("hi");
        body[key] = value;
        body
    };
    let upload = |text: &str| {
        let body = format!(
            "--b\r\ncontent-disposition: form-data; name=\"expires_in_seconds\"\r\n\r\n3600\r\n\
             --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{text}\r\n--b--\r\n"
        );
        server
            .request("POST", "/v1/files")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(body)
    };
    let sender = &server;
    let one = |request| async move { vec![sender.send(&request).await] };
    match cause {
        "missing field" => both(with("max_tokens", Value::Null)).await,
        "large image" => {
            // A PNG of 8,001 by 1 pixels, as far as its header goes.
            let data = "iVBORw0KGgoAAAANSUhEUgAAH0EAAAAB";
            let source = json!({"type": "base64", "media_type": "image/png", "data": data});
            let content = json!([{"type": "image", "source": source}]);
            both(with(
                "messages",
                json!([{"role": "user", "content": content}]),
            ))
            .await
        }
        "thread" => {
            let mut body = with("thread", json!({"type": "create"}));
            body["context_management"] = json!({"edits": []});
            threaded(&server, body).await
        }
        "continued twice" => {
            let first = begun(&server).await;
            let sent = server.send(&in_thread(&server, &going_on(&first))).await;
            assert_eq!(sent.status, 200, "{}", sent.text());
            threaded(&server, going_on(&first)).await
        }
        "continued at once" => {
            let first = begun(&server).await;
            server.thaw().await;
            server
                .steps(&json!([{"text": "Wait."}, {"delay": "1h"}]))
                .await;
            // Its first event is out, so it has begun.
            let mut held = server.connect().await;
            let slow = streamed(going_on(&first));
            held.send(&in_thread(&server, &slow)).await;
            assert_eq!(held.read_head().await.expect("a head").status, 200);
            threaded(&server, going_on(&first)).await
        }
        "changed output_config" => {
            let first = begun(&server).await;
            let mut body = going_on(&first);
            body["output_config"] = json!({"effort": "low"});
            threaded(&server, body).await
        }
        "thread over" => {
            let first = begun(&server).await;
            server.advance("5m").await;
            threaded(&server, going_on(&first)).await
        }
        "no key" => {
            let bare = server.messages(&prompt("hi")).without("x-api-key");
            one(bare).await
        }
        "unknown file" => {
            let mut body = code_prompt("hi");
            body["messages"][0]["content"] =
                json!([{"type": "container_upload", "file_id": "file_1"}]);
            both(body).await
        }
        "expired file" => {
            let file = server.send(&upload("a")).await.json()["id"].clone();
            server.advance("2h").await;
            let mut body = code_prompt("hi");
            body["messages"][0]["content"] = json!([{"type": "container_upload", "file_id": file}]);
            both(body).await
        }
        "download of an upload" => {
            let file = server.upload("a.txt", "text/plain", "a").await;
            one(server.request("GET", &format!("/v1/files/{file}/content"))).await
        }
        "full storage" => one(upload("more than ten bytes")).await,
        "compressed body" => {
            let request = server.messages(&prompt("hi"));
            one(request.header("content-encoding", "gzip")).await
        }
        "large body" => {
            let request = server.messages(&prompt("hi"));
            one(request.header("content-length", "99999999")).await
        }
        "silent body" => {
            let request = server.messages(&prompt("hi"));
            let mut silent = server.connect().await;
            let head = request.header("content-length", "1000");
            silent.send(&head).await;
            tokio::time::pause();
            silent.fill().await;
            tokio::time::resume();
            vec![silent.read().await]
        }
        "rate limit" => {
            let limits = json!([{"requests": 1}]);
            server.control("PUT", "rate-limits", &limits).await;
            server.message(&prompt("hi")).await;
            both(prompt("hi")).await
        }
        "dead container" => {
            let mut body = code_prompt("hi");
            body["container"] = json!("container_1");
            let mut responses = Vec::new();
            for body in [body.clone(), streamed(body)] {
                let request = server.messages(&body);
                let request = request.header("x-sandtable-quirk", "profile=observed");
                responses.push(server.send(&request).await);
            }
            responses
        }
        other => panic!("the page names a cause that nobody knows: {other}"),
    }
}

/// A request of a thread, with the beta it needs.
fn in_thread(server: &TestServer, body: &Value) -> crate::harness::Request {
    let request = server.messages(body);
    request.header("anthropic-beta", "message-threads-2026-08-12")
}

async fn threaded(server: &TestServer, body: Value) -> Vec<Response> {
    let mut responses = Vec::new();
    for body in [body.clone(), streamed(body)] {
        responses.push(server.send(&in_thread(server, &body)).await);
    }
    responses
}

/// The first answer of a thread.
async fn begun(server: &TestServer) -> Value {
    let mut body = prompt("hi");
    body["thread"] = json!({"type": "create"});
    let response = server.send(&in_thread(server, &body)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn going_on(answer: &Value) -> Value {
    let mut body = prompt("and then?");
    body["thread"] = json!({"type": "continue", "previous_message_id": answer["id"]});
    body
}
