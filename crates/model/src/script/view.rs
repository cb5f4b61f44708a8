//! The view that templates have of a turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value as Item;
use serde_json::{Value, json};

use crate::{CallResult, Upload};

/// The variables that a template can name.
pub(super) const ROOTS: [&str; 5] = ["request", "last", "results", "files", "captures"];
/// The data that templates see.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) body: &'a Value,
    pub(super) uploads: &'a [Upload],
    pub(super) results: &'a [Arc<CallResult>],
    /// Overrides the newest of `results` as `last`.
    pub(super) last: Option<&'a CallResult>,
    pub(super) captures: &'a BTreeMap<String, String>,
}

impl View<'_> {
    pub(super) fn context(
        &self,
        [request, last, results, files, captures]: [bool; ROOTS.len()],
    ) -> Item {
        let mut names = Vec::with_capacity(ROOTS.len());
        if request {
            names.push(("request", item(self.body)));
        }
        // Left out before the first call, so that naming it is an error.
        let newest = || self.results.last().map(Arc::as_ref);
        if let Some(result) = self.last.or_else(newest).filter(|_| last) {
            names.push(("last", result_item(result)));
        }
        if results {
            names.push((
                "results",
                self.results
                    .iter()
                    .map(|result| result_item(result))
                    .collect(),
            ));
        }
        if files {
            names.push(("files", item(&self.files())));
        }
        if captures {
            names.push(("captures", Item::from_pairs(self.captures.iter())));
        }
        Item::from_pairs(names)
    }

    /// About how much text a template that reads these roots may go through.
    pub(super) fn text_bytes(&self, [request, last, results, ..]: [bool; ROOTS.len()]) -> usize {
        // How long a request is, nobody has kept; one of a few messages is short.
        let long = |body: &Value| {
            body["messages"].as_array().is_none_or(|all| all.len() > 8)
                || self.text_of_request() > common::limits::WORK_IN_PLACE_BYTES
        };
        let said = self.results.iter().map(|result| result.stdout.len());
        let mut bytes = if last || results { said.sum() } else { 0 };
        if request && long(self.body) {
            bytes += common::limits::WORK_IN_PLACE_BYTES + 1;
        }
        bytes
    }

    fn text_of_request(&self) -> usize {
        let contents = self.body["messages"].as_array().into_iter().flatten();
        contents
            .flat_map(|message| match &message["content"] {
                Value::Array(blocks) => blocks.iter().collect(),
                other => vec![other],
            })
            .filter_map(|block| block.as_str().or_else(|| block["text"].as_str()))
            .map(str::len)
            .sum()
    }

    /// Uploads, then the files that calls handed back.
    fn files(&self) -> Value {
        let uploads = self.uploads.iter().map(
            |file| json!({"file_id": file.file_id, "filename": file.filename, "source": "upload"}),
        );
        let outputs = self.results.iter().flat_map(|result| output_files(result));
        uploads.chain(outputs).collect()
    }
}

fn output_files(result: &CallResult) -> impl Iterator<Item = Value> {
    result.files.iter().map(|file| {
        json!({
            "file_id": file.file_id,
            "filename": file.filename,
            "size_bytes": file.size_bytes,
            "source": "output",
        })
    })
}

fn result_item(result: &CallResult) -> Item {
    item(&json!({
        "id": result.id,
        "name": result.name,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "return_code": result.return_code,
        "error_code": result.error_code,
        "content": result.content,
        "files": output_files(result).collect::<Vec<_>>(),
    }))
}

/// JSON for the template engine, key order kept.
pub(super) fn item(value: &Value) -> Item {
    match value {
        Value::Null => Item::from(()),
        Value::Bool(value) => Item::from(*value),
        Value::Number(number) => number
            .as_i64()
            .map(Item::from)
            .or_else(|| number.as_u64().map(Item::from))
            .or_else(|| number.as_f64().map(Item::from))
            .unwrap_or_else(|| Item::from(number.to_string())),
        Value::String(text) => Item::from(text),
        Value::Array(items) => items.iter().map(item).collect(),
        Value::Object(entries) => {
            Item::from_pairs(entries.iter().map(|(key, value)| (key, item(value))))
        }
    }
}
