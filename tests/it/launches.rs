//! The parts that the backends of these tests alone have in common.

/// There is nothing to stop, and nothing to remove.
macro_rules! leaves_nothing {
    () => {
        fn stop<'a>(
            &'a self,
            _: &'a common::ids::SandboxId,
        ) -> sandbox::BoxFuture<'a, Result<(), sandbox::SandboxError>> {
            Box::pin(std::future::ready(Ok(())))
        }

        fn remove<'a>(
            &'a self,
            _: &'a common::ids::SandboxId,
        ) -> sandbox::BoxFuture<'a, Result<(), sandbox::SandboxError>> {
            Box::pin(std::future::ready(Ok(())))
        }
    };
}
