//! `GET /_sandtable/page/turns/{id}`: one entry of the journal, and what the journal's lists leave out.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use control_api::{FoundLint, Mark, Miss, RuleState, StepRan, TurnShown};
use serde::Deserialize as _;

use crate::control::error::ControlError;
use crate::control::target::Target;
use common::work;
use workspace::journal::Entry;

/// The rule that answered, which must have all steps that ran; none where several of a name have them.
fn rule(rules: Vec<RuleState>, entry: &Entry) -> Option<RuleState> {
    let source = entry.source.as_deref()?;
    let has = |rule: &RuleState, line: u64| rule.steps.iter().any(|step| step.line == line);
    let mut fit = rules
        .into_iter()
        .filter(|rule| rule.name == source && entry.steps.iter().all(|(_, line)| has(rule, *line)));
    let rule = fit.next()?;
    fit.next().is_none().then_some(rule)
}

/// The request, and the rule, the faults, and the findings that belong to it.
pub(super) async fn show(
    Target(workspace): Target,
    Path(id): Path<String>,
) -> Result<Json<TurnShown>, ControlError> {
    let Some(entry) = workspace.journal.find(&id) else {
        return Err(ControlError::new(
            StatusCode::NOT_FOUND,
            format!("no request `{id}` in this workspace's journal"),
            "old entries make room for new ones",
        ));
    };
    Ok(work::apart(|| {
        let rule = rule(workspace.scripts.list(), &entry);
        // Findings name an item of a batch by what the client knows it by.
        let item = entry.batch.as_ref();
        let id = item.map_or_else(
            || entry.id.clone(),
            |item| format!("{}/{}", item.id, item.custom_id),
        );
        let found = workspace.findings();
        let lists = [&found.unmatched, &found.failed];
        // Findings are kept as they are told.
        let miss = lists
            .into_iter()
            .flatten()
            .find(|miss| miss["request_id"] == id.as_str())
            .and_then(|miss| Miss::deserialize(miss).ok());
        let lints = found
            .lints
            .iter()
            .filter(|lint| lint["request_id"] == id.as_str());
        let marks = entry.marks.iter().map(|mark| Mark {
            end_bytes: mark.end_bytes.into(),
            ms: f64::from(mark.after_us) / 1000.0,
        });
        let steps = entry.steps.iter().map(|(step, line)| StepRan {
            step: (*step).to_owned(),
            line: *line,
        });
        Json(TurnShown {
            entry: entry.told(true),
            marks: marks.collect(),
            faults: entry.fired.clone(),
            rule,
            steps: steps.collect(),
            miss,
            findings: lints
                .filter_map(|lint| FoundLint::deserialize(lint).ok())
                .collect(),
        })
    }))
}
