//! Sending what was recorded, one request after the other, and comparing.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::heard::{Content, Heard};
use super::names::Names;
use super::send::{Ask, AskError, Service};
use super::shape::{self, Shape, difference};
use super::{CassetteReport, ExchangeReport, Outcome, Plan, Report, stream};
use cassette::{Body, Cassette, Request, Response, canon, form};
use live::Difference;
use workspace::billing::{Prices, Tokens};

/// Headers of an answer that clients go by: those whose value counts, and those that have to be there.
const VALUES: [&str; 1] = ["x-should-retry"];
const PRESENT: [&str; 2] = ["request-id", "retry-after"];
/// Of the request's own; the service's client writes the others.
const SENT: [&str; 4] = [
    "accept",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
];
/// How long a batch may take that had ended when it was recorded, and how often it is looked at.
const BATCH_PATIENCE: Duration = Duration::from_mins(10);
const BATCH_LOOK: Duration = Duration::from_secs(2);

/// Sends the exchanges that are meant. `budget` is in dollars: what might go beyond it is not sent.
pub async fn run(service: &Service, plan: &Plan, prices: &Prices, budget: Option<f64>) -> Report {
    let mut report = Report::new(service.url(), plan);
    let mut purse = Purse {
        prices,
        budget,
        spent: 0.0,
    };
    for (cassette, age) in plan.cassettes.iter().zip(&plan.ages) {
        let mut runner = Runner {
            service,
            names: Names::default(),
            purse: &mut purse,
        };
        let exchanges = runner.cassette(plan, cassette).await;
        if !exchanges.is_empty() {
            report.cassettes.push(CassetteReport {
                age: age.clone(),
                exchanges,
            });
        }
    }
    report.usd = purse.spent;
    report
}

/// The budget, and the sum that was spent.
struct Purse<'a> {
    prices: &'a Prices,
    budget: Option<f64>,
    spent: f64,
}

impl Purse<'_> {
    /// Whether a request might cost more than is left.
    fn is_over(&self, body: &Value) -> bool {
        let (Some(budget), Some(most)) = (self.budget, body["max_tokens"].as_u64()) else {
            return false;
        };
        let tokens = Tokens {
            input: body.to_string().len() as u64,
            output: most,
            ..Tokens::default()
        };
        self.spent + self.dollars(body, &tokens) > budget
    }

    fn dollars(&self, body: &Value, tokens: &Tokens) -> f64 {
        let model = body["model"].as_str().unwrap_or_default();
        self.prices.dollars(model, tokens, false).unwrap_or(0.0)
    }
}

struct Runner<'a, 'p> {
    service: &'a Service,
    names: Names,
    purse: &'a mut Purse<'p>,
}

impl Runner<'_, '_> {
    async fn cassette(&mut self, plan: &Plan, cassette: &Cassette) -> Vec<ExchangeReport> {
        let meant: Vec<usize> = plan.meant(cassette).map(|(number, _)| number).collect();
        let mut exchanges = Vec::new();
        for (number, exchange) in (1..).zip(&cassette.exchanges) {
            let Some(request) = &exchange.request else {
                continue;
            };
            if !meant.contains(&number) {
                // Later ones may need what it made, and say so.
                self.names
                    .record(&asked(request), &text_of(&exchange.response));
                continue;
            }
            exchanges.push(ExchangeReport {
                exchange: format!("#{number}"),
                request: format!("{} {}", request.method, request.path),
                outcome: self.exchange(request, &exchange.response).await,
            });
        }
        exchanges
    }

    async fn exchange(&mut self, request: &Request, response: &Response) -> Outcome {
        let asked_then = asked(request);
        let told_then = text_of(response);
        let sent = match self.ask(request, &asked_then) {
            Ok(ask) => self.answer(request, response, ask).await,
            Err(error) => Err(error),
        };
        let heard = match sent {
            Ok(heard) => heard,
            Err(error) => {
                self.names.record(&asked_then, &told_then);
                let reason = self.service.discreet(&error.to_string());
                return Outcome::NotSent { reason };
            }
        };
        self.names.learn(
            &asked_then,
            &told_then,
            &String::from_utf8_lossy(&heard.body),
        );
        let recorded = match Heard::recorded(response) {
            Ok(recorded) => recorded,
            Err(error) => {
                let reason = error.to_string();
                return Outcome::NotCompared { reason };
            }
        };
        let differences: Vec<Difference> = compare(&recorded, &heard)
            .into_iter()
            .map(|found| Difference {
                live: self.service.discreet(&found.live),
                what: self.service.discreet(&found.what),
                ..found
            })
            .collect();
        if differences.is_empty() {
            Outcome::Same
        } else {
            Outcome::Different { differences }
        }
    }

