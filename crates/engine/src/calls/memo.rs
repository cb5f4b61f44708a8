//! Results of calls, by their containers' pasts: a server that plays one client's run again and again need not run
//! the same call in the same files each time.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use memchr::memmem;
use wire::ToolErrorCode;
use wire::block::EditorContent;

use super::files::Unreturned;
use super::{CallError, Done, Running};
use crate::container::Digest;
use common::limits;
use store::TempBlob;

/// Runs after which a call is known: the second shows what differs by itself.
const RUNS: u32 = 2;

/// Results of calls, by the past that they complete.
#[derive(Debug, Default)]
pub struct Memo(Mutex<HashMap<Digest, Kept>>);

/// A call's result, of its first run.
#[derive(Debug)]
struct Kept {
    runs: u32,
    /// Words that are another container's own.
    marks: [String; 4],
    result: Told,
}

#[derive(Debug, Clone)]
enum Told {
    Ran {
        stdout: String,
        stderr: String,
        return_code: i64,
        files: Vec<(String, TempBlob)>,
    },
    Edited(EditorContent),
    Failed {
        code: ToolErrorCode,
        message: Option<String>,
    },
}

impl Memo {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn knows(&self, past: &Digest) -> bool {
        self.lock().get(past).is_some_and(|kept| kept.runs >= RUNS)
    }

    fn note(&self, past: Digest, marks: [String; 4], result: Told) {
        let mut kept = self.lock();
        if kept.len() >= limits::REUSED_CALLS && !kept.contains_key(&past) {
            return;
        }
        let first = || Kept {
            runs: 0,
            marks,
            result,
        };
        kept.entry(past).or_insert_with(first).runs += 1;
    }

    fn recall(&self, past: &Digest) -> Option<(Told, [String; 4])> {
        let kept = self.lock();
        let kept = kept.get(past)?;
        Some((kept.result.clone(), kept.marks.clone()))
    }
}

impl Running<'_> {
    /// Keeps what the call has come to, if another container could have it word for word.
    pub(super) async fn remember(
        &self,
        past: Digest,
        done: &Done,
        files: Vec<(String, TempBlob)>,
        output_dir: &str,
    ) {
        let result = match done {
            Done::Ran {
                stdout,
                stderr,
                return_code,
                files: made,
            } if made.len() == files.len() => Told::Ran {
                stdout: stdout.clone(),
                stderr: stderr.clone(),
                return_code: *return_code,
                files,
            },
            Done::Edited(content) => Told::Edited(content.clone()),
            // Of the sandbox, and not of the call.
            Done::Failed {
                code: ToolErrorCode::Unavailable,
                ..
            }
            | Done::Ran { .. }
            | Done::Waits(_) => return,
            Done::Failed { code, message } => Told::Failed {
                code: *code,
                message: message.clone(),
            },
        };
        let marks = self.container.marks(self.id, output_dir);
        let of_files = match &result {
            Told::Ran { files, .. } => files.clone(),
            Told::Edited(_) | Told::Failed { .. } => Vec::new(),
        };
        let looked_for = marks.clone();
        let plain = tokio::task::spawn_blocking(move || are_plain(&of_files, &looked_for));
        if plain.await.is_ok_and(|plain| plain) {
            self.engine.memo.note(past, marks, result);
        }
    }

    /// The result that is known of a past, in this container's words.
    pub(super) async fn reused(
        &self,
        past: &Digest,
        output_dir: &str,
    ) -> Result<Option<Done>, CallError> {
        let Some((result, theirs)) = self.engine.memo.recall(past) else {
            return Ok(None);
        };
        let ours = self.container.marks(self.id, output_dir);
        let in_our_words = |text: String| {
            let pairs = theirs.iter().zip(&ours);
            pairs.fold(text, |text, (theirs, ours)| text.replace(theirs, ours))
        };
        Ok(Some(match result {
            Told::Ran {
                stdout,
                stderr,
                return_code,
                files,
            } => {
                let mut made = Vec::with_capacity(files.len());
                let mut unreturned = Unreturned::default();
                for (name, blob) in files {
                    if !self.input.allowance.take(blob.size_bytes()) {
                        unreturned.beyond_allowance += 1;
                        continue;
                    }
                    let twin = self.engine.store.twin(&blob).await;
                    let twin = twin.map_err(super::files::turn)?;
                    made.extend(self.add(name, twin, &mut unreturned).await?);
                }
                let mut stderr = in_our_words(stderr);
                stderr.push_str(&self.tell(&unreturned));
                Done::Ran {
                    stdout: in_our_words(stdout),
                    stderr,
                    return_code,
                    files: made,
                }
            }
            Told::Edited(EditorContent::View {
                file_type,
                content,
                num_lines,
                start_line,
                total_lines,
            }) => Done::Edited(EditorContent::View {
                file_type,
                content: in_our_words(content),
                num_lines,
                start_line,
                total_lines,
            }),
            Told::Edited(EditorContent::StrReplace {
                old_start,
                old_lines,
                new_start,
                new_lines,
                lines,
            }) => Done::Edited(EditorContent::StrReplace {
                old_start,
                old_lines,
                new_start,
                new_lines,
                lines: lines.into_iter().map(in_our_words).collect(),
            }),
            Told::Edited(content) => Done::Edited(content),
            Told::Failed { code, message } => Done::Failed {
                code,
                message: message.map(in_our_words),
            },
        }))
    }
}

/// Whether no file is named by one of the words, or has one in it.
fn are_plain(files: &[(String, TempBlob)], words: &[String]) -> bool {
    let total: u64 = files.iter().map(|(_, blob)| blob.size_bytes()).sum();
    total <= limits::REUSED_FILE_BYTES
        && files.iter().all(|(name, blob)| {
            let mut content = Vec::new();
            let read = blob
                .open()
                .is_ok_and(|mut file| file.read_to_end(&mut content).is_ok());
            read && words.iter().all(|word| {
                !name.contains(word) && memmem::find(&content, word.as_bytes()).is_none()
            })
        })
}
