//! `GET /_sandtable/containers/{id}/files`: what a container's file system holds.

use std::collections::HashMap;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use control_api::{ContainerFile, ContainerFiles, ContainerState, FileKind, Readable};
use futures_util::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use tokio::io::AsyncReadExt as _;

use super::containers::{readable, state, unknown};
use super::error::ControlError;
use super::target::Target;
use crate::app::App;
use common::limits;
use engine::container::{FilesError, Listed, Opened};
use store::{ContainerRow, TreeKind};
use workspace::Workspace;

/// The characters that are percent-encoded in a path of a URL.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'.')
    .remove(b'_')
    .remove(b'-');
const IN_NAME: &AsciiSet = &IN_PATH.add(b'/');
const CHUNK_BYTES: usize = 64 * 1024;
const HINT: &str = "it takes `under` (a path), `limit` (1 to 10000), and `wake=true`";

/// Which files are wanted.
#[derive(Debug)]
struct Wanted {
    under: Option<Vec<u8>>,
    limit: usize,
    wake: bool,
}

impl Wanted {
    fn read(query: &HashMap<String, String>) -> Result<Self, ControlError> {
        let mut wanted = Self {
            under: None,
            limit: limits::CONTAINER_LIST_DEFAULT,
            wake: false,
        };
        for (name, value) in query {
            let bad = || ControlError::bad(format!("`{name}={value}` is not understood"), HINT);
            match (name.as_str(), value.as_str()) {
                ("under", path) if path.starts_with('/') => {
                    wanted.under = Some(path.trim_end_matches('/').as_bytes().to_vec());
                }
                ("limit", number) => {
                    let number = number.parse().ok();
                    let range = 1..=limits::CONTAINER_LIST_MAX;
                    wanted.limit = number.filter(|n| range.contains(n)).ok_or_else(bad)?;
                }
                ("wake", "true") => wanted.wake = true,
                ("wake", "false") | ("workspace", _) => {}
                _ => return Err(bad()),
            }
        }
        Ok(wanted)
    }

    fn admits(&self, path: &[u8]) -> bool {
        self.under.as_ref().is_none_or(|under| {
            path.strip_prefix(under.as_slice())
                .is_some_and(|rest| rest.starts_with(b"/"))
        })
    }
}

/// The files by path.
pub(super) async fn list(
    State(app): State<App>,
    Target(workspace): Target,
    Query(query): Query<HashMap<String, String>>,
    uri: Uri,
) -> Result<Json<ContainerFiles>, ControlError> {
    let wanted = Wanted::read(&query)?;
    let (id, _) = names(&uri);
    let Some(row) = row(&app, &workspace, &id, wanted.wake).await? else {
        return Ok(Json(ContainerFiles {
            data: Vec::new(),
            more: false,
        }));
    };
    let found = app.containers.list_files(&workspace, row).await;
    let (found, cut) = found.map_err(|error| refused(&error))?;
    let mut found = found.iter().filter(|entry| wanted.admits(&entry.path));
    let data = found.by_ref().take(wanted.limit);
    let data = data.map(|entry| describe(&id, entry)).collect();
    let more = cut || found.next().is_some();
    Ok(Json(ContainerFiles { data, more }))
}

/// The bytes of one.
pub(super) async fn read(
    State(app): State<App>,
    Target(workspace): Target,
    Query(query): Query<HashMap<String, String>>,
    uri: Uri,
) -> Result<Response, ControlError> {
    let wanted = Wanted::read(&query)?;
    let (id, path) = names(&uri);
    let row = row(&app, &workspace, &id, wanted.wake).await?;
    let row = row.ok_or_else(|| refused(&FilesError::Missing))?;
    let opened = app.containers.open_file(&workspace, row, &path).await;
    let (size, body) = match opened.map_err(|error| refused(&error))? {
        Opened::Kept(content) => (content.len() as u64, Body::from(content)),
        Opened::Streamed(file) => {
            let size = file.size();
            let chunks = stream::try_unfold(file, |mut file| async {
                let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
                let read = file.read_buf(&mut chunk).await?;
                Ok::<_, std::io::Error>((read > 0).then(|| (chunk.freeze(), file)))
            });
            (size, Body::from_stream(chunks))
        }
    };
    Ok((headers(&path, size), body).into_response())
}

