//! Uploads of skills: `files[]` with relative paths, or one zip.

use axum::body::BodyDataStream;
use axum::http::header;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use wire::refusal;

use super::shape::Shape;
use crate::api::error::{ApiError, ApiResult};
use crate::api::exchange::Exchange;
use crate::api::multipart::{self, Content, Event};
use common::ids::{Ids, Kind};
use common::limits;
use store::NewSkillVersion;
use workspace::skills::{Bundle, archive};

/// The files, and the heads of their parts.
const MAX_BODY_BYTES: usize = limits::MAX_SKILL_BYTES + 4 * 1024 * 1024;

/// A whole upload.
pub(super) struct Upload {
    files: Vec<archive::File>,
    pub(super) display_name: Option<String>,
    /// Where ids derive from what was sent.
    pub(super) digest: [u8; 32],
    /// Of all that was sent.
    pub(super) content: [u8; 32],
}

enum Sink {
    File(String, Vec<u8>),
    Name(Vec<u8>),
    Nowhere,
}

/// Reads a multipart body to its end.
pub(super) async fn receive(exchange: &mut Exchange) -> ApiResult<Upload> {
    let shape = Shape::of(&exchange.caller);
    let body = exchange.take_body()?;
    let text = |name| {
        let value = exchange.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let announced = text(header::CONTENT_LENGTH).and_then(|text| text.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(ApiError::too_large());
    }
    let boundary = text(header::CONTENT_TYPE)
        .and_then(multipart::boundary)
        .ok_or_else(|| {
            ApiError::invalid(
                "content-type: Expected `multipart/form-data` with a `boundary` parameter",
            )
        })?;
    let mut parser = multipart::Parser::new(&boundary);
    let mut body = body.into_data_stream();
    let mut upload = Upload {
        files: Vec::new(),
        display_name: None,
        digest: [0; 32],
        content: [0; 32],
    };
    let mut content = Content::default();
    let (mut sink, mut read_bytes) = (Sink::Nowhere, 0);
    let mut has_text = false;
    loop {
        let event = parser
            .next()
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        let Some(event) = event else {
            match chunk(&mut body, &mut read_bytes).await? {
                Some(chunk) => parser.feed(chunk),
                None => parser
                    .finish()
                    .map_err(|error| ApiError::invalid(error.to_string()))?,
            }
            continue;
        };
        content.add(&event);
        match event {
            Event::Part(head) => {
                sink = match (head.name.as_str(), head.filename) {
                    // The whole path counts, unlike in the Files API.
                    ("files[]", Some(path)) => Sink::File(path, Vec::new()),
                    ("files[]", None) => {
                        has_text = true;
                        Sink::Nowhere
                    }
                    // Parity: the other shape's name is ignored (recorded 2026-09-04).
                    ("display_name", _) if shape == Shape::Current => Sink::Name(Vec::new()),
                    ("display_title", _) if shape == Shape::Beta => Sink::Name(Vec::new()),
                    _ => Sink::Nowhere,
                }
            }
            Event::Data(data) => match &mut sink {
                Sink::File(_, content) => content.extend_from_slice(&data),
                Sink::Name(text) => text.extend_from_slice(&data),
                Sink::Nowhere => {}
            },
            Event::PartEnd => match std::mem::replace(&mut sink, Sink::Nowhere) {
                Sink::File(path, content) => upload.take(path, content)?,
                Sink::Name(text) => upload.display_name = display_name(&text, shape)?,
                Sink::Nowhere => {}
            },
            Event::End => break,
        }
    }
    // An epilogue is read, so that the connection can be used again.
    while chunk(&mut body, &mut read_bytes).await?.is_some() {}
    // The SDK of the beta era sends texts beside its files.
    if has_text && upload.files.is_empty() {
        return Err(ApiError::invalid(NO_FILE));
    }
    upload.content = content.finish();
    upload.finish()
}

/// What a text is told in the place of a file (anthropic-sdk-java#361, 2026-06-25).
const NO_FILE: &str = "files[].0: Expected UploadFile, received: <class 'str'>";

/// The next bytes of the body, as long as they can belong to an upload within the limit.
async fn chunk(body: &mut BodyDataStream, read_bytes: &mut usize) -> ApiResult<Option<Bytes>> {
    let Some(chunk) = body.next().await else {
        return Ok(None);
    };
    let chunk = chunk.map_err(|error| ApiError::unfinished(&error))?;
    *read_bytes += chunk.len();
    if *read_bytes > MAX_BODY_BYTES {
        return Err(ApiError::too_large());
    }
    Ok(Some(chunk))
}

impl Upload {
    fn take(&mut self, path: String, content: Vec<u8>) -> ApiResult<()> {
        if self.files.len() == limits::MAX_SKILL_FILES {
            return Err(ApiError::invalid(format!(
                "files: A skill holds at most {} files",
                limits::MAX_SKILL_FILES
            )));
        }
        self.files.push((path, content));
        Ok(())
    }

    fn finish(mut self) -> ApiResult<Self> {
        if self.files.is_empty() {
            return Err(ApiError::invalid(refusal::SKILL_FILES.say(&[])));
        }
        if let [(_, content)] = &self.files[..]
            && archive::is_zip(content)
        {
            self.files = archive::unpack(content).map_err(ApiError::invalid)?;
        }
        let mut hash = Sha256::new();
        for (path, content) in &self.files {
            for part in [path.as_bytes(), content] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        self.digest = hash.finalize().into();
        Ok(self)
    }

    /// The skill that the files are.
    pub(super) fn bundle(&self) -> ApiResult<Bundle> {
        Bundle::new(self.files.clone()).map_err(ApiError::invalid)
    }
}

fn display_name(text: &[u8], shape: Shape) -> ApiResult<Option<String>> {
    let field = match shape {
        Shape::Current => "display_name",
        Shape::Beta => "display_title",
    };
    let invalid = |reason: &str| ApiError::invalid(format!("{field}: {reason}"));
    let name = std::str::from_utf8(text).map_err(|_| invalid("Input should be a valid string"))?;
    if name.trim().is_empty() {
        return Ok(None);
    }
    if name.chars().count() > limits::MAX_SKILL_DISPLAY_NAME_CHARS {
        return Err(ApiError::invalid(
            refusal::SKILL_DISPLAY_NAME.say(&[("field", &field)]),
        ));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid("The name of a skill is a single line"));
    }
    Ok(Some(name.to_owned()))
}

/// A new version of these files.
pub(super) fn version(bundle: &Bundle, ids: &Ids, now: DateTime<Utc>) -> NewSkillVersion {
    NewSkillVersion {
        id: ids.next(Kind::SkillVersion),
        directory: bundle.directory.clone(),
        description: bundle.description.clone(),
        created_at: now,
        files: bundle.files.clone(),
    }
}
