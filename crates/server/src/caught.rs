//! A panic is a failure of ours, and no client that leaves: whoever asked gets an answer, and the verdict is bad.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::task::{JoinError, JoinHandle};

use workspace::verify::Miss;

/// What a piece of work has panicked with.
#[derive(Debug, thiserror::Error)]
#[error("sandtable itself failed: {0}")]
pub(crate) struct Panicked(String);

impl Panicked {
    fn with(cause: &(dyn Any + Send)) -> Self {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
        Self(text.unwrap_or("its log says where").to_owned())
    }

    /// As the verdict tells it.
    pub(crate) fn miss(&self) -> Miss {
        let message = self.to_string();
        Miss::Failed { message }
    }
}

/// What `work` comes to, if it does. What it leaves behind is what a client that leaves makes it leave behind.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.map_err(|cause| Panicked::with(&*cause))
}

/// What a task comes to that goes on where its client leaves. A panic in it is one of whoever waits.
pub(crate) async fn joined<T>(task: JoinHandle<T>) -> Result<T, JoinError> {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(done) => Ok(done),
        Err(Ok(cause)) => std::panic::resume_unwind(cause),
        Err(Err(error)) => Err(error),
    }
}

/// The failure that drops things right now, if one does.
pub(crate) fn unwinding() -> Option<Panicked> {
    let cause = || Panicked::with(&"its log says where");
    std::thread::panicking().then(cause)
}
