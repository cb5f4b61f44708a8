//! What an answer becomes on its way to the client: a batch's results are to be had from this server, and what is
//! recorded has the ids that its client knows.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use cassette::{Request, Translation, rename_ids};

/// The home of batches; what follows it in a `results_url` is the same here.
const BATCHES: &str = "/v1/messages/batches";

/// Whether the answer to a request tells of batches.
pub(super) fn tells_of_batches(asked: &Request) -> bool {
    let path = asked.path.trim_end_matches('/');
    path.strip_prefix(BATCHES).is_some_and(|rest| {
        (rest.is_empty() || rest.starts_with('/')) && !rest.ends_with("/results")
    })
}

/// An answer that tells of batches, with results to be had from the server of this URL. The SDKs fetch them where the
/// answer says, with the key.
pub(super) fn with_results_at(base_url: &str, answer: Bytes) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<Value>(&answer) else {
        return answer;
    };
    let mut text = String::from_utf8_lossy(&answer).into_owned();
    let mut is_whole = true;
    let mut batches: Vec<&mut Value> = if value["data"].is_array() {
        let listed = value.get_mut("data").and_then(Value::as_array_mut);
        listed.into_iter().flatten().collect()
    } else {
        vec![&mut value]
    };
    for batch in &mut batches {
        let Some(told) = batch["results_url"].as_str() else {
            continue;
        };
        let Some(at) = told.find(&format!("{BATCHES}/")) else {
            continue;
        };
        let here = Value::String(format!("{base_url}{}", &told[at..]));
        let told = std::mem::replace(&mut batch["results_url"], here.clone());
        let other = text.replace(&told.to_string(), &here.to_string());
        is_whole &= told == here || other != text;
        text = other;
    }
    // Escapes in the text that nobody needs: the value says the same.
    Bytes::from(if is_whole { text } else { value.to_string() })
}

/// How much of an answer has to be there before some of it can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Any,
    Line,
    All,
}

/// What is to be done to an answer that passes by.
#[derive(Debug)]
pub(super) struct Outgoing {
    names: Translation,
    /// Of an answer that tells of batches.
    base_url: Option<String>,
    unit: Unit,
    held: BytesMut,
}

impl Outgoing {
    /// For the answer to a request, whose ids were translated by `names`.
    pub(super) fn new(names: Translation, asked: &Request, base_url: &str) -> Self {
        Self {
            names,
            base_url: tells_of_batches(asked).then(|| base_url.to_owned()),
            unit: Unit::Any,
            held: BytesMut::new(),
        }
    }

    /// The answer is of this media type.
    pub(super) fn is_of(&mut self, content_type: &str) {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        self.unit = match kind {
            "application/json" if self.base_url.is_some() => Unit::All,
            _ if self.names.is_empty() => Unit::Any,
            "application/json" => Unit::All,
            "text/event-stream" | "application/x-jsonl" => Unit::Line,
            // Somebody's file.
            _ => Unit::Any,
        };
    }

    /// The bytes that may go on once these have come.
    pub(super) fn feed(&mut self, bytes: Bytes) -> Bytes {
        match self.unit {
            Unit::Any => return bytes,
            Unit::Line | Unit::All => self.held.extend_from_slice(&bytes),
        }
        let lines = match self.unit {
            Unit::Line => memchr::memrchr(b'\n', &self.held).map_or(0, |at| at + 1),
            Unit::Any | Unit::All => 0,
        };
        let whole = self.held.split_to(lines).freeze();
        self.told(whole)
    }

    /// What is left at the answer's end.
    pub(super) fn rest(&mut self) -> Bytes {
        let held = self.held.split().freeze();
        let held = match &self.base_url {
            Some(base_url) if self.unit == Unit::All => with_results_at(base_url, held),
            Some(_) | None => held,
        };
        self.told(held)
    }

    fn told(&self, bytes: Bytes) -> Bytes {
        if self.names.is_empty() {
            return bytes;
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Bytes::from(rename_ids(text, |id| self.names.given(id)).into_owned()),
            Err(_) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HERE: &str = "http://127.0.0.1:9";

    fn asked(path: &str) -> Request {
        Request {
            path: path.to_owned(),
            ..Request::default()
        }
    }

    #[test]
    fn results_are_to_be_had_from_this_server_and_nothing_else_changes() {
        let there = "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results";
        let here = "http://127.0.0.1:9/v1/messages/batches/msgbatch_1/results";
        for (told, expected) in [
            (
                format!("{{ \"results_url\" : \"{there}\" }}"),
                format!("{{ \"results_url\" : \"{here}\" }}"),
            ),
            (
                format!(
                    r#"{{"data":[{{"results_url":null}},{{"results_url":"{there}"}}],"note":"{there}x"}}"#
                ),
                format!(
                    r#"{{"data":[{{"results_url":null}},{{"results_url":"{here}"}}],"note":"{there}x"}}"#
                ),
            ),
            (
                format!("{{\"results_url\": \"{}\"}}", there.replace('/', "\\/")),
                json!({ "results_url": here }).to_string(),
            ),
            (
                r#"{"results_url":"elsewhere"}"#.to_owned(),
                r#"{"results_url":"elsewhere"}"#.to_owned(),
            ),
            ("no json".to_owned(), "no json".to_owned()),
        ] {
            assert_eq!(with_results_at(HERE, Bytes::from(told)), expected);
        }
    }

    #[test]
    fn answers_that_tell_of_batches_are_known_by_the_request() {
        for path in [
            "/v1/messages/batches",
            "/v1/messages/batches/b",
            "/v1/messages/batches/b/cancel",
        ] {
            assert!(tells_of_batches(&asked(path)), "{path}");
        }
        for path in [
            "/v1/messages",
            "/v1/messages/batches/b/results",
            "/v1/messages/batchesx",
        ] {
            assert!(!tells_of_batches(&asked(path)), "{path}");
        }
    }

    #[test]
    fn what_needs_no_change_passes_as_it_comes() {
        let mut outgoing = Outgoing::new(Translation::default(), &asked("/v1/messages"), HERE);
        outgoing.is_of("text/event-stream; charset=utf-8");
        assert_eq!(outgoing.feed(Bytes::from_static(b"half a li")), "half a li");
        assert_eq!(outgoing.rest(), "");
    }
}
