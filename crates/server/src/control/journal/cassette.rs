//! The journal as a cassette: what was asked and answered, to be replayed.

use std::sync::Arc;

use cassette::{self, About, CassetteError, End, Exchange, Redactor, Request, Response};
use common::clock::rfc3339_micros;
use workspace::journal::{Body, Entry};

/// Response headers that a server of ours sets on every answer anew.
const OURS: [&str; 4] = [
    "access-control-allow-origin",
    "content-length",
    "transfer-encoding",
    "vary",
];

/// The text of the cassette.
pub(super) fn text(entries: &[Arc<Entry>]) -> Result<String, CassetteError> {
    let about = About {
        recorded_at: entries.first().map(|entry| rfc3339_micros(entry.at)),
        upstream: Some(format!("sandtable {}", env!("CARGO_PKG_VERSION"))),
        ..About::default()
    };
    let redactor = Redactor::default();
    let exchanges: Vec<Exchange> = entries
        .iter()
        .filter_map(|entry| redactor.exchange(exchange(entry)).ok())
        .collect();
    cassette::text(&about, &exchanges)
}

fn exchange(entry: &Entry) -> Exchange {
    let pairs = |headers: &workspace::journal::Headers| -> Vec<(String, String)> {
        headers
            .pairs()
            .filter(|(name, _)| !OURS.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    Exchange {
        request: Some(Request {
            method: entry.method.clone().into_owned(),
            path: entry.path.clone(),
            query: entry.query.clone(),
            headers: pairs(&entry.request_headers),
            body: body(&entry.request_body),
        }),
        response: Response {
            status: entry.status,
            headers: pairs(&entry.response_headers),
            body: body(&entry.response_body),
            end: if entry.client_left {
                End::ClientLeft
            } else {
                End::Complete
            },
        },
        timing: None,
    }
}

fn body(body: &Body) -> cassette::Body {
    match body {
        Body::Empty => cassette::Body::Empty,
        Body::Bytes(bytes) => cassette::Body::of(bytes.clone()),
        Body::Omitted { size_bytes, .. } => cassette::Body::Missing(format!(
            "the journal keeps no such body ({size_bytes} bytes)"
        )),
    }
}
