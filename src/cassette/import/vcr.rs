//! VCR cassettes: vcrpy's, Ruby's, R's, and those of projects that keep JSON bodies parsed.

use bytes::Bytes;
use serde_json::Value;

use super::tagged::BINARY;
use super::{Draft, Wrong, http};
use crate::cassette::{Body, Exchange, Response, Timing};

/// Takes a cassette of any dialect; `None` if it is none.
pub(super) fn of_value(value: &Value) -> Result<Option<Draft>, Wrong> {
    let list = [value.get("interactions"), value.get("http_interactions")];
    let Some(list) = list.into_iter().flatten().find_map(Value::as_array) else {
        return Ok(None);
    };
    let mut draft = Draft::default();
    let mut began = None;
    for (at, interaction) in list.iter().enumerate() {
        let (request, response) = (&interaction["request"], &interaction["response"]);
        if !request.is_object() || !response.is_object() {
            return Err(Wrong::new(format!(
                "interaction {} has no `request` and `response`",
                at + 1
            )));
        }
        let url = request["uri"].as_str().or(request["url"].as_str());
        let Some(address) = url.and_then(http::address) else {
            draft
                .notes
                .general("requests to other addresses than the API's /v1/ are left out");
            continue;
        };
        let number = draft.exchanges.len();
        let time = interaction["recorded_at"].as_str().and_then(http::time);
        let timing = time.map(|time| {
            let first = *began.get_or_insert(time);
            let started = (time - first).num_milliseconds();
            Timing {
                started_ms: u64::try_from(started).unwrap_or_default(),
                ..Timing::default()
            }
        });
        let method = request["method"].as_str().unwrap_or("POST");
        let sent_headers = headers(&request["headers"]);
        let sent = body(request, &sent_headers, &mut draft, number);
        let sent = http::request(method, &address, &sent_headers, sent);
        draft.notes.of_request(number, &sent.body);
        let headers = headers(&response["headers"]);
        let status = status(response)
            .ok_or_else(|| Wrong::new(format!("interaction {} has no status", at + 1)))?;
        draft.secrets.extend(http::secrets(&sent_headers));
        draft.secrets.extend(http::secrets(&headers));
        let answer = body(response, &headers, &mut draft, number);
        draft.notes.of_answer(number, &answer);
        draft.upstream = draft.upstream.or(address.upstream);
        draft.exchanges.push(Exchange {
            request: Some(sent),
            response: Response {
                status,
                headers: http::kept(&headers),
                body: answer,
                ..Response::default()
            },
            timing,
        });
    }
    draft.recorded_at = began.map(http::rfc3339);
    Ok(Some(draft))
}

fn status(response: &Value) -> Option<u16> {
    let places = [
        &response["status"],
        &response["status"]["code"],
        &response["status"]["status_code"],
        &response["status_code"],
    ];
    let number = |value: &Value| {
        value
            .as_u64()
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    };
    let found = places.into_iter().find_map(number)?;
    u16::try_from(found).ok()
}

/// Headers as a map of lists or scalars; names in lower case.
fn headers(value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    };
    let mut found = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = name.to_ascii_lowercase();
        match value {
            Value::Array(values) => {
                found.extend(
                    values
                        .iter()
                        .filter_map(text)
                        .map(|text| (name.clone(), text)),
                );
            }
            value => found.extend(text(value).map(|text| (name, text))),
        }
    }
    found
}

/// The body of a request or an answer.
fn body(side: &Value, headers: &[(String, String)], draft: &mut Draft, number: usize) -> Body {
    if let Some(parsed) = side.get("parsed_body").filter(|body| !body.is_null()) {
        draft.notes.of(
            number,
            "the recorder kept JSON bodies parsed: the order of their keys and their spaces are not those that were sent",
        );
        return Body::Json(parsed.clone());
    }
    let place = [side.get("body"), side.get("content")];
    let Some(place) = place.into_iter().flatten().find(|body| !body.is_null()) else {
        return Body::Empty;
    };
    match bytes(place) {
        Ok(bytes) => http::decoded(headers, bytes),
        Err(why) => Body::Missing(why),
    }
}

fn bytes(place: &Value) -> Result<Bytes, String> {
    let broken = || "its base64 is broken".to_owned();
    match place {
        Value::String(text) => Ok(Bytes::from(text.clone())),
        Value::Object(map) => {
            if let Some(text) = map.get(BINARY).and_then(Value::as_str) {
                return http::base64(text).ok_or_else(broken);
            }
            if map
                .get("file")
                .is_some_and(|file| *file == Value::Bool(true))
            {
                return Err("it lies in a file beside the recording".to_owned());
            }
            // `base64_string` before `string`, which may be null beside it.
            if let Some(text) = map.get("base64_string").and_then(Value::as_str) {
                return http::base64(text).ok_or_else(broken);
            }
            // An open file that was sent: its state is its bytes and a place in them.
            let state = map.get("state").and_then(|state| state.get(0));
            match map.get("string").or(state) {
                Some(inner @ (Value::String(_) | Value::Object(_))) => bytes(inner),
                Some(Value::Null) => Ok(Bytes::new()),
                _ => Err("it was kept in a way that is not known".to_owned()),
            }
        }
        _ => Err("it was kept in a way that is not known".to_owned()),
    }
}
