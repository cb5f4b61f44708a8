//! The parts of a cassette for a live run: uploads, skills, turns, and downloads.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::obstacle::Obstacle;
use cassette::message;
use cassette::{Body, Cassette, Exchange, Part, Request};

/// Something to do, in the recorded order.
#[derive(Debug)]
pub(super) enum Item {
    /// A file, or a skill, or a version of one.
    Upload(Upload),
    Turn(Turn),
}

/// A form that was sent.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) path: String,
    /// The parts; why there are none otherwise.
    pub(super) parts: Result<Vec<Part>, Obstacle>,
    /// The recorded answer.
    pub(super) answer: Value,
}

/// A Messages request and its answer.
#[derive(Debug)]
pub(super) struct Turn {
    /// The exchange's number, from 1; of a batch's item the results' with the item's id.
    pub(super) label: String,
    /// Why it is not known otherwise.
    pub(super) request: Result<Value, Obstacle>,
    pub(super) message: Value,
    /// When it was recorded.
    pub(super) when: Option<DateTime<Utc>>,
}

/// A cassette, taken apart.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) items: Vec<Item>,
    /// Downloads by file id.
    pub(super) contents: HashMap<String, Bytes>,
    /// Names by file id.
    pub(super) names: HashMap<String, String>,
}

pub(super) fn gather(cassette: &Cassette) -> Gathered {
    let mut gathered = Gathered::default();
    let mut batches: HashMap<String, Value> = HashMap::new();
    let about = cassette.about.recorded_at.as_deref().and_then(rfc3339);
    for (number, exchange) in (1..).zip(&cassette.exchanges) {
        // What the answer itself says is nearer than when the cassette was begun, perhaps days before.
        let own = when(exchange);
        let when = own.or(about);
        let Some(request) = &exchange.request else {
            if let Ok(message) = message::of(&exchange.response) {
                gathered.items.push(Item::Turn(Turn {
                    label: format!("{number}"),
                    request: Err(Obstacle::recording("the request was not recorded")),
                    when: expiry(&message).or(when),
                    message,
                }));
            }
            continue;
        };
        let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match (request.method.as_str(), &segments[..]) {
            ("POST", ["v1", "messages"]) => {
                let Ok(message) = message::of(&exchange.response) else {
                    continue;
                };
                let body = body(&request.body).and_then(|bytes| parse(&bytes));
                gathered.items.push(Item::Turn(Turn {
                    label: format!("{number}"),
                    request: body
                        .ok_or_else(|| Obstacle::recording("the request's body was not recorded")),
                    when: own.or(expiry(&message)).or(about),
                    message,
                }));
            }
            ("POST", ["v1", "messages", "batches"]) => {
                let answer = answer(exchange);
                let sent = body(&request.body).and_then(|bytes| parse(&bytes));
                if let (Some(id), Some(sent)) = (answer["id"].as_str(), sent) {
                    batches.insert(id.to_owned(), sent);
                }
            }
            ("GET", ["v1", "messages", "batches", id, "results"]) => {
                let turns = results(number, exchange, batches.get(*id), when);
                gathered.items.extend(turns.into_iter().map(Item::Turn));
            }
            ("POST", ["v1", "files" | "skills"] | ["v1", "skills", _, "versions"])
                if exchange.response.status == 200 =>
            {
                gathered.items.push(Item::Upload(upload(request, exchange)));
            }
            ("GET", ["v1", "files", id]) => {
                if let Some(name) = answer(exchange)["filename"].as_str() {
                    gathered.names.insert((*id).to_owned(), name.to_owned());
                }
            }
            ("GET", ["v1", "files", id, "content"]) if exchange.response.status == 200 => {
                if let Some(bytes) = body(&exchange.response.body) {
                    gathered.contents.insert((*id).to_owned(), bytes);
                }
            }
            _ => {}
        }
    }
    gathered
}

fn upload(request: &Request, exchange: &Exchange) -> Upload {
    Upload {
        path: request.path.clone(),
        parts: match &request.body {
            Body::Form(parts) => Ok(parts.clone()),
            Body::Missing(why) => Err(Obstacle::recording(why)),
            Body::Empty | Body::Json(_) | Body::Text(_) | Body::Bytes(_) | Body::Blob(_) => {
                Err(Obstacle::recording("the request is no form"))
            }
        },
        answer: answer(exchange),
    }
}

