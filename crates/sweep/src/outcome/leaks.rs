//! Secrets in what a client prints or sends.

use super::super::run::Run;
use super::{Finding, Outcome};

/// The journal's replacement of a key.
const REDACTED: &str = "[redacted]";
/// Anything shorter is no secret, or is found by chance.
const SHORTEST: usize = 12;
/// Parts of the names of variables that hold one.
const NAMES: &[&str] = &["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

/// The secrets that a client was given: a name and a value each.
pub(super) struct Leaks(Vec<(String, String)>);

impl Leaks {
    pub(super) fn known(run: &Run) -> Self {
        let mut secrets = vec![("the API key".to_owned(), run.key.clone())];
        for (name, value) in std::env::vars_os() {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
                continue;
            };
            let upper = name.to_ascii_uppercase();
            let secret = NAMES.iter().any(|part| upper.contains(part));
            // A path is where a secret is, and none itself.
            let own = matches!(name, "ANTHROPIC_API_KEY" | "ANTHROPIC_AUTH_TOKEN");
            if secret && !own && value.len() >= SHORTEST && !value.contains('/') {
                secrets.push((format!("the value of {name}"), value.to_owned()));
            }
        }
        Self(secrets)
    }

    pub(super) fn hidden(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (_, value) in &self.0 {
            text = text.replace(value, REDACTED);
        }
        text
    }
}

/// The findings of secrets that are told where they must not be, and were not by the run without faults.
pub(super) fn of(run: &Run, baseline: Option<&Run>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = baseline.map(leaking).unwrap_or_default();
    for says in leaking(run) {
        if !known.contains(&says) {
            findings.push(Finding::bad(Outcome::Leaked, says));
        }
    }
    findings
}

fn leaking(run: &Run) -> Vec<String> {
    let mut told = Vec::new();
    for (name, value) in Leaks::known(run).0 {
        for (place, text) in [("stderr", &run.stderr), ("stdout", &run.stdout)] {
            if text.contains(&value) {
                told.push(format!("printed {name} on {place}"));
            }
        }
        if run
            .exchanges
            .iter()
            .any(|exchange| said(exchange).contains(&value))
        {
            told.push(format!("sent {name} in a request"));
        }
    }
    // The journal has taken the key out already.
    if run
        .exchanges
        .iter()
        .any(|exchange| said(exchange).contains(REDACTED))
    {
        told.push("sent the API key in a request's URL or body".to_owned());
    }
    told
}

/// URL and body.
fn said(exchange: &control_api::Exchange) -> String {
    let query = exchange.query.as_deref().unwrap_or_default();
    format!("{} {query} {}", exchange.path, exchange.request_body)
}
