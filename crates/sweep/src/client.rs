//! Control calls to the server that is swept, for one workspace.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::SweepError;
use client::Keyed;

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
        serde_json::from_slice(&body).map_err(|source| SweepError::Answer {
            path: path.to_owned(),
            source,
        })
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
        let keyed = Keyed {
            url: self.url,
            key: self.key,
            token: self.token,
            betas: "files-api-2025-04-14",
        };
        let answer = keyed.send(method, path, "application/json", body).await;
        answer.map_err(|source| SweepError::Server {
            path: path.to_owned(),
            source,
        })
    }
}
