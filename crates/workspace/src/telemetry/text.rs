//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use super::{Counts, START_BOUNDS_MS, Starts};

/// The gauges, which are read when somebody looks.
#[derive(Debug, Default)]
pub struct Gauges {
    pub version: &'static str,
    pub backend: String,
    pub workspaces: u64,
    pub awake: u64,
    pub asleep: u64,
    pub expired: u64,
    pub journal_bytes: u64,
}

/// `spans`: how many were sent, failed, and were dropped, where they go anywhere.
pub(super) fn render(counts: &Counts, spans: Option<[u64; 3]>, gauges: &Gauges) -> String {
    let mut text = Text::default();
    let Gauges {
        version,
        backend,
        workspaces,
        awake,
        asleep,
        expired,
        journal_bytes,
    } = gauges;
    text.about("info", "gauge", "The program and what runs code.");
    text.line("info", &[("version", version), ("backend", backend)], 1);
    text.about("requests_total", "counter", "API requests that are over.");
    for ((method, route, status), count) in &counts.requests {
        let labels = [("method", *method), ("route", *route), ("status", *status)];
        text.line("requests_total", &labels, *count);
    }
    let about = "Turns by what decided them: items of batches, too.";
    text.about("turns_total", "counter", about);
    for ((source, status), count) in &counts.turns {
        text.line(
            "turns_total",
            &[("source", *source), ("status", *status)],
            *count,
        );
    }
    text.about("calls_total", "counter", "Calls to server tools.");
    for ((tool, outcome), count) in &counts.calls {
        text.line(
            "calls_total",
            &[("tool", *tool), ("outcome", *outcome)],
            *count,
        );
    }
    text.about("tokens_total", "counter", "Tokens of all turns.");
    for (kind, count) in ["input", "output"].into_iter().zip(counts.tokens) {
        text.line("tokens_total", &[("kind", kind)], count);
    }
    text.about("workspaces", "gauge", "Workspaces, one for each key.");
    text.line("workspaces", &[], *workspaces);
    text.about("containers", "gauge", "Containers by state.");
    for (state, count) in [("awake", awake), ("asleep", asleep), ("expired", expired)] {
        text.line("containers", &[("state", state)], *count);
    }
    text.about("journal_bytes", "gauge", "Bytes that all journals keep.");
    text.line("journal_bytes", &[], *journal_bytes);
    let about = "How long sandboxes took until they answered.";
    text.about("sandbox_start_seconds", "histogram", about);
    for (how, starts) in &counts.starts {
        text.starts(how, starts);
    }
    if let Some(spans) = spans {
        text.about("otlp_spans_total", "counter", "Spans for the collector.");
        for (result, count) in ["sent", "failed", "dropped"].into_iter().zip(spans) {
            text.line("otlp_spans_total", &[("result", result)], count);
        }
    }
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn about(&mut self, name: &str, kind: &str, about: &str) {
        writeln!(
            self.0,
            "# HELP sandtable_{name} {about}\n# TYPE sandtable_{name} {kind}"
        )
        .expect("a String takes every write");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        writeln!(self.0, "sandtable_{name}{labels} {value}").expect("a String takes every write");
    }

    fn starts(&mut self, how: &str, starts: &Starts) {
        let mut sum = 0;
        for (at, count) in starts.buckets.iter().enumerate() {
            sum += count;
            let bound = START_BOUNDS_MS.get(at).map_or_else(
                || "+Inf".to_owned(),
                |ms| {
                    std::time::Duration::from_millis(*ms)
                        .as_secs_f64()
                        .to_string()
                },
            );
            let labels = [("how", how), ("le", bound.as_str())];
            self.line("sandbox_start_seconds_bucket", &labels, sum);
        }
        let how = [("how", how)];
        let total = starts.total.as_secs_f64();
        self.line("sandbox_start_seconds_sum", &how, total);
        self.line("sandbox_start_seconds_count", &how, sum);
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
