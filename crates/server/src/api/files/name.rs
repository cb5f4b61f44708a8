//! Names and media types of uploads (F081).

use mime_guess::Mime;

use crate::api::error::ApiError;
use common::limits;

const OCTET_STREAM: &str = "application/octet-stream";

/// Extensions of types for which the general table lists an odd one first.
const EXTENSIONS: &[(&str, &str)] = &[
    ("application/json", "json"),
    ("application/xml", "xml"),
    ("audio/mpeg", "mp3"),
    ("image/jpeg", "jpg"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tiff"),
    ("text/html", "html"),
    ("text/javascript", "js"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
    ("text/x-python", "py"),
    ("text/xml", "xml"),
    ("video/mp4", "mp4"),
    ("video/mpeg", "mpeg"),
];

/// The filename and the MIME type of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) filename: String,
    pub(super) mime_type: String,
}

/// Decides both from what the part's headers say.
pub(super) fn name(filename: Option<&str>, content_type: Option<&str>) -> Result<Named, ApiError> {
    let filename = filename.map(last_component).unwrap_or_default();
    if !filename.is_empty() {
        check(filename)?;
    }
    let mime_type = match content_type.filter(|text| is_media_type(text)) {
        Some(text) => text.to_owned(),
        None => mime_guess::from_path(filename)
            .first_raw()
            .unwrap_or(OCTET_STREAM)
            .to_owned(),
    };
    let filename = if filename.is_empty() {
        match extension(&mime_type) {
            Some(extension) => format!("unnamed.{extension}"),
            None => "unnamed".to_owned(),
        }
    } else {
        filename.to_owned()
    };
    Ok(Named {
        filename,
        mime_type,
    })
}

/// The part after the last separator, of either kind: clients on Windows send their own.
fn last_component(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or_default()
}

fn check(filename: &str) -> Result<(), ApiError> {
    let length = filename.chars().count();
    if length > limits::MAX_FILENAME_CHARS {
        return Err(ApiError::invalid(format!(
            "file: Invalid filename: it has {length} characters, at most {} are allowed",
            limits::MAX_FILENAME_CHARS
        )));
    }
    if !common::filename::is_plain(filename) {
        return Err(ApiError::invalid(format!(
            "file: Invalid filename {filename:?}: none of < > : \" | ? * \\ / or the characters \
             U+0000 to U+001F are allowed"
        )));
    }
    // Inferred: a client writes the content under this name, and the sandbox does.
    if matches!(filename, "." | "..") {
        return Err(ApiError::invalid(format!(
            "file: Invalid filename {filename:?}: it names a directory"
        )));
    }
    Ok(())
}

/// A range such as `image/*` is none.
fn is_media_type(text: &str) -> bool {
    text.len() <= limits::MAX_MIME_TYPE_CHARS
        && text.is_ascii()
        && text
            .parse::<Mime>()
            .is_ok_and(|mime| !mime.essence_str().contains('*'))
}

fn extension(mime_type: &str) -> Option<&'static str> {
    let mime: Mime = mime_type.parse().ok()?;
    let essence = mime.essence_str();
    if essence == OCTET_STREAM {
        return None;
    }
    EXTENSIONS
        .iter()
        .find(|(known, _)| *known == essence)
        .map(|(_, extension)| *extension)
        .or_else(|| mime_guess::get_mime_extensions(&mime)?.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(filename: Option<&str>, content_type: Option<&str>) -> (String, String) {
        let named = name(filename, content_type).unwrap();
        (named.filename, named.mime_type)
    }

    #[test]
    fn only_the_last_component_of_a_name_is_kept() {
        for path in [
            "a.csv",
            "/etc/a.csv",
            "../../a.csv",
            r"C:\data\a.csv",
            "x/y\\a.csv",
        ] {
            assert_eq!(named(Some(path), None).0, "a.csv", "{path}");
        }
    }

    #[test]
    fn a_nameless_upload_is_called_after_its_type() {
        for (content_type, expected) in [
            (Some("text/csv"), "unnamed.csv"),
            (Some("text/plain; charset=utf-8"), "unnamed.txt"),
            (Some("image/png"), "unnamed.png"),
            (Some("application/pdf"), "unnamed.pdf"),
            (Some("application/octet-stream"), "unnamed"),
            (Some("application/x-unheard-of"), "unnamed"),
            (None, "unnamed"),
        ] {
            for filename in [None, Some(""), Some("dir/")] {
                assert_eq!(named(filename, content_type).0, expected);
            }
        }
    }

    #[test]
    fn the_type_is_the_parts_else_guessed_else_plain_bytes() {
        for (filename, content_type, expected) in [
            ("a.csv", Some("text/plain"), "text/plain"),
            (
                "a.csv",
                Some("text/csv; charset=utf-8"),
                "text/csv; charset=utf-8",
            ),
            ("a.csv", Some("no type at all"), "text/csv"),
            ("a.png", Some("image/*"), "image/png"),
            ("a", Some("*/*"), "application/octet-stream"),
            ("a.csv", None, "text/csv"),
            ("a.py", None, "text/plain"),
            ("346208a0-7d6f", None, "application/octet-stream"),
        ] {
            assert_eq!(
                named(Some(filename), content_type).1,
                expected,
                "{filename}"
            );
        }
    }

    #[test]
    fn names_outside_the_rules_are_refused() {
        let long = "x".repeat(256);
        for filename in [
            "a<b", "a>b", "a:b", "a\"b", "a|b", "a?b", "a*b", "a\u{1f}b", ".", "..", &long,
        ] {
            assert!(name(Some(filename), None).is_err(), "{filename:?}");
        }
        for filename in [
            "é".repeat(255).as_str(),
            "a b.c",
            ".env",
            "..a",
            "日本.csv",
            "%22",
        ] {
            assert_eq!(named(Some(filename), None).0, filename);
        }
    }
}
