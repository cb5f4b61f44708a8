//! Control calls to the server that is swept, for one workspace.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::SweepError;
use client::Keyed;

/// How long the server may take for a call: a reset ends the run's sandboxes.
const LIMIT: Duration = Duration::from_mins(2);

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
            betas: "",
        };
        let answer = keyed.send(method, path, "application/json", body);
        let answer = tokio::time::timeout(LIMIT, answer).await;
        let answer = answer.map_err(|_| SweepError::Slow {
            path: path.to_owned(),
            limit: LIMIT,
        })?;
        answer.map_err(|source| SweepError::Server {
            path: path.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_not_waited_for_without_end() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let client = Client {
            url: &url,
            key: "sk-ant-sweep-0",
            token: None,
        };
        let error = client.post("/_sandtable/reset", String::new()).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "/_sandtable/reset: the server has not answered within 120 s"
        );
    }
}
