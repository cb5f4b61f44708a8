//! Conformance: requests whose answers show whether a service keeps to the facts of `docs/service`.
//!
//! A case is a few requests that build on one another; after each, checks look at the answer, one fact each. A check
//! that finds nothing to look at (the model called no tool, nothing runs code) is open, and neither good nor bad.

mod cases;
mod checks;
mod facts;
mod report;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::cost::Costs;
use super::heard::Heard;
use super::send::{Ask, AskError, Service};
use common::hinted::Mistake;
use workspace::billing::{Prices, Tokens};

pub use report::{CaseReport, CheckReport, CheckResult, Report};

/// The heading of a report in Markdown.
pub const HEADING: &str = "# Conformance of `";
/// Cases whose requests are refused, and cost nothing.
const REFUSED: &str = "errors/";
/// How often is asked what is not over yet, and how long is waited in between; a minute in all.
const MOST_POLLS: u32 = 30;
const POLL_EVERY: Duration = Duration::from_secs(2);
/// Asked unless another is named: it costs little, and runs code.
pub const MODEL: &str = "claude-haiku-4-5";

/// Requests that build on one another.
pub struct Case {
    /// `messages/plain`.
    pub name: &'static str,
    steps: &'static [Step],
    model: String,
    /// Checks of these facts alone; all without any.
    only: Vec<String>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// One request, and what is to be seen of its answer.
struct Step {
    ask: fn(&Scene<'_>) -> Option<Ask>,
    checks: &'static [Check],
    /// Whether to ask once more after such an answer.
    again: Option<fn(&Heard) -> bool>,
}

impl Step {
    const fn once(ask: fn(&Scene<'_>) -> Option<Ask>, checks: &'static [Check]) -> Self {
        Self {
            ask,
            checks,
            again: None,
        }
    }
}

/// Something that has to be so.
struct Check {
    /// `F001`.
    fact: &'static str,
    see: fn(&Scene<'_>) -> Seen,
}

impl Case {
    /// Whether its requests are refused before a model sees them.
    fn is_refused(&self) -> bool {
        self.name.starts_with(REFUSED)
    }
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    Holds,
    Differs {
        expected: String,
        got: String,
    },
    /// There was nothing to see: why.
    Open(String),
}

/// The course of a case so far.
struct Scene<'a> {
    model: &'a str,
    service: &'a Service,
    /// The answers, the newest last.
    heard: &'a [Heard],
}

impl Scene<'_> {
    /// The newest answer.
    fn last(&self) -> &Heard {
        self.heard.last().expect("checks come after an answer")
    }

