//! A batch on its way: its items run beside each other, as far as the server's pool allows.
//!
//! Items that were begun run to their end; those that were not when the batch is canceled, or its 24 hours are
//! over, end without a result. After a restart finished items keep their results, and those that the end of the
//! server cut short run again from their beginning. What the store does not do, for the disk is full, is tried again.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tracing::Instrument as _;

use super::brings::Brings;
use super::item;
use super::persist::persist;
use crate::app::App;
use common::limits;
use store::{BatchRow, BatchState, ItemOutcome, StoreError};
use workspace::Workspace;
use workspace::fault::Bringer;

/// Runs a batch in the background. Its items meet the faults of the request that made it.
pub(super) fn start(app: &App, workspace: Arc<Workspace>, batch: BatchRow, brings: Option<Brings>) {
    let (runner, n, owner) = (app.clone(), batch.n, batch.workspace.clone());
    let span =
        tracing::error_span!(parent: None, "batch", id = %batch.id, workspace = %batch.workspace);
    app.batches.start(n, owner, |wake| {
        let work = async move { run(runner, workspace, (Arc::new(batch), brings), &wake).await };
        work.instrument(span)
    });
}

/// Goes on with the batches that an earlier server did not bring to their end.
pub(crate) async fn resume(app: &App) -> Result<(), StoreError> {
    for batch in app.store.unfinished_batches().await? {
        if let Some(workspace) = app.workspaces.named(&batch.workspace) {
            start(app, workspace, batch, None);
        }
    }
    Ok(())
}

/// Goes on with the batches of workspaces that appear with some, for as long as it is polled.
pub(crate) async fn resume_newcomers(app: App) {
    loop {
        for workspace in app.newcomers.next().await {
            if let Err(error) = resume_in(&app, &workspace).await {
                tracing::error!(workspace.id = %workspace.id, %error, "batches of the state stand still until the next start");
            }
        }
    }
}

/// Goes on with the batches of one workspace.
pub(crate) async fn resume_in(app: &App, workspace: &Arc<Workspace>) -> Result<(), StoreError> {
    for batch in app.store.unfinished_batches().await? {
        if batch.workspace == workspace.id {
            start(app, Arc::clone(workspace), batch, None);
        }
    }
    Ok(())
}

/// How it stands with a batch.
enum Look {
    GoesOn,
    /// Nothing more of it begins; what has not begun ends so.
    Over(ItemOutcome),
    /// Nobody knows it any more.
    Gone,
}

async fn look(app: &App, workspace: &Workspace, batch: &BatchRow) -> Look {
    match persist(|| app.store.batch_state(batch.n)).await {
        None => Look::Gone,
        Some(BatchState::Canceling) => Look::Over(ItemOutcome::Canceled),
        Some(BatchState::Receiving | BatchState::InProgress | BatchState::Ended) => {
            if batch.expires_at() <= workspace.clock.now() {
                Look::Over(ItemOutcome::Expired)
            } else {
                Look::GoesOn
            }
        }
    }
}

async fn run(
    app: App,
    workspace: Arc<Workspace>,
    (batch, brings): (Arc<BatchRow>, Option<Brings>),
    wake: &Notify,
) {
    let brings = brings.map(Arc::new);
    let mut running = FuturesUnordered::new();
    let mut after = -1;
    let mut more = true;
    let rest = loop {
        match look(&app, &workspace, &batch).await {
            Look::Gone => return,
            Look::Over(rest) => break rest,
            // Every item has its outcome.
            Look::GoesOn if !more && running.is_empty() => break ItemOutcome::Expired,
            Look::GoesOn => {}
        }
        tokio::select! {
            Some(()) = running.next(), if !running.is_empty() => {}
            permit = Arc::clone(&app.batches.permits).acquire_owned(), if more => {
                let item = persist(|| app.store.next_batch_item(batch.n, after)).await;
                // It may have waited for long.
                let now = look(&app, &workspace, &batch).await;
                match (item, now) {
                    (None, _) => more = false,
                    // Seen at the loop's beginning.
                    (Some(_), Look::Gone | Look::Over(_)) => {}
                    (Some(item), Look::GoesOn) => {
                        after = item.position;
                        let work = item::run(
                            app.clone(),
                            Arc::clone(&workspace),
                            (Arc::clone(&batch), brings.clone()),
                            item,
                        );
                        running.push(Box::pin(async move {
                            work.await;
                            drop(permit);
                        }));
                    }
                }
            }
            () = wake.notified() => {}
            () = tokio::time::sleep(limits::BATCH_LOOK_INTERVAL) => {}
        }
    };
    while running.next().await.is_some() {}
    if let Some(brings) = brings
        && let Some(faults) = &brings.faults
    {
        let brought = faults.brought(Bringer::OF_BATCH);
        workspace.watch.note_brought(&brings.request_id.0, brought);
    }
    persist(|| app.store.end_batch(batch.n, workspace.clock.now(), rest)).await;
}
