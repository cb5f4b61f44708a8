//! The order in which calls that run beside each other hand back their files: that in which they were written, not
//! that in which they end.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

/// The places of the calls that have not ended.
type Open = Arc<watch::Sender<BTreeSet<usize>>>;

/// A call's place in the queue; the next ones wait for it until it is dropped.
#[derive(Debug)]
pub(crate) struct Spot {
    open: Open,
    place: usize,
}

/// The places of so many calls, in their order.
pub(crate) fn spots(count: usize) -> Vec<Spot> {
    let open = Open::new(watch::Sender::new((0..count).collect()));
    let spot = |place| Spot {
        open: Arc::clone(&open),
        place,
    };
    (0..count).map(spot).collect()
}

impl Spot {
    /// Waits until every call before this one has ended.
    pub(super) async fn reached(&self) {
        let is_first = |open: &BTreeSet<usize>| open.first().is_none_or(|it| *it >= self.place);
        // It fails only if nobody holds the sender, which is here.
        drop(self.open.subscribe().wait_for(is_first).await);
    }
}

impl Drop for Spot {
    fn drop(&mut self) {
        self.open.send_modify(|open| {
            open.remove(&self.place);
        });
    }
}
