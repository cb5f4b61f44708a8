//! Work whose size a client chooses, done where it holds nobody up.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` on this thread, after the runtime has given everything else on it to another.
///
/// Costs some microseconds: for what may take milliseconds. The work itself is bounded by whoever does it.
pub fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        // A runtime of one thread has nobody to give it to.
        _ => work(),
    }
}

/// Applies `work` to each item, on as many threads as there are processors; returns the results in the items' order.
///
/// For work of which each item takes many microseconds; a few items are not worth a thread.
///
/// # Panics
///
/// When `work` does.
pub fn spread<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    const FEW: usize = 32;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if items.len() < FEW || threads == 1 {
        return items.into_iter().map(work).collect();
    }
    // Pieces that are small beside the whole: an item may take a hundred times as long as its neighbours.
    let piece = items.len().div_ceil(threads * 16);
    let mut rest = items.into_iter();
    let pieces = std::iter::from_fn(move || {
        let piece: Vec<T> = rest.by_ref().take(piece).collect();
        (!piece.is_empty()).then_some(piece)
    });
    let pieces = Mutex::new(pieces.enumerate());
    let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    while let Some((at, piece)) = next() {
                        done.push((at, piece.into_iter().map(&work).collect::<Vec<R>>()));
                    }
                    done
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let done = thread.join();
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect::<BTreeMap<usize, Vec<R>>>()
    });
    done.into_values().flatten().collect()
}

/// [`apart`] if there are more than a few `bytes` to go through.
pub fn apart_if_large<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes > crate::limits::WORK_IN_PLACE_BYTES {
        apart(work)
    } else {
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_is_spread_keeps_its_order() {
        for count in [0, 1, 31, 32, 33, 1000] {
            let made = spread((0..count).collect(), |item: u32| item * 2);
            assert_eq!(made, (0..count).map(|item| item * 2).collect::<Vec<_>>());
        }
    }
}