/// The items of a batch that succeeded, as turns of their own.
fn results(
    number: usize,
    exchange: &Exchange,
    sent: Option<&Value>,
    when: Option<DateTime<Utc>>,
) -> Vec<Turn> {
    let text = body(&exchange.response.body).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let turn = |line: Value| {
        let message = line["result"]["message"].clone();
        if !message["content"].is_array() {
            return None;
        }
        let requests = sent.and_then(|sent| sent["requests"].as_array());
        let params = requests
            .into_iter()
            .flatten()
            .find(|it| it["custom_id"] == line["custom_id"])
            .map(|it| it["params"].clone());
        Some(Turn {
            label: format!(
                "{number} ({})",
                line["custom_id"].as_str().unwrap_or_default()
            ),
            request: params
                .ok_or_else(|| Obstacle::recording("the batch's request was not recorded")),
            when: expiry(&message).or(when),
            message,
        })
    };
    lines.filter_map(turn).collect()
}

fn body(body: &Body) -> Option<Bytes> {
    body.bytes().ok().flatten()
}

fn parse(bytes: &Bytes) -> Option<Value> {
    serde_json::from_slice(bytes).ok().filter(Value::is_object)
}

fn answer(exchange: &Exchange) -> Value {
    body(&exchange.response.body)
        .and_then(|bytes| parse(&bytes))
        .unwrap_or_default()
}

/// When the service answered.
fn when(exchange: &Exchange) -> Option<DateTime<Utc>> {
    let kept = exchange.timing.iter().flat_map(|timing| &timing.headers);
    let mut headers = exchange.response.headers.iter().chain(kept);
    let (_, date) = headers.find(|(name, _)| name == "date")?;
    DateTime::parse_from_rfc2822(date)
        .ok()
        .map(|time| time.to_utc())
}

/// The end of a container's life is an hour after its last use.
fn expiry(message: &Value) -> Option<DateTime<Utc>> {
    let expires = rfc3339(message["container"]["expires_at"].as_str()?)?;
    expires.checked_sub_signed(TimeDelta::hours(1))
}

fn rfc3339(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use cassette::Response;

    fn exchange(method: &str, path: &str, sent: Value, answer: &str) -> Exchange {
        Exchange {
            request: Some(Request {
                method: method.to_owned(),
                path: path.to_owned(),
                body: Body::Json(sent),
                ..Request::default()
            }),
            response: Response {
                status: 200,
                body: Body::of(Bytes::from(answer.to_owned())),
                ..Response::default()
            },
            timing: None,
        }
    }

    #[test]
    fn an_answers_own_time_is_nearer_than_the_cassettes() {
        let message =
            r#"{"content":[],"container":{"id":"c","expires_at":"2026-08-19T15:34:11Z"}}"#;
        let mut cassette = Cassette {
            exchanges: vec![
                exchange("POST", "/v1/messages", json!({}), message),
                exchange("POST", "/v1/messages", json!({}), r#"{"content":[]}"#),
            ],
            ..Cassette::default()
        };
        cassette.about.recorded_at = Some("2026-08-01T00:00:00Z".to_owned());
        let gathered = gather(&cassette);
        let times = gathered.items.iter().map(|item| match item {
            Item::Turn(turn) => turn.when,
            Item::Upload(upload) => panic!("{upload:?}"),
        });
        let expected = ["2026-08-19T14:34:11Z", "2026-08-01T00:00:00Z"].map(rfc3339);
        assert_eq!(times.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_succeeded_of_a_batch_is_a_turn_each() {
        let item = |id: &str| json!({"custom_id": id, "params": {"model": id}});
        let message =
            r#"{"content":[],"container":{"id":"c","expires_at":"2026-08-19T15:34:11Z"}}"#;
        let results = format!(
            "{{\"custom_id\":\"b\",\"result\":{{\"type\":\"succeeded\",\"message\":{message}}}}}\n\
             {{\"custom_id\":\"a\",\"result\":{{\"type\":\"errored\"}}}}\n"
        );
        let gathered = gather(&Cassette {
            exchanges: vec![
                exchange(
                    "POST",
                    "/v1/messages/batches",
                    json!({"requests": [item("a"), item("b")]}),
                    "{\"id\":\"msgbatch_1\"}",
                ),
                exchange(
                    "GET",
                    "/v1/messages/batches/msgbatch_1/results",
                    Value::Null,
                    &results,
                ),
                exchange("GET", "/v1/files/file_1/content", Value::Null, "x,y"),
                exchange(
                    "GET",
                    "/v1/files/file_1",
                    Value::Null,
                    "{\"filename\":\"a.csv\"}",
                ),
            ],
            ..Cassette::default()
        });
        let [Item::Turn(turn)] = &gathered.items[..] else {
            panic!("{:?}", gathered.items)
        };
        assert_eq!(turn.label, "2 (b)");
        assert_eq!(turn.request.as_ref().unwrap(), &json!({"model": "b"}));
        assert_eq!(turn.when, rfc3339("2026-08-19T14:34:11Z"));
        assert_eq!(gathered.contents["file_1"], "x,y");
        assert_eq!(gathered.names["file_1"], "a.csv");
    }
}
