//! The past of a container: a digest of all that was put into it and called in it, in order.
//!
//! Two containers with the same past are alike, so a call that is known from one need not run in the other. What did
//! not run is kept, and made up in the sandbox before anything else happens there ([`Containers::lease`]).

use std::sync::{Arc, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncSeekExt as _;

use super::uploads::Waiting;
use super::{Container, Containers, Lease, go_without};
use model::Upload;
use sandbox::guest::{EditCall, ExecCall, ExecKind};
use sandbox::{Cause, SandboxError};

/// SHA-256 over a past.
pub type Digest = [u8; 32];

/// A call that leaves nothing but files and processes in its sandbox.
#[derive(Debug, Clone)]
pub enum PastCall {
    Exec(ExecCall),
    Edit(EditCall),
}

impl PastCall {
    /// The same with a directory for its outputs.
    pub(crate) fn into_dir(self, output_dir: String) -> Self {
        match self {
            Self::Exec(call) => Self::Exec(ExecCall { output_dir, ..call }),
            Self::Edit(call) => Self::Edit(EditCall { output_dir, ..call }),
        }
    }
}

/// Something that has happened to the container, and not yet in its sandbox.
#[derive(Debug)]
pub(super) enum Past {
    Put {
        waiting: Waiting,
        /// Open, so that it can be had when the client has deleted it.
        content: tokio::fs::File,
    },
    Call(PastCall),
}

/// A container's past, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum History {
    /// Nobody can say: calls ran beside each other, or something has happened that is no call.
    #[default]
    Unknown,
    Known(Digest),
    /// A call runs that makes it this.
    Running(Digest),
}

/// The way to handle a call.
#[derive(Debug)]
pub enum Step {
    /// It runs, and nothing is to be kept of it.
    Run,
    /// It runs, and with its end this is the container's past.
    Note(Underway),
    /// It need not run: what is known of this past is its result.
    Reuse(Digest),
}

/// A call that runs in a container whose past was known. Dropped before its end, nobody can say what it has done.
#[derive(Debug)]
pub struct Underway {
    container: Arc<Container>,
    past: Digest,
}

impl Underway {
    /// The call is over: the past, if nothing else has happened meanwhile.
    pub fn end(self) -> Option<Digest> {
        let mut history = self.container.history();
        if *history != History::Running(self.past) {
            return None;
        }
        *history = History::Known(self.past);
        Some(self.past)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut history = self.container.history();
        if *history == History::Running(self.past) {
            *history = History::Unknown;
        }
    }
}

impl Container {
    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happens that no past tells.
    pub(crate) fn forget_past(&self) {
        *self.history() = History::Unknown;
    }

    /// Words that are this container's own wherever they appear, and of the call of this id and directory.
    pub fn marks(&self, call_id: &str, output_dir: &str) -> [String; 4] {
        let own = self.sandbox_id.to_string();
        [
            self.input_dir.clone(),
            own,
            output_dir.to_owned(),
            call_id.to_owned(),
        ]
    }
}

impl Containers {
    /// Whether pasts are followed at all.
    pub(crate) fn follows_pasts(&self) -> bool {
        self.0.follows_pasts
    }

    /// Where nothing has happened yet.
    pub(super) fn beginning(&self, is_new: bool) -> History {
        if is_new && self.0.follows_pasts {
            History::Known(Digest::default())
        } else {
            History::Unknown
        }
    }

    /// The way to handle a call. `manner` is what else decides about its result; `is_known` says whether the result
    /// is known that a past ends with.
    pub async fn step(
        &self,
        container: &Arc<Container>,
        call: PastCall,
        manner: &str,
        is_known: impl FnOnce(&Digest) -> bool,
    ) -> Step {
        if !self.0.follows_pasts {
            return Step::Run;
        }
        let mut sandbox = container.sandbox.lock().await;
        let begun = *container.history();
        let History::Known(before) = begun else {
            container.forget_past();
            return Step::Run;
        };
        let mut puts = Vec::new();
        let mut past = before;
        let simple = sandbox.waiting_skills.is_empty() && !sandbox.tree_waits;
        if simple {
            for waiting in &sandbox.waiting {
                match self.waiting(container, &waiting.upload).await {
                    Some(Some((content, digest))) => {
                        let how: &[u8] = if waiting.unless_there {
                            b"keep"
                        } else {
                            b"put"
                        };
                        let name = waiting.upload.filename.as_bytes();
                        past = after(&past, &[how, name, &digest]);
                        let waiting = waiting.clone();
                        puts.push(Past::Put { waiting, content });
                    }
                    // Deleted since the request named it.
                    Some(None) => {}
                    None => {
                        container.forget_past();
                        return Step::Run;
                    }
                }
            }
        }
        let past = after(&past, &[manner.as_bytes(), &words(&call)]);
        let mut history = container.history();
        if !simple || *history != begun {
            *history = History::Unknown;
            return Step::Run;
        }
        if !is_known(&past) {
            *history = History::Running(past);
            return Step::Note(Underway {
                container: Arc::clone(container),
                past,
            });
        }
        *history = History::Known(past);
        sandbox.waiting.clear();
        sandbox.past.extend(puts);
        sandbox.past.push_back(Past::Call(call));
        Step::Reuse(past)
    }

    /// An upload that is to be put there: open, with its digest; `Some(None)` if it is gone, `None` if nobody can say.
    async fn waiting(
        &self,
        container: &Container,
        upload: &Upload,
    ) -> Option<Option<(tokio::fs::File, Digest)>> {
        let store = &self.0.store;
        let row = store
            .file(&container.workspace, &upload.file_id)
            .await
            .ok()?;
        let Some(row) = row else { return Some(None) };
        let digest = store.digest(&row).await.ok()?;
        Some(Some((store.open_blob(&row).await.ok()?, digest)))
    }

    /// Makes up in the sandbox what has happened without it.
    pub(super) async fn make_up(
        &self,
        container: &Container,
        lease: &Lease,
        past: &mut Past,
    ) -> Result<(), SandboxError> {
        match past {
            Past::Put { waiting, content } => {
                let rewound = content.rewind().await;
                rewound.map_err(|error| SandboxError::Engine {
                    operation: "put an upload into the container",
                    cause: Cause::of(error),
                })?;
                let upload = &waiting.upload;
                match waiting.put(container, lease, content).await {
                    // What is missing was told, or not, by the call whose result was known.
                    Ok(_) => self.placed(container, upload).await,
                    Err(error) => {
                        let what = format!("`{}`", upload.filename);
                        go_without(container, &what, error.into()).map(drop)
                    }
                }
            }
            Past::Call(PastCall::Exec(call)) => {
                lease.exec(call.clone()).await?;
                Ok(())
            }
            Past::Call(PastCall::Edit(call)) => {
                // What it says was said before.
                lease.edit(call.clone()).await?.ok();
                Ok(())
            }
        }
    }
}

fn after(past: &Digest, words: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(past);
    for word in words {
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(word);
    }
    hash.finalize().into()
}

/// All of a call but the names of its directories, and its id.
fn words(call: &PastCall) -> Vec<u8> {
    let said = match call {
        PastCall::Exec(call) => {
            let kind = match &call.kind {
                ExecKind::Bash(command) => ("bash", command),
                ExecKind::Python { code, .. } => ("python", code),
            };
            format!("{kind:?} {:?} {:?}", call.timeout, call.env)
        }
        PastCall::Edit(call) => format!("{:?}", call.edit),
    };
    said.into_bytes()
}
