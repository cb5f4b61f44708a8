//! `GET /_sandtable/verify`: whether all went as the scripts and faults say, and what the client did.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use control_api::{Empty, LintLevel, RequestCounts, Unclaimed, UnusedStep, Verdict};
use serde_json::{Value, json};

use super::error::ControlError;
use super::target::Targets;
use crate::app::App;
use cassette::Redactor;
use workspace::Workspace;
use workspace::coverage;
use workspace::verify::{Findings, Requests, unused};

/// The findings that the caller takes for bad.
#[derive(Debug, Clone, Copy)]
struct Measure {
    lints: Strictness,
    duplicates_are_bad: bool,
    unused_recordings_are_bad: bool,
    silence_is_bad: bool,
    tells_coverage: bool,
}

/// Which lints make the verdict bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    Off,
    Error,
    Warning,
}

impl Measure {
    fn read(query: &HashMap<String, String>) -> Result<Self, ControlError> {
        let lints = match query.get("lints").map(String::as_str) {
            Some("off") => Strictness::Off,
            None | Some("error") => Strictness::Error,
            Some("warning") => Strictness::Warning,
            Some(other) => {
                return Err(ControlError::bad(
                    format!("`lints={other}` is no strictness"),
                    "`off`, `error` (the default), or `warning`: the mildest lint that makes the verdict bad",
                ));
            }
        };
        let is_bad =
            |name: &str, default: &str| match query.get(name).map_or(default, String::as_str) {
                "ok" => Ok(false),
                "bad" => Ok(true),
                other => Err(ControlError::bad(
                    format!("`{name}={other}` is not known"),
                    "`ok` or `bad`: what it makes of the verdict",
                )),
            };
        Ok(Self {
            lints,
            duplicates_are_bad: is_bad("duplicates", "bad")?,
            unused_recordings_are_bad: is_bad("recordings", "bad")?,
            silence_is_bad: is_bad("empty", "ok")?,
            tells_coverage: match query.get("coverage").map(String::as_str) {
                None | Some("0") => false,
                Some("1") => true,
                Some(other) => {
                    return Err(ControlError::bad(
                        format!("`coverage={other}` is not known"),
                        "`1` tells what of the service was met",
                    ));
                }
            },
        })
    }
}

