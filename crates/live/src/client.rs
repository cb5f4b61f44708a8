//! Requests to the server that runs the calls.

use bytes::Bytes;
use serde_json::Value;

use super::obstacle::Obstacle;
use cassette::{Part, form};
use client::Keyed;

const BETAS: &str = "code-execution-2025-08-25,files-api-2025-04-14,skills-2025-10-02";

/// One workspace of the server.
#[derive(Debug)]
pub(super) struct Client {
    url: String,
    key: String,
}

impl Client {
    pub(super) fn new(url: &str, key: String) -> Self {
        Self {
            url: url.to_owned(),
            key,
        }
    }

    /// The bytes of an answer, or what was said instead.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes, Obstacle> {
        self.send("GET", path, "", Bytes::new()).await
    }

    /// The answer to a JSON request.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Obstacle> {
        let body = Bytes::from(body.to_string());
        let answer = self.send("POST", path, "application/json", body).await?;
        parse(&answer)
    }

    /// Adds rules, written as YAML, to the workspace's scripts.
    pub(super) async fn add_script(&self, rules: &Value) -> Result<(), Obstacle> {
        let body = Bytes::from(cassette::to_yaml(rules));
        self.send("POST", "/_sandtable/scripts", "application/yaml", body)
            .await?;
        Ok(())
    }

    /// Sends a recorded form again.
    pub(super) async fn post_form(&self, path: &str, parts: &[Part]) -> Result<Value, Obstacle> {
        let (kind, body) = form::written(parts)?;
        let answer = self.send("POST", path, &kind, body).await?;
        parse(&answer)
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, Obstacle> {
        let keyed = Keyed {
            url: &self.url,
            key: &self.key,
            token: None,
            betas: BETAS,
        };
        Ok(keyed.send(method, path, kind, body).await?)
    }
}

fn parse(answer: &Bytes) -> Result<Value, Obstacle> {
    Ok(serde_json::from_slice(answer)?)
}
