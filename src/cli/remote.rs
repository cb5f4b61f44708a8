//! Control calls to a server that runs.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::sse::{Decoder, Frame};

/// A server, and who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remote<'a> {
    pub(super) url: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) token: Option<&'a str>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    #[error("`{url}` is no server's URL: {reason}\n  hint: such as http://127.0.0.1:4010")]
    Url { url: String, reason: String },
    #[error(
        "no server answers at {url}: {reason}\n  hint: start one with `sandtable`, or name it with `--url`"
    )]
    Silent { url: String, reason: String },
    #[error("{message}\n  hint: {hint}")]
    Refused { message: String, hint: String },
    #[error("{url} is no sandtable server: {reason}")]
    Foreign { url: String, reason: String },
}

impl Remote<'_> {
    /// The JSON that a control call answers.
    pub(super) async fn get<T: DeserializeOwned>(&self, call: &str) -> Result<T, RemoteError> {
        let (status, body) = self.send(Method::GET, call, Bytes::new()).await?;
        self.read(status, &body)
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Result<T, RemoteError> {
        let foreign = |reason: String| RemoteError::Foreign {
            url: self.url.to_owned(),
            reason,
        };
        if status.is_success() {
            let body = if body.is_empty() { b"null" } else { body };
            return serde_json::from_slice(body).map_err(|error| foreign(error.to_string()));
        }
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        match (
            said["error"]["message"].as_str(),
            said["error"]["hint"].as_str(),
        ) {
            (Some(message), Some(hint)) => Err(RemoteError::Refused {
                message: message.to_owned(),
                hint: hint.to_owned(),
            }),
            _ => Err(foreign(format!("it answers {status}"))),
        }
    }

    /// Sends text or JSON with a control call; the JSON that it answers, or null.
    pub(super) async fn call(
        &self,
        method: Method,
        call: &str,
        body: impl Into<Bytes>,
    ) -> Result<Value, RemoteError> {
        let (status, body) = self.send(method, call, body.into()).await?;
        self.read(status, &body)
    }

    async fn send(
        &self,
        method: Method,
        call: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), RemoteError> {
        let response = self.ask(method, call, body).await?;
        let status = response.status();
        Ok((status, self.whole(response.into_body()).await?))
    }

    async fn ask(
        &self,
        method: Method,
        call: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, RemoteError> {
        let wrong = |reason: String| RemoteError::Url {
            url: self.url.to_owned(),
            reason,
        };
        let uri = format!("{}/_sandtable/{call}", self.url.trim_end_matches('/'));
        let uri: Uri = uri.parse().map_err(|error| wrong(format!("{error}")))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("it does not start with http://".to_owned()));
        }
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in [("x-api-key", self.key), ("x-sandtable-token", self.token)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| wrong(error.to_string()))?;
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        client
            .request(request)
            .await
            .map_err(|error| self.silent(&error))
    }

    fn silent(&self, error: &dyn std::error::Error) -> RemoteError {
        RemoteError::Silent {
            url: self.url.to_owned(),
            reason: cause(error),
        }
    }

    async fn whole(&self, body: Incoming) -> Result<Bytes, RemoteError> {
        let body = body.collect().await;
        Ok(body.map_err(|error| self.silent(&error))?.to_bytes())
    }

    /// The events that a control call answers, as they come.
    pub(super) async fn listen(&self, call: &str) -> Result<Listener<'_>, RemoteError> {
        let response = self.ask(Method::GET, call, Bytes::new()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Listener {
                remote: *self,
                body: response.into_body(),
                decoder: Decoder::default(),
                ready: VecDeque::new(),
            });
        }
        let body = self.whole(response.into_body()).await?;
        let error = self.read::<Value>(status, &body).err();
        Err(error.unwrap_or_else(|| RemoteError::Foreign {
            url: self.url.to_owned(),
            reason: format!("it answers {status}"),
        }))
    }
}

/// The innermost reason: the outer ones only say that a request failed.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}

/// Events of a server that runs.
#[derive(Debug)]
pub(super) struct Listener<'a> {
    remote: Remote<'a>,
    body: Incoming,
    decoder: Decoder,
    ready: VecDeque<Frame>,
}

impl Listener<'_> {
    /// The next event; `None` when the server has closed the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, RemoteError> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            let Some(part) = self.body.frame().await else {
                return Ok(None);
            };
            let part = part.map_err(|error| self.remote.silent(&error))?;
            if let Some(bytes) = part.data_ref() {
                self.ready.extend(self.decoder.push(bytes));
            }
        }
    }
}
