//! The baseline: the client's requests when nothing goes wrong, each with the numbers that faults are aimed by.

use std::collections::HashMap;
use std::time::Duration;

use control_api::Exchange;
use serde_json::Value;

use super::SweepError;
use super::effects::{Effects, message};
use super::process::End;
use super::run::Run;
use super::secrets::Secrets;
use common::bounded;

/// The shortest limit of a run that nobody gave a limit.
const LEAST_LIMIT: Duration = Duration::from_secs(10);

/// A request of the client's.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Request {
    /// In cells: `messages#2`, `get.files.id.content#1`.
    pub name: String,
    /// For people: `POST /v1/messages #2 (stream, bash)`.
    pub title: String,
    pub method: String,
    /// The path with `*` for ids.
    pub pattern: String,
    /// Which one of those that the method and the pattern fit, from 1.
    pub nth: u64,
    /// The same among those that are answered by a stream.
    pub(crate) nth_stream: u64,
    /// Which turn it is, from 1; 0 if it is none.
    pub turn: u64,
    /// Events of its answer; 0 if that is no stream.
    pub events: u64,
    /// Events that are out when the first call begins.
    pub(crate) first_call: Option<u64>,
    /// The service's tools that it called: name, and which call of that tool it was in the run, from 1.
    pub calls: Vec<(String, u64)>,
    /// Code may run in it.
    pub(crate) has_tools: bool,
    pub(crate) names_container: bool,
    pub(crate) names_file: bool,
    /// After how many blocks its answer could pause.
    pub pauses: Vec<u64>,
    /// How its answer ends, and which one of those that end so it is.
    pub stop: String,
    pub(crate) nth_ended: u64,
    /// Which one of the turns that end in `end_turn` or `tool_use`.
    pub(crate) nth_stopped: u64,
    /// Which one of the turns that name a container.
    pub(crate) nth_container: u64,
    /// Which one of those that the method and the pattern fit, and that name a file.
    pub(crate) nth_file: u64,
}

impl Request {
    pub(crate) fn is_turn(&self) -> bool {
        self.turn > 0
    }

    /// Asking again changes nothing.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.method != "POST" || (self.is_turn() && !self.has_tools)
    }
}

/// The client's behavior without faults.
#[derive(Debug)]
pub(super) struct Baseline {
    pub(super) requests: Vec<Request>,
    pub(super) run: Run,
    pub(super) effects: Effects,
    /// The differences between the runs without faults; empty for a client that does the same each time.
    pub(super) differences: Vec<String>,
}

impl Baseline {
    /// From runs that must have ended well.
    pub(super) fn new(runs: Vec<Run>) -> Result<Self, SweepError> {
        for run in &runs {
            let how = match run.end {
                End::Exited(0) => continue,
                End::Exited(code) => format!("exit code {code}"),
                End::Signal(signal) => format!("signal {signal}"),
                End::Limit => "it did not end in time".to_owned(),
            };
            let tail = tail(&Secrets::known().hidden(&run.stderr));
            return Err(SweepError::Baseline { how, tail });
        }
        let mut runs = runs.into_iter();
        let run = runs.next().ok_or(SweepError::Silent)?;
        let requests = requests(&run.exchanges);
        if requests.is_empty() {
            return Err(SweepError::Silent);
        }
        let mut effects = Effects::of(&run.exchanges, &run.files, |_| false);
        let mut differences = Vec::new();
        for other in runs {
            differences.extend(asked_otherwise(
                &requests,
                &self::requests(&other.exchanges),
            ));
            let others = Effects::of(&other.exchanges, &other.files, |_| false);
            differences.extend(effects.differences(&others));
            // What is different each time proves nothing in a run with faults.
            let texts: Vec<&String> = others.answers.iter().map(|(_, text)| text).collect();
            effects.answers.retain(|(_, text)| texts.contains(&text));
            effects.without_what_varies(&others);
        }
        Ok(Self {
            requests,
            run,
            effects,
            differences,
        })
    }

    /// Of a run with faults, to be compared with these.
    pub(super) fn effects_of(&self, run: &Run, unheard: impl Fn(&Exchange) -> bool) -> Effects {
        let mut effects = Effects::of(&run.exchanges, &run.files, unheard);
        if !self.effects.knows_uploads() {
            effects.forget_upload_digests();
        }
        effects.assume(&self.effects);
        effects
    }

