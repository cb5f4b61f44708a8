//! The server's state: what handlers share.

use std::sync::Arc;

use crate::store::Store;

/// A cheap handle to everything a handler needs.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
}

#[cfg(test)]
impl App {
    /// For tests of handlers that need the store alone.
    pub(crate) fn for_store(store: Store) -> Self {
        Self(Arc::new(Inner { store }))
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
