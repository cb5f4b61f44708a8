//! The traits of a backend, passed on to where their calls are done.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use super::form::Form;
use super::rung::Rung;
use super::{LocalBackend, Place, failed, probe, rootfs};
use crate::guest::Settings;
use crate::remove_tree;
use crate::{
    BoxFuture, Capabilities, Description, Host, Launched, Launcher, PassedOver, SandboxError,
    SandboxSpec,
};
use common::ids::SandboxId;

impl LocalBackend {
    /// Ends every sandbox; the files stay.
    async fn end_all(&self) {
        self.inner.libraries.stop();
        let all: Vec<_> = self.inner.lock().keys().cloned().collect();
        for id in &all {
            if let Some(sandbox) = self.inner.sandbox(id) {
                self.inner.kill(&sandbox.process).ok();
            }
        }
        for id in &all {
            if let Err(error) = self.inner.end(id).await {
                tracing::warn!(container.id = %id, %error, "a sandbox may be left");
            }
        }
        let aside = self.inner.aside.lock();
        let making = aside.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(making) = making {
            // Failed or not: nothing is written any more.
            making.await.ok();
        }
        if let Some(cgroups) = &self.inner.cgroups {
            cgroups.close();
        }
    }
}

impl Launcher for LocalBackend {
    fn launch<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        // In a task of its own: a start that nobody waits for any more is brought to its end.
        let started = tokio::spawn(Arc::clone(&self.inner).start(spec.clone()));
        Box::pin(async move {
            let channel = started
                .await
                .map_err(|error| failed("start the sandbox", error))??;
            Ok(Launched {
                channel,
                lease: None,
            })
        })
    }

    fn take_up<'a>(
        &'a self,
        _: &'a SandboxId,
    ) -> BoxFuture<'a, Result<Option<Launched>, SandboxError>> {
        // They end with the server.
        Box::pin(std::future::ready(Ok(None)))
    }

    fn prepare_skills<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        // Made with the sandbox.
        Box::pin(std::future::ready(Ok(())))
    }

    fn settings(&self, spec: &SandboxSpec) -> Settings {
        let mut capabilities = self.capabilities();
        if let Some(form) = Form::of(&self.inner.folder.join(&*spec.sandbox_id)) {
            capabilities.exact_disk = form == Form::Image;
        }
        let mut settings = spec.settings(capabilities);
        settings.path = format!("{}:{}", rootfs::BIN, settings.path);
        settings
            .env
            .insert("PYTHONPATH".to_owned(), rootfs::LIBRARIES.to_owned());
        settings
    }

    fn has_lost<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<bool, SandboxError>> {
        let is_lost = Form::of(&self.inner.folder.join(&**sandbox_id)).is_none();
        Box::pin(std::future::ready(Ok(is_lost)))
    }

    fn stop<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(self.inner.end(sandbox_id))
    }

    fn remove<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            self.inner.end(sandbox_id).await?;
            let folder = self.inner.folder.join(&**sandbox_id);
            tokio::task::spawn_blocking(move || remove_tree(&folder))
                .await
                .map_err(|error| failed("remove the container's files", error))?
                .map_err(|error| failed("remove the container's files", error))
        })
    }
}

impl Host for LocalBackend {
    fn name(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            rung: match self.inner.rung {
                Rung::Namespaces => "namespaces",
                Rung::Landlock => "landlock",
            },
            exact_disk: self.disk_is_exact(),
            keeps_files: true,
        }
    }

    fn passed_over(&self) -> &[PassedOver] {
        &self.inner.passed_over
    }

    fn describe(&self) -> BoxFuture<'_, Description> {
        let place = self.inner.libraries.place();
        let lacking = if self.inner.libraries_closed_by(&place).is_some() {
            Some("XDG_CACHE_HOME=/var/cache sandtable image build")
        } else {
            match &place {
                Place::Folder(_) | Place::Machine => None,
                Place::Missing(missing) => Some(match self.inner.libraries.kept(missing) {
                    Ok(_) => "sandtable image build",
                    Err(_) => "XDG_CACHE_HOME=DIR sandtable image build",
                }),
            }
        };
        let description = probe::describe(&self.inner.facts, lacking);
        Box::pin(std::future::ready(description))
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn reap(&self, known: HashSet<SandboxId>) -> BoxFuture<'_, Result<usize, SandboxError>> {
        let inner = Arc::clone(&self.inner);
        let reaping = tokio::task::spawn_blocking(move || inner.reap(|id| known.contains(id)));
        Box::pin(async move {
            reaping
                .await
                .map_err(|error| failed("clear up after other servers", error))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(async move {
            self.end_all().await;
            Ok(())
        })
    }
}
