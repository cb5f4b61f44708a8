//! The outcome of a run: from the wire and the state first, then from how the client ended and what it said.

mod leaks;

use std::collections::BTreeMap;
use std::time::Duration;

use control_api::{Attempt, Exchange, Verdict};
use serde::{Deserialize, Serialize};

use super::baseline::Baseline;
use super::catalogue::{Expect, Less};
use super::effects::{Effects, Upload, missing, not_fetched};
use super::process::End;
use super::raw;
use super::run::Run;

/// So many attempts are too many, whoever asks.
const MOST_ATTEMPTS: u64 = 10;
/// The time that a client may begin early without being too fast: clocks are read at two ends.
const WAIT_SLACK: Duration = Duration::from_millis(50);

wire::words! {
    /// The outcome of a run, the mildest first.
    pub Outcome {
        Unharmed "unharmed",
        Recovered "recovered",
        NotMet "not_met",
        GaveUp "gave_up",
        Degraded "degraded",
        Mistaken "mistaken",
        RetriedWrong "retried_wrong",
        Crashed "crashed",
        Hung "hung",
        Lost "lost",
        Duplicated "duplicated",
        Leaked "leaked",
    }
}

impl Outcome {
    /// In the table: small if it is as it should be.
    pub(crate) fn letter(self, bad: bool) -> char {
        let letter = match self {
            Self::Unharmed => return '.',
            Self::Recovered => return 'r',
            Self::NotMet => return '-',
            Self::GaveUp => 'g',
            Self::Degraded => 'd',
            Self::Mistaken => 'm',
            Self::RetriedWrong => 't',
            Self::Crashed => 'c',
            Self::Hung => 'h',
            Self::Lost => 'l',
            Self::Duplicated => 'x',
            Self::Leaked => 'k',
        };
        if bad {
            letter.to_ascii_uppercase()
        } else {
            letter
        }
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("`{name}` is no outcome")))
    }
}

/// One thing that is to be said of a run. The text goes on from "the client".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub outcome: Outcome,
    pub bad: bool,
    pub says: String,
}

impl Finding {
    fn new(outcome: Outcome, bad: bool, says: impl Into<String>) -> Self {
        let says = says.into();
        Self { outcome, bad, says }
    }

    fn bad(outcome: Outcome, says: impl Into<String>) -> Self {
        Self::new(outcome, true, says)
    }
}

/// All findings of a run with faults, the worst first; there is at least one.
pub(super) fn judge(run: &Run, expect: Expect, baseline: &Baseline) -> Vec<Finding> {
    let mut findings = leaks::of(run, Some(&baseline.run));
    findings.extend(twice(run, expect, baseline));
    findings.extend(mistakes(run, expect, &baseline.run));
    findings.extend(retries(&run.verdict, expect));
    findings.push(ending(run, expect, baseline));
    if run.left_open > 0 {
        let says = format!(
            "left something behind that still had {} requests open when it had ended",
            run.left_open
        );
        findings.push(Finding::bad(Outcome::Hung, says));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse((finding.bad, finding.outcome as u8)));
    findings
}

/// The findings of a run without any fault.
pub(super) fn of_baseline(run: &Run) -> Vec<Finding> {
    let mut findings = leaks::of(run, None);
    for twice in &run.verdict.duplicated {
        let times = twice.request_ids.len();
        let says = format!("had {} carried out {times} times", twice.request);
        findings.push(Finding::bad(Outcome::Duplicated, says));
    }
    for lint in run.verdict.lints.iter().filter(|lint| is_error(lint.level)) {
        findings.push(Finding::bad(outcome_of(&lint.code), told(lint)));
    }
    for miss in &run.verdict.unmatched {
        findings.push(Finding::bad(
            Outcome::Degraded,
            format!("got no answer to a turn: {}", miss.message),
        ));
    }
    findings
}

