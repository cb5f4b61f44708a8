//! The caller of a request, as every handler knows it: the workspace behind the key, the betas, the version.

use std::borrow::Cow;
use std::sync::Arc;

use crate::api::error::RequestId;
use cassette::Redactor;
use workspace::fault::Faults;
use workspace::quirks::Quirks;
use workspace::verify::Made;
use workspace::{OpenRequest, Workspace};

/// The sender of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub workspace: Arc<Workspace>,
    pub request_id: RequestId,
    pub version: Cow<'static, str>,
    pub betas: Betas,
    pub quirks: Quirks,
    /// Those that the request itself brings.
    pub faults: Option<Arc<Faults>>,
    /// The resources that the request makes, for a look at its retries.
    pub made: Made,
    /// Held to the request's end by the task that carries it out.
    pub open: OpenRequest,
    /// Keeps its key out of all that is told.
    pub redactor: Redactor,
}

/// The values of every `anthropic-beta` header, trimmed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Betas(pub(crate) Vec<String>);

impl Betas {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|beta| beta == name)
    }
}
