//! Uploads: a multipart body on its way to the disk, chunk by chunk.

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::StreamExt;
use tracing::Instrument as _;

use super::{Shape, admit, name};
use crate::api::caller::Caller;
use crate::api::error::{ApiError, ApiResult};
use crate::api::exchange::{Exchange, Outcome};
use crate::api::multipart::{self, Content, Event, MultipartError, PartHead};
use crate::app::App;
use crate::caught::joined;
use common::ids::Kind;
use common::limits;
use store::{BlobWriter, FileRow, NewFile, StoreError, TempBlob};

/// The largest body that can hold an upload within the limit.
const MAX_BODY_BYTES: u64 = limits::MAX_UPLOAD_BYTES + limits::MULTIPART_OVERHEAD_BYTES;

/// Stores one file from a multipart body.
pub(in crate::api) async fn upload(exchange: &mut Exchange) -> Outcome {
    admit(exchange)?;
    let announced = announced_bytes(exchange.headers());
    if announced.is_some_and(|bytes| bytes > MAX_BODY_BYTES) {
        return Err(ApiError::too_large());
    }
    let body = exchange.take_body()?;
    let Exchange {
        app,
        caller,
        head,
        noted,
        ..
    } = exchange;
    let mut intake = Intake::new(app, body);
    match intake.receive(caller, &head.headers, announced).await {
        Ok(received) => {
            caller.made.says(received.content);
            let shape = Shape::of(caller);
            // In a task of its own: of a client that leaves now it is known all the same what was made.
            let (state, caller, digest) = (app.clone(), caller.clone(), received.digest);
            let kept = async move { keep(&state, &caller, received).await };
            let kept = tokio::spawn(kept.in_current_span());
            let row = joined(kept)
                .await
                .map_err(|error| ApiError::internal(&error))??;
            noted.file = Some((row.size_bytes, digest));
            Ok(shape.file(row))
        }
        Err(error) => {
            intake.abandon(&error).await;
            Err(error)
        }
    }
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// An upload that is complete on the disk and not yet a file.
#[derive(Debug)]
struct Received {
    named: name::Named,
    blob: TempBlob,
    /// Of the file: where ids derive from what was sent.
    digest: [u8; 32],
    /// Of all that was sent.
    content: [u8; 32],
    life: Option<TimeDelta>,
}

/// Makes a row of what was received. A seeded workspace takes the next id of the same upload until
/// one is free.
async fn keep(app: &App, caller: &Caller, received: Received) -> Result<FileRow, StoreError> {
    let workspace = &caller.workspace;
    let now = workspace.clock.now();
    let name = received.named.filename.as_bytes();
    let ids = workspace.ids(&[b"upload", name, &received.digest]);
    loop {
        let file = NewFile {
            id: ids.next(Kind::File).into(),
            workspace: workspace.id.clone(),
            filename: received.named.filename.clone(),
            mime_type: received.named.mime_type.clone(),
            downloadable: false,
            created_at: now,
            expires_at: received.life.map(|life| now + life),
            container_id: None,
        };
        match app.store.insert_file(file, received.blob.clone()).await {
            Err(StoreError::IdTaken { .. }) => {}
            result => {
                if let Ok(row) = &result {
                    caller.made.note(&*row.id);
                }
                return result;
            }
        }
    }
}

/// One body being read.
struct Intake<'a> {
    app: &'a App,
    body: BodyDataStream,
    read_bytes: u64,
    /// The `file` part while it arrives and after.
    file: Option<FilePart>,
}

struct FilePart {
    head: PartHead,
    writer: BlobWriter,
}

/// Where the content of the present part goes.
enum Sink {
    File,
    Life(Vec<u8>),
    /// A field that nobody asked for.
    Nowhere,
}

impl<'a> Intake<'a> {
    fn new(app: &'a App, body: Body) -> Self {
        Self {
            app,
            body: body.into_data_stream(),
            read_bytes: 0,
            file: None,
        }
    }

