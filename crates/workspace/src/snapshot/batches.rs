//! `batches`: each with its items, whose `result` reads as a line of the API's results.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::put_time;
use super::reader::{Members, Node, Sink};
use crate::quirks::Layer;
use common::clock::rfc3339_micros;
use common::{json, limits};
use store::{BatchRow, BatchState, ItemOutcome, KeptBatch, KeptItem};

const MEMBERS: [&str; 10] = [
    "id",
    "state",
    "created_at",
    "ended_at",
    "cancel_initiated_at",
    "anthropic_version",
    "betas",
    "quirks",
    "counts",
    "items",
];
const COUNTS: [&str; 4] = ["succeeded", "errored", "canceled", "expired"];
const VERSION: &str = "2023-06-01";

/// A batch's part of a document.
pub fn write(row: &BatchRow, items: Vec<KeptItem>) -> Value {
    let betas: Vec<&str> = row
        .betas
        .split(',')
        .filter(|beta| !beta.is_empty())
        .collect();
    let mut batch = json!({
        "id": row.id,
        "state": row.state.name(),
        "created_at": rfc3339_micros(row.created_at),
    });
    put_time(&mut batch, "ended_at", row.ended_at);
    put_time(&mut batch, "cancel_initiated_at", row.cancel_initiated_at);
    batch["anthropic_version"] = row.version.as_str().into();
    batch["betas"] = json!(betas);
    if !row.quirks.is_empty() {
        batch["quirks"] = row.quirks.as_str().into();
    }
    if items.is_empty() && row.total > 0 {
        // The results are no longer to be had, their number is.
        batch["counts"] = json!({
            "succeeded": row.succeeded,
            "errored": row.errored,
            "canceled": row.canceled,
            "expired": row.expired,
        });
    }
    batch["items"] = items.into_iter().map(write_item).collect();
    batch
}

fn write_item(item: KeptItem) -> Value {
    let mut written = json!({ "custom_id": item.custom_id });
    let value = |json: &[u8]| json::wrapped::<Value>(json).unwrap_or_default();
    let Some(outcome) = item.outcome else {
        written["params"] = value(&item.params);
        return written;
    };
    written["result"] = json!({ "type": outcome.name() });
    if let Some(result) = item.result {
        let name = match outcome {
            ItemOutcome::Succeeded => "message",
            ItemOutcome::Errored | ItemOutcome::Canceled | ItemOutcome::Expired => "error",
        };
        written["result"][name] = value(&result);
    }
    written
}

pub(super) fn read(
    sink: &Sink,
    root: &Members<'_>,
    workspace: &str,
    now: DateTime<Utc>,
) -> Vec<KeptBatch> {
    let mut seen = Vec::new();
    let mut batches = Vec::new();
    for node in root.items(sink, "batches") {
        let Some(members) = node.object(sink, &MEMBERS) else {
            continue;
        };
        let id = members.id(sink, &mut seen);
        let nodes = members.items(sink, "items");
        if nodes.len() > limits::MAX_BATCH_REQUESTS {
            let hint = format!("at most {}", limits::MAX_BATCH_REQUESTS);
            sink.add(&members.at("items"), "there are too many", hint);
        }
        let mut names = std::collections::HashSet::new();
        let items: Vec<_> = nodes
            .iter()
            .filter_map(|node| {
                let item = read_item(sink, node)?;
                if !names.insert(item.custom_id.clone()) {
                    let message = format!("`{}` is there twice", item.custom_id);
                    sink.add(&format!("{}.custom_id", node.path), message, "");
                }
                Some(item)
            })
            .collect();
        let state = state(sink, &members, &items);
        let created_at = members.time(sink, "created_at").unwrap_or(now);
        let ended_at = members.time(sink, "ended_at");
        let canceled_at = members.time(sink, "cancel_initiated_at");
        let counts = counts(sink, &members, &items);
        let mut row = BatchRow {
            id,
            workspace: workspace.to_owned(),
            state,
            version: text_or(sink, &members, "anthropic_version", VERSION),
            betas: betas(sink, &members),
            quirks: quirks(sink, &members),
            created_at,
            ended_at: None,
            cancel_initiated_at: canceled_at,
            total: (items.len() as u64).max(counts.iter().sum()),
            succeeded: 0,
            errored: 0,
            canceled: 0,
            expired: 0,
            n: 0,
        };
        if state == BatchState::Ended {
            row.ended_at = Some(ended_at.unwrap_or(created_at));
            [row.succeeded, row.errored, row.canceled, row.expired] = counts;
        } else if ended_at.is_some() {
            let hint = "leave it out, or set \"state\": \"ended\"";
            sink.add(&members.at("ended_at"), "the batch has not ended", hint);
        }
        if state == BatchState::Canceling && canceled_at.is_none() {
            row.cancel_initiated_at = Some(created_at);
        }
        batches.push(KeptBatch { row, items });
    }
    batches
}

fn text_or(sink: &Sink, members: &Members<'_>, name: &str, usual: &str) -> String {
    members.text(sink, name).unwrap_or(usual).to_owned()
}

