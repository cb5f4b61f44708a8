//! A backend that is still being looked for: the server answers meanwhile, and what needs a sandbox
//! waits.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::SetOnce;

use common::ids::SandboxId;
use sandbox::guest::Settings;
use sandbox::{
    Backend, BoxFuture, Capabilities, Description, Host, Launched, Launcher, PassedOver,
    SandboxError, SandboxSpec,
};

/// Its name, and its rung, until there is one.
const CHOOSING: &str = "choosing";

/// Stands for the backend until it is chosen, then passes everything on.
#[derive(Debug, Default)]
pub(crate) struct Pending(SetOnce<Arc<dyn Backend>>);

impl Pending {
    /// Ends the wait. Only the first choice counts.
    pub(crate) fn set(&self, backend: Arc<dyn Backend>) {
        self.0.set(backend).ok();
    }
}

impl Launcher for Pending {
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
        backend.map_or_else(
            || spec.settings(self.capabilities()),
            |backend| backend.settings(spec),
        )
    }

    fn has_lost<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<bool, SandboxError>> {
        Box::pin(async move { self.0.wait().await.has_lost(sandbox_id).await })
    }

    fn stop<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.stop(sandbox_id).await })
    }

    fn remove<'a>(&'a self, sandbox_id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.remove(sandbox_id).await })
    }
}

impl Host for Pending {
    fn name(&self) -> &'static str {
        self.0.get().map_or(CHOOSING, |backend| backend.name())
    }

    fn capabilities(&self) -> Capabilities {
        let not_known = Capabilities {
            rung: CHOOSING,
            exact_disk: false,
            keeps_files: true,
        };
        let backend = self.0.get();
        backend.map_or(not_known, |backend| backend.capabilities())
    }

    fn passed_over(&self) -> &[PassedOver] {
        self.0.get().map_or(&[], |backend| backend.passed_over())
    }

    fn describe(&self) -> BoxFuture<'_, Description> {
        Box::pin(async move { self.0.wait().await.describe().await })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.ready().await })
    }

    fn reap(&self, known: HashSet<SandboxId>) -> BoxFuture<'_, Result<usize, SandboxError>> {
        Box::pin(async move { self.0.wait().await.reap(known).await })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(async move { self.0.wait().await.close().await })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::backend::none;
    use sandbox::Limits;

    /// Notes what it is asked for.
    #[derive(Debug, Default)]
    struct Noting(Mutex<Vec<&'static str>>);

    impl Noting {
        fn note(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }

        fn refuse<T: Send + 'static>(
            &self,
            what: &'static str,
        ) -> BoxFuture<'static, Result<T, SandboxError>> {
            self.note(what);
            Box::pin(std::future::ready(Err(SandboxError::Engine {
                operation: what,
                cause: "".into(),
            })))
        }
    }

    impl Launcher for Noting {
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
            self.note("settings");
            Settings::default()
        }

        fn has_lost<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<bool, SandboxError>> {
            self.refuse("has_lost")
        }

        fn stop<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
            self.refuse("stop")
        }

        fn remove<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
            self.refuse("remove")
        }
    }

    impl Host for Noting {
        fn name(&self) -> &'static str {
            self.note("name");
            "noting"
        }

        fn capabilities(&self) -> Capabilities {
            self.note("capabilities");
            Capabilities {
                rung: "noted",
                exact_disk: true,
                keeps_files: true,
            }
        }

        fn passed_over(&self) -> &[PassedOver] {
            self.note("passed_over");
            &[]
        }

        fn describe(&self) -> BoxFuture<'_, Description> {
            self.note("describe");
            Box::pin(std::future::ready(Description {
                text: String::new(),
                improve: None,
            }))
        }

        fn ready(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
            self.refuse("ready")
        }

        fn reap(&self, _: HashSet<SandboxId>) -> BoxFuture<'_, Result<usize, SandboxError>> {
            self.refuse("reap")
        }

        fn close(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
            self.refuse("close")
        }
    }

    #[tokio::test]
    async fn everything_is_passed_on() {
        let (pending, noting) = (Pending::default(), Arc::new(Noting::default()));
        pending.set(Arc::clone(&noting) as Arc<dyn Backend>);
        let spec = SandboxSpec {
            sandbox_id: "container_1".into(),
            expires_at: common::clock::Clock::default().now(),
            limits: Limits::default(),
        };
        assert!(pending.launch(&spec).await.is_err());
        assert!(pending.take_up(&spec.sandbox_id).await.is_err());
        assert!(pending.prepare_skills(&spec.sandbox_id).await.is_err());
        pending.settings(&spec);
        assert!(pending.has_lost(&spec.sandbox_id).await.is_err());
        assert!(pending.stop(&spec.sandbox_id).await.is_err());
        assert!(pending.remove(&spec.sandbox_id).await.is_err());
        assert_eq!(pending.name(), "noting");
        assert_eq!(pending.capabilities().rung, "noted");
        assert!(pending.passed_over().is_empty());
        pending.describe().await;
        assert!(pending.ready().await.is_err());
        assert!(pending.reap(HashSet::new()).await.is_err());
        assert!(pending.close().await.is_err());
        let asked = [
            "launch",
            "take_up",
            "prepare_skills",
            "settings",
            "has_lost",
            "stop",
            "remove",
            "name",
            "capabilities",
            "passed_over",
            "describe",
            "ready",
            "reap",
            "close",
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