    /// An earlier answer as JSON; null if there is none.
    fn json(&self, step: usize) -> Value {
        self.heard.get(step).map(Heard::json).unwrap_or_default()
    }
}

/// The cases that are called so, or check such a fact; all where nothing is named.
pub fn cases(only: &[String], model: &str) -> Result<Vec<Case>, Mistake> {
    let all = cases::ALL;
    let facts: Vec<&str> = all
        .iter()
        .flat_map(|(_, steps)| steps_facts(steps))
        .collect();
    let is_case = |name: &String| all.iter().any(|(known, _)| known == name);
    if let Some(name) = only
        .iter()
        .find(|name| !is_case(name) && !facts.contains(&name.as_str()))
    {
        let text = format!("no case is called `{name}`, and none checks such a fact");
        return Err(Mistake::new(text).with_hint("`sandtable conform --list` tells them"));
    }
    let case = |(name, steps): &(&'static str, &'static [Step])| {
        let whole = only.is_empty() || only.iter().any(|wanted| wanted == name);
        let wanted: Vec<String> = only
            .iter()
            .filter(|fact| steps_facts(steps).any(|known| known == fact.as_str()))
            .cloned()
            .collect();
        (whole || !wanted.is_empty()).then(|| Case {
            name,
            steps,
            model: model.to_owned(),
            only: if whole { Vec::new() } else { wanted },
        })
    };
    Ok(all.iter().filter_map(case).collect())
}

fn steps_facts(steps: &'static [Step]) -> impl Iterator<Item = &'static str> {
    steps
        .iter()
        .flat_map(|step| step.checks)
        .map(|check| check.fact)
}

/// The cases and their facts, for people.
pub fn listed(cases: &[Case]) -> String {
    let mut text = String::new();
    for case in cases {
        writeln!(text, "{}", case.name).expect("a String takes every write");
        let mut told: Vec<&str> = Vec::new();
        for fact in steps_facts(case.steps) {
            if !told.contains(&fact) {
                told.push(fact);
                writeln!(text, "  {fact}  {}", facts::says(fact))
                    .expect("a String takes every write");
            }
        }
    }
    text
}

/// The costs of the cases, expected and at most; what is asked depends on the answers, but its size does not.
pub fn costs(cases: &[Case], prices: &Prices) -> Costs {
    let mut costs = Costs::default();
    for case in cases {
        for body in bodies(case) {
            costs.requests += 1;
            if case.is_refused() {
                continue;
            }
            if body["max_tokens"].is_u64() {
                costs.add(&body, Some(usual(&body)), false, prices);
            }
            for item in body["requests"].as_array().into_iter().flatten() {
                costs.add(&item["params"], Some(usual(&item["params"])), true, prices);
            }
        }
    }
    costs
}

/// The usual usage of an answer to such a request: code execution reads the request once more, and its own
/// instructions.
fn usual(body: &Value) -> Tokens {
    let with_code = !body["tools"].is_null();
    Tokens {
        input: if with_code { 5_000 } else { 50 },
        output: if with_code { 200 } else { 20 },
        ..Tokens::default()
    }
}

/// The bodies that a case sends, made as if nothing had been answered; of those that need an answer, an empty one.
fn bodies(case: &Case) -> Vec<Value> {
    let Ok(service) = Service::nobody() else {
        return Vec::new();
    };
    let scene = Scene {
        model: &case.model,
        service: &service,
        heard: &[],
    };
    let body = |step: &Step| {
        (step.ask)(&scene).map(|ask| serde_json::from_slice(&ask.body).unwrap_or_default())
    };
    case.steps
        .iter()
        .map(|step| body(step).unwrap_or_default())
        .collect()
}

/// Asks for every case. `budget` is in dollars: what might go beyond it is not sent.
pub async fn run(
    service: &Service,
    cases: &[Case],
    prices: &Prices,
    budget: Option<f64>,
) -> Report {
    let mut report = Report {
        upstream: service.url().to_owned(),
        ..Report::default()
    };
    for case in cases {
        let (checks, usd) = one(
            service,
            case,
            prices,
            budget.map(|budget| budget - report.usd),
        )
        .await;
        report.usd += usd;
        report.cases.push(CaseReport {
            case: case.name.to_owned(),
            checks,
        });
    }
    report
}

async fn one(
    service: &Service,
    case: &Case,
    prices: &Prices,
    budget: Option<f64>,
) -> (Vec<CheckReport>, f64) {
    let (mut heard, mut checks, mut usd) = (Vec::new(), Vec::new(), 0.0);
    let mut stopped: Option<String> = None;
    let budget = budget.filter(|_| !case.is_refused());
    for step in case.steps {
        let scene = Scene {
            model: &case.model,
            service,
            heard: &heard,
        };
        let mut said = String::new();
        if stopped.is_none() {
            match (step.ask)(&scene) {
                None => stopped = Some("the answer before it lacks what it needs".to_owned()),
                Some(ask) => {
                    said = format!("{} {}", ask.method, ask.path);
                    for asked in 1.. {
                        let left = budget.map(|budget| budget - usd);
                        match answer(service, &ask, prices, left).await {
                            Ok((answer, cost)) => {
                                usd += cost;
                                let again = step.again.is_some_and(|again| again(&answer));
                                heard.push(answer);
                                if !again || asked >= MOST_POLLS {
                                    break;
                                }
                                tokio::time::sleep(POLL_EVERY).await;
                            }
                            Err(error) => {
                                stopped = Some(error.to_string());
                                break;
                            }
                        }
                    }
                }
            }
        }
        let scene = Scene {
            model: &case.model,
            service,
            heard: &heard,
        };
        for check in step.checks {
            if !case.only.is_empty() && !case.only.iter().any(|fact| fact == check.fact) {
                continue;
            }
            let seen = match &stopped {
                Some(reason) => Seen::Open(reason.clone()),
                None => (check.see)(&scene),
            };
            checks.push(CheckReport::of(
                check.fact,
                facts::says(check.fact),
                &said,
                seen,
                service,
            ));
        }
    }
    (checks, usd)
}

async fn answer(
    service: &Service,
    ask: &Ask,
    prices: &Prices,
    budget: Option<f64>,
) -> Result<(Heard, f64), AskError> {
    let body: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
    let worst = worst(&body, prices);
    if budget.is_some_and(|budget| worst > budget) {
        return Err(AskError::Budget);
    }
    let heard = service.ask(ask).await?;
    if let Some(reason) = heard.broke {
        return Err(AskError::Broke(reason));
    }
    let model = body["model"].as_str().unwrap_or_default();
    let told = heard.usage();
    let usd = match told.and_then(|tokens| prices.dollars(model, &tokens, false)) {
        Some(usd) => usd,
        // What its items will use a batch does not say.
        None if body["requests"].is_array() && heard.status == 200 => worst,
        None => 0.0,
    };
    Ok((heard, usd))
}

/// The most that a request can cost, in dollars.
fn worst(body: &Value, prices: &Prices) -> f64 {
    let items = body["requests"].as_array();
    let items = items
        .into_iter()
        .flatten()
        .map(|item| (&item["params"], true));
    let all = items.chain([(body, false)]);
    let dollars = all.filter_map(|(body, batch)| {
        let most = body["max_tokens"].as_u64()?;
        let tokens = Tokens {
            output: most,
            ..usual(body)
        };
        prices.dollars(body["model"].as_str()?, &tokens, batch)
    });
    dollars.sum()
}

#[cfg(test)]
mod tests;
