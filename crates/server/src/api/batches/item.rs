//! One item of a batch: checked when its turn comes, and carried out by the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use control_api::RequestBegun;
use serde_json::{Value, json};
use wire::request::MessagesRequest;

use super::brings::Brings;
use super::persist::persist;
use crate::api::caller::{Betas, Caller};
use crate::api::error::{ApiError, ApiResult, RequestId};
use crate::api::{era, record, turn};
use crate::app::App;
use crate::caught::caught;
use cassette::Redactor;
use common::ids::Kind;
use engine::fold::Fold;
use engine::{self, Report, TurnInput};
use store::{BatchRow, ItemOutcome, ItemRow};
use workspace::fault::Faults;
use workspace::journal::{BatchItem, Ended, Entry, Headers};
use workspace::quirks::{Era, Layer, Quirks};
use workspace::telemetry::Done;
use workspace::verify::Made;
use workspace::{OpenRequest, Workspace};

/// An item is what it would be as a request of its own.
const METHOD: &str = "POST";
const PATH: &str = "/v1/messages";

/// Members that only make sense outside a batch (F110).
const REFUSED: &[&str] = &[
    "speed",
    "thread",
    "store",
    "previous_thread_event_id",
    "cache_hint",
    "context_hint",
];

/// Runs an item, keeps what came of it, and notes it in the journal.
pub(super) async fn run(
    app: App,
    workspace: Arc<Workspace>,
    (batch, brings): (Arc<BatchRow>, Option<Arc<Brings>>),
    item: ItemRow,
) {
    let started = Instant::now();
    let at = workspace.clock.now();
    let report = Arc::default();
    let (faults, keys) = match &brings {
        Some(brings) => (brings.faults.clone(), brings.redactor.clone()),
        None => Default::default(),
    };
    let redactor = keys.with_told_by(&item.params);
    let ids = workspace.ids(&[b"item", batch.id.as_bytes(), item.custom_id.as_bytes()]);
    let id = ids.next(Kind::Request);
    let named = BatchItem {
        id: batch.id.clone(),
        custom_id: redactor.inside(&item.custom_id).into_owned(),
    };
    workspace.tell("request_begun", || {
        json!(RequestBegun {
            request_id: id.clone(),
            method: METHOD.to_owned(),
            path: PATH.to_owned(),
            batch: Some(named.clone()),
        })
    });
    let work = message(
        &app,
        &workspace,
        (&batch, faults, &redactor),
        &item,
        &report,
    );
    let done = caught(work).await.unwrap_or_else(|panicked| {
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        report.facts.miss = Some(panicked.miss());
        Err(ApiError::internal(&panicked))
    });
    let (outcome, status, result) = match done {
        Ok(message) => (ItemOutcome::Succeeded, 200, message),
        Err(error) => {
            let mut body = error.body(None);
            body["request_id"] = Value::Null;
            let status = error.status().as_u16();
            (ItemOutcome::Errored, status, body.to_string().into_bytes())
        }
    };
    let result = Bytes::from(result);
    let mut report = std::mem::take(&mut *report.lock().unwrap_or_else(PoisonError::into_inner));
    record::without_keys(&mut report.facts, &redactor);
    record::without_key(&mut report.done, &redactor);
    let entry = Entry {
        id,
        at,
        method: METHOD.into(),
        path: PATH.to_owned(),
        query: None,
        status,
        duration: started.elapsed(),
        workspace: workspace.id.clone(),
        batch: Some(named),
        request_headers: headers(&batch),
        request_body: redactor.content(Bytes::from(item.params)).into(),
        response_body: redactor.content(result.clone()).into(),
        source: report.source,
        lints: report.facts.lints.clone(),
        missed: report.facts.are_of_a_miss(),
        ..Entry::default()
    };
    // What has run does not run again, and does not expire either: there is room for it some time.
    persist(|| {
        let result = result.clone();
        app.store
            .finish_batch_item(batch.n, item.position, outcome, result)
    })
    .await;
    if let Some(item) = &entry.batch {
        let id = format!("{}/{}", item.id, item.custom_id);
        let succeeded = outcome == ItemOutcome::Succeeded;
        workspace.watch.note_item(&id, report.facts, succeeded);
    }
    workspace.telemetry.request(&Done {
        request_id: &entry.id,
        workspace: Some(&workspace.id),
        started,
        duration: entry.duration,
        traceparent: None,
        method: &entry.method,
        path: &entry.path,
        status,
        ended: Ended::Whole,
        error: None,
        item: entry.batch.as_ref(),
        turn: Some(&report.done),
        source: entry.source.as_deref(),
    });
    // Whoever hears of it finds it in the journal.
    let entry = workspace.journal.push(entry);
    workspace.tell("request_ended", || json!(record::ended(&entry)));
}

