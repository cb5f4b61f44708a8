//! The resources that a request has made, noted as soon as they are there: its answer may be lost after that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the handler, which may be dropped with its client, and by what follows the retries.
#[derive(Debug, Clone, Default)]
pub struct Made(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ids: Vec<String>,
    content: Option<[u8; 32]>,
}

impl Made {
    /// Something of this id is there now: a file, a batch, a skill; or a turn has run code.
    pub fn note(&self, id: impl Into<String>) {
        let (mut state, id) = (self.lock(), id.into());
        if !state.ids.contains(&id) {
            state.ids.push(id);
        }
    }

    /// In the order they came to be.
    pub fn ids(&self) -> Vec<String> {
        self.lock().ids.clone()
    }

    /// The SHA-256 of what the request's body says, whatever it looks like: an upload is sent with another
    /// boundary each time.
    pub fn says(&self, content: [u8; 32]) {
        self.lock().content = Some(content);
    }

    pub(super) fn content(&self) -> Option<[u8; 32]> {
        self.lock().content
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
