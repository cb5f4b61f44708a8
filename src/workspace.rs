//! A workspace: the tenant behind an API key, and all that belongs to it alone.

use crate::clock::Clock;
use crate::ids::Ids;

/// One tenant. Files and containers refer to it by id in the store; the rest lives here.
#[derive(Debug)]
pub struct Workspace {
    /// `wrkspc_…`, the id in answer headers and in the store.
    pub id: String,
    pub clock: Clock,
    /// With a seed, ids are the same in every run.
    pub seed: Option<u64>,
}

impl Workspace {
    /// Ids for what `scope` names: the bytes that the client sent, or an ordinal of its own.
    pub fn ids(&self, scope: &[&[u8]]) -> Ids {
        Ids::new(self.seed, scope)
    }
}
