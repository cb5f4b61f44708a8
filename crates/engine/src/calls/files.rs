//! Files that a call leaves in `$OUTPUT_DIR`, on their way to the Files API.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use tokio::io::AsyncReadExt;

use super::{CallError, Running, format_note};
use common::ids::Kind;
use common::limits;
use model::OutputFile;
use sandbox::guest::{ErrorKind, Guest, GuestError};
use store::{NewFile, StoreError, TempBlob};
use workspace::lint::UNRETURNED_OUTPUT;

/// How much of an output file is in memory at a time.
pub(super) const COPY_BYTES: usize = 256 * 1024;

/// How many of the files that are not handed back are named.
const NAMED: usize = 5;

/// The bytes that the calls of one turn may still hand back in files.
#[derive(Debug)]
pub struct Allowance(AtomicU64);

impl Default for Allowance {
    fn default() -> Self {
        Self(AtomicU64::new(limits::MAX_OUTPUT_BYTES))
    }
}

impl Allowance {
    /// Takes so many bytes; `false`, and nothing is taken, if that many are not left.
    pub(super) fn take(&self, bytes: u64) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .is_ok()
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Files in `$OUTPUT_DIR` that are not handed back. They stay in the container.
#[derive(Debug, Default)]
pub(super) struct Unreturned {
    /// The Files API takes no such names.
    pub(super) refused: Vec<String>,
    /// More than one call hands back.
    pub(super) beyond_count: u64,
    /// More bytes than one turn hands back.
    pub(super) beyond_allowance: usize,
    /// More bytes than the workspace may hold.
    pub(super) beyond_quota: Vec<String>,
}

impl Unreturned {
    /// Which and why, a sentence for each reason.
    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.refused.is_empty() {
            reasons.push(format!(
                "{} in `$OUTPUT_DIR`: not returned, the Files API takes no such name",
                named(&self.refused)
            ));
        }
        if self.beyond_count > 0 {
            reasons.push(format!(
                "{} files in `$OUTPUT_DIR` were not returned: one call returns at most {}",
                self.beyond_count,
                limits::MAX_OUTPUT_FILES
            ));
        }
        if self.beyond_allowance > 0 {
            let gigabytes = limits::MAX_OUTPUT_BYTES / (1024 * 1024 * 1024);
            reasons.push(format!(
                "{} files in `$OUTPUT_DIR` were not returned: those of one turn come to more than {gigabytes} GiB",
                self.beyond_allowance
            ));
        }
        if !self.beyond_quota.is_empty() {
            reasons.push(format!(
                "{} in `$OUTPUT_DIR`: not returned, the storage quota is used up",
                named(&self.beyond_quota)
            ));
        }
        reasons
    }
}

