//! Control calls to a server that runs.

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde_json::Value;

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
        let (status, body) = self.send(call).await?;
        let foreign = |reason: String| RemoteError::Foreign {
            url: self.url.to_owned(),
            reason,
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| foreign(error.to_string()));
        }
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
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

    async fn send(&self, call: &str) -> Result<(StatusCode, Bytes), RemoteError> {
        let wrong = |reason: String| RemoteError::Url {
            url: self.url.to_owned(),
            reason,
        };
        let silent = |reason: String| RemoteError::Silent {
            url: self.url.to_owned(),
            reason,
        };
        let uri = format!("{}/_sandtable/{call}", self.url.trim_end_matches('/'));
        let uri: Uri = uri.parse().map_err(|error| wrong(format!("{error}")))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("it does not start with http://".to_owned()));
        }
        let mut request = Request::get(uri);
        for (name, value) in [("x-api-key", self.key), ("x-sandtable-token", self.token)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|error| wrong(error.to_string()))?;
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let response = client
            .request(request)
            .await
            .map_err(|error| silent(cause(&error)))?;
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| silent(cause(&error)))?;
        Ok((status, body.to_bytes()))
    }
}

/// The innermost reason: the outer ones only say that a request failed.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}
