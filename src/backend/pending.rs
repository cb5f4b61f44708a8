//! A backend that is still being looked for: the server answers meanwhile, and what needs a sandbox
//! waits.

use std::sync::Arc;

use tokio::sync::SetOnce;

use crate::ids::SandboxId;
use crate::sandbox::guest::Settings;
use crate::sandbox::{
    Backend, BoxFuture, Channel, Launched, PassedOver, SandboxError, SandboxSpec,
};

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

    fn rung(&self) -> &'static str {
        self.0.get().map_or("choosing", |backend| backend.rung())
    }

    fn passed_over(&self) -> &[PassedOver] {
        self.0.get().map_or(&[], |backend| backend.passed_over())
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
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<Option<Launched>, SandboxError>> {
        Box::pin(async move { self.0.wait().await.take_up(sandbox_id).await })
    }

    fn prepare_skills<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.prepare_skills(sandbox_id).await })
    }

    fn settings(&self, spec: &SandboxSpec) -> Settings {
        let backend = self.0.get();
        backend.map_or_else(Settings::default, |backend| backend.settings(spec))
    }

    fn stop<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.stop(sandbox_id).await })
    }

    fn remove<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.remove(sandbox_id).await })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.ready().await })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::backend::none;
    use crate::sandbox::Limits;

    /// Notes what it is asked for. Every method is its own: none falls back to what the trait would do.
    #[derive(Debug, Default)]
    struct Noting(Mutex<Vec<&'static str>>);

    impl Noting {
        fn refuse<T: Send + 'static>(
            &self,
            what: &'static str,
        ) -> BoxFuture<'static, Result<T, SandboxError>> {
            self.0.lock().unwrap().push(what);
            Box::pin(std::future::ready(Err(SandboxError::Engine {
                operation: what,
                reason: String::new(),
            })))
        }
    }

    impl Backend for Noting {
        fn name(&self) -> &'static str {
            "noting"
        }

        fn rung(&self) -> &'static str {
            self.0.lock().unwrap().push("rung");
            "noted"
        }

        fn passed_over(&self) -> &[PassedOver] {
            self.0.lock().unwrap().push("passed_over");
            &[]
        }

        fn start<'a>(&'a self, _: &'a SandboxSpec) -> BoxFuture<'a, Result<Channel, SandboxError>> {
            self.refuse("start")
        }

        fn launch<'a>(
            &'a self,
            _: &'a SandboxSpec,
        ) -> BoxFuture<'a, Result<Launched, SandboxError>> {
            self.refuse("launch")
        }

        fn take_up<'a>(
            &'a self,
            _: &'a SandboxId,
        ) -> BoxFuture<'a, Result<Option<Launched>, SandboxError>> {
            self.refuse("take_up")
        }

        fn prepare_skills<'a>(
            &'a self,
            _: &'a SandboxId,
        ) -> BoxFuture<'a, Result<(), SandboxError>> {
            self.refuse("prepare_skills")
        }

        fn settings(&self, _: &SandboxSpec) -> Settings {
            self.0.lock().unwrap().push("settings");
            Settings::default()
        }

        fn stop<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
            self.refuse("stop")
        }

        fn remove<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
            self.refuse("remove")
        }

        fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
            self.refuse("ready")
        }
    }

    #[tokio::test]
    async fn everything_is_passed_on() {
        let (pending, noting) = (Pending::default(), Arc::new(Noting::default()));
        pending.set(Arc::clone(&noting) as Arc<dyn Backend>);
        let spec = SandboxSpec {
            sandbox_id: "container_1".into(),
            expires_at: crate::clock::Clock::default().now(),
            limits: Limits::default(),
        };
        assert!(pending.start(&spec).await.is_err());
        assert!(pending.launch(&spec).await.is_err());
        assert!(pending.take_up(&spec.sandbox_id).await.is_err());
        assert!(pending.prepare_skills(&spec.sandbox_id).await.is_err());
        pending.settings(&spec);
        assert_eq!(pending.rung(), "noted");
        assert!(pending.passed_over().is_empty());
        assert!(pending.stop(&spec.sandbox_id).await.is_err());
        assert!(pending.remove(&spec.sandbox_id).await.is_err());
        assert!(pending.ready().await.is_err());
        let asked = [
            "start",
            "launch",
            "take_up",
            "prepare_skills",
            "settings",
            "rung",
            "passed_over",
            "stop",
            "remove",
            "ready",
        ];
        assert_eq!(*noting.0.lock().unwrap(), asked);
    }

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
