//! Why the store did not do what it was asked.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use common::hinted::Hinted;

/// Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "lock the data directory `{}`: process {pid} is using it",
        dir.display()
    )]
    Locked {
        dir: PathBuf,
        /// The owner as it wrote itself down, or `unknown`.
        pid: String,
    },
    #[error(
        "use `{}` as a data directory: it holds `{found}`, and no store of sandtable's",
        dir.display()
    )]
    Foreign {
        dir: PathBuf,
        /// Something that is there.
        found: String,
    },
    #[error(
        "use `{}` as a data directory: it holds `{found}`, and its database knows nothing of it",
        dir.display()
    )]
    Lost {
        dir: PathBuf,
        /// Something that is there.
        found: String,
    },
    #[error(
        "use the data directory: its database knows {files} files, and the folder of their bytes, `{}`, is not there",
        path.display()
    )]
    Bereft { path: PathBuf, files: i64 },
    #[error(
        "use `{}`: it is a database of another program",
        path.display()
    )]
    ForeignDatabase { path: PathBuf },
    #[error(
        "lock `{}`: the file is not sandtable's",
        path.display()
    )]
    ForeignLock { path: PathBuf },
    #[error(
        "keep other users out of the data directory `{}`: {source}",
        dir.display()
    )]
    Open { dir: PathBuf, source: io::Error },
    #[error("prepare the data directory: `{}`: {source}", path.display())]
    Prepare { path: PathBuf, source: io::Error },
    #[error("open a store of schema version {found}: this sandtable knows versions up to {known}")]
    TooNew { found: u32, known: u32 },
    #[error(
        "read `{}`: the database is damaged ({cause})",
        path.display()
    )]
    Damaged {
        path: PathBuf,
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    #[error("{operation}: {source}")]
    Sql {
        operation: &'static str,
        source: rusqlite::Error,
    },
    #[error("{operation}: {source}")]
    Io {
        operation: &'static str,
        source: io::Error,
    },
    /// There was no room for it.
    #[error("{operation}: no space is left on the disk of `{}`: {cause}", path.display())]
    Full {
        operation: &'static str,
        /// The file or directory that was written.
        path: PathBuf,
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// A folder of the store's was removed while it is open.
    #[error("{operation}: `{}`: {source}", path.display())]
    Missing {
        operation: &'static str,
        /// The file or directory that was written.
        path: PathBuf,
        source: io::Error,
    },
    #[error("store {size_bytes} bytes: the workspace holds {used_bytes} of {quota_bytes}")]
    QuotaExceeded {
        size_bytes: u64,
        used_bytes: u64,
        quota_bytes: u64,
    },
    /// The workspace has, or lately had, an object of this id.
    #[error("give out the id `{id}`: it is taken")]
    IdTaken { id: String },
    /// The workspace has a skill that is shown under this name.
    #[error("add a skill shown as `{name}`: there is one already")]
    NameTaken { name: String },
    /// A cursor names a file that never was in this workspace's list.
    #[error("list files from `{id}`: there is no such file")]
    UnknownCursor { id: String },
    #[error("find the workspace `{id}`")]
    UnknownWorkspace { id: String },
    #[error("add a workspace: there are {limit} already")]
    WorkspacesFull { limit: usize },
    /// The file was deleted after its row was read.
    #[error("open the bytes of `{id}`: they are deleted")]
    BlobGone { id: String },
    /// The file is there, and its bytes are not.
    #[error("open the bytes of `{id}`: `{}` is gone", path.display())]
    BlobLost { id: String, path: PathBuf },
    #[error("open the bytes of `{id}`: {found} bytes on disk, {expected} in the store")]
    BlobDamaged {
        id: String,
        found: u64,
        expected: u64,
    },
    #[error("reach the store: it is closed")]
    Closed,
}

impl Hinted for StoreError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::Locked { .. } => "stop that server, or give `--data-dir` another folder",
            Self::Foreign { dir, .. } => {
                let folder = dir.join("sandtable-data");
                return Some(Cow::Owned(format!(
                    "give `--data-dir` a new or an empty folder, such as `{}`",
                    folder.display()
                )));
            }
            Self::Lost { .. } => {
                "put `sandtable.db` and `sandtable.db-wal` back together, or give `--data-dir` another folder"
            }
            Self::Bereft { .. } => {
                "put the folder back (or mount its disk), or make an empty one to go on without the bytes"
            }
            Self::ForeignDatabase { .. } => "give `--data-dir` another folder",
            Self::ForeignLock { .. } => "move it away, or give `--data-dir` another folder",
            Self::Open { .. } => {
                "`chmod 700` it as its owner, or give `--data-dir` a folder of your own"
            }
            Self::Prepare { .. } => "give a folder that can be written with `--data-dir`",
            Self::TooNew { .. } => {
                "take the newer sandtable that made it, or give `--data-dir` another folder"
            }
            Self::Damaged { .. } => {
                "move the data directory away to keep what is left of it, or give `--data-dir` another folder"
            }
            Self::Sql { .. }
            | Self::Io { .. }
            | Self::Full { .. }
            | Self::Missing { .. }
            | Self::QuotaExceeded { .. }
            | Self::IdTaken { .. }
            | Self::NameTaken { .. }
            | Self::UnknownCursor { .. }
            | Self::UnknownWorkspace { .. }
            | Self::WorkspacesFull { .. }
            | Self::BlobGone { .. }
            | Self::BlobLost { .. }
            | Self::BlobDamaged { .. }
            | Self::Closed => return None,
        };
        Some(Cow::Borrowed(hint))
    }
}

