//! The parts of a request that decide whether a fault fits it, and have to be read for that: its model, and the
//! files that it names.

use axum::body::Body;
use axum::http::header;
use serde::Deserialize;
use serde_json::Value;
use wire::request::MessagesRequest;

use crate::api::error::ApiResult;
use crate::api::exchange::Exchange;
use crate::api::json;
use crate::app::App;
use common::ids::FileId;
use common::limits;
use store::StoreError;
use workspace::Workspace;

#[derive(Debug, Default)]
pub(super) struct Aim {
    pub(super) model: Option<String>,
    /// In its order, the one in the path first.
    pub(super) files: Vec<FileId>,
}

/// Looks at a request, and puts its body back.
pub(super) async fn read(exchange: &mut Exchange) -> ApiResult<Aim> {
    let files = file_of_path(exchange.head.uri.path());
    let mut aim = Aim {
        model: None,
        files: files.into_iter().collect(),
    };
    // A batch may be larger than any body that is read at once: nobody aims at its models.
    let length = exchange.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    let fits = length.is_none_or(|bytes: usize| bytes <= limits::MAX_MESSAGES_BODY_BYTES);
    if !json::is_json(exchange.headers()) || !fits {
        return Ok(aim);
    }
    // Nobody sees what a body with a coding says; its handler says so.
    let Ok(body) = exchange.take_body() else {
        return Ok(aim);
    };
    let bytes = json::whole(body, limits::MAX_MESSAGES_BODY_BYTES).await?;
    // What is no JSON has no model; its handler says so.
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    aim.model = value["model"].as_str().map(str::to_owned);
    let path = exchange.head.uri.path();
    add_files(path, &value, &mut aim.files);
    exchange.put_body(Body::from(bytes));
    Ok(aim)
}

/// The model that a body names, if it is JSON and does.
pub(super) fn model_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        model: String,
    }
    let named: Named = serde_json::from_slice(body).ok()?;
    Some(named.model)
}

impl Aim {
    /// Leaves out the files that are not there.
    pub(super) async fn keep_existing(
        &mut self,
        app: &App,
        workspace: &Workspace,
    ) -> Result<(), StoreError> {
        let now = workspace.clock.now();
        let mut existing = Vec::new();
        for file in std::mem::take(&mut self.files) {
            let row = app.store.file(&workspace.id, &file).await?;
            if row.is_some_and(|row| !row.is_gone(now)) {
                existing.push(file);
            }
        }
        self.files = existing;
        Ok(())
    }
}

/// The file of `/v1/files/{id}` and what lies below it.
fn file_of_path(path: &str) -> Option<FileId> {
    let rest = path.strip_prefix("/v1/files/")?;
    let id = rest.split('/').next().filter(|id| !id.is_empty())?;
    Some(id.into())
}

/// The files without which a turn is refused, those of a batch's items as well. Of `container_upload`s these
/// are the newest message's: older ones are inert.
fn add_files(path: &str, body: &Value, files: &mut Vec<FileId>) {
    let decode = if path == "/v1/messages/count_tokens" {
        MessagesRequest::decode_count
    } else {
        MessagesRequest::decode
    };
    let items = body["requests"].as_array().into_iter().flatten();
    let bodies = items.map(|item| &item["params"]).chain([body]);
    let turns = bodies.filter_map(|body| decode(body, true).ok());
    for turn in turns {
        for id in engine::handed_on(&turn) {
            if !files.iter().any(|known| **known == *id) {
                files.push(id.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_files_of_a_request_are_those_that_its_client_names() {
        let turn = |messages: Value| json!({"model": "m", "max_tokens": 1, "messages": messages});
        let upload = |id: &str| json!({"type": "container_upload", "file_id": id});
        let document =
            |id: &str| json!({"type": "document", "source": {"type": "file", "file_id": id}});
        let body = turn(json!([
            {"role": "user", "content": [upload("file_0"), document("file_1")]},
            {"role": "assistant", "content": "seen"},
            {"role": "user", "content": [upload("file_2"), upload("file_2")]},
        ]));
        let mut files = Vec::new();
        add_files("/v1/messages", &body, &mut files);
        let item = turn(json!([{"role": "user", "content": [document("file_3")]}]));
        let batch = json!({"requests": [{"params": item}]});
        add_files("/v1/messages/batches", &batch, &mut files);
        let count =
            json!({"model": "m", "messages": [{"role": "user", "content": [upload("file_4")]}]});
        add_files("/v1/messages", &count, &mut files);
        assert!(!files.contains(&"file_4".into()), "it is no turn");
        add_files("/v1/messages/count_tokens", &count, &mut files);
        let files: Vec<&str> = files.iter().map(|id| &**id).collect();
        assert_eq!(files, ["file_1", "file_2", "file_3", "file_4"]);
        assert_eq!(
            file_of_path("/v1/files/file_1/content").as_deref(),
            Some("file_1")
        );
        assert!(file_of_path("/v1/files").is_none());
    }
}