    /// The request of this run; why it cannot be sent otherwise.
    fn ask(&self, request: &Request, asked: &str) -> Result<Ask, AskError> {
        if asked.contains(canon::REDACTED) {
            return Err(AskError::Redacted);
        }
        if let Some(id) = self.names.lacking(asked) {
            return Err(AskError::Lacks(id.to_owned()));
        }
        let mut path = self.names.renamed(&request.path);
        if let Some(query) = &request.query {
            path = format!("{path}?{}", self.names.renamed(query));
        }
        let mut headers: Vec<(String, String)> = request
            .headers
            .iter()
            .filter(|(name, _)| SENT.contains(&name.as_str()))
            .cloned()
            .collect();
        let body = match &request.body {
            Body::Form(parts) => {
                let (kind, body) = form::written(parts)?;
                headers.retain(|(name, _)| name != "content-type");
                headers.push(("content-type".to_owned(), kind));
                body
            }
            body @ (Body::Empty
            | Body::Json(_)
            | Body::Text(_)
            | Body::Bytes(_)
            | Body::Blob(_)
            | Body::Missing(_)) => match (body.json(), body.bytes()?) {
                (Some(json), _) => Bytes::from(self.names.renamed(&json.to_string())),
                (None, Some(bytes)) => bytes,
                (None, None) => return Err(AskError::NotKept),
            },
        };
        Ok(Ask {
            method: request.method.clone(),
            path,
            headers,
            body,
        })
    }

    async fn answer(
        &mut self,
        request: &Request,
        response: &Response,
        ask: Ask,
    ) -> Result<Heard, AskError> {
        let body: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
        if self.purse.is_over(&body) {
            return Err(AskError::Budget);
        }
        let mut heard = self.service.ask(&ask).await?;
        let ended = |value: &Value| value["processing_status"] == "ended";
        let waits =
            request.method == "GET" && response.body.json().is_some_and(|body| ended(&body));
        let mut waited = Duration::ZERO;
        while waits && heard.status == 200 && !ended(&heard.json()) && waited < BATCH_PATIENCE {
            tokio::time::sleep(BATCH_LOOK).await;
            waited += BATCH_LOOK;
            heard = self.service.ask(&ask).await?;
        }
        if let Some(tokens) = heard.usage() {
            self.purse.spent += self.purse.dollars(&body, &tokens);
        }
        Ok(heard)
    }
}

/// All of a request that may name ids.
fn asked(request: &Request) -> String {
    let body = request
        .body
        .json()
        .map(|json| json.to_string())
        .unwrap_or_default();
    [
        &request.path,
        request.query.as_deref().unwrap_or_default(),
        &body,
    ]
    .join("\n")
}

fn text_of(response: &Response) -> String {
    let bytes = response.body.bytes().ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The differences between an answer and its recording.
pub(super) fn compare(recorded: &Heard, heard: &Heard) -> Vec<Difference> {
    let mut found = Vec::new();
    if recorded.status != heard.status {
        found.push(difference(
            "status",
            &recorded.status.to_string(),
            &heard.status.to_string(),
        ));
    }
    if let Some(reason) = &heard.broke {
        found.push(difference("body", "whole", &format!("broke off: {reason}")));
        return found;
    }
    headers(recorded, heard, &mut found);
    match (recorded.content(), heard.content()) {
        (Content::Json(was), Content::Json(is)) => {
            found.extend(shape::differences(&Shape::of(&was), &Shape::of(&is)));
        }
        (Content::Lines(was), Content::Lines(is)) => {
            found.extend(shape::differences(
                &Shape::of_all(&was),
                &Shape::of_all(&is),
            ));
        }
        // A file of one line is JSON, too.
        (Content::Lines(was), Content::Json(is)) => {
            found.extend(shape::differences(&Shape::of_all(&was), &Shape::of(&is)));
        }
        (Content::Json(was), Content::Lines(is)) => {
            found.extend(shape::differences(&Shape::of(&was), &Shape::of_all(&is)));
        }
        (Content::Events(was), Content::Events(is)) => {
            found.extend(stream::differences(&was, &is));
            let of = |events: &[(String, Value)]| {
                Shape::of_all(
                    events
                        .iter()
                        .filter(|(name, _)| name != "ping")
                        .map(|(_, data)| data),
                )
            };
            found.extend(shape::differences(&of(&was), &of(&is)));
        }
        (Content::Other(_), Content::Other(_)) => {}
        // The content type says it.
        _ if recorded.media_type() != heard.media_type() => {}
        (was, is) => found.push(difference("body", kind(&was), kind(&is))),
    }
    found
}

fn kind(content: &Content) -> &'static str {
    match content {
        Content::Json(_) => "JSON",
        Content::Lines(_) => "lines of JSON",
        Content::Events(_) => "events",
        Content::Other(_) => "neither JSON nor events",
    }
}

fn headers(recorded: &Heard, heard: &Heard, found: &mut Vec<Difference>) {
    if recorded.media_type() != heard.media_type() {
        found.push(difference(
            "content-type",
            recorded.media_type(),
            heard.media_type(),
        ));
    }
    let there = |header: Option<&str>| header.map_or("absent", |_| "there").to_owned();
    for name in VALUES {
        let (was, is) = (recorded.header(name), heard.header(name));
        if was != is {
            found.push(difference(
                name,
                was.unwrap_or("absent"),
                is.unwrap_or("absent"),
            ));
        }
    }
    for name in PRESENT {
        let (was, is) = (there(recorded.header(name)), there(heard.header(name)));
        if was != is {
            found.push(difference(name, &was, &is));
        }
    }
}