/// Those of the batch's own request that its items are asked under.
fn headers(batch: &BatchRow) -> Headers {
    let version = ("anthropic-version", &batch.version);
    let betas = ("anthropic-beta", &batch.betas);
    let sent = [version, betas];
    Headers::new(sent.into_iter().filter(|(_, value)| !value.is_empty()))
}

/// The quirks that the batch's own request was asked under, whatever the workspace has set since.
fn quirks(workspace: &Workspace, batch: &BatchRow) -> Quirks {
    let layers = workspace.quirks();
    match Layer::from_text(&batch.quirks) {
        Ok(kept) => layers.with(&kept).quirks,
        Err(error) => {
            // Of another version of this program.
            tracing::warn!(batch.id = %batch.id, %error, "the batch's quirks are not known here");
            layers.quirks
        }
    }
}

/// The message, as JSON.
async fn message(
    app: &App,
    workspace: &Arc<Workspace>,
    (batch, faults, redactor): (&BatchRow, Option<Arc<Faults>>, &Redactor),
    item: &ItemRow,
    report: &Arc<Mutex<Report>>,
) -> ApiResult<Vec<u8>> {
    let params: Value =
        serde_json::from_slice(&item.params).map_err(|error| ApiError::internal(&error))?;
    check(&params)?;
    let caller = Caller {
        workspace: Arc::clone(workspace),
        // Results carry none.
        request_id: RequestId("".into()),
        version: batch.version.clone().into(),
        betas: Betas(
            batch
                .betas
                .split(',')
                .filter(|beta| !beta.is_empty())
                .map(str::to_owned)
                .collect(),
        ),
        quirks: quirks(workspace, batch),
        faults,
        made: Made::default(),
        // A batch is over when it is over: nobody waits for its items.
        open: OpenRequest::default(),
        redactor: redactor.clone(),
    };
    let input = TurnInput {
        batch_item: Some((batch.id.clone(), item.custom_id.clone())),
        admitted_with: None,
        ..turn::decode(
            app,
            caller,
            params,
            Arc::clone(report),
            MessagesRequest::decode,
        )?
    };
    // Nobody waits for the answer: what a fault would hold back is not held back.
    let mut fold = Fold::default();
    let done = engine::run(&app.engine, &input, &mut fold).await;
    let made = report
        .lock()
        .ok()
        .and_then(|report| report.made_container.clone());
    if let Some(id) = made
        && let Err(error) = app.containers.rest(&input.workspace.id, &id).await
    {
        tracing::warn!(container.id = %id, %error, "the container of an item stays awake");
    }
    done.map_err(turn::refused)?;
    let message = fold
        .finish()
        .ok_or_else(|| ApiError::internal(&"a turn ended without a message"))?;
    input.workspace.watch.coverage.message(&message);
    let mut message = serde_json::to_value(&message).map_err(|error| ApiError::internal(&error))?;
    if input.quirks.era == Era::Beta2025 {
        era::age(&mut message);
    }
    Ok(message.to_string().into_bytes())
}

/// Refuses the parameters that a batch takes no part of, whatever Messages says to them. The first two texts were captured
/// (F257), the others are inferred.
fn check(params: &Value) -> ApiResult<()> {
    let refuse = |text: &str| Err(ApiError::invalid(text));
    if params["stream"] == true {
        return refuse("`stream=True` is not supported in the Message Batches API");
    }
    if params["max_tokens"] == 0 {
        return refuse("max_tokens: must be greater than or equal to 1");
    }
    if params["research_preview_2026_02"] == "active" {
        return refuse("research_preview_2026_02: `active` is not supported in a message batch");
    }
    let given = |name: &&&str| params.get(**name).is_some_and(|value| !value.is_null());
    match REFUSED.iter().find(given) {
        Some(name) => refuse(&format!("{name}: Not supported in a message batch")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_does_not_take_is_named() {
        for (params, name) in [
            (json!({"stream": true}), "stream"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"speed": "fast"}), "speed"),
            (json!({"thread": {"type": "create"}}), "thread"),
            (json!({"cache_hint": {}}), "cache_hint"),
            (
                json!({"research_preview_2026_02": "active"}),
                "research_preview_2026_02",
            ),
        ] {
            let body = check(&params).unwrap_err().body(None);
            let text = body["error"]["message"].as_str().unwrap();
            assert!(text.trim_start_matches('`').starts_with(name), "{text}");
        }
        assert!(check(&json!({"stream": false, "max_tokens": 1, "speed": null})).is_ok());
    }
}
