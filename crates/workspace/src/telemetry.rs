//! Telemetry: the server's counters of itself as metrics for Prometheus, and spans for OTLP.
//!
//! Labels have few values, whatever clients send. Counting takes one short lock a request.

mod otlp;
mod protobuf;
mod span;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::journal::Ended;
use control_api::BatchItem;
use otlp::Exporter;

pub use client::ClientError as CollectorError;
pub use text::Gauges;

/// Upper bounds of the histogram of starts, in milliseconds.
const START_BOUNDS_MS: [u64; 12] = [
    10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000,
];

/// The source of a turn that nothing answered.
pub const UNMATCHED: &str = "unmatched";

/// The counters and the span exporter of a server. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Telemetry(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counts: Mutex<Counts>,
    /// Where spans go, if anywhere.
    exporter: OnceLock<Exporter>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    turns: BTreeMap<(&'static str, &'static str), u64>,
    calls: BTreeMap<(&'static str, &'static str), u64>,
    tokens: [u64; 2],
    starts: BTreeMap<&'static str, Starts>,
}

/// How long sandboxes took to start.
#[derive(Debug, Clone, Default)]
struct Starts {
    /// Not cumulative; the last is beyond every bound.
    buckets: [u64; START_BOUNDS_MS.len() + 1],
    total: Duration,
}

/// A request that is over, or an item of a batch.
#[derive(Debug)]
pub struct Done<'a> {
    pub request_id: &'a str,
    /// The workspace's id; of a request without a valid key `None`.
    pub workspace: Option<&'a str>,
    pub started: Instant,
    pub duration: Duration,
    /// Where a trace of the client's is, as it says in its header.
    pub traceparent: Option<&'a str>,
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    pub ended: Ended,
    /// The type of the error that ended its stream.
    pub error: Option<&'a str>,
    /// Of an item, which no client has sent by itself.
    pub item: Option<&'a BatchItem>,
    /// Of a turn.
    pub turn: Option<&'a TurnDone>,
    /// Where its answer came from.
    pub source: Option<&'a str>,
}

/// The work that a turn has done.
#[derive(Debug, Clone, Default)]
pub struct TurnDone {
    /// The kind of what decided it; `None` where a fault or a refusal came before.
    pub origin: Option<Origin>,
    /// The model that was asked for; `None` where none was.
    pub model: Option<String>,
    pub calls: Vec<CallDone>,
    /// Input and output tokens.
    pub tokens: Option<(u64, u64)>,
}

/// The kind of a source. Its name may be anything: a rule's is its author's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Tour,
    Direct,
    Script,
    Cassette,
    Upstream,
    /// None: nothing fits.
    Unmatched,
}

impl Origin {
    fn label(self) -> &'static str {
        match self {
            Self::Tour => "tour",
            Self::Direct => "direct",
            Self::Script => "script",
            Self::Cassette => "cassette",
            Self::Upstream => "upstream",
            Self::Unmatched => UNMATCHED,
        }
    }
}

/// A call to a server tool.
#[derive(Debug, Clone)]
pub struct CallDone {
    pub id: String,
    pub tool: &'static str,
    pub begun: Instant,
    pub took: Duration,
    pub outcome: CallOutcome,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    Done,
    /// With the code of its error.
    Failed(String),
    /// Its code waits for the client.
    Waits,
}

impl CallOutcome {
    fn label(&self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Failed(_) => "error",
            Self::Waits => "waits",
        }
    }
}

impl Done<'_> {
    /// Whether it asked for a turn.
    fn is_turn(&self) -> bool {
        let asked = self.method == "POST" && self.path.trim_end_matches('/') == "/v1/messages";
        asked || self.item.is_some()
    }
}

impl Telemetry {
    /// Counts a request that is over; of an item its turn alone.
    pub fn request(&self, done: &Done<'_>) {
        if done.item.is_none() {
            let key = (
                method(done.method),
                route(done.path),
                status(done.status, done.ended),
            );
            *self.lock().requests.entry(key).or_default() += 1;
        }
        if let Some(turn) = done.turn.filter(|_| done.is_turn()) {
            self.turn(turn, status(done.status, done.ended));
        }
        if let Some(exporter) = self.0.exporter.get() {
            exporter.push(span::of(done));
        }
    }

    /// Hands spans on to a collector from now on.
    pub fn export(&self, url: &str) -> Result<(), CollectorError> {
        let exporter = Exporter::start(url)?;
        // A server starts once.
        self.0.exporter.set(exporter).ok();
        Ok(())
    }

    /// Waits for a while until the collector has what there is.
    pub async fn flush(&self) {
        if let Some(exporter) = self.0.exporter.get() {
            exporter.flush().await;
        }
    }

    /// Counts a turn, of a request or of an item of a batch.
    fn turn(&self, turn: &TurnDone, status: &'static str) {
        let mut counts = self.lock();
        if let Some(origin) = turn.origin {
            *counts.turns.entry((origin.label(), status)).or_default() += 1;
        }
        for call in &turn.calls {
            let key = (call.tool, call.outcome.label());
            *counts.calls.entry(key).or_default() += 1;
        }
        if let Some((input, output)) = turn.tokens {
            let [inputs, outputs] = &mut counts.tokens;
            *inputs = inputs.saturating_add(input);
            *outputs = outputs.saturating_add(output);
        }
    }