/// The first few names, and how many more there are.
fn named(names: &[String]) -> String {
    let shown = names.iter().take(NAMED);
    let shown: Vec<String> = shown
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

pub(super) fn turn(error: StoreError) -> CallError {
    CallError::Turn(error.into())
}

impl Running<'_> {
    /// Makes the files of a call objects of the Files API, in their order; one that has several names is
    /// kept once. What there is no room for is added to `unreturned`.
    pub(super) async fn take_files(
        &self,
        guest: &Guest,
        output_dir: &str,
        outputs: Vec<guest_proto::OutputFile>,
        unreturned: &mut Unreturned,
    ) -> Result<Vec<OutputFile>, CallError> {
        let store = &self.engine.store;
        let mut fetched = Vec::with_capacity(outputs.len());
        // Of each file with several names, a copy that takes no room.
        let mut twins: HashMap<u64, TempBlob> = HashMap::new();
        for output in outputs {
            let twin = output.same.and_then(|same| twins.get(&same).cloned());
            let blob = match twin {
                Some(blob) => blob,
                None => match self.fetch(guest, output_dir, &output.name).await? {
                    Fetched::Whole(blob) => blob,
                    Fetched::Over => {
                        unreturned.beyond_allowance += 1;
                        continue;
                    }
                    Fetched::Gone => continue,
                },
            };
            if let Some(same) = output.same {
                let twin = store.twin(&blob).await.map_err(turn)?;
                twins.insert(same, twin);
            }
            if self.engine.containers.follows_pasts() {
                let twin = store.twin(&blob).await.map_err(turn)?;
                self.kept().push((output.name.clone(), twin));
            }
            fetched.push((output.name, blob));
        }
        let mut files = Vec::with_capacity(fetched.len());
        for (name, blob) in fetched {
            files.extend(self.add(name, blob, unreturned).await?);
        }
        Ok(files)
    }

    /// The note to the model about files that are not handed back; empty if there are none.
    pub(super) fn tell(&self, unreturned: &Unreturned) -> String {
        let mut note = String::new();
        for reason in unreturned.reasons() {
            note.push_str(&format_note(&reason));
            self.input
                .lint(&UNRETURNED_OUTPUT, format!("`{}`: {reason}", self.id));
        }
        note
    }

    /// Notes that an edit has written where files are handed back from, but not the editor's.
    pub(super) fn tell_of_output(&self, path: &str) {
        if self.engine.containers.is_output(self.container, path) {
            let text = format!(
                "`{}`: `{path}`: not returned, an edit hands back no files",
                self.id
            );
            self.input.lint(&UNRETURNED_OUTPUT, text);
        }
    }

    /// Takes the bytes of one file out of the sandbox: no more than it had when it was opened, whatever
    /// writes on.
    async fn fetch(
        &self,
        guest: &Guest,
        output_dir: &str,
        name: &str,
    ) -> Result<Fetched, CallError> {
        let stream = match guest.get_file(output_dir, name).await {
            Ok(stream) => stream,
            // What the call has left behind may take it away or put another thing in its place.
            Err(GuestError::Refused { kind, message }) if kind != ErrorKind::Busy => {
                tracing::warn!(call.id = self.id, file = %name, %message, "an output file is gone");
                return Ok(Fetched::Gone);
            }
            Err(error) => return Err(error.into()),
        };
        let size = stream.size();
        if size > limits::MAX_OUTPUT_FILE_BYTES {
            tracing::warn!(call.id = self.id, file = %name, file.size = size, "an output file has grown over the limit");
            return Ok(Fetched::Gone);
        }
        if !self.input.allowance.take(size) {
            return Ok(Fetched::Over);
        }
        let mut blob = self.engine.store.begin_blob().await.map_err(turn)?;
        let mut stream = stream.take(size);
        loop {
            let mut chunk = bytes::BytesMut::with_capacity(COPY_BYTES);
            let read = stream
                .read_buf(&mut chunk)
                .await
                .map_err(|_| GuestError::Gone)?;
            if read == 0 {
                break;
            }
            blob.write(chunk.freeze()).await.map_err(turn)?;
        }
        let blob = blob.finish().await.map_err(turn)?;
        self.input.allowance.give_back(size - blob.size_bytes());
        Ok(Fetched::Whole(blob))
    }

    /// Makes a file an object of the Files API, behind those of the calls before; `None`, and it is added to
    /// `unreturned`, if the workspace may not hold so much.
    pub(super) async fn add(
        &self,
        name: String,
        blob: TempBlob,
        unreturned: &mut Unreturned,
    ) -> Result<Option<OutputFile>, CallError> {
        self.spot.reached().await;
        let now: DateTime<Utc> = self.input.workspace.clock.now();
        let mime = mime_guess::from_path(&name).first_or_octet_stream();
        let row = loop {
            let file = NewFile {
                id: self.ids.next(Kind::File).into(),
                workspace: self.input.workspace.id.clone(),
                filename: name.clone(),
                mime_type: mime.essence_str().to_owned(),
                downloadable: true,
                created_at: now,
                expires_at: None,
                container_id: Some(self.container.id.clone()),
            };
            match self.engine.store.insert_file(file, blob.clone()).await {
                // Seeded ids repeat over a restart.
                Err(StoreError::IdTaken { .. }) => {}
                Err(StoreError::QuotaExceeded { .. }) => {
                    unreturned.beyond_quota.push(name);
                    self.input.allowance.give_back(blob.size_bytes());
                    return Ok(None);
                }
                result => break result.map_err(turn)?,
            }
        };
        Ok(Some(OutputFile {
            file_id: row.id,
            filename: row.filename,
            size_bytes: row.size_bytes,
        }))
    }
}

enum Fetched {
    Whole(TempBlob),
    /// The turn may not hand back so much.
    Over,
    /// It is no longer what was listed.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_handed_back_is_told_by_its_reason() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let unreturned = Unreturned {
            refused: names(&["a:b?.txt", "line\nbreak"]),
            beyond_count: 2,
            beyond_allowance: 1,
            beyond_quota: names(&["1", "2", "3", "4", "5", "6", "7"]),
        };
        assert_eq!(
            unreturned.reasons(),
            [
                r"`a:b?.txt`, `line\nbreak` in `$OUTPUT_DIR`: not returned, the Files API takes no such name",
                "2 files in `$OUTPUT_DIR` were not returned: one call returns at most 1000",
                "1 files in `$OUTPUT_DIR` were not returned: those of one turn come to more than 5 GiB",
                "`1`, `2`, `3`, `4`, `5` and 2 more in `$OUTPUT_DIR`: not returned, the storage quota is used up",
            ]
        );
        assert!(Unreturned::default().reasons().is_empty());
    }

    #[test]
    fn a_turn_hands_back_what_a_containers_disk_may_hold_and_no_more() {
        let allowance = Allowance::default();
        assert!(allowance.take(limits::MAX_OUTPUT_BYTES - 1));
        assert!(!allowance.take(2) && allowance.take(1) && !allowance.take(1));
        allowance.give_back(5);
        assert!(allowance.take(5));
    }
}
