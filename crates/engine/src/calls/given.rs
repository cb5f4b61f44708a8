//! Calls that bring their result with them: nothing runs, and files are made as if it had.

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::files::{COPY_BYTES, Unreturned, turn};
use super::{CallError, Done, Running};
use common::limits;
use model::{CodeResult, GivenBytes, GivenFile, GivenPath, ModelError, OutputFile};
use sandbox::SandboxError;
use sandbox::guest::GuestError;
use store::TempBlob;
use workspace::fault::{Act, Fault, ToolAct};
use workspace::lint::FAULT_WITHOUT_EFFECT;

impl Running<'_> {
    /// The result that a call brings, unless a fault meets it. Faults of the sandbox itself have none to
    /// work on: the call is `unavailable`, as if its sandbox were.
    pub(super) async fn given(
        &self,
        result: CodeResult,
        fault: Option<&Fault>,
    ) -> Result<Done, CallError> {
        let act = match fault.map(|fault| &fault.act) {
            Some(Act::Tool(act)) => Some(act),
            Some(Act::Http(_) | Act::Stream { .. } | Act::Turn(_) | Act::Wire(_)) | None => None,
        };
        match act {
            None => {}
            Some(ToolAct::Code { code, message }) => {
                return Ok(Done::Failed {
                    code: *code,
                    message: message.clone(),
                });
            }
            Some(ToolAct::EngineUnreachable) => {
                return Err(CallError::Sandbox(SandboxError::Engine {
                    operation: "reach the engine",
                    cause: "a fault says that it does not answer".into(),
                }));
            }
            Some(ToolAct::KillSandbox) => {
                return Err(CallError::Sandbox(GuestError::Gone.into()));
            }
            Some(ToolAct::ExhaustMemory | ToolAct::FillDisk) => {
                let text = "the call has a `result` and no sandbox, so there was no memory or disk to fill; it got `unavailable`";
                self.input.lint(&FAULT_WITHOUT_EFFECT, text.to_owned());
                return Err(CallError::Sandbox(GuestError::Gone.into()));
            }
        }
        Ok(match result {
            CodeResult::Edited(content) => Done::Edited(content),
            CodeResult::Ran {
                stdout,
                mut stderr,
                return_code,
                files,
            } => {
                let mut unreturned = Unreturned::default();
                let files = self.make_files(files, &mut unreturned).await?;
                stderr.push_str(&self.tell(&unreturned));
                Done::Ran {
                    stdout,
                    stderr,
                    return_code,
                    files,
                }
            }
        })
    }

    /// All are read before the first is made: a call that fails leaves none.
    async fn make_files(
        &self,
        files: Vec<GivenFile>,
        unreturned: &mut Unreturned,
    ) -> Result<Vec<OutputFile>, CallError> {
        let mut blobs = Vec::with_capacity(files.len());
        for GivenFile { name, bytes } in files {
            let blob = match bytes {
                GivenBytes::Here(bytes) => {
                    self.allow(bytes.len() as u64)?;
                    let mut blob = self.engine.store.begin_blob().await.map_err(turn)?;
                    blob.write(bytes).await.map_err(turn)?;
                    blob.finish().await.map_err(turn)?
                }
                GivenBytes::At(path) => self.copy(path).await?,
            };
            blobs.push((name, blob));
        }
        let mut made = Vec::with_capacity(blobs.len());
        for (name, blob) in blobs {
            made.extend(self.add(name, blob, unreturned).await?);
        }
        Ok(made)
    }

    async fn copy(&self, path: GivenPath) -> Result<TempBlob, CallError> {
        let unreadable = |path: &GivenPath, reason: String| {
            let message = format!("{}: `{}` cannot be read: {reason}", path.place, path.path);
            CallError::Turn(ModelError::new(message).into())
        };
        let (path, opened) = tokio::task::spawn_blocking(move || {
            let opened = path.open();
            (path, opened)
        })
        .await
        .map_err(|error| CallError::Turn(error.into()))?;
        let (file, size) = opened.map_err(|error| unreadable(&path, error.to_string()))?;
        self.allow(size)?;
        let mut blob = self.engine.store.begin_blob().await.map_err(turn)?;
        // No more than it had when it was opened, whoever writes on.
        let mut file = tokio::fs::File::from_std(file).take(size);
        loop {
            let mut chunk = BytesMut::with_capacity(COPY_BYTES);
            let read = file
                .read_buf(&mut chunk)
                .await
                .map_err(|error| unreadable(&path, error.to_string()))?;
            if read == 0 {
                break;
            }
            blob.write(chunk.freeze()).await.map_err(turn)?;
        }
        let blob = blob.finish().await.map_err(turn)?;
        self.input.allowance.give_back(size - blob.size_bytes());
        Ok(blob)
    }

    /// Takes so many bytes of what the turn may hand back.
    fn allow(&self, bytes: u64) -> Result<(), CallError> {
        if self.input.allowance.take(bytes) {
            return Ok(());
        }
        let gigabytes = limits::MAX_OUTPUT_BYTES / (1024 * 1024 * 1024);
        let message = format!("the files of one turn come to more than {gigabytes} GiB");
        Err(CallError::Turn(ModelError::new(message).into()))
    }
}
