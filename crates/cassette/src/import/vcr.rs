//! VCR cassettes: vcrpy's, Ruby's, R's, cassetter's, langchain's two lists, and those of projects that keep
//! JSON bodies parsed.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::http::Address;
use super::kept::{self, Kept};
use super::tagged::BINARY;
use super::{Draft, Wrong, bare, http};
use crate::{Body, Exchange, Response, Timing};

const PARSED: &str = "the recorder kept JSON bodies parsed: the order of their keys and their spaces are not those that were sent";
const TYPED: &str = "the recorder kept JSON bodies parsed: their spaces are not those that were sent, and perhaps not the order of their keys";

/// One request and its answer, in whatever list they were.
struct Interaction<'a> {
    request: &'a Value,
    response: &'a Value,
    time: Option<DateTime<Utc>>,
}

/// Takes a cassette of any dialect; `None` if it is none.
pub(super) fn of_value(value: &Value) -> Result<Option<Draft>, Wrong> {
    let Some(mut list) = interactions(value)? else {
        return Ok(None);
    };
    let mut draft = Draft::default();
    draft.in_order(&mut list, |it| it.time);
    let mut began = None;
    for (at, interaction) in list.iter().enumerate() {
        let Some(mut exchange) = exchange(interaction, at + 1, &mut draft)? else {
            continue;
        };
        exchange.timing = interaction.time.map(|time| {
            let first = *began.get_or_insert(time);
            let started = (time - first).num_milliseconds();
            Timing {
                started_ms: u64::try_from(started).unwrap_or_default(),
                ..Timing::default()
            }
        });
        draft.exchanges.push(exchange);
    }
    draft.recorded_at = began.map(http::rfc3339);
    Ok(Some(draft))
}

/// The interactions that the file lists, also those whose requests and answers are listed apart.
fn interactions(value: &Value) -> Result<Option<Vec<Interaction<'_>>>, Wrong> {
    let list = |key: &str| value.get(key).and_then(Value::as_array);
    if let Some(list) = list("interactions").or_else(|| list("http_interactions")) {
        let is_whole = |it: &Value| it["request"].is_object() && it["response"].is_object();
        if let Some(at) = list.iter().position(|it| !is_whole(it)) {
            return Err(Wrong::new(format!(
                "interaction {} has no `request` and `response`",
                at + 1
            )));
        }
        let interactions = list.iter().map(|it| Interaction {
            request: &it["request"],
            response: &it["response"],
            time: it["recorded_at"].as_str().and_then(http::time),
        });
        return Ok(Some(interactions.collect()));
    }
    let (Some(requests), Some(responses)) = (list("requests"), list("responses")) else {
        return Ok(None);
    };
    if requests.len() != responses.len() {
        return Err(Wrong {
            reason: format!(
                "it has {} `requests` and {} `responses`: nobody knows which belong together",
                requests.len(),
                responses.len()
            ),
            hint: "record it again",
        });
    }
    let pairs = requests.iter().zip(responses);
    let interactions = pairs.map(|(request, response)| Interaction {
        request,
        response,
        time: None,
    });
    Ok(Some(interactions.collect()))
}

/// The exchange; `None` if it is not the API's.
fn exchange(
    interaction: &Interaction<'_>,
    number: usize,
    draft: &mut Draft,
) -> Result<Option<Exchange>, Wrong> {
    let Interaction {
        request, response, ..
    } = interaction;
    let at = draft.exchanges.len();
    let mut sent_headers = headers(&request["headers"]);
    let mut headers = headers(&response["headers"]);
    let mut secrets = http::secrets(&sent_headers);
    secrets.extend(http::secrets(&headers));
    let unsaid = http::without_placeholders(&mut sent_headers);
    let hidden = http::without_placeholders(&mut headers);
    let answer = body(response, &headers, false);
    let Some((address, sent)) = asked(request, &sent_headers, &answer.0, number, draft) else {
        return Ok(None);
    };
    let method = request["method"].as_str().unwrap_or("POST");
    let notes = [sent.1, answer.1];
    let (sent, answer) = (
        http::request(method, &address, &sent_headers, sent.0),
        answer.0,
    );
    let status = status(response)
        .ok_or_else(|| Wrong::new(format!("interaction {number} has no status")))?;
    for note in notes.into_iter().flatten() {
        draft.notes.of(at, note);
    }
    draft.notes.of_request(at, &sent.body);
    draft.notes.of_answer(at, &answer);
    if !unsaid.is_empty() {
        draft.notes.of(at, "the request's headers were not kept");
    }
    draft.notes.of_hidden_headers(at, &hidden);
    let mut headers = http::kept(&headers);
    if let Some(kind) = content_type(&headers, &answer) {
        headers.push(("content-type".to_owned(), kind.to_owned()));
        // What was kept parsed was JSON; and of hidden headers it is said already.
        let is_said = hidden.iter().any(|name| name == "content-type");
        if !is_said && response.get("parsed_body").is_none() {
            draft.notes.of(
                at,
                "the answer's content type was not kept; it follows from the body",
            );
        }
    }
    draft.secrets.extend(secrets);
    draft.secrets.extend(address.passwords);
    draft.upstream = draft.upstream.take().or(address.upstream);
    Ok(Some(Exchange {
        request: Some(sent),
        response: Response {
            status,
            headers,
            body: answer,
            ..Response::default()
        },
        timing: None,
    }))
}