fn is_error(level: control_api::LintLevel) -> bool {
    level == control_api::LintLevel::Error
}

fn told(lint: &control_api::FoundLint) -> String {
    format!("made a mistake: {} ({})", lint.message, lint.code)
}

/// How the client ended, and how far it came.
fn ending(run: &Run, expect: Expect, baseline: &Baseline) -> Finding {
    let met = run.faults.iter().any(|fault| fault.fired > 0) && !is_without_effect(run);
    let unscripted = match run.verdict.unmatched.first() {
        Some(miss) => format!(
            "; no rule of the script answers what it asked then: {}",
            miss.message
        ),
        None => String::new(),
    };
    if let Some(mut fallen) = fell(run, &baseline.run) {
        fallen.says += &unscripted;
        return fallen;
    }
    let code = match run.end {
        End::Exited(0) if !met => {
            return Finding::new(Outcome::NotMet, false, "gave the fault no occasion");
        }
        End::Exited(0) => return well(run, expect, baseline),
        End::Exited(code) | End::Signal(code) => code,
        End::Limit => 0,
    };
    let excused = expect.may_give_up || (!met && run.faults.is_empty());
    let says = if excused {
        format!("gave up with {code} and a message{unscripted}")
    } else {
        format!("gave up with {code} and a message, although asking again would do{unscripted}")
    };
    Finding::new(Outcome::GaveUp, !excused, says)
}

/// How it ended, where no program should end so.
pub(super) fn fell(run: &Run, baseline: &Run) -> Option<Finding> {
    let code = match run.end {
        End::Limit => {
            let seconds = run.took.as_secs_f64();
            let asks = run
                .verdict
                .faults
                .iter()
                .any(|chain| attempts(chain) > MOST_ATTEMPTS);
            let (outcome, doing) = if asks {
                (Outcome::RetriedWrong, "asking")
            } else {
                (Outcome::Hung, "running")
            };
            return Some(Finding::bad(
                outcome,
                format!("was still {doing} after {seconds:.0} s, and was killed"),
            ));
        }
        End::Signal(signal) => {
            return Some(Finding::bad(
                Outcome::Crashed,
                format!("was ended by signal {signal}"),
            ));
        }
        End::Exited(0) => return None,
        End::Exited(code) => code,
    };
    if let Some(kind) = raw::uncaught(&run.stderr) {
        let says = format!("ended with {code} and an error that nobody caught: {kind}");
        return Some(Finding::bad(Outcome::Crashed, says));
    }
    let printed = run.stdout.trim();
    let silent =
        run.stderr.trim().is_empty() && (printed.is_empty() || printed == baseline.stdout.trim());
    silent.then(|| {
        Finding::bad(
            Outcome::Crashed,
            format!("ended with {code} and said nothing"),
        )
    })
}

