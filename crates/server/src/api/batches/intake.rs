//! Receiving a batch: a body of up to 256 MB, spooled to the disk, read item by item, and acknowledged
//! when every item is in the store. What an item asks for is looked at when its turn comes.

use std::io::BufReader;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::brings::Brings;
use super::{answer, not_found, run};
use crate::api::caller::Caller;
use crate::api::error::{ApiError, ApiResult};
use crate::api::exchange::{Exchange, Outcome};
use crate::api::json;
use crate::app::App;
use crate::caught::joined;
use common::ids::Kind;
use common::limits;
use store::{BatchRow, NewBatch, NewItem, StoreError, TempBlob};
use workspace::quirks::Layer;

mod parse;

/// Bodies up to this size are kept for the journal.
const JOURNAL_BYTES: usize = 1024 * 1024;

/// Takes a batch and lets it run.
pub(in crate::api) async fn create(exchange: &mut Exchange) -> Outcome {
    json::check_headers(exchange.headers(), limits::MAX_BATCH_BODY_BYTES)?;
    let body = exchange.take_body()?;
    let mut received = receive(&exchange.app, body).await?;
    exchange.noted.request = received.raw.take();
    exchange.caller.made.says(received.digest);
    let (app, caller) = (exchange.app.clone(), exchange.caller.clone());
    let headers = exchange.headers().clone();
    // In a task of its own: what a client that leaves now has made is known all the same, and runs.
    let kept = tokio::spawn(async move {
        let row = keep(&app, &caller, received).await?;
        caller.made.note(&row.id);
        let answer = answer(&row, &caller, &headers);
        let brings = Brings {
            request_id: caller.request_id,
            faults: caller.faults,
            redactor: caller.redactor,
        };
        run::start(&app, caller.workspace, row, Some(brings));
        Ok::<_, ApiError>(answer)
    });
    joined(kept)
        .await
        .map_err(|error| ApiError::internal(&error))?
}

/// A whole body.
struct Received {
    blob: TempBlob,
    digest: [u8; 32],
    /// For the journal.
    raw: Option<Bytes>,
}

async fn receive(app: &App, body: Body) -> ApiResult<Received> {
    let mut writer = app.store.begin_blob().await?.hashed();
    let mut raw = Some(BytesMut::new());
    let mut body = body.into_data_stream();
    let limit = limits::MAX_BATCH_BODY_BYTES as u64;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| ApiError::unfinished(&error))?;
        writer.write(&chunk).await?;
        if writer.size_bytes() > limit {
            writer.discard().await;
            return Err(ApiError::body_too_large());
        }
        if let Some(kept) = &mut raw {
            kept.extend_from_slice(&chunk);
        }
        if writer.size_bytes() > JOURNAL_BYTES as u64 {
            raw = None;
        }
    }
    let digest = writer.digest().await?;
    Ok(Received {
        blob: writer.finish().await?,
        digest,
        raw: raw.map(BytesMut::freeze),
    })
}

/// Writes the items into the store; on an error nothing is left of them.
async fn keep(app: &App, caller: &Caller, received: Received) -> ApiResult<BatchRow> {
    let (n, id) = begin(app, caller, &received.digest).await?;
    let kept = match fill(app, n, received.blob).await {
        Ok(true) => app.store.start_batch(n).await.map_err(ApiError::from),
        Ok(false) => Ok(None),
        Err(error) => Err(error),
    };
    match kept {
        Ok(Some(row)) => Ok(row),
        // A reset or a state came between.
        Ok(None) => Err(not_found(&id)),
        Err(error) => {
            app.store.drop_batch(n).await?;
            Err(error)
        }
    }
}

/// A batch that receives its items: its number and its id.
async fn begin(app: &App, caller: &Caller, digest: &[u8]) -> ApiResult<(i64, String)> {
    let workspace = &caller.workspace;
    let ids = workspace.ids(&[b"batch", digest]);
    loop {
        let id = ids.next(Kind::MessageBatch);
        let new = NewBatch {
            id: id.clone(),
            workspace: workspace.id.clone(),
            version: caller.version.clone().into_owned(),
            betas: caller.betas.0.join(","),
            quirks: Layer::of(&caller.quirks).to_text(),
            created_at: workspace.clock.now(),
        };
        match app.store.begin_batch(new).await {
            // Seeded ids repeat over a restart.
            Err(StoreError::IdTaken { .. }) => {}
            result => return Ok((result?, id)),
        }
    }
}

/// `false` where the batch is gone meanwhile.
async fn fill(app: &App, n: i64, blob: TempBlob) -> ApiResult<bool> {
    let (sender, mut items) = mpsc::channel::<Vec<NewItem>>(1);
    let source = blob.clone();
    let parsing = tokio::task::spawn_blocking(move || {
        let reader = BufReader::with_capacity(256 * 1024, source.open()?);
        Ok::<_, StoreError>(parse::items(reader, |items| {
            sender.blocking_send(items).is_ok()
        }))
    });
    while let Some(items) = items.recv().await {
        if !app.store.add_batch_items(n, items).await? {
            return Ok(false);
        }
    }
    let parsed = joined(parsing)
        .await
        .map_err(|error| ApiError::internal(&error))?;
    match parsed? {
        Ok(()) => Ok(true),
        Err(parse::Refusal::Invalid(text)) => Err(ApiError::invalid(text)),
        Err(parse::Refusal::NotJson(error)) => Err(not_json(&blob, &error)),
    }
}

/// The service's words for what is no JSON need the text; a very large one is only said to be none.
fn not_json(blob: &TempBlob, error: &serde_json::Error) -> ApiError {
    if blob.size_bytes() <= limits::MAX_MESSAGES_BODY_BYTES as u64 {
        let mut bytes = Vec::new();
        let read = blob
            .open()
            .map(|mut file| std::io::Read::read_to_end(&mut file, &mut bytes));
        if matches!(read, Ok(Ok(_)))
            && let Err(error) = json::parse(&bytes)
        {
            return error;
        }
    }
    ApiError::invalid(format!(
        "The request body is not valid JSON: line {} column {}",
        error.line(),
        error.column()
    ))
}
