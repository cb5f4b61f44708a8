//! The YAML of a cassette, as typed and as meant.

use std::error::Error;
use std::path::Path;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_saphyr::DuplicateKeyPolicy;

use super::CassetteError;
use crate::{
    About, Blob, Body, Cassette, End, Exchange, Part, Request, Response, VERSION, is_status,
};
use common::document::{self, Position};
use common::limits;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCassette {
    /// The format's version.
    cassette: u64,
    #[serde(default)]
    recorded_at: Option<String>,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    redact: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    exchanges: Vec<RawExchange>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawExchange {
    #[serde(default)]
    request: Option<RawRequest>,
    response: RawResponse,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    method: String,
    path: String,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: RawBody,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawResponse {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: RawBody,
    /// `client left`, or `broke: WHY`; absent where the answer is whole.
    #[serde(default)]
    ended: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawBody {
    #[serde(default)]
    json: Option<Value>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    stream: Option<String>,
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    blob: Option<RawBlob>,
    #[serde(default)]
    form: Option<Vec<RawPart>>,
    #[serde(default)]
    missing: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawBlob {
    sha256: String,
    size_bytes: u64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    name: String,
    #[serde(default)]
    filename: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    body: RawBody,
}

/// The prefix of `ended` where the connection broke.
pub(super) const BROKE: &str = "broke: ";
/// The value of `ended` where the client left.
pub(super) const CLIENT_LEFT: &str = "client left";

const HINT: &str =
    "`sandtable docs cassettes` has the format; `sandtable import` takes other tools' recordings";

/// A defect of a value that has the right shape.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("`{0}` is neither `{CLIENT_LEFT}` nor `{BROKE}…`")]
    Ended(String),
    #[error("a complete answer has one")]
    NoStatus,
    #[error("`{0}` is no HTTP status")]
    Status(u16),
    #[error(transparent)]
    Base64(#[from] base64::DecodeError),
    #[error("64 hexadecimal digits are needed")]
    Digest,
    #[error("one of `json`, `text`, `stream`, `base64`, `blob`, `form`, and `missing` is enough")]
    SeveralBodies,
}

impl Problem {
    fn at(self, path: &str) -> Misread {
        Misread {
            path: path.to_owned(),
            problem: self,
        }
    }
}

/// A problem, and its place in the document.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
struct Misread {
    path: String,
    #[source]
    problem: Problem,
}

impl Misread {
    /// The same, told of the document around it.
    fn within(self, around: &str) -> Self {
        Self {
            path: format!("{around}.{}", self.path),
            ..self
        }
    }
}

/// Reads the text of a cassette called `name`, on a stack that holds the deepest one.
pub(super) fn read(name: &str, text: &str) -> Result<RawCassette, CassetteError> {
    let stack = thread::Builder::new().stack_size(limits::CASSETTE_STACK_BYTES);
    thread::scope(|scope| {
        let reading = stack.spawn_scoped(scope, || read_here(name, text));
        let reading = reading.map_err(|error| wrong(name, error.into()))?;
        let read = reading.join();
        read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn read_here(name: &str, text: &str) -> Result<RawCassette, CassetteError> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        // A recording is as large as it is, which is bounded when it is read; what is deep takes stack.
        budget: serde_saphyr::budget! {
            max_depth: limits::WRAPPED_JSON_DEPTH,
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_aliases: usize::MAX,
            max_anchors: usize::MAX,
            max_merge_keys: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            enforce_alias_anchor_ratio: false,
        },
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let reason = match document::misread(&error) {
            (Position { line: 0, .. }, message) => message,
            (Position { line, column }, message) => {
                format!("line {line}, column {column}: {message}")
            }
        };
        wrong(name, reason.into())
    })
}

fn wrong(name: &str, reason: Box<dyn Error + Send + Sync>) -> CassetteError {
    CassetteError::Format {
        name: name.to_owned(),
        reason,
        hint: HINT,
    }
}

impl RawCassette {
    /// The cassette that is meant by it.
    pub(super) fn meant(self, name: &str, blobs: &Path) -> Result<Cassette, CassetteError> {
        if self.cassette > VERSION {
            let version = self.cassette;
            let reason =
                format!("it has version {version}, and this program reads up to {VERSION}");
            return Err(wrong(name, reason.into()));
        }
        let exchanges = self
            .exchanges
            .into_iter()
            .enumerate()
            .map(|(at, exchange)| {
                let read = exchange.read(blobs);
                read.map_err(|error| {
                    let error = error.within(&format!("exchanges[{at}]"));
                    wrong(name, error.into())
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Cassette {
            name: name.to_owned(),
            about: About {
                recorded_at: self.recorded_at,
                upstream: self.upstream,
                ignore: self.ignore,
                redact: self.redact,
                notes: self.notes,
            },
            exchanges,
        })
    }
}

impl RawExchange {
    fn read(self, blobs: &Path) -> Result<Exchange, Misread> {
        let request = self
            .request
            .map(|raw| {
                Ok::<_, Misread>(Request {
                    method: raw.method.to_ascii_uppercase(),
                    path: raw.path,
                    query: raw.query,
                    headers: headers(raw.headers),
                    body: raw
                        .body
                        .read(blobs)
                        .map_err(|error| error.within("request"))?,
                })
            })
            .transpose()?;
        let response = self.response;
        let end = match response.ended.as_deref() {
            None => End::Complete,
            Some(CLIENT_LEFT) => End::ClientLeft,
            Some(text) => End::UpstreamBroke(
                text.strip_prefix(BROKE)
                    .ok_or_else(|| Problem::Ended(text.to_owned()).at("response.ended"))?
                    .to_owned(),
            ),
        };
        if response.status == 0 && end == End::Complete {
            return Err(Problem::NoStatus.at("response.status"));
        }
        if response.status != 0 && !is_status(response.status) {
            return Err(Problem::Status(response.status).at("response.status"));
        }
        Ok(Exchange {
            request,
            response: Response {
                status: response.status,
                headers: headers(response.headers),
                body: response
                    .body
                    .read(blobs)
                    .map_err(|error| error.within("response"))?,
                end,
            },
            timing: None,
        })
    }
}

fn headers(raw: Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    raw.into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), text(value)))
        .collect()
}

impl RawBody {
    fn read(self, blobs: &Path) -> Result<Body, Misread> {
        let Self {
            json,
            text,
            stream,
            base64,
            blob,
            form,
            missing,
        } = self;
        let mut kinds = Vec::new();
        kinds.extend(json.map(Body::Json));
        kinds.extend(text.or(stream).map(Body::Text));
        if let Some(base64) = base64 {
            let bytes = STANDARD
                .decode(base64.split_whitespace().collect::<String>())
                .map_err(|error| Problem::from(error).at("body.base64"))?;
            kinds.push(Body::Bytes(Bytes::from(bytes)));
        }
        if let Some(blob) = blob {
            // It becomes a file's name.
            if blob.sha256.len() != 64 || !blob.sha256.bytes().all(|c| c.is_ascii_hexdigit()) {
                return Err(Problem::Digest.at("body.blob.sha256"));
            }
            kinds.push(Body::Blob(Blob {
                sha256: blob.sha256.to_ascii_lowercase(),
                size_bytes: blob.size_bytes,
                folder: blobs.to_owned(),
            }));
        }
        if let Some(parts) = form {
            let parts: Result<Vec<Part>, Misread> =
                parts.into_iter().map(|part| part.read(blobs)).collect();
            kinds.push(Body::Form(parts?));
        }
        kinds.extend(missing.map(Body::Missing));
        match (kinds.pop(), kinds.is_empty()) {
            (Some(body), true) => Ok(body),
            (None, _) => Ok(Body::Empty),
            (Some(_), false) => Err(Problem::SeveralBodies.at("body")),
        }
    }
}

impl RawPart {
    fn read(self, blobs: &Path) -> Result<Part, Misread> {
        Ok(Part {
            name: self.name,
            filename: self.filename,
            content_type: self.content_type,
            body: self.body.read(blobs)?,
        })
    }
}
