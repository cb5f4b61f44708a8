//! The journal as HAR 1.2, which browsers' developer tools and proxies read.

use serde_json::{Value, json};

use common::clock::rfc3339_micros;
use workspace::journal::{Body, Ended, Entry, Headers};
use workspace::lint::Lint;

/// A whole archive, oldest first.
pub(super) fn archive<'a>(entries: impl Iterator<Item = &'a Entry>) -> Value {
    json!({ "log": {
        "version": "1.2",
        "creator": { "name": "sandtable", "version": env!("CARGO_PKG_VERSION") },
        "entries": entries.map(entry).collect::<Vec<_>>(),
    }})
}

fn entry(entry: &Entry) -> Value {
    let time = entry.duration.as_secs_f64() * 1000.0;
    let mut value = json!({
        "startedDateTime": rfc3339_micros(entry.at),
        "time": time,
        "request": request(entry),
        "response": response(entry),
        "cache": {},
        // Measured as a whole.
        "timings": { "send": 0, "wait": time, "receive": 0 },
        "_request_id": entry.id,
        "_workspace": entry.workspace,
    });
    // Nobody has sent it by itself.
    if let Some(item) = &entry.batch {
        value["_batch"] = json!(item);
    }
    if let Some(source) = &entry.source {
        value["_source"] = source.as_str().into();
    }
    if !entry.lints.is_empty() {
        let lints = entry.lints.iter().map(Lint::told);
        value["_lints"] = json!(lints.collect::<Vec<_>>());
    }
    match entry.ended {
        Ended::Whole => {}
        Ended::ClientLeft => value["_client_left"] = true.into(),
        Ended::Broke => value["_broke"] = true.into(),
    }
    value
}

fn request(entry: &Entry) -> Value {
    let host = entry.request_headers.get("host").unwrap_or("localhost");
    let query = entry.query.as_deref().unwrap_or_default();
    let mark = if query.is_empty() { "" } else { "?" };
    let mut value = json!({
        "method": entry.method,
        "url": format!("http://{host}{}{mark}{query}", entry.path),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers(&entry.request_headers),
        "queryString": pairs(query),
        "headersSize": -1,
        "bodySize": size(&entry.request_body),
    });
    let kind = entry.request_headers.get("content-type");
    let (text, comment) = text(&entry.request_body);
    if !matches!(entry.request_body, Body::Empty) {
        value["postData"] = json!({ "mimeType": kind.unwrap_or_default(), "text": text });
        if let Some(comment) = comment {
            value["postData"]["comment"] = comment.into();
        }
    }
    value
}

fn response(entry: &Entry) -> Value {
    let kind = entry.response_headers.get("content-type");
    let (text, comment) = text(&entry.response_body);
    let mut content = json!({
        "size": size(&entry.response_body),
        "mimeType": kind.unwrap_or("x-unknown"),
        "text": text,
    });
    if let Some(comment) = comment {
        content["comment"] = comment.into();
    }
    let reason = http::StatusCode::from_u16(entry.status).ok();
    json!({
        "status": entry.status,
        "statusText": reason.and_then(|status| status.canonical_reason()).unwrap_or_default(),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers(&entry.response_headers),
        "content": content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": size(&entry.response_body),
    })
}

fn headers(headers: &Headers) -> Vec<Value> {
    let pairs = headers.pairs();
    pairs
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect()
}

fn pairs(query: &str) -> Vec<Value> {
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| json!({ "name": decoded(name), "value": decoded(value) }))
        .collect()
}

fn size(body: &Body) -> i64 {
    match body {
        Body::Empty => 0,
        Body::Bytes(bytes) => i64::try_from(bytes.len()).unwrap_or(-1),
        Body::Omitted { size_bytes, .. } => i64::try_from(*size_bytes).unwrap_or(-1),
    }
}

/// The body's text, and why it is not all there.
fn text(body: &Body) -> (String, Option<&'static str>) {
    match body {
        Body::Empty => (String::new(), None),
        Body::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), None),
            Err(_) => (String::new(), Some("binary, not exported")),
        },
        Body::Omitted { .. } => (String::new(), Some("too large or binary, not kept")),
    }
}

#[cfg(test)]
mod tests {
    use workspace::journal::BatchItem;

    use super::*;

    #[test]
    fn an_item_of_a_batch_is_marked() {
        let item = BatchItem {
            id: "msgbatch_1".to_owned(),
            custom_id: "a".to_owned(),
        };
        let of = |batch| {
            let archive = archive(std::iter::once(&Entry {
                batch,
                ..Entry::default()
            }));
            archive["log"]["entries"][0]["_batch"].clone()
        };
        assert_eq!(of(None), Value::Null);
        assert_eq!(
            of(Some(item)),
            json!({"id": "msgbatch_1", "custom_id": "a"})
        );
    }
}