impl StoreError {
    /// What a client is told, and what helps: of what only the machine's owner can mend.
    pub fn public(&self) -> Option<(String, &'static str)> {
        match self {
            Self::Full {
                operation, path, ..
            } => Some((
                format!(
                    "no space is left on the disk of `{}`, failed to {operation}",
                    path.display()
                ),
                "make room there, or start with `--data-dir` (or `TMPDIR`) on another disk",
            )),
            Self::Missing {
                operation, path, ..
            } => Some((
                format!("`{}` is gone, failed to {operation}", path.display()),
                "put the data directory back, or start the server anew",
            )),
            Self::BlobLost { id, path } => Some((
                format!("the bytes of file `{id}` are gone: `{}`", path.display()),
                "put them back, or delete the file",
            )),
            Self::Locked { .. }
            | Self::Foreign { .. }
            | Self::Lost { .. }
            | Self::Bereft { .. }
            | Self::ForeignDatabase { .. }
            | Self::ForeignLock { .. }
            | Self::Open { .. }
            | Self::Prepare { .. }
            | Self::TooNew { .. }
            | Self::Damaged { .. }
            | Self::Sql { .. }
            | Self::Io { .. }
            | Self::QuotaExceeded { .. }
            | Self::IdTaken { .. }
            | Self::NameTaken { .. }
            | Self::UnknownCursor { .. }
            | Self::UnknownWorkspace { .. }
            | Self::WorkspacesFull { .. }
            | Self::BlobGone { .. }
            | Self::BlobDamaged { .. }
            | Self::Closed => None,
        }
    }

    /// The same of a file or folder: a full disk, a damaged database, and what is gone are told with their path.
    #[must_use]
    pub fn on(self, path: &Path) -> Self {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        let is_full = |source: &io::Error| matches!(source.kind(), StorageFull | QuotaExceeded);
        let path = path.to_owned();
        if let Self::Sql { operation, source } = self {
            let cause = Box::new(source);
            return match cause.sqlite_error_code() {
                Some(DatabaseCorrupt | NotADatabase) => Self::Damaged { path, cause },
                Some(DiskFull) => Self::Full {
                    operation,
                    path,
                    cause,
                },
                _ => Self::Sql {
                    operation,
                    source: *cause,
                },
            };
        }
        if let Self::Prepare { path, source } = self {
            return if is_full(&source) {
                Self::Full {
                    operation: "prepare the data directory",
                    path,
                    cause: source.into(),
                }
            } else {
                Self::Prepare { path, source }
            };
        }
        if let Self::Io { operation, source } = self {
            return if is_full(&source) {
                Self::Full {
                    operation,
                    path,
                    cause: source.into(),
                }
            } else if source.kind() == io::ErrorKind::NotFound {
                Self::Missing {
                    operation,
                    path,
                    source,
                }
            } else {
                Self::Io { operation, source }
            };
        }
        self
    }

    pub(super) fn sql(operation: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sql { operation, source }
    }

    pub fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }
}