/// It ended well: what is missing?
fn well(run: &Run, expect: Expect, baseline: &Baseline) -> Finding {
    let broken = broken(run);
    let effects = baseline.effects_of(run, |exchange| broken.contains(&&*exchange.id));
    let files = not_fetched(&baseline.effects.downloads, &effects.downloads);
    let texts = |effects: &Effects| -> Vec<String> {
        effects
            .answers
            .iter()
            .map(|(_, text)| text.clone())
            .collect()
    };
    let unheard = missing(&texts(&baseline.effects), &texts(&effects));
    let said = run.stderr.trim() != baseline.run.stderr.trim()
        || run.stdout.trim() != baseline.run.stdout.trim();
    if !files.is_empty() {
        let names: Vec<String> = files
            .iter()
            .map(|file| format!("`{}`", file.name))
            .collect();
        let bad = expect.less != Less::ForGood || !said;
        let says = format!("ended well without {}", names.join(" and "));
        return Finding::new(Outcome::Degraded, bad, says);
    }
    if !unheard.is_empty() {
        let mut turns: Vec<&str> = Vec::new();
        for text in &unheard {
            let answer = baseline
                .effects
                .answers
                .iter()
                .find(|(_, other)| other == text);
            let request = answer.and_then(|(at, _)| baseline.requests.get(*at));
            turns.extend(request.map(|request| &*request.name));
        }
        let bad = match expect.less {
            Less::Nothing => true,
            Less::Result => false,
            Less::ForGood => !said,
        };
        let silent = if bad && expect.less == Less::ForGood {
            ", and said nothing of it"
        } else {
            ""
        };
        let says = format!(
            "ended well without the answer of {}{silent}",
            turns.join(" and ")
        );
        return Finding::new(Outcome::Degraded, bad, says);
    }
    let uploads: usize = effects.uploads.values().sum();
    if uploads < baseline.effects.uploads.values().sum() {
        return Finding::bad(Outcome::Degraded, "ended well with fewer files uploaded");
    }
    let wanted: Vec<&Upload> = baseline.effects.uploads.keys().collect();
    let there: Vec<&Upload> = effects.uploads.keys().collect();
    if let Some(upload) = missing(&wanted, &there).first() {
        let says = format!(
            "ended well with something else uploaded than `{}`",
            upload.name
        );
        return Finding::bad(Outcome::Degraded, says);
    }
    if effects.batches < baseline.effects.batches {
        return Finding::bad(Outcome::Degraded, "ended well with fewer batches");
    }
    if expect.notices {
        return Finding::new(
            Outcome::Recovered,
            false,
            "came to the same end as without the fault",
        );
    }
    Finding::new(Outcome::Unharmed, false, "did not notice it")
}

/// A full disk that the sandbox does not bound is none.
fn is_without_effect(run: &Run) -> bool {
    run.verdict
        .lints
        .iter()
        .any(|lint| lint.code == "fault_without_effect")
}

/// The exchanges whose answer the client did not hear as it was meant.
fn broken(run: &Run) -> Vec<&str> {
    let mut ids = Vec::new();
    for chain in &run.verdict.faults {
        let fails = |id: &u64| {
            let mut faults = chain.faults.iter();
            faults.any(|given| given.id == *id && fails(&given.fault))
        };
        let attempts = chain.attempts.iter();
        let broken = attempts.filter(|attempt| attempt.faults.iter().any(fails));
        ids.extend(broken.map(|attempt| &*attempt.request_id));
    }
    ids
}

/// Whether an answer that meets this fault is none.
fn fails(fault: &serde_json::Value) -> bool {
    let is_error = fault["status"].is_number() || fault["type"].is_string();
    match fault["do"].as_str() {
        Some("cut" | "reset" | "hang" | "malformed") => true,
        Some("stall") => fault["for_ms"].is_null(),
        Some(_) => false,
        None => is_error,
    }
}

/// Effects that are there more often than without the fault.
fn twice(run: &Run, expect: Expect, baseline: &Baseline) -> Vec<Finding> {
    let mut findings = Vec::new();
    if run.verdict.duplicated.len() > baseline.run.verdict.duplicated.len() {
        for twice in &run.verdict.duplicated {
            let times = twice.request_ids.len();
            let says = format!(
                "had {} carried out {times} times, which left {}",
                twice.request,
                twice.ids.join(", ")
            );
            findings.push(Finding::bad(Outcome::Duplicated, says));
        }
        return findings;
    }
    let effects = baseline.effects_of(run, |_| false);
    for (upload, times) in &effects.uploads {
        let Upload { name, bytes, .. } = upload;
        let before = baseline.effects.uploads.get(upload).copied().unwrap_or(0);
        let says = format!(
            "left `{name}` ({bytes} bytes) there {times} times, without the fault {before} times"
        );
        let ended_well = run.end == End::Exited(0);
        let again = effects.uploaded > baseline.effects.uploaded;
        // A client that gave up may have had no time to clean up one.
        if *times > before.max(1) || (*times > before && again && ended_well) {
            findings.push(Finding::bad(Outcome::Duplicated, says));
        } else if *times > before && ended_well && !expect.may_give_up {
            findings.push(Finding::bad(Outcome::Lost, says));
        }
    }
    if effects.batches > baseline.effects.batches {
        let says = format!(
            "made {} batches, without the fault {}",
            effects.batches, baseline.effects.batches
        );
        findings.push(Finding::bad(Outcome::Duplicated, says));
    }
    findings
}