    /// Of one run with faults.
    pub(super) fn limit(&self) -> Duration {
        (self.run.took * 10).max(LEAST_LIMIT)
    }
}

fn tail(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().collect();
    let from = lines.len().saturating_sub(12);
    let lines = lines[from..].iter();
    lines.flat_map(|line| ["\n  | ", line]).collect()
}

fn asked_otherwise(one: &[Request], two: &[Request]) -> Vec<String> {
    let names = |requests: &[Request]| -> Vec<String> {
        requests
            .iter()
            .map(|request| request.name.clone())
            .collect()
    };
    let (first, second) = (names(one), names(two));
    let mut told = Vec::new();
    if first != second {
        let mut sorted = (first.clone(), second.clone());
        sorted.0.sort();
        sorted.1.sort();
        told.push(if sorted.0 == sorted.1 {
            "the order of its requests changes; each is aimed at by its kind and number".to_owned()
        } else {
            format!(
                "it asks {} and then {}",
                first.join(", "),
                second.join(", ")
            )
        });
    }
    for request in one {
        let other = two.iter().find(|other| other.name == request.name);
        if let Some(other) = other.filter(|other| {
            other.calls != request.calls || (other.events > 0) != (request.events > 0)
        }) {
            told.push(format!(
                "{} is {} and then {}",
                request.name, request.title, other.title
            ));
        }
    }
    told
}

/// The client's requests, in their order.
pub(super) fn requests(exchanges: &[Exchange]) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    let mut calls: HashMap<String, u64> = HashMap::new();
    let (mut named, mut turns) = (HashMap::<String, u64>::new(), 0);
    for exchange in exchanges {
        let mut request = Request {
            method: exchange.method.clone(),
            pattern: pattern(&exchange.path),
            ..Request::default()
        };
        let (fits, streams) = fitting(&request, exchanges, exchange);
        request.nth = fits;
        let body = &exchange.request_body;
        if request.method == "POST" && request.pattern == "/v1/messages" {
            turns += 1;
            request.turn = turns;
            request.has_tools = body["tools"]
                .as_array()
                .is_some_and(|tools| !tools.is_empty());
            request.names_container =
                body["container"].is_string() || body["container"]["id"].is_string();
            let newest = body["messages"]
                .as_array()
                .and_then(|messages| messages.last());
            request.names_file = newest.is_some_and(|message| {
                message["role"] == "user" && message["content"].to_string().contains("\"file_id\"")
            });
            let message = message(&exchange.response_body).unwrap_or_default();
            for name in message.calls() {
                let nth = calls.entry(name.to_owned()).or_default();
                *nth += 1;
                request.calls.push((name.to_owned(), *nth));
            }
            request.events = message.events;
            request.first_call = message.first_call;
            request.pauses = pauses(&message.blocks);
            request.stop = message.stop_reason.unwrap_or_default();
        } else {
            request.names_file = request.pattern.starts_with("/v1/files/");
        }
        if request.events > 0 {
            request.nth_stream = streams;
        }
        let kind = kind(&request.method, &request.pattern);
        let number = named.entry(kind.clone()).or_default();
        *number += 1;
        request.name = format!("{kind}#{number}");
        request.title = title(&request, *number);
        let before = |like: &dyn Fn(&Request) -> bool| {
            1 + requests.iter().filter(|other| like(other)).count() as u64
        };
        request.nth_ended = before(&|other| other.is_turn() && other.stop == request.stop);
        request.nth_stopped = before(&|other| is_stopped(other));
        request.nth_container = before(&|other| other.names_container);
        request.nth_file = before(&|other| {
            other.names_file && other.method == request.method && other.pattern == request.pattern
        });
        requests.push(request);
    }
    requests
}

/// It ends where another ending can take its place.
fn is_stopped(request: &Request) -> bool {
    request.stop == "end_turn" || request.stop == "tool_use"
}

/// After how many blocks an answer could pause: where no call waits for its result, and something is still to come.
fn pauses(blocks: &[Value]) -> Vec<u64> {
    let mut waiting = 0_usize;
    let mut places = Vec::new();
    for (at, block) in (1_u64..).zip(blocks) {
        let kind = block["type"].as_str().unwrap_or_default();
        match kind {
            "server_tool_use" => waiting += 1,
            result if result.ends_with("_tool_result") => waiting = waiting.saturating_sub(1),
            _ => {}
        }
        if waiting == 0 && at < blocks.len() as u64 {
            places.push(at);
        }
    }
    places
}

