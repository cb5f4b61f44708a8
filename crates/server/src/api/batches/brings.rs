//! What a batch has of the request that made it, beside its row.

use std::sync::Arc;

use crate::api::error::RequestId;
use cassette::Redactor;
use workspace::fault::Faults;

/// The request that has made a batch, as far as the batch needs it. None of it is kept: after a restart the key is not known.
#[derive(Debug)]
pub(super) struct Brings {
    pub(super) request_id: RequestId,
    /// Those that it brought along for the items.
    pub(super) faults: Option<Arc<Faults>>,
    /// Keeps its key out of what is told of the items.
    pub(super) redactor: Redactor,
}
