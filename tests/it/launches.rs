//! What the backends of these tests alone have in common.

/// There is nothing to stop, and nothing to remove.
macro_rules! leaves_nothing {
    () => {
        fn stop<'a>(
            &'a self,
            _: &'a sandtable::ids::SandboxId,
        ) -> sandtable::sandbox::BoxFuture<'a, Result<(), sandtable::sandbox::SandboxError>> {
            Box::pin(std::future::ready(Ok(())))
        }

        fn remove<'a>(
            &'a self,
            _: &'a sandtable::ids::SandboxId,
        ) -> sandtable::sandbox::BoxFuture<'a, Result<(), sandtable::sandbox::SandboxError>> {
            Box::pin(std::future::ready(Ok(())))
        }
    };
}
