//! `GET /_sandtable/verify`: whether all went as the scripts and faults say, and what the client did.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde_json::{Map, Value, json};

use super::error::ControlError;
use super::target::Targets;
use crate::app::App;
use crate::cassette::Redactor;
use crate::model::script::{LayerName, UnusedStep, Why};
use crate::verify::Findings;
use crate::workspace::Workspace;

/// Which lints make the verdict bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    Off,
    Error,
    Warning,
}

/// The verdict on the workspaces asked for; `?lints=off|error|warning` says how strict it is.
pub(super) async fn show(
    State(app): State<App>,
    Targets(workspaces): Targets,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, ControlError> {
    let strictness = match query.get("lints").map(String::as_str) {
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
    let all = app.workspaces.all();
    // What files give to every workspace is judged where every workspace is looked at.
    let whole = all.len() <= workspaces.len();
    Ok(Json(verdict(&app, &workspaces, whole, strictness)))
}

fn verdict(app: &App, workspaces: &[Arc<Workspace>], whole: bool, strictness: Strictness) -> Value {
    let mut report = Report::default();
    let (mut errors, mut warnings) = (0, 0);
    for workspace in workspaces {
        let name = &workspace.name;
        let Findings {
            unmatched,
            failed,
            faults,
            lints,
            errors: more_errors,
            warnings: more_warnings,
            dropped,
        } = workspace.watch.findings(name);
        report.unmatched.extend(unmatched);
        report.failed.extend(failed);
        report.faults.extend(faults);
        report.lints.extend(lints);
        errors += more_errors;
        warnings += more_warnings;
        for (list, count) in dropped {
            *report.dropped.entry(list).or_insert(0) += count;
        }
        report.own(workspace);
    }
    if whole {
        report.shared(app, workspaces);
    }
    let lints_are_bad = match strictness {
        Strictness::Off => false,
        Strictness::Error => errors > 0,
        Strictness::Warning => errors + warnings > 0,
    };
    report.into_json(lints_are_bad)
}

#[derive(Debug, Default)]
struct Report {
    unmatched: Vec<Value>,
    failed: Vec<Value>,
    unused_steps: Vec<Value>,
    unused_faults: Vec<Value>,
    faults: Vec<Value>,
    lints: Vec<Value>,
    dropped: HashMap<&'static str, u64>,
}

impl Report {
    /// What the workspace itself was given and did not use.
    fn own(&mut self, workspace: &Workspace) {
        let steps = workspace.scripts.unused_steps();
        let own = steps
            .iter()
            .filter(|step| step.layer == LayerName::Workspace);
        self.unused_steps
            .extend(own.map(|step| with_workspace(Some(&workspace.name), json!(step))));
        for (layer, fault) in workspace.faults.unused() {
            if layer == "workspace" {
                self.unused_faults
                    .push(with_workspace(Some(&workspace.name), fault));
            }
        }
    }

    /// What files give to all, and nobody used.
    fn shared(&mut self, app: &App, workspaces: &[Arc<Workspace>]) {
        let untouched;
        let mut all: Vec<&Workspace> = workspaces.iter().map(AsRef::as_ref).collect();
        if all.is_empty() {
            untouched = app.workspaces.untouched();
            all.push(&untouched);
        }
        let steps = all.iter().map(|workspace| {
            let unused = workspace.scripts.unused_steps().into_iter();
            unused
                .filter(|step| step.layer == LayerName::Base)
                .collect()
        });
        let steps = unused_by_all(&steps.collect::<Vec<_>>(), covers_step);
        self.unused_steps
            .extend(steps.iter().map(|step| with_workspace(None, json!(step))));
        let faults = all.iter().map(|workspace| {
            let unused = workspace.faults.unused().into_iter();
            unused
                .filter(|(layer, _)| *layer == "file")
                .map(|(_, fault)| fault)
                .collect()
        });
        let same = |a: &Value, b: &Value| a["id"] == b["id"];
        let faults = unused_by_all(&faults.collect::<Vec<_>>(), same);
        self.unused_faults
            .extend(faults.into_iter().map(|fault| with_workspace(None, fault)));
    }

    fn into_json(self, lints_are_bad: bool) -> Value {
        let Self {
            unmatched,
            failed,
            unused_steps,
            unused_faults,
            faults,
            lints,
            dropped,
        } = self;
        let lost = |list| dropped.get(list).is_some_and(|count| *count > 0);
        let ok = unmatched.is_empty()
            && !lost("unmatched")
            && failed.is_empty()
            && unused_steps.is_empty()
            && unused_faults.is_empty()
            && !lints_are_bad;
        let verdict = json!({
            "ok": ok,
            "unmatched": unmatched,
            "failed": failed,
            "unused_steps": unused_steps,
            "unused_faults": unused_faults,
            "faults": faults,
            "lints": lints,
            "dropped": dropped,
        });
        // Scripts and faults are told as they were given.
        Redactor::default().json(verdict)
    }
}

/// What is unused in every list. A rule that never answered stands for all its steps.
fn unused_by_all<T: Clone>(lists: &[Vec<T>], covers: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut common: Vec<T> = Vec::new();
    for item in lists.iter().flatten() {
        let everywhere = lists
            .iter()
            .all(|list| list.iter().any(|other| covers(other, item)));
        let listed = common.iter().any(|known| covers(known, item));
        if everywhere && !listed {
            common.push(item.clone());
        }
    }
    common
}

/// Whether `a` says at least what `b` says.
fn covers_step(a: &UnusedStep, b: &UnusedStep) -> bool {
    let of_rule = a.file == b.file && a.rule == b.rule;
    of_rule && (a.why == Why::NeverAnswered || (a.line, a.step) == (b.line, b.step))
}

fn with_workspace(workspace: Option<&str>, value: Value) -> Value {
    let mut all = Map::new();
    if let Some(workspace) = workspace {
        all.insert("workspace".to_owned(), workspace.into());
    }
    if let Value::Object(members) = value {
        all.extend(members);
    }
    Value::Object(all)
}
