//! Work whose size a client chooses, done where it holds nobody up.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` on this thread, after the runtime has given everything else on it to another.
///
/// Costs some microseconds: for what may take milliseconds. The work itself is bounded by whoever does it.
pub(crate) fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        // A runtime of one thread has nobody to give it to.
        _ => work(),
    }
}

/// [`apart`] if there are more than a few `bytes` to go through.
pub(crate) fn apart_if_large<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes > crate::limits::WORK_IN_PLACE_BYTES {
        apart(work)
    } else {
        work()
    }
}
