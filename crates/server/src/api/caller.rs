//! What every handler knows of its caller: the workspace behind the key, the betas, the version.

use std::borrow::Cow;
use std::sync::Arc;

use crate::api::error::RequestId;
use workspace::fault::Faults;
use workspace::quirks::Quirks;
use workspace::verify::Made;
use workspace::{OpenRequest, Workspace};

/// Who sends the request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub workspace: Arc<Workspace>,
    pub request_id: RequestId,
    pub version: Cow<'static, str>,
    pub betas: Betas,
    pub quirks: Quirks,
    /// Those that the request itself brings.
    pub faults: Option<Arc<Faults>>,
    /// What the request makes, for whoever looks at its retries.
    pub made: Made,
    /// Whoever carries the request out holds this to its end.
    pub open: OpenRequest,
}

/// The values of every `anthropic-beta` header, trimmed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Betas(pub(crate) Vec<String>);

impl Betas {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|beta| beta == name)
    }
}