/// Headers for content that code has made, which is not trusted: a browser neither shows it as a page nor guesses
/// what it is.
fn headers(path: &[u8], size: u64) -> [(HeaderName, HeaderValue); 5] {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let text = String::from_utf8_lossy(name);
    let kind = mime_guess::from_path(text.as_ref()).first_or_octet_stream();
    let disposition = format!(
        "attachment; filename*=utf-8''{}",
        percent_encode(text.as_bytes(), IN_NAME)
    );
    let ascii = |text: String| HeaderValue::try_from(text).expect("it is ASCII");
    [
        (header::CONTENT_TYPE, ascii(kind.to_string())),
        (header::CONTENT_DISPOSITION, ascii(disposition)),
        (header::CONTENT_LENGTH, size.into()),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'"),
        ),
    ]
}

/// The container's id, and the path behind `/files`: any bytes.
fn names(uri: &Uri) -> (String, Vec<u8>) {
    let rest = uri.path().strip_prefix("/_sandtable/containers/");
    let (id, rest) = rest
        .and_then(|rest| rest.split_once('/'))
        .unwrap_or_default();
    let id = percent_decode(id.as_bytes())
        .decode_utf8_lossy()
        .into_owned();
    let path = rest.strip_prefix("files").unwrap_or_default();
    (id, percent_decode(path.as_bytes()).collect())
}

/// The container, if it has files; and may be woken for them, if it must.
async fn row(
    app: &App,
    workspace: &Workspace,
    id: &str,
    wake: bool,
) -> Result<Option<ContainerRow>, ControlError> {
    let row = app.store.container(&workspace.id, id).await?;
    let row = row.ok_or_else(|| unknown(id))?;
    if state(app, workspace, &row) == ContainerState::Expired {
        return Err(ControlError::new(
            StatusCode::GONE,
            format!("container `{id}` is over, and its files are gone"),
            "look at them before it expires",
        ));
    }
    match readable(app, workspace, &row) {
        Readable::None => Ok(None),
        Readable::Asleep if !wake => Err(ControlError::new(
            StatusCode::CONFLICT,
            format!("container `{id}` sleeps, and its files cannot be read without its sandbox"),
            "with `?wake=true` it is woken for them, and sleeps again",
        )),
        Readable::Asleep | Readable::Readable => Ok(Some(row)),
    }
}

fn refused(error: &FilesError) -> ControlError {
    let said = |status: StatusCode, hint: &str| ControlError::new(status, error.to_string(), hint);
    match error {
        FilesError::Missing => said(
            StatusCode::NOT_FOUND,
            "`GET /_sandtable/containers/ID/files` lists them, with their `href`",
        ),
        FilesError::Directory => said(
            StatusCode::BAD_REQUEST,
            "`GET /_sandtable/containers/ID/files?under=PATH` lists what is in it",
        ),
        FilesError::TooLarge => said(
            StatusCode::PAYLOAD_TOO_LARGE,
            "let code in the container cut it",
        ),
        FilesError::Refused(_) | FilesError::Sandbox(_) => said(
            StatusCode::SERVICE_UNAVAILABLE,
            "mend what it names: calls in the container get `unavailable` for the same reason",
        ),
        FilesError::Store(error) => ControlError::internal(error),
    }
}

fn describe(id: &str, entry: &Listed) -> ContainerFile {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let id = percent_encode(id.as_bytes(), IN_NAME);
    let href = || {
        let path = percent_encode(&entry.path, IN_PATH);
        format!("/_sandtable/containers/{id}/files{path}")
    };
    ContainerFile {
        path: text(&entry.path),
        kind: match entry.kind {
            TreeKind::File => FileKind::File,
            TreeKind::Directory => FileKind::Directory,
            TreeKind::Symlink => FileKind::Symlink,
        },
        size_bytes: entry.size_bytes,
        mode: format!("{:04o}", entry.mode),
        modified_at: entry.modified_at,
        target: entry.target.as_deref().map(text),
        href: match entry.kind {
            TreeKind::File => Some(href()),
            TreeKind::Directory | TreeKind::Symlink => None,
        },
    }
}
