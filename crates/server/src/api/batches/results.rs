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
        return Err(ApiError::invalid(format!(
            "Message Batch `{}` has no results yet: it has not ended.",
            row.id
        )));
    }
    if row.is_archived(workspace.clock.now()) {
        return Err(ApiError::not_found(format!(
            "The results of Message Batch `{}` are no longer available.",
            row.id
        )));
    }
    // Parity: type and name as recorded (F113).
    let name = format!("attachment; filename*=utf-8''{}_results.jsonl", row.id);
    let disposition = HeaderValue::try_from(name).expect("ids are ASCII");
    let lines = Lines {
        store: exchange.app.store.clone(),
        batch: row.n,
        after: -1,
        page: VecDeque::new(),
        coverage: Arc::clone(&workspace.watch.coverage),
    };
    let lines = stream::try_unfold(lines, |mut lines| async {
        let line = lines.next().await?;
        Ok::<_, StoreError>(line.map(|line| (line, lines)))
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

struct Lines {
    store: Store,
    batch: i64,
    after: i64,
    page: VecDeque<ResultRow>,
    /// Where it is counted what the client meets.
    coverage: Arc<Coverage>,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.page.is_empty() {
            let page = self.store.batch_results(self.batch, self.after, PAGE);
            self.page = page.await?.into();
        }
        Ok(self.page.pop_front().map(|row| {
            self.after = row.position;
            self.coverage.result(&row.outcome);
            line(&row)
        }))
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
    use super::*;

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
