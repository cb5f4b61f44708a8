//! Control calls to a server that runs.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::error::Error;

use bytes::Bytes;
use control_api::{Refusal, Refused};
use http::{StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::sse::{Decoder, Frame};

use client::{self, Answer, Call, ClientError, Pieces};
use common::hinted::Hinted;
use common::json;

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
    #[error("`{url}` is no server's URL: {reason}")]
    Url {
        url: String,
        #[source]
        reason: Cause,
    },
    #[error("no server answers at {url}: {source}")]
    Silent { url: String, source: ClientError },
    #[error("{message}")]
    Refused { message: String, hint: String },
    #[error("{url} is no sandtable server: {reason}")]
    Foreign {
        url: String,
        #[source]
        reason: Cause,
    },
}

/// Of an error, or of what was seen.
type Cause = Box<dyn Error + Send + Sync>;

impl Hinted for RemoteError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Url { .. } => Some("such as http://127.0.0.1:4010".into()),
            Self::Silent { .. } => {
                Some("start one with `sandtable`, or name it with `--url`".into())
            }
            Self::Refused { hint, .. } => Some(hint.into()),
            Self::Foreign { .. } => Some(
                "`--url` is where sandtable listens, without a path: http://127.0.0.1:4010".into(),
            ),
        }
    }
}

impl Remote<'_> {
    /// The JSON that a control call answers.
    pub(super) async fn get<T: DeserializeOwned>(&self, call: &str) -> Result<T, RemoteError> {
        let pieces = self.open("GET", call, Bytes::new()).await?;
        self.read(&self.whole(pieces).await?)
    }

    /// The answer to a control call, if it is no JSON.
    pub(super) async fn text(&self, call: &str) -> Result<String, RemoteError> {
        let pieces = self.open("GET", call, Bytes::new()).await?;
        let answer = self.whole(pieces).await?;
        if answer.is_success() {
            return Ok(String::from_utf8_lossy(&answer.body).into_owned());
        }
        Err(self.refusal(&answer))
    }

    /// Sends text or JSON with a control call; the JSON that it answers, or null.
    pub(super) async fn call(
        &self,
        method: &str,
        call: &str,
        body: impl Into<Bytes>,
    ) -> Result<Value, RemoteError> {
        let pieces = self.open(method, call, body.into()).await?;
        self.read(&self.whole(pieces).await?)
    }

    /// The events that a control call answers, as they come.
    pub(super) async fn listen(&self, call: &str) -> Result<Listener<'_>, RemoteError> {
        let pieces = self.open("GET", call, Bytes::new()).await?;
        if !pieces.is_success() {
            let answer = self.whole(pieces).await?;
            self.read::<Value>(&answer)?;
            return Err(self.foreign(format!("it answers {}", answer.status).into()));
        }
        Ok(Listener {
            remote: *self,
            pieces,
            decoder: Decoder::default(),
            ready: VecDeque::new(),
        })
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, RemoteError> {
        if answer.is_success() {
            let body = if answer.body.is_empty() {
                b"null"
            } else {
                &*answer.body
            };
            return json::wrapped(body).map_err(|error| self.foreign(error.into()));
        }
        Err(self.refusal(answer))
    }

    pub(super) fn foreign(&self, reason: Cause) -> RemoteError {
        RemoteError::Foreign {
            url: self.url.to_owned(),
            reason,
        }
    }

    /// Why a call was not done.
    fn refusal(&self, answer: &Answer) -> RemoteError {
        if let Ok(Refused {
            error: Refusal { message, hint },
        }) = serde_json::from_slice(&answer.body)
        {
            return RemoteError::Refused { message, hint };
        }
        let status = StatusCode::from_u16(answer.status);
        let status = status.map_or_else(|_| answer.status.to_string(), |s| s.to_string());
        self.foreign(format!("it answers {status}").into())
    }

    async fn open(&self, method: &str, call: &str, body: Bytes) -> Result<Pieces, RemoteError> {
        let wrong = |reason: Cause| RemoteError::Url {
            url: self.url.to_owned(),
            reason,
        };
        let url = format!("{}/_sandtable/{call}", self.url.trim_end_matches('/'));
        let uri: Uri = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(error.into()))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("it does not start with http://".into()));
        }
        let sent = [("x-api-key", self.key), ("x-sandtable-token", self.token)];
        let headers: Vec<(&str, &str)> = sent
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let pieces = client::open(Call {
            method,
            url: &url,
            headers: &headers,
            body,
        });
        pieces.await.map_err(|error| self.silent(error))
    }

    async fn whole(&self, pieces: Pieces) -> Result<Answer, RemoteError> {
        pieces.whole().await.map_err(|error| self.silent(error))
    }

    fn silent(&self, source: ClientError) -> RemoteError {
        RemoteError::Silent {
            url: self.url.to_owned(),
            source,
        }
    }
}

/// Events of a server that runs.
#[derive(Debug)]
pub(super) struct Listener<'a> {
    remote: Remote<'a>,
    pieces: Pieces,
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
            let piece = self.pieces.next().await;
            match piece.map_err(|error| self.remote.silent(error))? {
                Some(bytes) => self.ready.extend(self.decoder.push(&bytes)),
                None => return Ok(None),
            }
        }
    }
}
