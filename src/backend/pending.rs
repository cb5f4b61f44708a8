//! A backend that is still being looked for: the server answers meanwhile, and what needs a sandbox
//! waits.

use std::sync::Arc;

use tokio::sync::SetOnce;

use crate::sandbox::guest::Settings;
use crate::sandbox::{Backend, BoxFuture, Channel, Launched, SandboxError, SandboxSpec};

/// Stands for the backend until it is chosen, then passes everything on.
#[derive(Debug, Default)]
pub(crate) struct Pending(SetOnce<Arc<dyn Backend>>);

impl Pending {
    /// Ends the wait. Only the first choice counts.
    pub(crate) fn set(&self, backend: Arc<dyn Backend>) {
        self.0.set(backend).ok();
    }
}

impl Backend for Pending {
    fn name(&self) -> &'static str {
        self.0.get().map_or("choosing", |backend| backend.name())
    }

    fn start<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Channel, SandboxError>> {
        Box::pin(async move { self.0.wait().await.start(spec).await })
    }

    fn launch<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        Box::pin(async move { self.0.wait().await.launch(spec).await })
    }

    fn take_up<'a>(
        &'a self,
        container_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Launched>, SandboxError>> {
        Box::pin(async move { self.0.wait().await.take_up(container_id).await })
    }

    fn settings(&self, spec: &SandboxSpec) -> Settings {
        let backend = self.0.get();
        backend.map_or_else(Settings::default, |backend| backend.settings(spec))
    }

    fn stop<'a>(&'a self, container_id: &'a str) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.stop(container_id).await })
    }

    fn remove<'a>(&'a self, container_id: &'a str) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.remove(container_id).await })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.ready().await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::none;

    #[tokio::test]
    async fn calls_wait_until_the_backend_is_chosen() {
        let pending = Arc::new(Pending::default());
        assert_eq!(pending.name(), "choosing");
        let waiting = Arc::clone(&pending);
        let ready = tokio::spawn(async move { waiting.ready().await });
        tokio::task::yield_now().await;
        assert!(!ready.is_finished());
        pending.set(none("nothing is here", "", None).backend);
        let error = ready.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("nothing is here"), "{error}");
        assert_eq!(pending.name(), "none");
    }
}
