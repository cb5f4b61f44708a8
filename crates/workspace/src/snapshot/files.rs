//! `files`: metadata as the Files API tells it, and the content.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::reader::{Members, Sink, check_id};
use super::{put_content, put_time};
use common::clock::rfc3339_micros;
use common::limits;
use store::{FileRow, KeptFile, NewFile};

const MEMBERS: [&str; 9] = [
    "id",
    "filename",
    "mime_type",
    "downloadable",
    "created_at",
    "expires_at",
    "container_id",
    "content",
    "content_base64",
];

/// A file's part of a document.
pub fn write(row: &FileRow, content: Vec<u8>) -> Value {
    let mut file = json!({
        "id": row.id,
        "filename": row.filename,
        "mime_type": row.mime_type,
        "downloadable": row.downloadable,
        "created_at": rfc3339_micros(row.created_at),
    });
    put_time(&mut file, "expires_at", row.expires_at);
    if let Some(container) = &row.container_id {
        file["container_id"] = (**container).into();
    }
    put_content(&mut file, "content", content);
    file
}

pub(super) fn read(
    sink: &Sink,
    root: &Members<'_>,
    workspace: &str,
    now: DateTime<Utc>,
) -> Vec<KeptFile> {
    let mut seen = Vec::new();
    let mut files = Vec::new();
    for node in root.items(sink, "files") {
        let Some(members) = node.object(sink, &MEMBERS) else {
            continue;
        };
        let id = members.id(sink, &mut seen);
        let filename = match filename(sink, &members, "filename") {
            Some(filename) => filename.to_owned(),
            None if fits(&id) => id.clone(),
            None => "unnamed".to_owned(),
        };
        let created_at = members.time(sink, "created_at");
        let expires_at = members.time(sink, "expires_at");
        if created_at > expires_at && expires_at.is_some() {
            let message = "the file would expire before it is made";
            sink.add(
                &members.at("expires_at"),
                message,
                "give a later time, or leave `created_at` out",
            );
        }
        let file = NewFile {
            id: id.into(),
            workspace: workspace.to_owned(),
            mime_type: mime_type(sink, &members, &filename),
            filename,
            downloadable: members.flag(sink, "downloadable").unwrap_or(true),
            created_at: created_at.unwrap_or(now),
            expires_at,
            container_id: members.text(sink, "container_id").map(|id| {
                check_id(sink, &members.at("container_id"), id);
                id.into()
            }),
        };
        files.push(KeptFile {
            file,
            content: members.content(sink),
        });
    }
    // As they are listed, and as an export has them.
    files.sort_by_key(|kept| kept.file.created_at);
    files
}

/// A name that the Files API would take.
pub(super) fn filename<'a>(sink: &Sink, members: &Members<'a>, name: &str) -> Option<&'a str> {
    let text = members.text(sink, name)?;
    if !fits(text) {
        sink.add(
            &members.at(name),
            format!("`{}` cannot name a file", text.escape_debug()),
            format!(
                "1 to {} characters, none of < > : \" | ? * \\ / or control characters",
                limits::MAX_FILENAME_CHARS
            ),
        );
    }
    Some(text)
}

fn fits(filename: &str) -> bool {
    !matches!(filename, "" | "." | "..")
        && filename.chars().count() <= limits::MAX_FILENAME_CHARS
        && common::filename::is_plain(filename)
}

fn mime_type(sink: &Sink, members: &Members<'_>, filename: &str) -> String {
    let Some(text) = members.text(sink, "mime_type") else {
        let guess = mime_guess::from_path(filename).first_raw();
        return guess.unwrap_or("application/octet-stream").to_owned();
    };
    let fits = text.len() <= limits::MAX_MIME_TYPE_CHARS
        && text.is_ascii()
        && text.parse::<mime_guess::Mime>().is_ok();
    if !fits {
        let message = format!("`{}` is no media type", text.escape_debug());
        sink.add(&members.at("mime_type"), message, "such as text/csv");
    }
    text.to_owned()
}
