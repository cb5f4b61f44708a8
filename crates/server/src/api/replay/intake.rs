//! A request read as a whole: its bytes, and what a cassette would say of it.

use std::io::Read as _;

use axum::body::Body as HttpBody;
use axum::http::header;
use axum::http::request::Parts;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tempfile::TempDir;

use super::kept::{self, Kept, Whole};
use crate::api::error::{ApiError, ApiResult};
use crate::api::multipart::{self, Content, Event, MultipartError, Parser, PartHead};
use cassette::{Body, Part, Request, Sent, Translation, rename_ids};
use common::limits;
use store::StoreError;

/// Room for what a form has beside its file.
const FORM_SLACK_BYTES: u64 = 1024 * 1024;
/// How much of a body is looked at at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// A request.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) request: Request,
    whole: Whole,
    /// What a form says, whatever its boundary.
    form: Option<[u8; 32]>,
    /// Files of parts; gone with it.
    _folders: Vec<TempDir>,
}

impl Intake {
    pub(super) async fn read(parts: &Parts, body: HttpBody) -> ApiResult<Self> {
        let mut kept = Kept::default();
        let mut pieces = body.into_data_stream();
        let mut size: u64 = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| ApiError::unfinished(&error))?;
            size += piece.len() as u64;
            if size > limits::MAX_UPLOAD_BYTES + FORM_SLACK_BYTES {
                return Err(ApiError::too_large());
            }
            if !kept.push(&piece) {
                break;
            }
        }
        let whole = kept.whole().map_err(|error| ApiError::failed(&error))?;
        let read = body_of(parts, &whole).map_err(|error| ApiError::failed(&error))?;
        let (body, form, folders) = match read {
            Read::Form(form) => (Body::Form(form.parts), Some(form.content), form.folders),
            Read::Other(body) => (body, None, Vec::new()),
        };
        let uri = &parts.uri;
        let request = Request {
            method: parts.method.as_str().to_owned(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            headers: parts
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    (name.as_str().to_owned(), value)
                })
                .collect(),
            body,
        };
        Ok(Self {
            request,
            whole,
            form,
            _folders: folders,
        })
    }

    /// The SHA-256 of what the body says, where the journal does not keep it.
    pub(super) fn content(&self) -> Option<[u8; 32]> {
        match &self.whole {
            _ if self.form.is_some() => self.form,
            Whole::Memory(_) => None,
            Whole::File(blob, _) => blob.digest(),
        }
    }

    /// The request with the recorded ids in place of the client's. Forms stay as they are.
    pub(super) fn translated(mut self, names: &Translation) -> Self {
        self.request.path = recorded(&self.request.path, names);
        let query = self.request.query.as_deref();
        self.request.query = query.map(|query| recorded(query, names));
        let text = match (&self.whole, &self.request.body) {
            (Whole::Memory(bytes), Body::Json(_) | Body::Text(_)) => std::str::from_utf8(bytes)
                .ok()
                .map(|text| recorded(text, names)),
            (Whole::File(..), body @ (Body::Json(_) | Body::Text(_))) => {
                body.text().map(|text| recorded(&text, names))
            }
            (Whole::Memory(_) | Whole::File(..), _) => None,
        };
        if let Some(text) = text {
            let bytes = Bytes::from(text);
            self.request.body = Body::of(bytes.clone());
            self.whole = Whole::Memory(bytes);
        }
        self
    }

    /// The body's bytes for the journal, if they are few.
    pub(super) fn raw(&self) -> Option<Bytes> {
        match &self.whole {
            Whole::Memory(bytes) if !matches!(self.request.body, Body::Form(_)) => {
                Some(bytes.clone())
            }
            Whole::Memory(_) | Whole::File(..) => None,
        }
    }

    /// The body as it is passed on.
    pub(super) fn sent(&self) -> Sent<'_> {
        match &self.whole {
            Whole::Memory(bytes) => Sent::Bytes(bytes.clone()),
            Whole::File(blob, folder) => {
                debug_assert_eq!(blob.folder, folder.path());
                Sent::File(blob, blob.size_bytes)
            }
        }
    }
}

/// A text with the recorded ids in place of the client's.
fn recorded(text: &str, names: &Translation) -> String {
    rename_ids(text, |id| names.recorded(id)).into_owned()
}

/// What a body is.
enum Read {
    Form(ReadForm),
    Other(Body),
}

struct ReadForm {
    parts: Vec<Part>,
    content: [u8; 32],
    folders: Vec<TempDir>,
}

fn body_of(parts: &Parts, whole: &Whole) -> Result<Read, StoreError> {
    let content_type = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if let Some(boundary) = multipart::boundary(content_type) {
        let mut form = Form::new(&boundary);
        match whole {
            Whole::Memory(bytes) => form.feed(bytes.clone())?,
            Whole::File(blob, _) => {
                let mut file = std::fs::File::open(blob.path()).map_err(kept::failed)?;
                let mut piece = vec![0; PIECE_BYTES];
                loop {
                    let read = file.read(&mut piece).map_err(kept::failed)?;
                    if read == 0 {
                        break;
                    }
                    form.feed(Bytes::copy_from_slice(&piece[..read]))?;
                }
            }
        }
        if let Some(form) = form.finish() {
            return Ok(Read::Form(form));
        }
    }
    Ok(Read::Other(match whole {
        Whole::Memory(bytes) => Body::of(bytes.clone()),
        Whole::File(blob, _) if content_type.starts_with("application/json") => Body::of(
            Bytes::from(std::fs::read(blob.path()).map_err(kept::failed)?),
        ),
        Whole::File(blob, _) => Body::Blob(blob.clone()),
    }))
}

/// The parts of a form while they are read.
struct Form {
    parser: Parser,
    content: Content,
    failed: Option<MultipartError>,
    head: Option<PartHead>,
    kept: Kept,
    parts: Vec<Part>,
    folders: Vec<TempDir>,
}

impl Form {
    fn new(boundary: &str) -> Self {
        Self {
            parser: Parser::new(boundary),
            content: Content::default(),
            failed: None,
            head: None,
            kept: Kept::default(),
            parts: Vec::new(),
            folders: Vec::new(),
        }
    }

    fn feed(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        if self.failed.is_some() {
            return Ok(());
        }
        self.parser.feed(bytes);
        loop {
            let next = self.parser.next();
            if let Ok(Some(event)) = &next {
                self.content.add(event);
            }
            match next {
                Ok(Some(Event::Part(head))) => self.head = Some(head),
                Ok(Some(Event::Data(data))) => {
                    self.kept.push(&data);
                }
                Ok(Some(Event::PartEnd)) => self.end_part()?,
                Ok(Some(Event::End)) => {}
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.failed = Some(error);
                    return Ok(());
                }
            }
        }
    }

    fn end_part(&mut self) -> Result<(), StoreError> {
        let Some(head) = self.head.take() else {
            return Ok(());
        };
        let (body, folder) = std::mem::take(&mut self.kept).whole()?.body(false)?;
        self.folders.extend(folder);
        self.parts.push(Part {
            name: head.name,
            filename: head.filename,
            content_type: head.content_type,
            body,
        });
        Ok(())
    }

    /// The parts; nothing where the body is no form after all.
    fn finish(self) -> Option<ReadForm> {
        let whole = self.failed.is_none() && self.parser.finish().is_ok();
        whole.then(|| ReadForm {
            parts: self.parts,
            content: self.content.finish(),
            folders: self.folders,
        })
    }
}
