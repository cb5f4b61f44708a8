//! What a test's own backend has to say and does not care about.

/// A guest ends with its channel, and skills have their place.
macro_rules! ends_with_its_channel {
    () => {
        fn take_up<'a>(
            &'a self,
            _: &'a sandtable::ids::SandboxId,
        ) -> sandtable::sandbox::BoxFuture<
            'a,
            Result<Option<sandtable::sandbox::Launched>, sandtable::sandbox::SandboxError>,
        > {
            Box::pin(std::future::ready(Ok(None)))
        }

        fn prepare_skills<'a>(
            &'a self,
            _: &'a sandtable::ids::SandboxId,
        ) -> sandtable::sandbox::BoxFuture<'a, Result<(), sandtable::sandbox::SandboxError>> {
            Box::pin(std::future::ready(Ok(())))
        }
    };
}

/// A host with a name and nothing to clear up; `$ready` says whether a sandbox could be had.
macro_rules! host {
    ($type:ty, $name:literal, |$backend:ident| $ready:expr) => {
        impl sandtable::sandbox::Host for $type {
            fn name(&self) -> &'static str {
                $name
            }

            fn capabilities(&self) -> sandtable::sandbox::Capabilities {
                sandtable::sandbox::Capabilities {
                    rung: $name,
                    exact_disk: false,
                    keeps_files: true,
                }
            }

            fn passed_over(&self) -> &[sandtable::sandbox::PassedOver] {
                &[]
            }

            fn describe(
                &self,
            ) -> sandtable::sandbox::BoxFuture<'_, sandtable::sandbox::Description> {
                Box::pin(std::future::ready(sandtable::sandbox::Description {
                    text: "of a test".to_owned(),
                    improve: None,
                }))
            }

            fn ready(
                &self,
            ) -> sandtable::sandbox::BoxFuture<'_, Result<(), sandtable::sandbox::SandboxError>>
            {
                let $backend = self;
                $ready
            }

            fn reap(
                &self,
                _: std::collections::HashSet<sandtable::ids::SandboxId>,
            ) -> sandtable::sandbox::BoxFuture<'_, Result<usize, sandtable::sandbox::SandboxError>>
            {
                Box::pin(std::future::ready(Ok(0)))
            }

            fn close(
                &self,
            ) -> sandtable::sandbox::BoxFuture<'_, Result<(), sandtable::sandbox::SandboxError>>
            {
                Box::pin(std::future::ready(Ok(())))
            }
        }
    };
}
