//! Lists of exchanges with plain bodies: what is left of a cassette once its encodings are undone.

use bytes::Bytes;
use serde_json::Value;

use super::{Draft, http};
use crate::{Body, Exchange, Response};

/// The exchanges, if it is such a list.
pub(super) fn list(value: &Value) -> Option<&[Value]> {
    let list = value.as_array()?;
    let is_exchange = |it: &Value| {
        (it["uri"].is_string() || it["url"].is_string())
            && (it["response_body"].is_string() || it["request_body"].is_string())
    };
    (!list.is_empty() && list.iter().all(is_exchange)).then_some(list)
}

/// Takes such a list.
pub(super) fn of_list(list: &[Value]) -> Draft {
    let mut draft = Draft::default();
    for it in list {
        let url = it["uri"].as_str().or(it["url"].as_str());
        let Some(address) = url.and_then(http::address) else {
            draft
                .notes
                .general("requests to other addresses than the API's /v1/ are left out");
            continue;
        };
        let at = draft.exchanges.len();
        let body = |key: &str| {
            let text = it[key].as_str().unwrap_or_default();
            Body::of(Bytes::from(text.to_owned()))
        };
        let names: Vec<&str> = it["response_header_names"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        draft.notes.of(at, "the request's headers were not kept");
        if names.is_empty() {
            draft.notes.of(
                at,
                "the answer's headers were not kept; the content type follows from the body",
            );
        } else {
            draft.notes.of(
                at,
                format!(
                    "of the answer's headers only the names were kept, and the content type follows from the body: {}",
                    names.join(", ")
                ),
            );
        }
        let answer = body("response_body");
        let status = it["status"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok());
        if status.is_none() {
            draft
                .notes
                .of(at, "the status was not kept; 200 is assumed");
        }
        let kind = super::bare::content_type(&answer);
        draft.exchanges.push(Exchange {
            request: Some(http::request(
                it["method"].as_str().unwrap_or("POST"),
                &address,
                &[],
                body("request_body"),
            )),
            response: Response {
                status: status.unwrap_or(200),
                headers: vec![("content-type".to_owned(), kind.to_owned())],
                body: answer,
                ..Response::default()
            },
            timing: None,
        });
        draft.upstream = draft.upstream.or(address.upstream);
    }
    draft
}
