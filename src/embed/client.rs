//! Control calls of one workspace.

use bytes::Bytes;
use control_api::{List, Refusal, Refused};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::SandtableError;
use client::{self, Call};
use common::json;

/// A server and the key that calls carry.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) url: String,
    pub(super) key: String,
}

impl Client {
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, SandtableError> {
        self.read(&self.bytes("GET", path, Bytes::new()).await?)
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
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Value, SandtableError> {
        let answer = self.bytes(method, path, body.into()).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        self.read(&answer)
    }

    pub(super) fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, SandtableError> {
        json::wrapped(answer).map_err(|error| SandtableError::silent(&self.url, &error))
    }

    /// The answer as it is.
    pub(super) async fn bytes(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, SandtableError> {
        let url = format!("{}/_sandtable/{path}", self.url);
        let headers = [
            ("x-api-key", self.key.as_str()),
            ("content-type", "application/json"),
        ];
        let call = Call {
            method,
            url: &url,
            headers: &headers,
            body,
        };
        let answer = client::send(call)
            .await
            .map_err(|reason| SandtableError::silent(&self.url, &reason))?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        let refused: Option<Refused> = serde_json::from_slice(&answer.body).ok();
        let Refusal { message, hint } = refused.map(|said| said.error).unwrap_or_default();
        Err(SandtableError::Refused {
            status: answer.status,
            message,
            hint,
        })
    }
}
