//! The resources that a request has made, noted as soon as they are there: its answer may be lost after that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the handler, which may be dropped with its client, and by what follows the retries.
#[derive(Debug, Clone, Default)]
pub struct Made(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ids: Vec<String>,
    content: Option<[u8; 32]>,
    /// What running calls make.
    at_work: Vec<String>,
    /// One of them is with a sandbox.
    is_given: bool,
}

impl Made {
    /// Something of this id is there now: a file, a batch, a skill; or a turn has run code.
    pub fn note(&self, id: impl Into<String>) {
        let (mut state, id) = (self.lock(), id.into());
        if !state.ids.contains(&id) {
            state.ids.push(id);
        }
    }

    /// In the order they came to be; with what calls make that were cut off in a sandbox, or are still there.
    pub fn ids(&self) -> Vec<String> {
        let state = self.lock();
        let mut ids = state.ids.clone();
        if state.is_given {
            let more = state.at_work.iter().filter(|id| !state.ids.contains(id));
            ids.extend(more.cloned());
        }
        ids
    }

    /// Calls begin, which make these.
    pub fn begins(&self, ids: Vec<String>) {
        let mut state = self.lock();
        state.at_work = ids;
        state.is_given = false;
    }

    /// A sandbox is given one of the calls that have begun.
    pub fn reaches_sandbox(&self) {
        self.lock().is_given = true;
    }

    /// The calls are over: their results say what they have done.
    pub fn ends(&self) {
        self.lock().is_given = false;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_made_something_once_a_sandbox_has_one_until_their_results_say_what() {
        let made = Made::default();
        made.begins(vec!["msg_1".to_owned(), "container_1".to_owned()]);
        assert_eq!(made.ids(), Vec::<String>::new());
        made.reaches_sandbox();
        assert_eq!(made.ids(), ["msg_1", "container_1"]);
        made.ends();
        assert_eq!(made.ids(), Vec::<String>::new());
        made.note("msg_1");
        made.begins(vec!["msg_1".to_owned()]);
        made.reaches_sandbox();
        assert_eq!(made.ids(), ["msg_1"]);
    }
}
