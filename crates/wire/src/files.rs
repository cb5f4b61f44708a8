//! The Files API: metadata, lists, and the answer to a deletion, in the current and the beta shape.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The value of `type` in [`FileMetadata`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FileType {
    #[default]
    #[serde(rename = "file")]
    File,
}

/// A file's metadata under the beta header.
// Parity: this key order, no `scope`, six digits of fraction: an upload recorded on 2026-08-19.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BetaFileMetadata {
    /// Always `file`.
    #[serde(rename = "type")]
    pub kind: FileType,
    /// `file_…`.
    pub id: String,
    /// Length of the content.
    pub size_bytes: u64,
    /// When it was uploaded or made.
    #[serde(with = "crate::timestamp")]
    pub created_at: DateTime<Utc>,
    /// Last component of the name it was uploaded or made under.
    pub filename: String,
    /// Media type, as uploaded or guessed.
    pub mime_type: String,
    /// `false` for uploads, `true` for what code execution made.
    pub downloadable: bool,
}

/// A file's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMetadata {
    /// Always `file`.
    #[serde(rename = "type")]
    pub kind: FileType,
    /// `file_…`.
    pub id: String,
    /// Length of the content.
    pub size_bytes: u64,
    /// When it was uploaded or made.
    #[serde(with = "crate::timestamp")]
    pub created_at: DateTime<Utc>,
    /// Last component of the name it was uploaded or made under.
    pub filename: String,
    /// Media type, as uploaded or guessed.
    pub mime_type: String,
    /// `false` for uploads, `true` for what code execution made.
    pub downloadable: bool,
    /// When the content ends. Parity: prints `null` for a file that does not expire (F080).
    #[serde(with = "crate::timestamp::option")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl From<FileMetadata> for BetaFileMetadata {
    fn from(file: FileMetadata) -> Self {
        Self {
            kind: file.kind,
            id: file.id,
            size_bytes: file.size_bytes,
            created_at: file.created_at,
            filename: file.filename,
            mime_type: file.mime_type,
            downloadable: file.downloadable,
        }
    }
}

/// A page of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePage {
    /// Newest first.
    pub data: Vec<FileMetadata>,
    /// `page_…`. Parity: prints `null` on the last page.
    pub next_page: Option<String>,
}

/// A page of files under the beta header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BetaFilePage {
    /// Newest first.
    pub data: Vec<BetaFileMetadata>,
    /// Whether the list goes on in the direction of the question.
    pub has_more: bool,
    /// For `before_id`. Parity: prints `null` where `data` is empty.
    pub first_id: Option<String>,
    /// For `after_id`. Parity: prints `null` where `data` is empty.
    pub last_id: Option<String>,
}

/// The value of `type` in [`DeletedFile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DeletedFileType {
    #[default]
    #[serde(rename = "file_deleted")]
    FileDeleted,
}

/// The answer to a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedFile {
    /// `file_…`.
    pub id: String,
    /// Always `file_deleted`.
    #[serde(rename = "type")]
    pub kind: DeletedFileType,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of an upload recorded on 2026-08-19.
    const RECORDED: &str = r#"{"type":"file","id":"file_011CeCGmBfrwFHJsUvxRDZS8","size_bytes":18810,"created_at":"2026-08-19T14:34:11.612000Z","filename":"sample.pdf","mime_type":"application/pdf","downloadable":false}"#;

    #[test]
    fn a_recorded_upload_comes_out_as_it_went_in() {
        let file: BetaFileMetadata = serde_json::from_str(RECORDED).unwrap();
        assert_eq!(serde_json::to_string(&file).unwrap(), RECORDED);
    }

    #[test]
    fn the_current_shape_adds_an_expiry_that_may_be_null() {
        let text = RECORDED.replace('}', r#","expires_at":null}"#);
        let file: FileMetadata = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&file).unwrap(), text);
        let text = text.replace(":null", r#":"2026-08-19T15:34:11.612001Z""#);
        let file: FileMetadata = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&file).unwrap(), text);
        assert_eq!(
            serde_json::to_string(&BetaFileMetadata::from(file)).unwrap(),
            RECORDED
        );
    }

    #[test]
    fn pages_and_deletions_print_their_nulls() {
        let page = FilePage {
            data: Vec::new(),
            next_page: None,
        };
        assert_eq!(
            serde_json::to_string(&page).unwrap(),
            r#"{"data":[],"next_page":null}"#
        );
        let page = BetaFilePage {
            data: Vec::new(),
            has_more: false,
            first_id: None,
            last_id: None,
        };
        assert_eq!(
            serde_json::to_string(&page).unwrap(),
            r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#
        );
        let deleted = DeletedFile {
            id: "file_1".to_owned(),
            kind: DeletedFileType::FileDeleted,
        };
        assert_eq!(
            serde_json::to_string(&deleted).unwrap(),
            r#"{"id":"file_1","type":"file_deleted"}"#
        );
    }
}
