//! Bytes on disk: temporary files while they are written, then one file per blob.
//!
//! A blob is named by its row's number and never by anything a client sent.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::StoreError;
use common::private;

/// Where whole blobs are.
pub(super) const FOLDER: &str = "blobs";
/// Where blobs are while they are written. The name is ours, because it is cleared.
const TMP: &str = "sandtable-tmp";
/// Bytes collected before they are handed to the disk.
const BATCH_BYTES: usize = 512 * 1024;

/// The directories of a store's bytes.
#[derive(Debug)]
pub(super) struct BlobDir {
    blobs: PathBuf,
    tmp: PathBuf,
    next_tmp: AtomicU64,
}

impl BlobDir {
    /// Opens the directories and removes what a killed server was still writing.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        let this = Self {
            blobs: dir.join(FOLDER),
            tmp: dir.join(TMP),
            next_tmp: AtomicU64::new(0),
        };
        let prepare = |path: &Path| {
            let path = path.to_owned();
            |source| StoreError::Prepare { path, source }.on(dir)
        };
        private::create_dir_all(&this.blobs).map_err(prepare(&this.blobs))?;
        match fs::remove_dir_all(&this.tmp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(prepare(&this.tmp)(error));
            }
            _ => {}
        }
        private::create_dir_all(&this.tmp).map_err(prepare(&this.tmp))?;
        Ok(this)
    }

    /// Where whole blobs are.
    pub(super) fn path(&self) -> &Path {
        &self.blobs
    }

    /// `blobs/<2 hex>/<16 hex>`; the last digits spread the files over the directories.
    pub(super) fn path_of(&self, blob: i64) -> PathBuf {
        let name = format!("{blob:016x}");
        self.blobs.join(&name[14..]).join(name)
    }

    /// The blobs on disk.
    pub(super) fn list(&self) -> Result<Vec<i64>, StoreError> {
        let io = || StoreError::io("list the blobs");
        let mut found = Vec::new();
        for shelf in fs::read_dir(&self.blobs).map_err(io())? {
            let shelf = shelf.map_err(io())?;
            if !shelf.file_type().map_err(io())?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(shelf.path()).map_err(io())? {
                let name = entry.map_err(io())?.file_name();
                let number = name.to_str().filter(|name| name.len() == 16);
                // What is not ours stays.
                found.extend(number.and_then(|name| i64::from_str_radix(name, 16).ok()));
            }
        }
        Ok(found)
    }

    /// Gives a whole temporary blob its final name.
    pub(super) fn keep(&self, temp: &TempBlob, blob: i64) -> Result<(), StoreError> {
        let io = || StoreError::io("keep a blob");
        let path = self.path_of(blob);
        let shelf = path.parent().expect("a blob lies on a shelf");
        match fs::rename(&temp.0.guard.path, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let moved = private::create_dir_all(shelf)
                    .and_then(|()| fs::rename(&temp.0.guard.path, &path));
                moved.map_err(|error| io()(error).on(&self.blobs))?;
            }
            result => result.map_err(|error| io()(error).on(&self.blobs))?,
        }
        temp.0.guard.armed.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Undoes [`Self::keep`] where the row could not be committed.
    pub(super) fn give_back(&self, temp: &TempBlob, blob: i64) {
        temp.0.guard.armed.store(true, Ordering::Relaxed);
        if let Err(error) = fs::rename(self.path_of(blob), &temp.0.guard.path) {
            tracing::warn!(%error, "a blob without a row stays until the next start");
        }
    }

    /// Writes a whole blob at once, as [`Self::keep`] would place it.
    pub(super) fn write(&self, blob: i64, content: &[u8]) -> Result<(), StoreError> {
        let io = || StoreError::io("write a blob");
        let n = self.next_tmp.fetch_add(1, Ordering::Relaxed);
        let (temporary, path) = (self.tmp.join(n.to_string()), self.path_of(blob));
        let shelf = path.parent().expect("a blob lies on a shelf");
        let written = private::create_new(&temporary)
            .and_then(|mut file| file.write_all(content))
            .and_then(|()| private::create_dir_all(shelf))
            .and_then(|()| fs::rename(&temporary, &path));
        written.map_err(|error| {
            // Half of it would take what room there is.
            TempGuard::remove(&temporary);
            io()(error).on(&self.blobs)
        })
    }

    /// A temporary blob of the same bytes, which takes no room where the file system lets it have them.
    pub(super) fn twin(&self, of: &TempBlob) -> Result<TempBlob, StoreError> {
        let n = self.next_tmp.fetch_add(1, Ordering::Relaxed);
        let path = self.tmp.join(n.to_string());
        let from = &of.0.guard.path;
        // As many names as a file may have are rarely needed, and some file systems know only one.
        if fs::hard_link(from, &path).is_err() {
            fs::copy(from, &path).map_err(StoreError::io("copy a blob"))?;
        }
        Ok(TempBlob(Arc::new(Whole {
            guard: Arc::new(TempGuard {
                path,
                armed: AtomicBool::new(true),
            }),
            size_bytes: of.size_bytes(),
        })))
    }

    pub(super) fn remove(&self, blob: i64) -> Result<(), StoreError> {
        match fs::remove_file(self.path_of(blob)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove a blob")(error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn open_blob(&self, blob: i64) -> io::Result<File> {
        File::open(self.path_of(blob))
    }
}

