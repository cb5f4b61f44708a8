//! Secrets in what a client prints or sends.

use std::collections::BTreeSet;

use control_api::Exchange;
use serde_json::Value;

use super::super::run::Run;
use super::super::secrets::Secrets;
use super::{Finding, Outcome};

/// The journal's replacement of a key.
const REDACTED: &str = "[redacted]";

/// The findings of secrets that are told where they must not be, and were not by the run without faults.
pub(super) fn of(run: &Run, baseline: Option<&Run>) -> Vec<Finding> {
    let secrets = Secrets::known();
    let mut findings = Vec::new();
    let known = baseline.map(|baseline| leaking(secrets, baseline));
    let known = known.unwrap_or_default();
    for says in leaking(secrets, run) {
        if !known.contains(&says) {
            findings.push(Finding::bad(Outcome::Leaked, says));
        }
    }
    findings
}

/// All that the journal has of a request: without the headers that are meant for keys, and the bytes of uploads.
fn said(exchange: &Exchange) -> impl Iterator<Item = String> {
    let headers = exchange.request_headers.iter();
    let headers = headers.map(|(name, value)| match value.as_str() {
        Some(value) => format!("{name}: {value}"),
        None => name.clone(),
    });
    let body = match &exchange.request_body {
        Value::String(text) => text.clone(),
        body => body.to_string(),
    };
    [exchange.path.clone(), body]
        .into_iter()
        .chain(exchange.query.clone())
        .chain(headers)
}

fn leaking(secrets: &Secrets, run: &Run) -> Vec<String> {
    let mut told = Vec::new();
    for (place, text) in [("stderr", &run.stderr), ("stdout", &run.stdout)] {
        if text.contains(&run.key) {
            told.push(format!("printed the API key on {place}"));
        }
        let names = secrets.told_by(text).into_iter();
        told.extend(names.map(|name| format!("printed the value of {name} on {place}")));
    }
    let mut sent = BTreeSet::new();
    let mut sends_key = false;
    for text in run.exchanges.iter().flat_map(said) {
        sent.extend(secrets.told_by(&text));
        // The journal has taken the key out already.
        sends_key |= text.contains(REDACTED);
    }
    let names = sent.into_iter();
    told.extend(names.map(|name| format!("sent the value of {name} in a request")));
    if sends_key {
        told.push("sent the API key in a request's URL, body, or another header".to_owned());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::super::tests::{exchange, run};
    use super::*;
    use crate::secrets::tests::{SLASHES, secrets};
    use serde_json::json;

    #[test]
    fn a_secret_is_found_wherever_it_is_printed_or_sent() {
        let pem = "-----BEGIN KEY-----\nMIIEvQIBADAN\"x'y\n-----END KEY-----";
        let known = secrets(&[
            ("AWS_SECRET_ACCESS_KEY", SLASHES),
            ("DB_PASSWORD", "hunter2hunt\n"),
            ("tls_key", pem),
            ("HOME", "/home/someone/here"),
        ]);
        let printed = |text: &str| {
            let mut seen = run(Vec::new());
            seen.stderr = text.to_owned();
            leaking(&known, &seen)
        };
        let aws = "printed the value of AWS_SECRET_ACCESS_KEY on stderr";
        assert_eq!(printed(&format!("debug: {SLASHES}!")), [aws]);
        assert_eq!(
            printed("wJalrXUtnFEMI%2FK7MDENG%2FbPxRfiCYEXAMPLEKEY"),
            [aws]
        );
        assert_eq!(
            printed("user:hunter2hunt"),
            ["printed the value of DB_PASSWORD on stderr"]
        );
        let escaped = json!({ "key": pem }).to_string();
        assert_eq!(
            printed(&escaped),
            ["printed the value of tls_key on stderr"]
        );
        assert!(printed("at /home/someone/here: hunter2").is_empty());

        let sent = |change: &dyn Fn(&mut Exchange)| {
            let mut one = exchange("req_1", "POST", "/v1/messages", 200, &Value::Null);
            change(&mut one);
            leaking(&known, &run(vec![one]))
        };
        let aws = ["sent the value of AWS_SECRET_ACCESS_KEY in a request"];
        let body = json!({"messages": [{"role": "user", "content": format!("a {SLASHES}")}]});
        assert_eq!(sent(&|one| one.request_body = body.clone()), aws);
        assert_eq!(sent(&|one| one.request_body = json!(SLASHES)), aws);
        assert_eq!(sent(&|one| one.path = format!("/v1/files/{SLASHES}")), aws);
        let query = "q=wJalrXUtnFEMI%2FK7MDENG%2FbPxRfiCYEXAMPLEKEY";
        assert_eq!(sent(&|one| one.query = Some(query.to_owned())), aws);
        let header = |one: &mut Exchange, value: &str| {
            one.request_headers
                .insert("x-debug".to_owned(), value.into());
        };
        assert_eq!(sent(&|one| header(one, SLASHES)), aws);
        assert_eq!(
            sent(&|one| header(one, REDACTED)),
            ["sent the API key in a request's URL, body, or another header"]
        );
        assert!(sent(&|one| header(one, "fine")).is_empty());
    }
}
