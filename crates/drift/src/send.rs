//! The service that is asked.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;

use super::heard::Heard;
use cassette::form::FormError;
use cassette::{Redactor, Sent, Upstream, UpstreamError};
use common::hinted::Hinted;

/// How long an answer may take, streams to their end.
const PATIENCE: Duration = Duration::from_mins(15);
/// Largest answer that is read.
const MAX_ANSWER_BYTES: usize = 512 * 1024 * 1024;
const VERSION: &str = "2023-06-01";
/// A server on this machine takes any.
const LOCAL_KEY: &str = "sk-ant-drift";

/// A service, and the key it is asked with.
pub struct Service {
    upstream: Upstream,
    key: String,
    /// Keeps the key out of all that is said of answers.
    redactor: Redactor,
}

/// Why a service cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("--upstream: {0}")]
    Url(#[source] UpstreamError),
    #[error("`{0}` needs a key")]
    NoKey(String),
    #[error(
        "`{0}` is not encrypted and not on this machine: the key would be open to everybody between"
    )]
    Open(String),
}

impl Hinted for ServiceError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Url(_) => "such as https://api.anthropic.com",
            Self::NoKey(_) => "set ANTHROPIC_API_KEY; only a server on this machine goes without",
            Self::Open(_) => "use https://",
        }))
    }
}

/// Why a recorded request has no answer now. What a service says may hold the key: [`Service::discreet`].
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("something was kept out of the recorded request (`[redacted]`)")]
    Redacted,
    #[error("it needs `{0}`, and no answer of this run gave one in its place")]
    Lacks(String),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error(transparent)]
    Blob(#[from] io::Error),
    #[error("the recorded request's body was not kept")]
    NotKept,
    #[error("it might go beyond the budget")]
    Budget,
    #[error("`{0}` is no path")]
    Path(String),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("the answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error("no whole answer within {} minutes", PATIENCE.as_secs() / 60)]
    Late,
    #[error("the answer broke off: {0}")]
    Broke(String),
}

/// A request as it is sent.
#[derive(Debug, Default)]
pub(super) struct Ask {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

impl Service {
    /// The service at `url`; a server of this machine goes without a key.
    pub fn new(url: &str, key: Option<String>) -> Result<Self, ServiceError> {
        let upstream = Upstream::new(url).map_err(ServiceError::Url)?;
        let near = upstream.is_loopback();
        if !near && !upstream.url().starts_with("https://") {
            return Err(ServiceError::Open(upstream.url().to_owned()));
        }
        let key = match key.filter(|key| !key.trim().is_empty()) {
            Some(key) => key.trim().to_owned(),
            None if near => LOCAL_KEY.to_owned(),
            None => return Err(ServiceError::NoKey(upstream.url().to_owned())),
        };
        let redactor = Redactor::default().with_known([key.as_str()]);
        Ok(Self {
            upstream,
            key,
            redactor,
        })
    }

    /// A service that is never asked: requests are made for it to be counted.
    pub(super) fn nobody() -> Result<Self, ServiceError> {
        Self::new("http://127.0.0.1:9", None)
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        self.upstream.url()
    }

    /// The text without the key.
    pub(super) fn discreet(&self, text: &str) -> String {
        self.redactor.text(text).into_owned()
    }

    /// Asks, and reads the whole answer; why there was none otherwise.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Heard, AskError> {
        // Before anything else a path could name another host.
        if !ask.path.starts_with('/') {
            return Err(AskError::Path(ask.path.clone()));
        }
        let given = |name: &str| ask.headers.iter().any(|(known, _)| known == name);
        let mut headers: Vec<(&str, &[u8])> = ask
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        if !given("x-api-key") && !given("authorization") {
            headers.push(("x-api-key", self.key.as_bytes()));
        }
        if !given("anthropic-version") {
            headers.push(("anthropic-version", VERSION.as_bytes()));
        }
        let work = self.whole(ask, headers);
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(heard) => heard,
            Err(_) => Err(AskError::Late),
        }
    }

    async fn whole(&self, ask: &Ask, headers: Vec<(&str, &[u8])>) -> Result<Heard, AskError> {
        let body = Sent::Bytes(ask.body.clone());
        let sent = self
            .upstream
            .send(&ask.method, &ask.path, headers.into_iter(), body);
        let mut answer = sent.await?;
        let (mut body, mut broke) = (Vec::new(), None);
        while let Some(piece) = answer.body.next().await {
            match piece {
                Ok(piece) if body.len() + piece.len() <= MAX_ANSWER_BYTES => {
                    body.extend_from_slice(&piece);
                }
                Ok(_) => return Err(AskError::TooLong),
                Err(reason) => {
                    broke = Some(reason.to_string());
                    break;
                }
            }
        }
        let headers = answer.headers.into_iter();
        Ok(Heard {
            status: answer.status,
            headers: headers
                .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
                .collect(),
            body: body.into(),
            broke,
        })
    }

    /// The header that has the key, for a request that says which it is.
    pub(super) fn bearer(&self) -> (String, String) {
        ("authorization".to_owned(), format!("Bearer {}", self.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_only_where_it_is_needed_and_never_in_the_open() {
        for near in [
            "http://127.0.0.1:4010",
            "http://localhost:1/x",
            "http://[::1]:80",
            "https://127.0.0.2",
        ] {
            assert!(Service::new(near, None).is_ok(), "{near}");
        }
        for far in [
            "http://localhost.example.com",
            "http://example.com",
            "http://127.0.0.1.example.com:80",
        ] {
            let refused = Service::new(far, Some("sk-ant-secret".to_owned())).unwrap_err();
            assert!(matches!(refused, ServiceError::Open(_)), "{far}: {refused}");
        }
        let refused = Service::new("https://api.example.com", Some(" ".to_owned())).unwrap_err();
        assert!(refused.hint().unwrap().contains("ANTHROPIC_API_KEY"));
        assert!(Service::new("https://api.example.com", Some("k".to_owned())).is_ok());
        assert!(matches!(
            Service::new("ftp://x", None),
            Err(ServiceError::Url(_))
        ));
    }

    #[tokio::test]
    async fn a_path_leads_to_no_other_host() {
        let service = Service::new("http://127.0.0.1:9", None).unwrap();
        let ask = Ask {
            method: "GET".to_owned(),
            path: "@example.com/v1/files".to_owned(),
            ..Ask::default()
        };
        let refused = service.ask(&ask).await.unwrap_err();
        assert_eq!(refused.to_string(), "`@example.com/v1/files` is no path");
    }

    #[test]
    fn what_is_told_of_a_service_has_no_key_in_it() {
        let service = Service::new(
            "https://api.example.com",
            Some("a-strange-key-17".to_owned()),
        )
        .unwrap();
        assert!(!format!("{service:?}").contains("strange"));
        assert_eq!(
            service.discreet("you sent a-strange-key-17"),
            "you sent [redacted]"
        );
    }
}
