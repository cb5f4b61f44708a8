//! Faults that a request brings along in a header: which of them are meant for it, and which it can never meet.

use control_api::{FaultLayer, FaultState};

use super::table::Entry;
use super::{Act, Fault, FaultError, Faults};

const BATCHES: &str = "/v1/messages/batches";
const MESSAGES: &str = "/v1/messages";

/// A request that brings faults along.
#[derive(Debug, Clone, Copy)]
pub struct Bringer<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// As far as it is known.
    pub model: Option<&'a str>,
}

/// A fault that a request has brought along, once that is over.
#[derive(Debug)]
pub struct Brought {
    pub state: FaultState,
    pub is_unused: bool,
}

impl Bringer<'_> {
    /// The request that makes a batch.
    pub const OF_BATCH: Bringer<'static> = Bringer {
        method: "POST",
        path: BATCHES,
        model: None,
    };

    fn makes_a_batch(self) -> bool {
        (self.method, self.path) == (Self::OF_BATCH.method, BATCHES)
    }
}

impl Fault {
    /// Whether the fault is meant for the request, be it that it meets it or not: a client may send it as a default
    /// header with all of its requests.
    fn is_meant_for(&self, bringer: Bringer<'_>) -> bool {
        let select = &self.select;
        let request_fits = select.fits_request(bringer.method, bringer.path);
        let makes_a_batch = bringer.makes_a_batch();
        // Each item of a batch has a model of its own.
        let model_fits = makes_a_batch || select.fits_model(bringer.model);
        let is_of_turns = match &self.act {
            Act::Http(_) => false,
            Act::Wire(act) => act.is_of_streams(),
            Act::Stream { .. } | Act::Tool(_) | Act::Turn(_) => true,
        };
        let is_turn = bringer.method == "POST" && bringer.path == MESSAGES;
        request_fits && model_fits && (!is_of_turns || is_turn || makes_a_batch)
    }

    /// Whether one request can have what the fault waits for.
    pub fn check_brought(&self, bringer: Bringer<'_>) -> Result<(), FaultError> {
        let at = match &self.act {
            Act::Http(_) => "http",
            Act::Wire(_) => "wire",
            Act::Stream { .. } => "stream",
            Act::Turn(_) => "turn",
            // A turn has as many calls as it has.
            Act::Tool(_) => return Ok(()),
        };
        let is_of_items = matches!(&self.act, Act::Stream { .. } | Act::Turn(_));
        if is_of_items && (bringer.makes_a_batch() || !self.is_meant_for(bringer)) {
            return Ok(());
        }
        let select = &self.select;
        let wanted = match select.times {
            _ if select.nth > 1 => format!("`nth` {}", select.nth),
            Some(times) if times > 1 => format!("`times` {times}"),
            Some(_) | None => return Ok(()),
        };
        Err(FaultError {
            message: format!("{wanted} at \"{at}\" is more than one request has"),
            hint: "the header counts for its request alone; `POST /_sandtable/faults` counts over requests".to_owned(),
        })
    }
}

impl Faults {
    /// What has become of a request's own faults, of those that are meant for it.
    pub fn brought(&self, bringer: Bringer<'_>) -> Vec<Brought> {
        let state = self.lock();
        let meant = |entry: &&Entry| entry.fault.is_meant_for(bringer);
        let entries = state.own.iter().filter(meant);
        entries
            .map(|entry| Brought {
                state: entry.describe(FaultLayer::Request),
                is_unused: entry.is_unused(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::parse;
    use super::*;

    fn bringer(path: &str) -> Bringer<'_> {
        Bringer {
            method: "POST",
            path,
            model: Some("claude-opus-5"),
        }
    }

    #[test]
    fn a_fault_is_meant_for_the_requests_that_it_names_and_that_can_have_what_it_is_about() {
        let cases = [
            (json!({"at": "http", "status": 500}), [true, true, true]),
            (
                json!({"at": "http", "path": "/v1/files", "status": 500}),
                [false, false, true],
            ),
            (
                json!({"at": "wire", "method": "GET", "do": "merge"}),
                [false, false, false],
            ),
            (
                json!({"at": "wire", "do": "pings", "after_events": 1}),
                [true, true, false],
            ),
            (
                json!({"at": "tool", "error_code": "unavailable"}),
                [true, true, false],
            ),
            (
                json!({"at": "turn", "do": "pause_turn"}),
                [true, true, false],
            ),
            (
                json!({"at": "stream", "do": "cut", "model": "claude-haiku-*"}),
                [false, true, false],
            ),
        ];
        for (given, meant) in cases {
            let fault = &parse(&given).unwrap()[0];
            let found =
                [MESSAGES, BATCHES, "/v1/files"].map(|path| fault.is_meant_for(bringer(path)));
            assert_eq!(found, meant, "{given}");
        }
    }

    #[test]
    fn a_request_is_refused_faults_that_it_can_never_meet() {
        let cases = [
            (
                json!({"at": "http", "status": 500, "nth": 2}),
                [false, false, false],
            ),
            (
                json!({"at": "http", "path": "/v1/files", "status": 500, "times": 2}),
                [false, false, false],
            ),
            (
                json!({"at": "wire", "do": "merge", "nth": 2, "probability": 0.5}),
                [false, false, false],
            ),
            (
                json!({"at": "stream", "do": "cut", "times": 2}),
                [false, true, true],
            ),
            (
                json!({"at": "turn", "do": "pause_turn", "nth": 2}),
                [false, true, true],
            ),
            (
                json!({"at": "tool", "error_code": "unavailable", "nth": 2, "times": 2}),
                [true, true, true],
            ),
            (
                json!({"at": "http", "status": 500, "times": "always"}),
                [true, true, true],
            ),
        ];
        for (given, taken) in cases {
            let fault = &parse(&given).unwrap()[0];
            let found = [MESSAGES, BATCHES, "/v1/files"]
                .map(|path| fault.check_brought(bringer(path)).is_ok());
            assert_eq!(found, taken, "{given}");
        }
    }
}
