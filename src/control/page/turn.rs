//! `GET /_sandtable/page/turns/{id}`: one entry of the journal, and what the journal's lists leave out.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::control::error::ControlError;
use crate::control::target::Target;
use crate::work;

/// `{"entry", "marks": [[bytes, ms]…], "faults", "rule", "steps", "miss", "findings"}`.
pub(super) async fn show(
    Target(workspace): Target,
    Path(id): Path<String>,
) -> Result<Json<Value>, ControlError> {
    let Some(entry) = workspace.journal.find(&id) else {
        return Err(ControlError::new(
            StatusCode::NOT_FOUND,
            format!("no request `{id}` in this workspace's journal"),
            "old entries make room for new ones",
        ));
    };
    Ok(work::apart(|| {
        let rules = workspace.scripts.list();
        let rule = entry
            .source
            .as_ref()
            .and_then(|source| rules.into_iter().find(|rule| rule.name == *source));
        let found = workspace.findings();
        let lists = [&found.unmatched, &found.failed];
        let miss = lists
            .into_iter()
            .flatten()
            .find(|miss| miss["request_id"] == id.as_str());
        let lints = found
            .lints
            .iter()
            .filter(|lint| lint["request_id"] == id.as_str());
        let marks: Vec<Value> = entry
            .marks
            .iter()
            .map(|mark| json!([mark.end_bytes, f64::from(mark.after_us) / 1000.0]))
            .collect();
        let steps: Vec<Value> = entry
            .steps
            .iter()
            .map(|(step, line)| json!({ "step": step, "line": line }))
            .collect();
        Json(json!({
            "entry": entry.told(true),
            "marks": marks,
            "faults": entry.struck,
            "rule": rule,
            "steps": steps,
            "miss": miss,
            "findings": lints.collect::<Vec<_>>(),
        }))
    }))
}