/// The verdict on the workspaces asked for: on one since its last reset, on all with `*` over all resets.
/// `?lints=off|error|warning`, `?duplicates=ok|bad`, `?recordings=ok|bad`, and `?empty=ok|bad` say how strict it is;
/// `?coverage=1` tells what of the service was met.
pub(super) async fn show(
    State(app): State<App>,
    Targets(workspaces): Targets,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Verdict>, ControlError> {
    let measure = Measure::read(&query)?;
    let is_run = query.get("workspace").is_some_and(|name| name == "*");
    let mut report = Report::default();
    let mut parts = Vec::new();
    for workspace in &workspaces {
        parts.extend(workspace.findings_before().filter(|_| is_run));
        parts.push(workspace.findings());
    }
    // What files give to every workspace is judged where every workspace is looked at.
    let is_judged =
        |one: &Arc<Workspace>| workspaces.iter().any(|workspace| workspace.id == one.id);
    if app.workspaces.all().iter().all(is_judged) {
        report.shared(&app, &parts);
    }
    for part in parts {
        report.add(part);
    }
    if is_run {
        report.unclaimed = unclaimed(&workspaces);
        report.requests.refused += app.workspaces.turned_away_count();
    }
    let verdict = report.into_verdict(measure);
    Ok(Json(
        verdict.map_err(|error| ControlError::internal(&error))?,
    ))
}

/// Workspaces that made requests and that nobody has a name for, where others have one.
fn unclaimed(workspaces: &[Arc<Workspace>]) -> Vec<Unclaimed> {
    if workspaces
        .iter()
        .all(|workspace| workspace.label().is_none())
    {
        return Vec::new();
    }
    let nameless = workspaces
        .iter()
        .filter(|workspace| workspace.label().is_none());
    let asked = nameless.filter_map(|workspace| {
        let parts = [workspace.findings_before(), Some(workspace.findings())];
        let parts = || parts.iter().flatten().map(|part| &part.requests);
        let requests: u64 = parts().map(Requests::all).sum();
        let first = parts().find_map(|requests| requests.first.clone());
        (requests > 0).then(|| Unclaimed {
            workspace: workspace.name.clone(),
            key: workspace.key_end().map(|end| format!("…{end}")),
            requests,
            first_request_id: first,
            level: LintLevel::Warning,
        })
    });
    asked.collect()
}

#[derive(Debug, Default)]
struct Report {
    all: Findings,
    shared_steps: Vec<Value>,
    shared_faults: Vec<Value>,
    shared_recordings: Vec<Value>,
    unclaimed: Vec<Unclaimed>,
    requests: Requests,
}

impl Report {
    /// Without a bound: every part has one.
    fn add(&mut self, part: Findings) {
        let all = &mut self.all;
        all.unmatched.extend(part.unmatched);
        all.failed.extend(part.failed);
        all.faults.extend(part.faults);
        all.duplicated.extend(part.duplicated);
        all.lints.extend(part.lints);
        all.unused_steps.extend(part.unused_steps);
        all.unused_faults.extend(part.unused_faults);
        all.unused_recordings.extend(part.unused_recordings);
        all.errors += part.errors;
        all.warnings += part.warnings;
        for (list, count) in part.dropped {
            *all.dropped.entry(list).or_default() += count;
        }
        all.coverage.add(&part.coverage);
        self.requests.answered += part.requests.answered;
        self.requests.refused += part.requests.refused;
    }

    /// Collects the steps, faults, and recordings that files give to all, and that nobody used.
    fn shared(&mut self, app: &App, parts: &[Findings]) {
        let untouched;
        let mut all: Vec<&Findings> = parts.iter().collect();
        if all.is_empty() {
            untouched = app.workspaces.untouched().findings();
            all.push(&untouched);
        }
        // Where recordings answered and nothing asked a rule, none is missing.
        let are_judged = all.iter().any(|part| part.asked_scripts)
            || !all.iter().any(|part| part.had_recordings);
        if are_judged {
            let steps: Vec<&[UnusedStep]> = all.iter().map(|part| &part.shared_steps[..]).collect();
            let steps = unused::steps_unused_by_all(&steps);
            self.shared_steps = steps.iter().map(|step| json!(step)).collect();
        }
        let faults: Vec<&[Value]> = all.iter().map(|part| &part.shared_faults[..]).collect();
        self.shared_faults = unused::faults_unused_by_all(&faults);
        let recordings: Vec<&[Value]> =
            all.iter().map(|part| &part.shared_recordings[..]).collect();
        self.shared_recordings = unused::recordings_unused_by_all(&recordings);
    }

    fn into_verdict(self, measure: Measure) -> Result<Verdict, serde_json::Error> {
        let Self {
            all,
            shared_steps,
            shared_faults,
            shared_recordings,
            unclaimed,
            requests,
        } = self;
        let Findings {
            unmatched,
            failed,
            faults,
            mut duplicated,
            lints,
            mut unused_steps,
            mut unused_faults,
            mut unused_recordings,
            errors,
            warnings,
            dropped,
            coverage,
            ..
        } = all;
        unused_steps.extend(shared_steps);
        unused_faults.extend(shared_faults);
        unused_recordings.extend(shared_recordings);
        let mut lost: BTreeMap<&str, u64> = dropped.clone();
        if !measure.duplicates_are_bad {
            duplicated.clear();
            lost.remove("duplicated");
        }
        if !measure.unused_recordings_are_bad {
            unused_recordings.clear();
            lost.remove("unused_recordings");
        }
        let empty = if measure.silence_is_bad && requests.answered == 0 {
            vec![silence(&requests)]
        } else {
            Vec::new()
        };
        let lints_are_bad = match measure.lints {
            Strictness::Off => false,
            Strictness::Error => errors > 0,
            Strictness::Warning => errors + warnings > 0 || !unclaimed.is_empty(),
        };
        let bad = [
            ("unmatched", unmatched.len()),
            ("failed", failed.len()),
            ("unused_steps", unused_steps.len()),
            ("unused_faults", unused_faults.len()),
            ("unused_recordings", unused_recordings.len()),
            ("duplicated", duplicated.len()),
            ("empty", empty.len()),
        ];
        let is_bad = bad
            .iter()
            .any(|(name, found)| *found > 0 || lost.contains_key(name));
        let verdict = json!({
            "ok": !is_bad && !lints_are_bad,
            "unmatched": unmatched,
            "failed": failed,
            "unused_steps": unused_steps,
            "unused_faults": unused_faults,
            "unused_recordings": unused_recordings,
            "duplicated": duplicated,
            "faults": faults,
            "lints": lints,
            "unclaimed": unclaimed,
            "empty": empty,
            "requests": RequestCounts { answered: requests.answered, refused: requests.refused },
            "dropped": dropped,
        });
        // Scripts and faults are told as they were given.
        let verdict: Verdict = serde_json::from_value(Redactor::default().json(verdict))?;
        let coverage = measure.tells_coverage.then(|| coverage::report(&coverage));
        Ok(Verdict {
            coverage,
            ..verdict
        })
    }
}

/// A run in which nothing was asked proves nothing.
fn silence(requests: &Requests) -> Empty {
    let message = match requests.refused {
        0 => "no API request came".to_owned(),
        1 => "the only API request was refused".to_owned(),
        refused => format!("all {refused} API requests were refused"),
    };
    let hint = if requests.refused == 0 {
        "does the client take its URL from `ANTHROPIC_BASE_URL`, and did a test run? `--allow-empty` takes it for good"
    } else {
        "`GET /_sandtable/journal` says why; `--allow-empty` takes it for good"
    };
    Empty {
        message,
        hint: hint.to_owned(),
    }
}