    async fn receive(
        &mut self,
        caller: &Caller,
        headers: &HeaderMap,
        announced: Option<u64>,
    ) -> ApiResult<Received> {
        let boundary = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(multipart::boundary)
            .ok_or_else(|| {
                ApiError::invalid(
                    "content-type: Expected `multipart/form-data` with a `boundary` parameter",
                )
            })?;
        let workspace = &caller.workspace;
        let store = &self.app.store;
        let now = workspace.clock.now();
        store.sweep_files(&workspace.id, now).await?;
        let used_bytes = store.used_bytes(&workspace.id, now).await?;
        let quota_bytes = store.quota_bytes();
        let room_bytes = quota_bytes.saturating_sub(used_bytes);
        let over_quota = |size_bytes| StoreError::QuotaExceeded {
            size_bytes,
            used_bytes,
            quota_bytes,
        };
        let at_least = announced.map_or(0, |n| n.saturating_sub(limits::MULTIPART_OVERHEAD_BYTES));
        if at_least > room_bytes {
            return Err(over_quota(at_least).into());
        }

        let mut parser = multipart::Parser::new(&boundary);
        let mut sink = Sink::Nowhere;
        let mut life = None;
        let mut content = Content::default();
        loop {
            let Some(event) = parser.next().map_err(malformed)? else {
                match self.chunk().await? {
                    Some(chunk) => parser.feed(chunk),
                    None => parser.finish().map_err(malformed)?,
                }
                continue;
            };
            if !matches!(sink, Sink::File) {
                content.add(&event);
            }
            match event {
                Event::Part(head) => sink = self.begin(head).await?,
                Event::Data(data) => match &mut sink {
                    Sink::Life(text) => {
                        text.extend_from_slice(&data);
                        if text.len() > 64 {
                            return Err(not_an_integer());
                        }
                    }
                    Sink::File => {
                        let size_bytes = self.write(data).await?;
                        if size_bytes > room_bytes {
                            return Err(over_quota(size_bytes).into());
                        }
                    }
                    Sink::Nowhere => {}
                },
                Event::PartEnd => match std::mem::replace(&mut sink, Sink::Nowhere) {
                    Sink::File => content.end_part(&self.digest().await?),
                    Sink::Life(text) => {
                        let parsed = parse_life(&text)?;
                        if life.replace(parsed).is_some() {
                            return Err(ApiError::invalid(
                                "expires_in_seconds: Only one value may be sent",
                            ));
                        }
                    }
                    Sink::Nowhere => {}
                },
                Event::End => break,
            }
        }
        // An epilogue is read, so that the connection can be used again.
        while self.chunk().await?.is_some() {}
        let mut file = self
            .file
            .take()
            .ok_or_else(|| ApiError::invalid("file: Field required"))?;
        let digest = file.writer.digest().await?;
        Ok(Received {
            named: name::name(
                file.head.filename.as_deref(),
                file.head.content_type.as_deref(),
            )?,
            blob: file.writer.finish().await?,
            digest,
            content: content.finish(),
            life,
        })
    }

    /// The next bytes of the body, as long as they can belong to an upload within the limit.
    async fn chunk(&mut self) -> ApiResult<Option<Bytes>> {
        let Some(chunk) = self.body.next().await else {
            return Ok(None);
        };
        let chunk = chunk.map_err(|error| ApiError::unfinished(&error))?;
        self.read_bytes += chunk.len() as u64;
        if self.read_bytes > MAX_BODY_BYTES {
            return Err(ApiError::too_large());
        }
        Ok(Some(chunk))
    }

    async fn begin(&mut self, head: PartHead) -> ApiResult<Sink> {
        match head.name.as_str() {
            "file" => {
                if self.file.is_some() {
                    return Err(ApiError::invalid("file: Only one file may be sent"));
                }
                // A bad name is found before its bytes are written.
                name::name(head.filename.as_deref(), None)?;
                self.file = Some(FilePart {
                    head,
                    writer: self.app.store.begin_blob().await?.hashed(),
                });
                Ok(Sink::File)
            }
            "expires_in_seconds" => Ok(Sink::Life(Vec::new())),
            _ => Ok(Sink::Nowhere),
        }
    }

    /// Writes on, and counts.
    async fn write(&mut self, data: Bytes) -> ApiResult<u64> {
        let file = self.file.as_mut().expect("a file part was begun");
        file.writer.write(&data).await?;
        let size_bytes = file.writer.size_bytes();
        if size_bytes > limits::MAX_UPLOAD_BYTES {
            return Err(ApiError::too_large());
        }
        Ok(size_bytes)
    }

    /// SHA-256 of the file, which has come to its end.
    async fn digest(&mut self) -> ApiResult<[u8; 32]> {
        let file = self.file.as_mut().expect("a file part was begun");
        Ok(file.writer.digest().await?)
    }

    /// Leaves nothing on the disk, and reads on where the client would otherwise never see the
    /// answer: many send their whole body before they look.
    async fn abandon(&mut self, error: &ApiError) {
        if let Some(file) = self.file.take() {
            file.writer.discard().await;
        }
        if error.status().is_client_error() && error.status().as_u16() != 413 {
            while let Some(Ok(chunk)) = self.body.next().await {
                self.read_bytes += chunk.len() as u64;
                if self.read_bytes > MAX_BODY_BYTES {
                    break;
                }
            }
        }
    }
}

fn malformed(error: MultipartError) -> ApiError {
    ApiError::invalid(error.to_string())
}

fn not_an_integer() -> ApiError {
    ApiError::invalid(
        "expires_in_seconds: Input should be a valid integer, unable to parse string as an integer",
    )
}

fn parse_life(text: &[u8]) -> ApiResult<TimeDelta> {
    let seconds: i64 = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(not_an_integer)?;
    let bound = if seconds < limits::FILE_LIFE_MIN_SECONDS {
        ("greater", limits::FILE_LIFE_MIN_SECONDS)
    } else if seconds > limits::FILE_LIFE_MAX_SECONDS {
        ("less", limits::FILE_LIFE_MAX_SECONDS)
    } else {
        return Ok(TimeDelta::seconds(seconds));
    };
    Err(ApiError::invalid(format!(
        "expires_in_seconds: Input should be {} than or equal to {}",
        bound.0, bound.1
    )))
}
