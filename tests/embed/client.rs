//! A stand-in for the code under test: a client that knows a URL and a key.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sandtable::Workspace;
use serde_json::{Value, json};

/// A client of one workspace.
#[derive(Debug)]
pub(crate) struct Client {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    url: String,
    key: String,
}

impl Client {
    pub(crate) fn of(workspace: &Workspace) -> Self {
        Self {
            http: hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http(),
            url: workspace.base_url().to_owned(),
            key: workspace.api_key().to_owned(),
        }
    }

    /// A turn with one prompt.
    pub(crate) async fn ask(&self, prompt: &str) -> (u16, Value) {
        let body = json!({
            "model": "claude-opus-4-6",
            "max_tokens": 1024,
            "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
            "messages": [{"role": "user", "content": prompt}],
        });
        let kind = "application/json";
        self.send(Method::POST, "/v1/messages", kind, body.to_string())
            .await
    }

    /// The same in a container.
    pub(crate) async fn ask_in(&self, container: &str, prompt: &str) -> (u16, Value) {
        let body = json!({
            "model": "claude-opus-4-6",
            "max_tokens": 1024,
            "container": container,
            "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
            "messages": [{"role": "user", "content": prompt}],
        });
        let kind = "application/json";
        self.send(Method::POST, "/v1/messages", kind, body.to_string())
            .await
    }

    /// Uploads a file.
    pub(crate) async fn upload(&self, name: &str, content: &str) -> (u16, Value) {
        let body = format!(
            "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: text/plain\r\n\r\n{content}\r\n--b--\r\n"
        );
        let kind = "multipart/form-data; boundary=b";
        self.send(Method::POST, "/v1/files", kind, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, "text/plain", String::new())
            .await
    }

    /// A request with a JSON body, and betas of its own.
    pub(crate) async fn post(&self, path: &str, body: &Value, beta: &str) -> (u16, Value) {
        let kind = "application/json";
        self.send_with(Method::POST, path, kind, body.to_string(), beta)
            .await
    }

    /// The status and the body: JSON, or its text.
    async fn send(&self, method: Method, path: &str, kind: &str, body: String) -> (u16, Value) {
        self.send_with(method, path, kind, body, "files-api-2025-04-14")
            .await
    }

    async fn send_with(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: String,
        beta: &str,
    ) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("x-api-key", &self.key)
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", beta)
            .header("content-type", kind)
            .body(Full::from(body))
            .unwrap();
        let response = self.http.request(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = || Value::from(String::from_utf8_lossy(&bytes));
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or_else(|_| text()),
        )
    }
}
