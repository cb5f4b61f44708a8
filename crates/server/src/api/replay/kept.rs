//! Bytes that pass by and are kept: in memory while they are few, then in a file.

use std::fs::{self, File};
use std::io::{self, Write as _};

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use cassette::{Blob, Body};
use common::ids::hex;
use common::private;
use store::StoreError;

/// The bytes that are kept in memory; an answer beyond them lies in a file.
const IN_MEMORY_BYTES: usize = 1024 * 1024;

/// The bytes that have passed so far.
#[derive(Debug, Default)]
pub(super) struct Kept {
    memory: BytesMut,
    spilled: Option<Spilled>,
    /// Once something was lost, nothing of it is whole.
    broken: Option<StoreError>,
}

#[derive(Debug)]
struct Spilled {
    folder: TempDir,
    file: File,
    hash: Sha256,
    size_bytes: u64,
}

/// The name of a file that is not complete.
const PARTIAL: &str = "partial";

/// All that has passed.
#[derive(Debug)]
pub(super) enum Whole {
    Memory(Bytes),
    /// The folder goes when this does.
    File(Blob, TempDir),
}

impl Kept {
    /// Whether all of it is still here.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        if self.broken.is_none() {
            self.broken = self.keep(bytes).err().map(failed);
        }
        self.broken.is_none()
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.spilled.is_none() {
            if self.memory.len() + bytes.len() <= IN_MEMORY_BYTES {
                self.memory.extend_from_slice(bytes);
                return Ok(());
            }
            let folder = private::temp_dir("sandtable-body-")?;
            let file = private::create_new(&folder.path().join(PARTIAL))?;
            let spilled = Spilled {
                folder,
                file,
                hash: Sha256::new(),
                size_bytes: 0,
            };
            let spilled = self.spilled.insert(spilled);
            spilled.push(&std::mem::take(&mut self.memory))?;
        }
        match &mut self.spilled {
            Some(spilled) => spilled.push(bytes),
            None => Ok(()),
        }
    }

    pub(super) fn whole(self) -> Result<Whole, StoreError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let Some(spilled) = self.spilled else {
            return Ok(Whole::Memory(self.memory.freeze()));
        };
        let sha256 = hex(&spilled.hash.finalize());
        let folder = spilled.folder.path();
        fs::rename(folder.join(PARTIAL), folder.join(&sha256)).map_err(failed)?;
        let blob = Blob {
            sha256,
            size_bytes: spilled.size_bytes,
            folder: folder.to_owned(),
        };
        Ok(Whole::File(blob, spilled.folder))
    }
}

/// A full disk is told with its path.
pub(super) fn failed(source: io::Error) -> StoreError {
    StoreError::io("keep a body")(source).on(&std::env::temp_dir())
}

impl Spilled {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

impl Whole {
    /// As a cassette keeps it, and the folder it needs until it is written.
    pub(super) fn body(self, is_text: bool) -> Result<(Body, Option<TempDir>), StoreError> {
        Ok(match self {
            Self::Memory(bytes) => (Body::of(bytes), None),
            // What is compared or redacted as text has to be there.
            Self::File(blob, _) if is_text => {
                let bytes = fs::read(blob.path()).map_err(failed)?;
                (Body::of(Bytes::from(bytes)), None)
            }
            Self::File(blob, folder) => (Body::Blob(blob), Some(folder)),
        })
    }
}
