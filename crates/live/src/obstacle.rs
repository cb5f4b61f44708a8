//! Why something recorded is not run again.

use std::sync::Arc;

use cassette::form::FormError;
use client::ClientError;
use model::draft::NotEmulated;

/// Told in the report of every call that it keeps from being made, so it is cheap to copy.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Obstacle {
    /// Something that the recording lacks, or has in it.
    #[error("{0}")]
    Recording(String),
    /// It needs what is not there for a reason of its own.
    #[error("{what}: {source}")]
    Needs { what: String, source: Arc<Self> },
    #[error(transparent)]
    Form(Arc<FormError>),
    /// The server of this run refused it.
    #[error(transparent)]
    Server(Arc<ClientError>),
    #[error(transparent)]
    Answer(Arc<serde_json::Error>),
    #[error(transparent)]
    Step(#[from] NotEmulated),
}

impl Obstacle {
    pub(super) fn recording(text: impl Into<String>) -> Self {
        Self::Recording(text.into())
    }

    /// This is why `what` is.
    pub(super) fn behind(self, what: String) -> Self {
        Self::Needs {
            what,
            source: Arc::new(self),
        }
    }
}

impl From<FormError> for Obstacle {
    fn from(error: FormError) -> Self {
        Self::Form(Arc::new(error))
    }
}

impl From<ClientError> for Obstacle {
    fn from(error: ClientError) -> Self {
        Self::Server(Arc::new(error))
    }
}

impl From<serde_json::Error> for Obstacle {
    fn from(error: serde_json::Error) -> Self {
        Self::Answer(Arc::new(error))
    }
}
