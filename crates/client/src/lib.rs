//! The HTTP client: control calls of the program and of the library, runs of recordings, and what is told to
//! others.
//!
//! `cassette/upstream` passes requests on with the same client, piece by piece; nothing else speaks HTTP.

use std::error::Error;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// A client that is built.
pub type Http = reqwest::Client;

/// The servers that a client calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A server of ours, over plain HTTP: no proxy of the environment stands between, and no certificates are read.
    Near,
    /// Whoever a user names, over HTTP or HTTPS.
    Anywhere,
}

/// A request.
#[derive(Debug)]
pub struct Call<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Bytes,
}

/// Why a call has no good answer. No text and no source names the URL: a query may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{}", why(.0))]
    Build(#[source] reqwest::Error),
    /// The client that everybody shares could not be built.
    #[error(transparent)]
    Shared(Arc<Self>),
    #[error(transparent)]
    Method(#[from] http::method::InvalidMethod),
    /// Near servers have no proxies and no certificates, so that the innermost reason says it all: the outer ones
    /// only say that a request failed.
    #[error("{}", innermost(.0))]
    Broke(#[source] reqwest::Error),
    /// The server said no.
    #[error("{status} {message}")]
    Refused { status: u16, message: String },
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A client that follows no redirect.
pub fn build(reach: Reach) -> Result<reqwest::Client, ClientError> {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let builder = match reach {
        // Its callers' runtimes come and go, and a connection ends with its runtime.
        Reach::Near => builder
            .no_proxy()
            .pool_max_idle_per_host(0)
            .tls_built_in_root_certs(false),
        Reach::Anywhere => builder,
    };
    builder.build().map_err(ClientError::Build)
}

/// An answer that is read as it comes.
#[derive(Debug)]
pub struct Pieces(reqwest::Response);

impl Pieces {
    pub fn is_success(&self) -> bool {
        self.0.status().is_success()
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.0.chunk().await.map_err(broke)
    }

    pub async fn whole(self) -> Result<Answer, ClientError> {
        let status = self.0.status().as_u16();
        let body = self.0.bytes().await.map_err(broke)?;
        Ok(Answer { status, body })
    }
}

/// Calls a server of ours.
pub async fn send(call: Call<'_>) -> Result<Answer, ClientError> {
    open(call).await?.whole().await
}

/// Calls a server of ours, and reads nothing of its answer's body yet.
pub async fn open(call: Call<'_>) -> Result<Pieces, ClientError> {
    static CLIENT: OnceLock<Result<reqwest::Client, Arc<ClientError>>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| build(Reach::Near).map_err(Arc::new));
    let client = client.as_ref();
    open_with(
        client.map_err(|error| ClientError::Shared(Arc::clone(error)))?,
        call,
    )
    .await
}

/// One workspace of a server of ours, by its key.
#[derive(Debug, Clone, Copy)]
pub struct Keyed<'a> {
    pub url: &'a str,
    pub key: &'a str,
    pub token: Option<&'a str>,
    pub betas: &'a str,
}

impl Keyed<'_> {
    /// The body of a good answer, or what was said instead. `kind` is the media type, if there is a body.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let mut headers = vec![
            ("x-api-key", self.key),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", self.betas),
        ];
        if !kind.is_empty() {
            headers.push(("content-type", kind));
        }
        headers.extend(self.token.map(|token| ("x-sandtable-token", token)));
        let url = format!("{}{path}", self.url);
        let call = Call {
            method,
            url: &url,
            headers: &headers,
            body,
        };
        let answer = send(call).await?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let message = said["error"]["message"].as_str().unwrap_or_default();
        Err(ClientError::Refused {
            status: answer.status,
            message: message.to_owned(),
        })
    }
}

/// Calls with a client that was built before.
pub async fn send_with(client: &reqwest::Client, call: Call<'_>) -> Result<Answer, ClientError> {
    open_with(client, call).await?.whole().await
}

async fn open_with(client: &reqwest::Client, call: Call<'_>) -> Result<Pieces, ClientError> {
    let method = reqwest::Method::from_bytes(call.method.as_bytes())?;
    let mut request = client.request(method, call.url);
    for (name, value) in call.headers {
        request = request.header(*name, *value);
    }
    let answer = request.body(call.body).send().await;
    answer.map(Pieces).map_err(broke)
}

fn broke(error: reqwest::Error) -> ClientError {
    ClientError::Broke(error.without_url())
}

fn innermost(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

/// The error and what caused it, without the URL: a query may hold a secret.
pub fn why(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if text.is_empty() {
        text = error
            .status()
            .map_or_else(|| "the connection failed".to_owned(), |s| s.to_string());
    }
    text
}