/// Removes a temporary file when nothing refers to it any more, the write in flight included.
#[derive(Debug)]
struct TempGuard {
    path: PathBuf,
    armed: AtomicBool,
}

impl TempGuard {
    fn remove(path: &Path) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a temporary file stays until the next start");
            }
            _ => {}
        }
    }
}

impl Drop for TempGuard {
    fn drop(&mut self) {
        if !*self.armed.get_mut() {
            return;
        }
        let path = std::mem::take(&mut self.path);
        // Removing a large file takes tens of milliseconds.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || Self::remove(&path))),
            Err(_) => Self::remove(&path),
        }
    }
}

#[derive(Debug)]
enum Slot {
    /// Nothing was written yet, not even the file's name.
    Unmade,
    Busy(Batch),
    /// All is written; its SHA-256, where it was asked for.
    Whole(Option<[u8; 32]>),
    /// A write failed; there is no going on.
    Failed,
}

/// A batch on its way. Either way takes about as long, so that each has a thread.
#[derive(Debug)]
struct Batch {
    bytes: Arc<Vec<u8>>,
    write: JoinHandle<io::Result<File>>,
    hash: Option<JoinHandle<Sha256>>,
}

/// What a batch leaves to the next one.
#[derive(Debug)]
struct Written {
    file: File,
    /// Empty, for its room.
    batch: Vec<u8>,
    hash: Option<Sha256>,
}

impl Batch {
    async fn done(self) -> io::Result<Written> {
        let Self { bytes, write, hash } = self;
        let file = write.await.map_err(io::Error::other)??;
        let hash = match hash {
            Some(hash) => Some(hash.await.map_err(io::Error::other)?),
            None => None,
        };
        let mut batch = Arc::unwrap_or_clone(bytes);
        batch.clear();
        Ok(Written { file, batch, hash })
    }
}

/// Writes one blob. Two batches are in memory at most: one on its way to the disk, one filling.
///
/// Written bytes are copied into the batch. Keeping the pieces instead is slower: the reader of the socket
/// then needs fresh memory for each, and the system clears every page of it.
#[derive(Debug)]
pub struct BlobWriter {
    guard: Arc<TempGuard>,
    slot: Slot,
    batch: Vec<u8>,
    size_bytes: u64,
    hashed: bool,
}

impl BlobWriter {
    pub(super) fn new(dir: &BlobDir) -> Self {
        let n = dir.next_tmp.fetch_add(1, Ordering::Relaxed);
        Self {
            guard: Arc::new(TempGuard {
                path: dir.tmp.join(n.to_string()),
                armed: AtomicBool::new(true),
            }),
            slot: Slot::Unmade,
            batch: Vec::new(),
            size_bytes: 0,
            hashed: false,
        }
    }

    /// One that has a [`Self::digest`]: it is computed beside the reading of what comes.
    #[must_use]
    pub fn hashed(mut self) -> Self {
        self.hashed = true;
        self
    }

