//! `GET /_sandtable/page/timeline`: the journal without bodies, a row for each request.

use std::collections::HashMap;

use axum::Json;
use axum::extract::Query;
use control_api::{Timeline, TimelineRow};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::control::error::ControlError;
use crate::control::target::Target;
use common::ids::hex;
use common::limits;
use common::work;
use workspace::journal::{Body, Ended, Entry, Part};

/// `?after=N` the rows behind number N, oldest first; `?before=N` or neither: the newest first, below N. `limit` of each.
pub(super) async fn list(
    Target(workspace): Target,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Timeline>, ControlError> {
    let most = limits::LIST_LIMIT_MAX;
    let limit = number(&query, "limit")?.map_or(Some(most), |limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| (1..=most).contains(limit));
    let limit = limit.ok_or_else(|| {
        ControlError::bad(
            "`limit` is no number of rows",
            format!("a number from 1 to {most}"),
        )
    })?;
    let part = match (number(&query, "after")?, number(&query, "before")?) {
        (Some(after), _) => Part::After(after),
        (None, before) => Part::Before(before.unwrap_or(u64::MAX)),
    };
    Ok(work::apart(|| {
        let rows = workspace.journal.part(part, limit);
        Json(Timeline {
            data: rows
                .iter()
                .map(|(number, entry)| row(*number, entry))
                .collect(),
            kept: workspace.journal.kept() as u64,
        })
    }))
}

fn number(query: &HashMap<String, String>, name: &str) -> Result<Option<u64>, ControlError> {
    let bad = |_| ControlError::bad(format!("`{name}` is no number"), "such as `after=120`");
    query
        .get(name)
        .map(|text| text.parse().map_err(bad))
        .transpose()
}

fn row(number: u64, entry: &Entry) -> TimelineRow {
    let asked = Asked::of(entry).unwrap_or_default();
    TimelineRow {
        n: number,
        id: entry.id.clone(),
        at: entry.at,
        method: entry.method.clone().into_owned(),
        path: entry.path.clone(),
        status: entry.status,
        ms: entry.duration.as_secs_f64() * 1000.0,
        source: entry.source.clone(),
        lints: entry.lints.len() as u64,
        left: entry.ended == Ended::ClientLeft,
        broke: entry.ended == Ended::Broke,
        failed: entry.stream_error().is_some(),
        missed: entry.missed,
        batch: entry.batch.as_ref().map(|item| item.id.clone()),
        faults: entry.fired.len() as u64,
        stream: asked.stream,
        model: asked.model,
        said: asked.said,
        turn: asked.turns,
        thread: asked.thread,
    }
}

/// A row's fields of a Messages request.
#[derive(Debug, Default)]
struct Asked {
    model: Option<String>,
    stream: bool,
    /// The beginning of the newest text of the user.
    said: Option<String>,
    /// How many messages the user has sent by now.
    turns: u64,
    /// The same for all turns of a conversation: they begin with the same message.
    thread: Option<String>,
}

impl Asked {
    fn of(entry: &Entry) -> Option<Self> {
        let Body::Bytes(bytes) = &entry.request_body else {
            return None;
        };
        if !entry.path.starts_with("/v1/messages") {
            return None;
        }
        let body: Value = serde_json::from_slice(bytes).ok()?;
        let messages = body["messages"].as_array()?;
        let first = messages.first()?;
        let mut digest = Sha256::new();
        digest.update(body["system"].to_string());
        digest.update(text(first).unwrap_or_else(|| first.to_string()));
        let users = messages.iter().filter(|message| message["role"] == "user");
        Some(Self {
            model: body["model"].as_str().map(|name| cut(name, 80)),
            stream: body["stream"] == true,
            said: users
                .clone()
                .filter_map(text)
                .next_back()
                .map(|said| cut(&said, SAID_CHARS)),
            turns: users.count() as u64,
            thread: Some(hex(&digest.finalize())[..12].to_owned()),
        })
    }
}

/// How much of what the user said a row shows.
const SAID_CHARS: usize = 160;

fn text(message: &Value) -> Option<String> {
    if let Some(text) = message["content"].as_str() {
        return Some(text.to_owned());
    }
    let blocks = message["content"].as_array()?;
    let mut texts = blocks.iter().filter_map(|block| block["text"].as_str());
    texts.next_back().map(str::to_owned)
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
