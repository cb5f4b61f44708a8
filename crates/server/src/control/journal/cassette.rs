//! The journal as a cassette: what was asked and answered, to be replayed. Items of batches, which nobody has asked for by
//! themselves, are not in it: they stand in the results of their batch.

use std::sync::Arc;

use cassette::{self, About, CassetteError, End, Exchange, Redactor, Request, Response};
use common::clock::rfc3339_micros;
use workspace::journal::{Body, Ended, Entry};

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
        .filter(|entry| entry.batch.is_none())
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
            end: match entry.ended {
                Ended::Whole => End::Complete,
                Ended::ClientLeft => End::ClientLeft,
                Ended::Broke => End::UpstreamBroke("the connection was closed".to_owned()),
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

#[cfg(test)]
mod tests {
    use workspace::journal::BatchItem;

    use super::*;

    #[test]
    fn items_of_a_batch_are_no_requests_of_a_cassette() {
        let entry = |path: &str, batch| {
            Arc::new(Entry {
                method: "POST".into(),
                path: path.to_owned(),
                status: 200,
                batch,
                ..Entry::default()
            })
        };
        let item = BatchItem {
            id: "msgbatch_1".to_owned(),
            custom_id: "a".to_owned(),
        };
        let entries = [
            entry("/v1/messages/batches", None),
            entry("/v1/messages", Some(item)),
        ];
        let text = text(&entries).unwrap();
        assert_eq!(text.matches("POST").count(), 1, "{text}");
        assert!(text.contains("/v1/messages/batches"), "{text}");
    }
}
