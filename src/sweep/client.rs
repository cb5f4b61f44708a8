//! Control calls to the server that is swept, for one workspace.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::SweepError;
use crate::client::{self, Call};

/// One workspace of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) url: &'a str,
    pub(super) key: &'a str,
    pub(super) token: Option<&'a str>,
}

impl Client<'_> {
    /// The JSON that a path answers.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, SweepError> {
        let body = self.send("GET", path, Bytes::new()).await?;
        serde_json::from_slice(&body).map_err(|error| said(path, &error.to_string()))
    }

    /// Sends JSON, or nothing.
    pub(super) async fn post(&self, path: &str, body: String) -> Result<(), SweepError> {
        self.send("POST", path, Bytes::from(body)).await.map(drop)
    }

    /// Puts a text in the place of what is there.
    pub(super) async fn put(&self, path: &str, body: String) -> Result<(), SweepError> {
        self.send("PUT", path, Bytes::from(body)).await.map(drop)
    }

    async fn send(&self, method: &str, path: &str, body: Bytes) -> Result<Bytes, SweepError> {
        let mut headers = vec![
            ("x-api-key", self.key),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "files-api-2025-04-14"),
            ("content-type", "application/json"),
        ];
        headers.extend(self.token.map(|token| ("x-sandtable-token", token)));
        let url = format!("{}{path}", self.url);
        let call = Call {
            method,
            url: &url,
            headers: &headers,
            body,
        };
        let answer = client::send(call).await;
        let answer = answer.map_err(|error| said(path, &error))?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        let text = String::from_utf8_lossy(&answer.body);
        Err(said(path, &format!("{} {text}", answer.status)))
    }
}

fn said(path: &str, what: &str) -> SweepError {
    SweepError::Server(format!("{path}: {what}"))
}