/// Which one of those that its method and pattern fit this exchange is, and which of the streams among them.
fn fitting(request: &Request, exchanges: &[Exchange], this: &Exchange) -> (u64, u64) {
    let pattern = bounded::glob(&request.pattern).ok();
    let (mut all, mut streams) = (0, 0);
    for exchange in exchanges {
        let fits = pattern
            .as_ref()
            .is_some_and(|pattern| pattern.matches(&exchange.path));
        if fits && exchange.method == request.method {
            all += 1;
            streams += u64::from(exchange.request_body["stream"] == Value::Bool(true));
        }
        if exchange.id == this.id {
            break;
        }
    }
    (all, streams)
}

/// The path with `*` for each part that is an id.
fn pattern(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        let prefix = part.split_once('_').map_or("", |(prefix, _)| prefix);
        let is_id = common::ids::Kind::ALL
            .iter()
            .any(|kind| kind.prefix() == prefix);
        if is_id || glob::Pattern::escape(part) != part {
            "*"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

fn kind(method: &str, pattern: &str) -> String {
    let path = pattern
        .trim_start_matches("/v1/")
        .replace('*', "id")
        .replace('/', ".");
    match method {
        "POST" => path,
        other => format!("{}.{path}", other.to_ascii_lowercase()),
    }
}

fn title(request: &Request, number: u64) -> String {
    let mut marks = Vec::new();
    if request.events > 0 {
        marks.push("stream".to_owned());
    }
    for (name, _) in &request.calls {
        let name = name.trim_end_matches("_code_execution").to_owned();
        if !marks.contains(&name) {
            marks.push(name);
        }
    }
    let marks = if marks.is_empty() {
        String::new()
    } else {
        format!(" ({})", marks.join(", "))
    };
    format!("{} {} #{number}{marks}", request.method, request.pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) fn exchange(method: &str, path: &str, asked: &Value, answered: &Value) -> Exchange {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        serde_json::from_value(json!({
            "id": format!("req_{number}"), "at": "2026-01-04T20:47:05Z", "method": method, "path": path, "status": 200,
            "duration_ms": 1.0, "workspace": "wrkspc_1", "request_headers": {}, "request_body": asked,
            "response_headers": {}, "response_body": answered, "lints": [],
        }))
        .unwrap()
    }

    #[test]
    fn an_answer_can_pause_where_no_call_waits_for_its_result() {
        let kinds = [
            "text",
            "server_tool_use",
            "bash_code_execution_tool_result",
            "text",
        ];
        let blocks: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
        assert_eq!(pauses(&blocks), [1, 3]);
        assert!(pauses(&blocks[..1]).is_empty());
    }

    #[test]
    fn requests_are_numbered_as_faults_count_them() {
        let stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[]}}\n\n\
            event: content_block_start\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"server_tool_use\",\"name\":\"bash_code_execution\"}}\n\n";
        let exchanges = [
            exchange("POST", "/v1/files", &Value::Null, &Value::Null),
            exchange(
                "GET",
                "/v1/files/file_011CP/content",
                &Value::Null,
                &Value::Null,
            ),
            exchange("GET", "/v1/files/file_011CP", &Value::Null, &Value::Null),
            exchange(
                "POST",
                "/v1/messages",
                &json!({}),
                &json!({"type": "message", "content": []}),
            ),
            exchange(
                "POST",
                "/v1/messages",
                &json!({"stream": true, "tools": [{}], "container": "container_1"}),
                &json!(stream),
            ),
        ];
        let requests = requests(&exchanges);
        let told: Vec<_> = requests
            .iter()
            .map(|request| {
                (
                    &*request.name,
                    request.nth,
                    request.nth_stream,
                    request.turn,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("files#1", 1, 0, 0),
                ("get.files.id.content#1", 1, 0, 0),
                // The pattern `/v1/files/*` fits the content's path as well.
                ("get.files.id#1", 2, 0, 0),
                ("messages#1", 1, 0, 1),
                ("messages#2", 2, 1, 2),
            ]
        );
        let last = &requests[4];
        assert_eq!(last.title, "POST /v1/messages #2 (stream, bash)");
        assert_eq!(last.calls, [("bash_code_execution".to_owned(), 1)]);
        assert!(last.has_tools && last.names_container && !last.is_repeatable());
        assert!(requests[1].is_repeatable() && requests[3].is_repeatable());
    }
}
