//! The result that a call to code execution brings with it: nothing runs.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wire::block::EditorContent;

use common::input;
use common::limits;

/// The result of such a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeResult {
    Ran {
        stdout: String,
        stderr: String,
        return_code: i64,
        /// No two of one name.
        files: Vec<GivenFile>,
    },
    Edited(EditorContent),
}

/// A file that such a call hands back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenFile {
    pub name: String,
    pub bytes: GivenBytes,
}

/// The content of such a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenBytes {
    Here(Bytes),
    /// The file's content when the call is made.
    At(GivenPath),
}

/// A file in the folder of a script, or below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenPath {
    pub folder: Arc<Path>,
    /// Relative, without `..`.
    pub path: String,
    /// The place that names it, for messages: `file:line: rule, step`.
    pub place: String,
}

impl GivenPath {
    /// Opens it and says how many bytes it has. No link leads out of the folder.
    pub fn open(&self) -> io::Result<(File, u64)> {
        let folder = self.folder.canonicalize()?;
        let path = folder.join(&self.path).canonicalize()?;
        let refusal = |reason| io::Error::new(io::ErrorKind::InvalidInput, reason);
        if !path.starts_with(&folder) {
            return Err(refusal("a link in it leads out of the script's folder"));
        }
        let file = input::open(&path)?;
        let size = file.metadata()?.len();
        if size > limits::MAX_OUTPUT_FILE_BYTES {
            return Err(refusal(
                "it is over 500 MB, the most that a call hands back",
            ));
        }
        Ok((file, size))
    }
}