    /// Bytes written so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Appends `piece`; waits for the disk only when a whole batch is ahead of it.
    pub async fn write(&mut self, piece: impl AsRef<[u8]>) -> Result<(), StoreError> {
        let mut piece = piece.as_ref();
        if matches!(self.slot, Slot::Whole(_)) {
            return Err(StoreError::io("write a blob")(io::Error::other(
                "it is whole",
            )));
        }
        self.size_bytes += piece.len() as u64;
        while !piece.is_empty() {
            let (fitting, rest) = piece.split_at(piece.len().min(BATCH_BYTES - self.batch.len()));
            self.batch.extend_from_slice(fitting);
            piece = rest;
            if self.batch.len() == BATCH_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Completes the blob: every byte is with the system.
    pub async fn finish(mut self) -> Result<TempBlob, StoreError> {
        self.complete().await?;
        Ok(TempBlob(Arc::new(Whole {
            guard: self.guard,
            size_bytes: self.size_bytes,
        })))
    }

    /// SHA-256 of all that was written, of a [`Self::hashed`] one; nothing more can be.
    pub async fn digest(&mut self) -> Result<[u8; 32], StoreError> {
        let digest = self.complete().await?;
        let missing = || io::Error::other("it was not begun as one that is hashed");
        digest.ok_or_else(|| StoreError::io("hash a blob")(missing()))
    }

    async fn complete(&mut self) -> Result<Option<[u8; 32]>, StoreError> {
        if let Slot::Whole(digest) = self.slot {
            return Ok(digest);
        }
        if !self.batch.is_empty() || matches!(self.slot, Slot::Unmade) {
            self.flush().await?;
        }
        let written = self.idle().await?;
        let hash = written.and_then(|written| written.hash);
        let digest = hash.map(|hash| hash.finalize().into());
        self.slot = Slot::Whole(digest);
        Ok(digest)
    }

    /// Gives up, and returns when the temporary file is gone. Dropping does the same later.
    pub async fn discard(mut self) {
        // A failed write leaves nothing else to do.
        self.idle().await.ok();
        let guard = self.guard;
        let removed = tokio::task::spawn_blocking(move || {
            if let Ok(mut guard) = Arc::try_unwrap(guard) {
                *guard.armed.get_mut() = false;
                TempGuard::remove(&guard.path);
            }
        });
        removed.await.ok();
    }

    /// Waits for the write in flight.
    async fn idle(&mut self) -> Result<Option<Written>, StoreError> {
        let io = StoreError::io("write a blob");
        match std::mem::replace(&mut self.slot, Slot::Failed) {
            Slot::Unmade => Ok(None),
            Slot::Busy(batch) => match batch.done().await {
                Ok(written) => Ok(Some(written)),
                Err(error) => Err(io(error).on(&self.guard.path)),
            },
            Slot::Whole(_) => Err(io(io::Error::other("it is whole"))),
            Slot::Failed => Err(io(io::Error::other("an earlier write failed"))),
        }
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let (file, next, hash) = match self.idle().await? {
            Some(Written { file, batch, hash }) => (Some(file), batch, hash),
            None => (None, Vec::new(), self.hashed.then(Sha256::new)),
        };
        let guard = Arc::clone(&self.guard);
        let bytes = Arc::new(std::mem::replace(&mut self.batch, next));
        let batch = Arc::clone(&bytes);
        let write = tokio::task::spawn_blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => private::create_new(&guard.path)?,
            };
            file.write_all(&batch)?;
            Ok(file)
        });
        let hash = hash.map(|hash| {
            let batch = Arc::clone(&bytes);
            tokio::task::spawn_blocking(move || hash.chain_update(batch.as_slice()))
        });
        self.slot = Slot::Busy(Batch { bytes, write, hash });
        Ok(())
    }
}

/// A whole blob that no file has yet. Removed with its last clone, unless it became a file's.
#[derive(Debug, Clone)]
pub struct TempBlob(Arc<Whole>);

#[derive(Debug)]
struct Whole {
    guard: Arc<TempGuard>,
    size_bytes: u64,
}

impl TempBlob {
    /// Its length.
    pub fn size_bytes(&self) -> u64 {
        self.0.size_bytes
    }

    /// Opens it for reading.
    pub fn open(&self) -> Result<File, StoreError> {
        File::open(&self.0.guard.path).map_err(StoreError::io("read a temporary blob"))
    }
}
