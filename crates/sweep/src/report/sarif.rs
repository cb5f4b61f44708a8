//! The report as SARIF 2.1.0, for code hosts: a rule for each kind of fault, a result for each bad run.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{BASELINE, Report, kinds};
use common::ids::hex;

/// Which tool it was: others write such files, too.
pub const SARIF_DRIVER: &str = "sandtable sweep";
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The log.
pub(super) fn log(report: &Report) -> String {
    let kinds = kinds();
    let mut ids: Vec<&str> = report
        .cells
        .iter()
        .filter(|cell| cell.bad)
        .map(|cell| &*cell.kind)
        .collect();
    ids.push(BASELINE);
    ids.sort_unstable();
    ids.dedup();
    let rules: Vec<Value> = ids
        .iter()
        .map(|id| {
            let says = kinds.iter().find(|(kind, _)| kind == id).map_or_else(
                || id.split('+').collect::<Vec<_>>().join(" and "),
                |(_, says)| says.clone(),
            );
            json!({"id": id, "shortDescription": {"text": format!("The client meets {says}")}})
        })
        .collect();
    let place = location(&report.command);
    let result = |rule: &str, level: &str, text: &str, id: &str, known: bool| {
        json!({
            "ruleId": rule,
            "level": level,
            "message": {"text": text},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": place}, "region": {"startLine": 1}}}],
            "partialFingerprints": {"cell/v1": hex(&Sha256::digest(id))},
            "baselineState": if known { "unchanged" } else { "new" },
        })
    };
    let mut results: Vec<Value> = Vec::new();
    for finding in report
        .baseline
        .findings
        .iter()
        .filter(|finding| finding.bad)
    {
        results.push(result(BASELINE, "error", &finding.says, BASELINE, false));
    }
    for cell in report.cells.iter().filter(|cell| cell.bad) {
        let text = format!(
            "{} ({}). Alone: {}",
            cell.sentence(),
            cell.outcome.name(),
            cell.alone()
        );
        results.push(result(&cell.kind, "error", &text, &cell.id, !cell.new));
    }
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": SARIF_DRIVER, "rules": rules}},
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

/// The file of the command that is a program's text, or the command's name: the last word that is a file here.
fn location(command: &[String]) -> String {
    let file = command.iter().skip(1).find(|word| {
        let path = Path::new(word);
        path.is_relative() && path.is_file()
    });
    file.or(command.first()).cloned().unwrap_or_default()
}
