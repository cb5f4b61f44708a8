//! Control calls of one workspace.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::SandtableError;

/// A server and the key that calls carry.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) url: String,
    pub(super) key: String,
}

impl Client {
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, SandtableError> {
        self.read(&self.send(Method::GET, path, Bytes::new()).await?)
    }

    /// The `data` of a list.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Vec<T>, SandtableError> {
        let list: List<T> = self.get(path).await?;
        Ok(list.data)
    }

    /// Sends text or JSON; the answer is JSON, or nothing.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Value, SandtableError> {
        let answer = self.send(method, path, body.into()).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        self.read(&answer)
    }

    fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, SandtableError> {
        serde_json::from_slice(answer).map_err(|error| SandtableError::silent(&self.url, &error))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, SandtableError> {
        let silent = |error: &dyn std::error::Error| {
            let mut reason = error;
            // The outer ones only say that a request failed.
            while let Some(inner) = reason.source() {
                reason = inner;
            }
            SandtableError::silent(&self.url, &reason)
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/_sandtable/{path}", self.url))
            .header("x-api-key", &self.key)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| silent(&error))?;
        let client = HttpClient::builder(TokioExecutor::new()).build(HttpConnector::new());
        let response = client
            .request(request)
            .await
            .map_err(|error| silent(&error))?;
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| silent(&error))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let word = |name: &str| said["error"][name].as_str().unwrap_or_default().to_owned();
        Err(SandtableError::Refused {
            status: status.as_u16(),
            message: word("message"),
            hint: word("hint"),
        })
    }
}

#[derive(serde::Deserialize)]
struct List<T> {
    data: Vec<T>,
}
