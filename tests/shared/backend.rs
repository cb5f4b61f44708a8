//! The parts that a test's own backend has to implement and does not care about.

/// A guest ends with its channel, and skills have their place.
macro_rules! ends_with_its_channel {
    () => {
        fn take_up<'a>(
            &'a self,
            _: &'a common::ids::SandboxId,
        ) -> sandbox::BoxFuture<'a, Result<Option<sandbox::Launched>, sandbox::SandboxError>> {
            Box::pin(std::future::ready(Ok(None)))
        }

        fn prepare_skills<'a>(
            &'a self,
            _: &'a common::ids::SandboxId,
        ) -> sandbox::BoxFuture<'a, Result<(), sandbox::SandboxError>> {
            Box::pin(std::future::ready(Ok(())))
        }

        fn has_lost<'a>(
            &'a self,
            _: &'a common::ids::SandboxId,
        ) -> sandbox::BoxFuture<'a, Result<bool, sandbox::SandboxError>> {
            Box::pin(std::future::ready(Ok(false)))
        }
    };
}

/// A host with a name and nothing to clear up; `$ready` says whether a sandbox could be had.
macro_rules! host {
    ($type:ty, $name:literal, |$backend:ident| $ready:expr) => {
        impl sandbox::Host for $type {
            fn name(&self) -> &'static str {
                $name
            }

            fn capabilities(&self) -> sandbox::Capabilities {
                sandbox::Capabilities {
                    rung: $name,
                    exact_disk: false,
                    keeps_files: true,
                }
            }

            fn passed_over(&self) -> &[sandbox::PassedOver] {
                &[]
            }

            fn describe(&self) -> sandbox::BoxFuture<'_, sandbox::Description> {
                Box::pin(std::future::ready(sandbox::Description {
                    text: "of a test".to_owned(),
                    improve: None,
                }))
            }

            fn ready(&self) -> sandbox::BoxFuture<'_, Result<(), sandbox::SandboxError>> {
                let $backend = self;
                $ready
            }

            fn reap(
                &self,
                _: std::collections::HashSet<common::ids::SandboxId>,
            ) -> sandbox::BoxFuture<'_, Result<usize, sandbox::SandboxError>> {
                Box::pin(std::future::ready(Ok(0)))
            }

            fn close(&self) -> sandbox::BoxFuture<'_, Result<(), sandbox::SandboxError>> {
                Box::pin(std::future::ready(Ok(())))
            }
        }
    };
}
