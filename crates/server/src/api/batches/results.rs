//! The results of a batch: one JSON object a line, streamed from the store.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use super::find;
use crate::api::error::ApiError;
use crate::api::exchange::{Exchange, Outcome};
use store::{BatchState, ResultRow, Store, StoreError};
use workspace::coverage::Coverage;

/// Results read from the store at once.
const PAGE: usize = 32;

/// Streams the results, in the order of the requests.
pub(in crate::api) async fn results(exchange: &Exchange, id: &str) -> Outcome {
    let row = find(exchange, id).await?;
    let workspace = &exchange.caller.workspace;
    if row.state != BatchState::Ended {
        return Err(ApiError::not_found(format!(
            "Message Batch {} has no available results.",
            row.id
        )));
    }
    let store = exchange.app.store.clone();
    let page: VecDeque<_> = store.batch_results(row.n, -1, PAGE).await?.into();
    // A state may have a batch without its items.
    let are_gone = page.is_empty() && row.total > 0;
    if are_gone || row.is_archived(workspace.clock.now()) {
        return Err(ApiError::not_found(format!(
            "The results of Message Batch {} are no longer available.",
            row.id
        )));
    }
    // Parity: type and name as recorded (F113).
    let name = format!("attachment; filename*=utf-8''{}_results.jsonl", row.id);
    let disposition = HeaderValue::try_from(name).expect("ids are ASCII");
    let lines = Lines {
        store,
        batch: row.n,
        left: row.total,
        after: -1,
        page,
        coverage: Arc::clone(&workspace.watch.coverage),
    };
    let lines = stream::try_unfold(lines, |mut lines| async {
        let line = lines.next().await?;
        Ok::<_, Cut>(line.map(|line| (line, lines)))
    });
    Ok((
        [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/x-jsonl"),
            ),
            (header::CONTENT_DISPOSITION, disposition),
        ],
        Body::from_stream(lines),
    )
        .into_response())
}

/// Why the results break off: whoever reads what was given for the whole would miss the rest.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the batch went away before its last {0} results were read")]
    Gone(u64),
}

struct Lines {
    store: Store,
    batch: i64,
    /// Results that were not given yet.
    left: u64,
    after: i64,
    page: VecDeque<ResultRow>,
    /// Where it is counted what the client meets.
    coverage: Arc<Coverage>,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.page.is_empty() {
            let page = self.store.batch_results(self.batch, self.after, PAGE);
            self.page = page.await?.into();
        }
        let row = self.page.pop_front().ok_or(Cut::Gone(self.left))?;
        self.left -= 1;
        self.after = row.position;
        self.coverage.result(&row.outcome);
        Ok(Some(line(&row)))
    }
}

fn line(row: &ResultRow) -> Bytes {
    let mut line = format!(
        r#"{{"custom_id":{},"result":{{"type":{}"#,
        json!(row.custom_id),
        json!(row.outcome)
    )
    .into_bytes();
    if let Some(result) = &row.result {
        let name: &[u8] = match row.outcome.as_str() {
            "succeeded" => br#","message":"#,
            _ => br#","error":"#,
        };
        line.extend_from_slice(name);
        line.extend_from_slice(result);
    }
    line.extend_from_slice(b"}}\n");
    line.into()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use store::{ItemOutcome, NewBatch, NewItem, NewWorkspace};

    use super::*;

    const ITEMS: u64 = PAGE as u64 + 2;

    /// A batch that has ended, as its results are read.
    async fn ended(store: &Store) -> Lines {
        let now = DateTime::UNIX_EPOCH;
        let workspace = NewWorkspace {
            id: "w".into(),
            name: "w".to_owned(),
            created_at: now,
            clock: common::clock::State::default(),
        };
        store.workspace_for_key(&[1; 32], workspace).await.unwrap();
        let batch = store.begin_batch(NewBatch {
            id: "msgbatch_1".to_owned(),
            workspace: "w".to_owned(),
            version: String::new(),
            betas: String::new(),
            quirks: String::new(),
            created_at: now,
        });
        let batch = batch.await.unwrap();
        let item = |position| NewItem {
            position,
            custom_id: format!("a-{position}"),
            params: b"{}".to_vec(),
        };
        let items = (0..).take(PAGE + 2).map(item).collect();
        assert!(store.add_batch_items(batch, items).await.unwrap());
        let row = store.start_batch(batch).await.unwrap().unwrap();
        let rest = ItemOutcome::Expired;
        store.end_batch(batch, now, rest).await.unwrap();
        Lines {
            store: store.clone(),
            batch,
            left: row.total,
            after: -1,
            page: VecDeque::new(),
            coverage: Arc::default(),
        }
    }

    #[tokio::test]
    async fn results_of_a_batch_that_goes_away_break_off() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut lines = ended(&store).await;
        for _ in 0..ITEMS {
            assert!(lines.next().await.unwrap().is_some());
        }
        assert_eq!(lines.next().await.unwrap(), None);
        let (n, mut again) = (
            lines.batch,
            Lines {
                after: -1,
                left: ITEMS,
                ..lines
            },
        );
        assert!(again.next().await.unwrap().is_some());
        store.drop_batch(n).await.unwrap();
        // What was read already is given.
        for _ in 1..PAGE {
            assert!(again.next().await.unwrap().is_some());
        }
        let error = again.next().await.unwrap_err();
        assert!(matches!(error, Cut::Gone(2)), "{error}");
    }

    #[test]
    fn a_line_holds_what_came_of_the_item() {
        let row = |outcome: &str, result: Option<&str>| {
            let row = ResultRow {
                position: 0,
                custom_id: "a-1".to_owned(),
                outcome: outcome.to_owned(),
                result: result.map(|text| text.as_bytes().to_vec()),
            };
            String::from_utf8(line(&row).to_vec()).unwrap()
        };
        assert_eq!(
            row("succeeded", Some(r#"{"id":"msg_1"}"#)),
            "{\"custom_id\":\"a-1\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_1\"}}}\n"
        );
        assert_eq!(
            row("errored", Some("{}")),
            "{\"custom_id\":\"a-1\",\"result\":{\"type\":\"errored\",\"error\":{}}}\n"
        );
        assert_eq!(
            row("expired", None),
            "{\"custom_id\":\"a-1\",\"result\":{\"type\":\"expired\"}}\n"
        );
    }
}