/// Lints that the run without faults has not. What a client that stopped has left undone is no mistake of its own.
fn mistakes(run: &Run, expect: Expect, baseline: &Run) -> Vec<Finding> {
    let count = |verdict: &Verdict| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for lint in &verdict.lints {
            *counts.entry(lint.code.clone()).or_default() += 1;
        }
        counts
    };
    let (before, now) = (count(&baseline.verdict), count(&run.verdict));
    let stopped = run.end != End::Exited(0);
    let mut findings = Vec::new();
    for (code, times) in now {
        let known = before.get(&code).copied().unwrap_or(0);
        let Some(lint) = run.verdict.lints.iter().find(|lint| lint.code == code) else {
            continue;
        };
        let counts = is_error(lint.level) || code == "unfetched_output";
        let excused = expect.forgives.contains(&&*code) || (stopped && is_of_the_end(&code));
        if counts && !excused && times > known {
            findings.push(Finding::bad(outcome_of(&code), told(lint)));
        }
    }
    findings
}

/// Whether only the end of a conversation can show this lint.
fn is_of_the_end(code: &str) -> bool {
    matches!(
        code,
        "ignored_pause_turn"
            | "ignored_container_expired"
            | "unread_further_output"
            | "unfetched_output"
    )
}

fn outcome_of(code: &str) -> Outcome {
    match code {
        "unread_further_output" | "unfetched_output" | "dropped_container" => Outcome::Lost,
        _ => Outcome::Mistaken,
    }
}

/// Too often, or against what the client was told.
fn retries(verdict: &Verdict, expect: Expect) -> Vec<Finding> {
    let mut findings = Vec::new();
    for chain in &verdict.faults {
        if attempts(chain) > MOST_ATTEMPTS {
            let says = format!("sent {} {} times", chain.request, attempts(chain));
            findings.push(Finding::bad(Outcome::RetriedWrong, says));
        }
        if let (Some(wait), Some(after)) = (expect.wait, too_fast(&chain.attempts, expect.wait)) {
            let says = format!(
                "sent {} again after {:.0} ms, and was told to wait {:.0} ms",
                chain.request,
                after.as_secs_f64() * 1000.0,
                wait.as_secs_f64() * 1000.0
            );
            findings.push(Finding::bad(Outcome::RetriedWrong, says));
        }
    }
    findings
}

fn attempts(chain: &control_api::FaultedRequest) -> u64 {
    chain.attempts.len() as u64 + chain.attempts_dropped.unwrap_or(0)
}

/// How soon the attempt after a 429 came, if that was too soon.
fn too_fast(attempts: &[Attempt], wait: Option<Duration>) -> Option<Duration> {
    let wait = wait?.saturating_sub(WAIT_SLACK);
    let told = attempts.windows(2).filter(|two| two[0].status == Some(429));
    told.filter_map(|two| two[1].after_ms)
        .map(|after| Duration::from_secs_f64(after.max(0.0) / 1000.0))
        .find(|after| *after < wait)
}

/// Faults that met an exchange, as their ids.
pub(super) fn struck(run: &Run, exchange: &Exchange) -> Vec<u64> {
    let attempts = run.verdict.faults.iter().flat_map(|chain| &chain.attempts);
    let same = attempts.filter(|attempt| attempt.request_id == exchange.id);
    same.flat_map(|attempt| attempt.faults.clone()).collect()
}

#[cfg(test)]
mod tests;