fn betas(sink: &Sink, members: &Members<'_>) -> String {
    let mut betas = Vec::new();
    for node in members.items(sink, "betas") {
        let beta = node.text(sink).unwrap_or_default();
        if beta.contains(',') {
            sink.add(&node.path, "a beta has no comma in it", "make it two");
        }
        betas.push(beta);
    }
    betas.join(",")
}

/// Those of the request that made it.
fn quirks(sink: &Sink, members: &Members<'_>) -> String {
    let Some(text) = members.text(sink, "quirks") else {
        return String::new();
    };
    if let Err(error) = Layer::from_text(text) {
        sink.add(&members.at("quirks"), error.message, error.hint);
    }
    text.to_owned()
}

fn state(sink: &Sink, members: &Members<'_>, items: &[KeptItem]) -> BatchState {
    let open = items.iter().filter(|item| item.outcome.is_none()).count();
    match members.word(sink, "state", &["in_progress", "canceling", "ended"]) {
        Some("in_progress") => BatchState::InProgress,
        Some("canceling") => BatchState::Canceling,
        Some(_) if open > 0 => {
            sink.add(
                &members.at("items"),
                format!("items without a result: {open}, and the batch has ended"),
                "give each a `result`, or leave `state` out so that they are run",
            );
            BatchState::Ended
        }
        None if open > 0 => BatchState::InProgress,
        _ => BatchState::Ended,
    }
}

/// How many items came to which end.
fn counts(sink: &Sink, members: &Members<'_>, items: &[KeptItem]) -> [u64; 4] {
    let Some(node) = members.get("counts") else {
        let count = |wanted: ItemOutcome| {
            let found = items.iter().filter(|item| item.outcome == Some(wanted));
            found.count() as u64
        };
        return [
            count(ItemOutcome::Succeeded),
            count(ItemOutcome::Errored),
            count(ItemOutcome::Canceled),
            count(ItemOutcome::Expired),
        ];
    };
    if !items.is_empty() {
        let hint = "they are for batches whose items are no longer kept";
        sink.add(&node.path, "the items are counted", hint);
    }
    let given = node.object(sink, &COUNTS);
    COUNTS.map(|name| {
        let count = given.as_ref().and_then(|given| given.count(sink, name));
        count.unwrap_or(0).min(u64::from(u32::MAX))
    })
}

fn read_item(sink: &Sink, node: &Node<'_>) -> Option<KeptItem> {
    let members = node.object(sink, &["custom_id", "params", "result"])?;
    let custom_id = members
        .text(sink, "custom_id")
        .unwrap_or_default()
        .to_owned();
    let length = custom_id.chars().count();
    if length == 0 || length > limits::MAX_CUSTOM_ID_CHARS {
        let hint = format!("1 to {} characters", limits::MAX_CUSTOM_ID_CHARS);
        sink.add(&members.path, "`custom_id` is missing or too long", hint);
    }
    let params = members.get("params");
    if let Some(params) = params.as_ref().filter(|params| !params.value.is_object()) {
        params.wrong(sink, "an object", "the body of a Messages request");
    }
    if let Some(params) = &params
        && json::levels(params.value) > limits::JSON_DEPTH
    {
        let hint = format!("at most {} levels, as in a request", limits::JSON_DEPTH);
        sink.add(&params.path, "it is nested too deep", hint);
    }
    let Some(result) = members.get("result") else {
        if params.is_none() {
            let hint = "what is to be run, or what came of it";
            sink.add(
                &members.path,
                "there is neither `params` nor `result`",
                hint,
            );
        }
        return Some(KeptItem {
            custom_id,
            params: params.map_or(Vec::new(), |params| params.value.to_string().into_bytes()),
            outcome: None,
            result: None,
        });
    };
    let (outcome, result) = read_result(sink, &result)?;
    Some(KeptItem {
        custom_id,
        // They go when an item has run.
        params: Vec::new(),
        outcome: Some(outcome),
        result,
    })
}

fn read_result(sink: &Sink, node: &Node<'_>) -> Option<(ItemOutcome, Option<Vec<u8>>)> {
    let members = node.object(sink, &["type", "message", "error"])?;
    let Some(kind) = members.get("type") else {
        sink.add(
            &members.path,
            "`type` is missing",
            "as a line of the API's results has it",
        );
        return None;
    };
    members.word(sink, "type", &COUNTS)?;
    let (outcome, wanted) = match kind.value.as_str()? {
        "succeeded" => (ItemOutcome::Succeeded, Some("message")),
        "errored" => (ItemOutcome::Errored, Some("error")),
        "canceled" => (ItemOutcome::Canceled, None),
        _ => (ItemOutcome::Expired, None),
    };
    for name in ["message", "error"] {
        let there = members.get(name);
        match there {
            Some(node) if wanted != Some(name) => {
                let message = format!("a result that is {} has none", outcome.name());
                sink.add(&node.path, message, "");
            }
            Some(node) if !node.value.is_object() => node.wrong(sink, "an object", ""),
            None if wanted == Some(name) => {
                let message = format!("a result that is {} has a `{name}`", outcome.name());
                sink.add(&members.path, message, "");
            }
            _ => {}
        }
    }
    let result = wanted.and_then(|name| members.get(name));
    Some((
        outcome,
        result.map(|node| node.value.to_string().into_bytes()),
    ))
}
