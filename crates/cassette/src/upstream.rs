//! The service that a recording is made of, reached over HTTP or HTTPS.

mod coding;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::Blob;
use client::{ClientError, Reach, build, why};
use coding::Coding;
pub use coding::OtherCoding;

/// Where requests are passed on to.
#[derive(Debug, Clone)]
pub struct Upstream {
    client: reqwest::Client,
    /// Without a slash at its end.
    url: String,
}

/// Why a service is not reached, or says no more. Neither a text nor a source has the query, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error(transparent)]
    Url(<reqwest::Url as FromStr>::Err),
    #[error("it has to begin with `http://` or `https://` and a host")]
    Scheme,
    #[error("a name or password in it would be recorded; clients send their own keys")]
    Credentials,
    #[error(
        "what follows `?` or `#` in it would be recorded, and requests have paths of their own"
    )]
    Query,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Method(#[from] http::method::InvalidMethod),
    /// The body that was to be sent.
    #[error(transparent)]
    Body(#[from] io::Error),
    #[error("its answer is compressed, and broken: {0}")]
    Coded(#[source] io::Error),
    #[error("{}", why(.0))]
    Broke(#[source] reqwest::Error),
}

/// A body as it comes.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, UpstreamError>> + Send>>;

/// The beginning of an answer; the body follows.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    /// Where the body is compressed in a way that nobody here undoes.
    pub coding: Option<OtherCoding>,
    pub body: Pieces,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            status,
            headers,
            coding,
            body: _,
        } = self;
        f.debug_struct("Answer")
            .field("status", status)
            .field("headers", &headers.len())
            .field("coding", coding)
            .finish_non_exhaustive()
    }
}

/// The body of a request to the upstream.
#[derive(Debug)]
pub enum Sent<'a> {
    Bytes(Bytes),
    /// A file and its length.
    File(&'a Blob, u64),
}

/// The header that names others that are the business of its connection.
const CONNECTION: &str = "connection";
const CONTENT_ENCODING: &str = "content-encoding";
const CONTENT_LENGTH: &str = "content-length";

/// Hop-by-hop headers: the business of one connection, and not of the next. So is by which name the client reached
/// this server.
const OF_THE_CONNECTION: [&str; 11] = [
    CONNECTION,
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-host",
    "x-forwarded-proto",
];

impl Upstream {
    /// The service at this URL.
    pub fn new(url: &str) -> Result<Self, UpstreamError> {
        let url = url.trim_end_matches('/').to_owned();
        let parsed = reqwest::Url::parse(&url).map_err(UpstreamError::Url)?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(UpstreamError::Scheme);
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(UpstreamError::Credentials);
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(UpstreamError::Query);
        }
        // What the service says is passed on, redirects too.
        let client = build(Reach::Anywhere)?;
        Ok(Self { client, url })
    }

    /// `https://api.anthropic.com`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        let (host, _) = self.host_and_port();
        let ip = host.parse::<IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether a server that listens here is asked.
    pub fn leads_to(&self, address: SocketAddr) -> bool {
        let (host, port) = self.host_and_port();
        let here = address.ip();
        let is_here = host.parse() == Ok(here)
            || self.is_loopback() && (here.is_loopback() || here.is_unspecified());
        port == Some(address.port()) && is_here
    }

    /// An address without the brackets around it.
    fn host_and_port(&self) -> (String, Option<u16>) {
        let url = reqwest::Url::parse(&self.url).ok();
        let host = url.as_ref().and_then(reqwest::Url::host_str);
        let host = host.unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.as_ref().and_then(reqwest::Url::port_or_known_default);
        (host.to_owned(), port)
    }

    /// Sends a request on and waits for the head of the answer.
    pub async fn send(
        &self,
        method: &str,
        path_and_query: &str,
        headers: impl Iterator<Item = (&str, &[u8])>,
        body: Sent<'_>,
    ) -> Result<Answer, UpstreamError> {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let mut request = self
            .client
            .request(method, format!("{}{path_and_query}", self.url));
        let mut kept = HeaderMap::new();
        let headers: Vec<_> = headers.collect();
        let named = named_by_connection(&headers);
        for (name, value) in &headers {
            // Compressed answers could neither be read nor compared.
            if OF_THE_CONNECTION.contains(name)
                || named.iter().any(|named| named == name)
                || *name == CONTENT_LENGTH
                || *name == "accept-encoding"
                || name.starts_with("x-sandtable-")
            {
                continue;
            }
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value),
            ) {
                kept.append(name, value);
            }
        }
        kept.insert("accept-encoding", HeaderValue::from_static("identity"));
        request = request.headers(kept);
        request = match body {
            Sent::Bytes(bytes) if bytes.is_empty() => request,
            Sent::Bytes(bytes) => request.body(bytes),
            Sent::File(blob, length) => {
                let file = tokio::fs::File::open(blob.path()).await?;
                request
                    .header("content-length", length)
                    .body(reqwest::Body::from(file))
            }
        };
        let answer = request.send().await.map_err(broke)?;
        let headers = answer.headers().iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let values = headers.iter().filter(|(name, _)| *name == CONTENT_ENCODING);
        let coding = Coding::of(values.map(|(_, value)| *value));
        let is_undone = matches!(coding, Ok(Some(_)));
        let named = named_by_connection(&headers);
        let headers = headers
            .iter()
            .filter(|(name, _)| {
                let is_of_coded = *name == CONTENT_ENCODING || *name == CONTENT_LENGTH;
                let is_named = named.iter().any(|named| named == name);
                let is_gone = is_named || (is_undone && is_of_coded);
                !is_gone && !OF_THE_CONNECTION.contains(name)
            })
            .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
            .collect();
        let status = answer.status().as_u16();
        let pieces = answer.bytes_stream().map(|piece| piece.map_err(broke));
        let (coding, body): (_, Pieces) = match coding {
            Ok(Some(coding)) => (None, Box::pin(coding::plain(coding, pieces))),
            Ok(None) => (None, Box::pin(pieces)),
            Err(other) => (Some(other), Box::pin(pieces)),
        };
        Ok(Answer {
            status,
            headers,
            coding,
            body,
        })
    }
}

/// The headers that `connection` names, in lower case: they go no further than it does.
fn named_by_connection(headers: &[(&str, &[u8])]) -> Vec<String> {
    let values = headers.iter().filter(|(name, _)| *name == CONNECTION);
    let values = values.map(|(_, value)| String::from_utf8_lossy(value).to_ascii_lowercase());
    let names = values.flat_map(|value| {
        let names = value.split(',').map(|name| name.trim().to_owned());
        names.collect::<Vec<_>>()
    });
    names.collect()
}

fn broke(error: reqwest::Error) -> UpstreamError {
    UpstreamError::Broke(error.without_url())
}
