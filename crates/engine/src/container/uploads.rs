//! Uploads in containers: noted when a request names them, put into the sandbox when a call needs them.

use super::{Container, Containers, store_failed};
use guest_proto::directory_name;
use model::Upload;
use sandbox::SandboxError;
use sandbox::guest::{Guest, GuestError, PutFile};
use store::{MountedFile, StoreError};
use tokio::io::AsyncRead;

/// An upload that the next call must find.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) upload: Upload,
    /// It was in its place before: it stays as it is, unless code has taken it away.
    pub(super) unless_there: bool,
}

impl Waiting {
    /// Puts it into the sandbox, from what holds its bytes; answers whether it is also there by its bare name.
    pub(super) async fn put(
        &self,
        container: &Container,
        guest: &Guest,
        source: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<bool, GuestError> {
        let target = PutFile {
            name: &directory_name(&self.upload.filename),
            input_dir: &container.input_dir,
        };
        if self.unless_there {
            guest.put_file_unless_there(target, source).await
        } else {
            guest.put_file(target, source).await
        }
    }
}

impl From<MountedFile> for Waiting {
    fn from(file: MountedFile) -> Self {
        Self {
            upload: Upload {
                file_id: file.file_id,
                filename: file.filename,
            },
            unless_there: false,
        }
    }
}

/// What became of an upload that a call needs.
pub(super) enum Placed {
    There,
    /// The working directory has something else of its name.
    Hidden,
    /// It can no longer be had, which it tells.
    Gone(&'static str),
}

impl Placed {
    pub(super) fn what_is_missing(&self, filename: &str) -> Option<String> {
        match self {
            Self::There => None,
            Self::Hidden => Some(format!(
                "`./{filename}`: the working directory has something else of this name, or no room; the upload is in `$INPUT_DIR`"
            )),
            Self::Gone(how) => Some(format!(
                "`{filename}`: the file {how} before a call needed it"
            )),
        }
    }
}

impl Containers {
    /// Notes files that the next call must find in the container; those that a new turn names also where they were put
    /// before, for code may have taken them away. A file that is there stays as it is. Of several of one name the last
    /// has the place.
    pub(crate) async fn add_uploads(
        &self,
        container: &Container,
        uploads: &[Upload],
        is_new_turn: bool,
    ) -> Result<(), StoreError> {
        let (workspace, id) = (&container.workspace, &container.id);
        let known = self.0.store.mounted_files(workspace, id).await?;
        let mut sandbox = container.sandbox.lock().await;
        for upload in uploads {
            let is_namesake = |other: &&Upload| other.filename == upload.filename;
            let last = uploads.iter().rfind(is_namesake).unwrap_or(upload);
            let known = known.iter().find(|file| file.file_id == upload.file_id);
            let is_known = known.is_some();
            let is_same = |waiting: &Waiting| waiting.upload.file_id == upload.file_id;
            if last.file_id != upload.file_id
                || is_known && !is_new_turn
                || sandbox.waiting.iter().any(is_same)
            {
                continue;
            }
            if !is_known {
                let file = MountedFile {
                    file_id: upload.file_id.clone(),
                    filename: upload.filename.clone(),
                    in_place: false,
                };
                self.0.store.mount_file(workspace, id, file).await?;
                let waiting = &mut sandbox.waiting;
                waiting.retain(|waiting| waiting.upload.filename != upload.filename);
            }
            sandbox.waiting.push(Waiting {
                upload: upload.clone(),
                unless_there: known.is_some_and(|file| file.in_place),
            });
        }
        Ok(())
    }

    /// After a restart: the uploads that had not reached the sandbox.
    pub(super) async fn take_up_uploads(&self, container: &Container) -> Result<(), StoreError> {
        let (workspace, id) = (&container.workspace, &container.id);
        let files = self.0.store.mounted_files(workspace, id).await?;
        let mut sandbox = container.sandbox.lock().await;
        for file in files.into_iter().filter(|file| !file.in_place) {
            sandbox.wait_for(file);
        }
        drop(sandbox);
        self.take_up_skills(container).await
    }

    pub(super) async fn put(
        &self,
        container: &Container,
        guest: &Guest,
        waiting: &Waiting,
    ) -> Result<Placed, SandboxError> {
        let id = &waiting.upload.file_id;
        // Since the request named it: the call finds no such file. One in its place can do without the Files API.
        let gone = |how| {
            let placed = if waiting.unless_there {
                Placed::There
            } else {
                Placed::Gone(how)
            };
            Ok(placed)
        };
        let row = match self.0.store.file(&container.workspace, id).await {
            Ok(None) => return gone("was deleted"),
            Ok(Some(row)) if row.is_expired(container.clock.now()) => return gone("expired"),
            Ok(Some(row)) => row,
            Err(error) => return Err(store_failed(error)),
        };
        let mut source = self.0.store.open_blob(&row).await.map_err(store_failed)?;
        let linked = waiting.put(container, guest, &mut source).await?;
        if !waiting.unless_there {
            self.placed(container, &waiting.upload).await?;
        }
        Ok(if linked {
            Placed::There
        } else {
            Placed::Hidden
        })
    }

    /// Notes that an upload is in its place.
    pub(super) async fn placed(
        &self,
        container: &Container,
        upload: &Upload,
    ) -> Result<(), SandboxError> {
        let (workspace, id) = (&container.workspace, &container.id);
        let noted = self
            .0
            .store
            .file_is_in_place(workspace, id, &upload.file_id);
        noted.await.map_err(store_failed)
    }
}
