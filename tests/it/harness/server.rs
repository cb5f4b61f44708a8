//! A server of a test's own, with one key, a seed, and a clock that can stand still.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use sandbox::Backend;
use serde_json::{Value, json};
use server::Server;
use server::config::{BackendChoice, Config};

use super::http::{Connection, Request, Response};

/// When a frozen test takes place.
pub(crate) const NOW: &str = "2030-01-02T03:04:05Z";
const KEY: &str = "sk-ant-test";
const SEED: u64 = 7;

/// A running server and what a client needs to talk to it.
#[derive(Debug)]
pub(crate) struct TestServer {
    server: Server,
    pub(crate) address: SocketAddr,
}

impl TestServer {
    /// Seeded and frozen; calls get `unavailable`.
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }

    /// The same with another configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        let server = Self::of(Server::start(config).await.expect("the server starts"));
        server.freeze().await;
        server
    }

    /// Seeded and frozen; `backend` runs the calls.
    pub(crate) async fn on(backend: Arc<dyn Backend>) -> Self {
        Self::on_with(backend, |_| ()).await
    }

    /// The same with another configuration.
    pub(crate) async fn on_with(
        backend: Arc<dyn Backend>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = config();
        change(&mut config);
        let server = Server::start_with(config, backend).await;
        let server = Self::of(server.expect("the server starts"));
        server.freeze().await;
        server
    }

    fn of(server: Server) -> Self {
        let address = server.url().trim_start_matches("http://").parse();
        Self {
            address: address.expect("the URL has an address"),
            server,
        }
    }

    /// Stops the clock at [`NOW`].
    pub(crate) async fn freeze(&self) {
        // One after the other: in one call the clock would run on between the two.
        self.control("POST", "clock", &json!({"freeze": true}))
            .await;
        self.control("POST", "clock", &json!({"set": NOW})).await;
    }

    pub(crate) async fn thaw(&self) {
        self.control("POST", "clock", &json!({"freeze": false}))
            .await;
    }

    pub(crate) async fn advance(&self, span: &str) {
        self.control("POST", "clock", &json!({"advance": span}))
            .await;
    }

    /// Replaces the scripts.
    pub(crate) async fn script(&self, yaml: &str) {
        let request = self.request("PUT", "/_sandtable/scripts").body(yaml);
        let response = self.send(&request).await;
        assert_eq!(response.status, 200, "{}", response.text());
    }

    /// Replaces the scripts by one rule with these steps.
    pub(crate) async fn steps(&self, steps: &Value) {
        self.rules(&json!([{"name": "test", "then": steps}])).await;
    }

    /// Replaces the scripts by these rules.
    pub(crate) async fn rules(&self, rules: &Value) {
        self.script(&as_yaml(&rules.to_string())).await;
    }

    /// A call under `/_sandtable`, which must succeed.
    pub(crate) async fn control(&self, method: &str, name: &str, body: &Value) -> Value {
        let mut request = self.request(method, &format!("/_sandtable/{name}"));
        if !body.is_null() {
            request = request.json(body);
        }
        let response = self.send(&request).await;
        assert!(response.status < 300, "{name}: {}", response.text());
        serde_json::from_slice(&response.body).unwrap_or_default()
    }

    /// A request with the test's key and a version.
    #[expect(
        clippy::unused_self,
        reason = "reads as what it is: a request to this server"
    )]
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, path)
            .header("x-api-key", KEY)
            .header("anthropic-version", "2023-06-01")
    }

    pub(crate) fn messages(&self, body: &Value) -> Request {
        self.request("POST", "/v1/messages").json(body)
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// Sends a request three times at once; the statuses, the lowest first.
    pub(crate) async fn send_thrice(&self, request: &Request) -> [u16; 3] {
        let (a, b, c) = tokio::join!(self.send(request), self.send(request), self.send(request));
        let mut statuses = [a.status, b.status, c.status];
        statuses.sort_unstable();
        statuses
    }

    /// Sends over a connection of its own and reads the whole answer; one of the control API must be what its
    /// description says.
    pub(crate) async fn send(&self, request: &Request) -> Response {
        let mut connection = self.connect().await;
        connection.send(request).await;
        let answer = connection.read().await;
        crate::openapi::check(&request.method, &request.path, answer.status, &answer.body);
        answer
    }

    /// A Messages request that must succeed.
    pub(crate) async fn message(&self, body: &Value) -> Value {
        let response = self.send(&self.messages(body)).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// Uploads a file and returns its id.
    pub(crate) async fn upload(&self, name: &str, kind: &str, content: &str) -> String {
        let body = format!(
            "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: {kind}\r\n\r\n{content}\r\n--b--\r\n"
        );
        let request = self
            .request("POST", "/v1/files")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(body);
        let response = self.send(&request).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["id"].as_str().expect("an id").to_owned()
    }

    /// The newest entries of the journal.
    pub(crate) async fn journal(&self) -> Vec<Value> {
        let journal = self.control("GET", "journal", &Value::Null).await;
        journal["data"].as_array().cloned().unwrap_or_default()
    }

    /// All that a workspace holds and all that was billed: what a refused request must not change.
    pub(crate) async fn state(&self) -> Value {
        let mut state = json!({});
        for list in ["files", "messages/batches", "skills?source=custom"] {
            let path = format!("/v1/{list}");
            let page = self.send(&self.request("GET", &path)).await.json();
            state[list] = page["data"].clone();
        }
        for skill in state["skills?source=custom"]
            .clone()
            .as_array()
            .into_iter()
            .flatten()
        {
            let path = format!(
                "/v1/skills/{}/versions",
                skill["id"].as_str().expect("an id")
            );
            let page = self.send(&self.request("GET", &path)).await.json();
            state[path] = page["data"].clone();
        }
        state["containers"] = self.control("GET", "containers", &Value::Null).await["data"].clone();
        state["usage"] = self.control("GET", "usage", &Value::Null).await;
        state
    }
}

/// JSON is YAML, but for characters that YAML wants escaped.
fn as_yaml(json: &str) -> String {
    let mut yaml = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                write!(yaml, "\\u{:04x}", u32::from(c)).unwrap();
            }
            c => yaml.push(c),
        }
    }
    yaml
}

fn config() -> Config {
    Config {
        port: 0,
        backend: BackendChoice::None,
        seed: Some(SEED),
        ..Config::default()
    }
}

/// A request body for `prompt`.
pub(crate) fn prompt(prompt: &str) -> Value {
    json!({
        "model": "claude-opus-5",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": prompt}],
    })
}

/// The same with a code execution tool.
pub(crate) fn code_prompt(text: &str) -> Value {
    with_tool(prompt(text), "code_execution_20250825")
}

pub(crate) fn with_tool(mut body: Value, kind: &str) -> Value {
    body["tools"] = json!([{"type": kind, "name": "code_execution"}]);
    body
}

pub(crate) fn streamed(mut body: Value) -> Value {
    body["stream"] = json!(true);
    body
}

/// The conversation goes on: the answer, then what the user says to it.
pub(crate) fn then(mut body: Value, answer: &Value, user: &Value) -> Value {
    let messages = body["messages"].as_array_mut().expect("messages");
    messages.push(json!({"role": "assistant", "content": answer["content"]}));
    if !user.is_null() {
        messages.push(json!({"role": "user", "content": user}));
    }
    body
}

/// The types of a message's blocks.
pub(crate) fn kinds(message: &Value) -> Vec<&str> {
    let blocks = message["content"].as_array().expect("content");
    blocks
        .iter()
        .map(|block| block["type"].as_str().expect("a type"))
        .collect()
}
