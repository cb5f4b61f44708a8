//! HTTP archives (HAR 1.2), as browsers and proxies write them.

use bytes::Bytes;
use serde_json::Value;

use super::{Draft, Wrong, http};
use crate::{Body, End, Exchange, Part, Response, Timing, is_status};

/// Why a body is missing of which an archive says nothing more.
const LEFT_OUT: &str = "the archive does not have it; save it with contents";

/// Takes the entries of an archive.
pub(super) fn of_entries(entries: &[Value]) -> Result<Draft, Wrong> {
    let mut draft = Draft::default();
    let time = |entry: &Value| entry["startedDateTime"].as_str().and_then(http::time);
    let mut timed: Vec<_> = entries.iter().map(|entry| (time(entry), entry)).collect();
    draft.in_order(&mut timed, |(time, _)| *time);
    let mut began = None;
    for (time, entry) in timed {
        let (request, response) = (&entry["request"], &entry["response"]);
        let url = request["url"].as_str().unwrap_or_default();
        let Some(address) = http::address(url) else {
            draft
                .notes
                .general("requests to other addresses than the API's /v1/ are left out");
            continue;
        };
        // The mark of our own archives.
        if entry["_batch"].is_object() {
            draft
                .notes
                .general("items of batches are left out: they were not asked for by themselves");
            continue;
        }
        let at = draft.exchanges.len();
        let sent_headers = headers(&request["headers"]);
        let post = &request["postData"];
        let sent = sent(post);
        let mut sent_headers = sent_headers;
        if http::header(&sent_headers, "content-type").is_none()
            && let Some(kind) = post["mimeType"].as_str().filter(|kind| !kind.is_empty())
        {
            sent_headers.push(("content-type".to_owned(), kind.to_owned()));
        }
        let method = request["method"].as_str().unwrap_or("GET");
        let sent = http::request(method, &address, &sent_headers, sent);
        draft.notes.of_request(at, &sent.body);
        let headers = headers(&response["headers"]);
        draft.secrets.extend(http::secrets(&sent_headers));
        draft.secrets.extend(http::secrets(&headers));
        let status = status(response).ok_or_else(|| Wrong::status(at, &response["status"]))?;
        let mut answer = received(&response["content"], &headers);
        let may_have = status != 0 && has_body(method, status);
        if !may_have && matches!(answer, Body::Missing(_)) {
            answer = Body::Empty;
        }
        draft.notes.of_answer(at, &answer);
        let end = if status == 0 {
            let why = response["_error"].as_str().unwrap_or("no answer");
            End::UpstreamBroke(why.to_owned())
        } else if entry["_broke"] == true {
            // The marks of our own archives.
            End::UpstreamBroke("the connection was closed".to_owned())
        } else if entry["_client_left"] == true {
            End::ClientLeft
        } else {
            End::Complete
        };
        let timing = time.map(|time| {
            let first = *began.get_or_insert(time);
            let started = (time - first).num_milliseconds();
            Timing {
                started_ms: u64::try_from(started).unwrap_or_default(),
                head_ms: head(&entry["timings"]),
                ..Timing::default()
            }
        });
        draft.secrets.extend(address.passwords);
        draft.upstream = draft.upstream.or(address.upstream);
        draft.exchanges.push(Exchange {
            request: Some(sent),
            response: Response {
                status,
                headers: http::kept(&headers),
                body: answer,
                end,
            },
            timing,
        });
    }
    draft.recorded_at = began.map(http::rfc3339);
    Ok(draft)
}

/// An answer's status, 0 where none came; `None` if it has something else in its place.
fn status(response: &Value) -> Option<u16> {
    if !response.is_object() {
        return Some(0);
    }
    // Some write every number with a point.
    let told = response["status"].as_number()?.to_string();
    let status = told.strip_suffix(".0").unwrap_or(&told).parse().ok()?;
    (status == 0 || is_status(status)).then_some(status)
}

/// Whether HTTP lets an answer have a body.
fn has_body(method: &str, status: u16) -> bool {
    !method.eq_ignore_ascii_case("HEAD") && status != 204 && status != 304
}

/// From the request to the answer's head: -1 is not known.
fn head(timings: &Value) -> u64 {
    let parts = ["blocked", "dns", "connect", "send", "wait"];
    let sum: f64 = parts
        .iter()
        .filter_map(|part| timings[*part].as_f64())
        .filter(|time| *time > 0.0)
        .sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and a cast of what is too large saturates"
    )]
    {
        sum.round() as u64
    }
}

fn headers(list: &Value) -> Vec<(String, String)> {
    let pair = |header: &Value| {
        let name = header["name"].as_str()?.to_ascii_lowercase();
        // HTTP/2 writes the method and the path as headers, too.
        (!name.starts_with(':')).then_some((name, header["value"].as_str()?.to_owned()))
    };
    let list = list.as_array().into_iter().flatten();
    list.filter_map(pair).collect()
}

fn sent(post: &Value) -> Body {
    let kind = post["mimeType"].as_str().unwrap_or_default();
    let text = post["text"].as_str().filter(|text| !text.is_empty());
    if let Some(text) = text {
        if post["encoding"] == "base64" {
            return match http::base64(text) {
                Some(bytes) => Body::of(bytes),
                None => Body::Missing("its base64 is broken".to_owned()),
            };
        }
        return Body::of(Bytes::from(text.to_owned()));
    }
    let params = post["params"]
        .as_array()
        .filter(|params| !params.is_empty());
    let Some(params) = params else {
        return match post {
            Value::Null => Body::Empty,
            _ if kind.starts_with("multipart/") => Body::Missing(
                "the archive keeps neither the text nor the fields of the form".to_owned(),
            ),
            _ => Body::Empty,
        };
    };
    let part = |param: &Value| {
        let text = |key: &str| param[key].as_str().map(str::to_owned);
        let filename = text("fileName");
        let body = match text("value") {
            Some(value) if !value.is_empty() => Body::Text(value),
            _ if filename.is_some() => {
                Body::Missing("the archive keeps a file's name, not its bytes".to_owned())
            }
            _ => Body::Empty,
        };
        Part {
            name: text("name").unwrap_or_default(),
            filename,
            content_type: text("contentType"),
            body,
        }
    };
    Body::Form(params.iter().map(part).collect())
}

fn received(content: &Value, headers: &[(String, String)]) -> Body {
    match content["text"].as_str() {
        Some(text) if text.is_empty() && is_left_out(content) => {
            let why = content["comment"].as_str();
            Body::Missing(why.unwrap_or(LEFT_OUT).to_owned())
        }
        Some(text) if content["encoding"] == "base64" => match http::base64(text) {
            Some(bytes) => http::decoded(headers, bytes),
            None => Body::Missing("its base64 is broken".to_owned()),
        },
        // The text of an archive is decoded already.
        Some(text) => Body::of(Bytes::from(text.to_owned())),
        None if content["size"].as_i64() == Some(0) => Body::Empty,
        None => Body::Missing(LEFT_OUT.to_owned()),
    }
}

/// Whether an empty text stands for one that was not.
fn is_left_out(content: &Value) -> bool {
    let is_told = content["comment"]
        .as_str()
        .is_some_and(|comment| !comment.is_empty());
    content["size"].as_i64().unwrap_or_default() > 0 || is_told
}