    /// Counts a sandbox that runs from now on: `started`, or `taken up`.
    pub fn start(&self, how: &'static str, took: Duration) {
        let mut counts = self.lock();
        let starts = counts.starts.entry(how).or_default();
        let bound = START_BOUNDS_MS
            .iter()
            .position(|bound| took <= Duration::from_millis(*bound));
        starts.buckets[bound.unwrap_or(START_BOUNDS_MS.len())] += 1;
        starts.total += took;
    }

    /// The metrics as Prometheus reads them.
    pub fn text(&self, gauges: &Gauges) -> String {
        let spans = self.0.exporter.get().map(|exporter| {
            let counts = &exporter.counts;
            [&counts.taken, &counts.failed, &counts.dropped]
                .map(|count| count.load(Ordering::Relaxed))
        });
        text::render(&self.lock(), spans, gauges)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn method(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        _ => "other",
    }
}

/// The family of a path.
fn route(path: &str) -> &'static str {
    const ROUTES: [&str; 6] = [
        "/v1/messages/count_tokens",
        "/v1/messages/batches",
        "/v1/messages",
        "/v1/files",
        "/v1/skills",
        "/v1/models",
    ];
    let is_below = |route: &&str| {
        path.strip_prefix(*route)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ROUTES.into_iter().find(is_below).unwrap_or("other")
}

/// The class of a status; `left` where the client did not wait for the answer, `broke` where the connection was closed in it.
fn status(status: u16, ended: Ended) -> &'static str {
    match (ended, status) {
        (Ended::ClientLeft, _) => "left",
        (Ended::Broke, _) => "broke",
        (Ended::Whole, 200..300) => "2xx",
        (Ended::Whole, 300..400) => "3xx",
        (Ended::Whole, 400..500) => "4xx",
        (Ended::Whole, 500..600) => "5xx",
        (Ended::Whole, _) => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody<'a>() -> Done<'a> {
        Done {
            request_id: "req_1",
            workspace: Some("wrkspc_1"),
            started: Instant::now(),
            duration: Duration::ZERO,
            traceparent: None,
            method: "GET",
            path: "/v1/models",
            status: 200,
            ended: Ended::Whole,
            error: None,
            item: None,
            turn: None,
            source: None,
        }
    }

    #[test]
    fn only_what_decides_a_turn_is_counted_as_one() {
        let telemetry = Telemetry::default();
        let answered = |method, path, origin| {
            let turn = TurnDone {
                origin,
                ..TurnDone::default()
            };
            telemetry.request(&Done {
                method,
                path,
                turn: Some(&turn),
                // A rule may have the name.
                source: Some("tour"),
                ..nobody()
            });
        };
        let kinds = [Some(Origin::Cassette), Some(Origin::Unmatched)];
        for (method, path) in [("GET", "/v1/models"), ("POST", "/v1/messages/count_tokens")] {
            for origin in kinds {
                answered(method, path, origin);
            }
        }
        answered("POST", "/v1/messages", None);
        assert!(telemetry.lock().turns.is_empty());
        for origin in kinds {
            answered("POST", "/v1/messages", origin);
        }
        let turns: Vec<_> = telemetry.lock().turns.keys().copied().collect();
        assert_eq!(turns, [("cassette", "2xx"), ("unmatched", "2xx")]);
    }

    #[test]
    fn what_clients_send_makes_no_label() {
        let telemetry = Telemetry::default();
        for n in 0..100 {
            let (method, path) = (format!("M{n}"), format!("/v1/files/{n}"));
            let turn = TurnDone {
                origin: Some(Origin::Script),
                model: Some(format!("model-{n}")),
                ..TurnDone::default()
            };
            let source = format!("rule {n}");
            telemetry.request(&Done {
                method: &method,
                path: &path,
                status: 200 + n,
                ..nobody()
            });
            telemetry.request(&Done {
                method: "POST",
                path: "/v1/messages",
                status: 200 + n,
                turn: Some(&turn),
                source: Some(&source),
                ..nobody()
            });
        }
        let text = telemetry.text(&Gauges::default());
        assert!(text.contains(
            "sandtable_requests_total{method=\"other\",route=\"/v1/files\",status=\"2xx\"} 100\n"
        ));
        assert!(text.contains("sandtable_turns_total{source=\"script\",status=\"2xx\"} 100\n"));
        assert_eq!(
            route("/v1/messages/batches/x/results"),
            "/v1/messages/batches"
        );
        assert_eq!(route("/v1/messagesx"), "other");
    }

    #[test]
    fn buckets_of_a_histogram_add_up() {
        let telemetry = Telemetry::default();
        for ms in [5, 10, 11, 999_999] {
            telemetry.start("started", Duration::from_millis(ms));
        }
        let text = telemetry.text(&Gauges::default());
        let name = "sandtable_sandbox_start_seconds";
        for line in [
            format!("{name}_bucket{{how=\"started\",le=\"0.01\"}} 2\n"),
            format!("{name}_bucket{{how=\"started\",le=\"0.025\"}} 3\n"),
            format!("{name}_bucket{{how=\"started\",le=\"60\"}} 3\n"),
            format!("{name}_bucket{{how=\"started\",le=\"+Inf\"}} 4\n"),
            format!("{name}_count{{how=\"started\"}} 4\n"),
            format!("{name}_sum{{how=\"started\"}} 1000.025\n"),
        ] {
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