/// Where the request went, and its body; `None` if it did not go to the API, as far as can be known.
fn asked(
    request: &Value,
    headers: &[(String, String)],
    answer: &Body,
    number: usize,
    draft: &mut Draft,
) -> Option<(Address, (Body, Option<&'static str>))> {
    let url = request["uri"].as_str().or(request["url"].as_str());
    if let Some(url) = url.filter(|url| !http::is_placeholder(url)) {
        let Some(address) = http::address(url) else {
            draft
                .notes
                .general("requests to other addresses than the API's /v1/ are left out");
            return None;
        };
        let files = super::takes_files(&address.path);
        return Some((address, body(request, headers, files)));
    }
    let sent = body(request, headers, false);
    let Some(path) = path_of(&sent.0, answer) else {
        draft.notes.general(format!(
            "interaction {number} is left out: its address was not kept, and none follows from its bodies"
        ));
        return None;
    };
    draft.notes.of(
        draft.exchanges.len(),
        format!("the address was not kept; `{path}` follows from the bodies"),
    );
    let address = Address {
        upstream: None,
        path: path.to_owned(),
        query: None,
        passwords: Vec::new(),
    };
    Some((address, sent))
}

/// The path of a call whose address was not kept, where its bodies leave no other.
fn path_of(sent: &Body, answer: &Body) -> Option<&'static str> {
    let said = answer.json().unwrap_or_default();
    let asked = sent.json().unwrap_or_default();
    let is_turn = asked["messages"].is_array() && asked["model"].is_string();
    let is_stream = answer
        .text()
        .is_some_and(|text| text.starts_with("event: message_start"));
    match said["type"].as_str() {
        Some("message") if is_turn => Some("/v1/messages"),
        Some("error") if is_turn && asked["max_tokens"].is_u64() => Some("/v1/messages"),
        Some("message_batch") if asked["requests"].is_array() => Some("/v1/messages/batches"),
        None if is_turn && is_stream => Some("/v1/messages"),
        None if is_turn && said["input_tokens"].is_u64() => Some("/v1/messages/count_tokens"),
        _ => None,
    }
}

/// The type that an answer's body has, where no header says it.
fn content_type(headers: &[(String, String)], answer: &Body) -> Option<&'static str> {
    let says_something = !matches!(answer, Body::Empty | Body::Missing(_));
    (says_something && http::header(headers, "content-type").is_none())
        .then(|| bare::content_type(answer))
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
        Value::Object(map) => {
            let bytes = map.get(BINARY)?.as_str().and_then(http::base64)?;
            String::from_utf8(bytes.into()).ok()
        }
        Value::Null | Value::Array(_) => None,
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

/// The body of a request or an answer, and what is to be said of it.
fn body(side: &Value, headers: &[(String, String)], files: bool) -> (Body, Option<&'static str>) {
    match kept::of(side, files) {
        Kept::Nothing => (Body::Empty, None),
        Kept::Bytes(bytes) => (http::decoded(headers, bytes), None),
        Kept::Form(parts) => (Body::Form(parts), None),
        Kept::Missing(why) => (Body::Missing(why), None),
        Kept::Parsed(value) => {
            let typed = kept::is_typed(&side["body"]);
            (Body::Json(value), Some(if typed { TYPED } else { PARSED }))
        }
    }
}
