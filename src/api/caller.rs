//! What every handler knows of its caller: the workspace behind the key, the betas, the version.

use std::borrow::Cow;
use std::sync::Arc;

use crate::api::error::RequestId;
use crate::fault::Faults;
use crate::quirks::Quirks;
use crate::verify::Made;
use crate::workspace::{OpenRequest, Workspace};

/// Who sends the request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) request_id: RequestId,
    pub(crate) version: Cow<'static, str>,
    pub(crate) betas: Betas,
    pub(crate) quirks: Quirks,
    /// Those that the request itself brings.
    pub(crate) faults: Option<Arc<Faults>>,
    /// What the request makes, for whoever looks at its retries.
    pub(crate) made: Made,
    /// Whoever carries the request out holds this to its end.
    pub(crate) open: OpenRequest,
}

/// The values of every `anthropic-beta` header, trimmed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Betas(pub(crate) Vec<String>);

impl Betas {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|beta| beta == name)
    }
}
