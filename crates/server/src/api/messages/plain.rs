//! The plain answer: the fold of the stream, held back as long as a fault would hold back the stream.

use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use wire::block::Message;
use wire::event::StreamEvent;

use crate::api::cut;
use engine::fold::Fold;
use engine::{Sink, Wait};

/// Folds events and adds up what they were to wait for.
#[derive(Debug, Default)]
pub(super) struct Plain {
    fold: Fold,
    delay: Duration,
    forever: bool,
}

impl Sink for Plain {
    fn event(&mut self, event: StreamEvent) {
        self.fold.event(event);
    }

    fn wait(&mut self, wait: Wait) {
        match wait {
            Wait::For(span) => self.delay = self.delay.saturating_add(span),
            Wait::Forever => self.forever = true,
        }
    }
}

impl Plain {
    /// The message, whole or as far as it came, when it may be sent.
    pub(super) async fn finish(self) -> Option<Message> {
        if self.forever {
            std::future::pending::<()>().await;
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.fold.finish()
    }
}

/// Half of an answer.
pub(super) fn cut(message: Option<&Message>) -> Response {
    let text = message.and_then(|message| serde_json::to_vec(message).ok());
    let mut bytes = Bytes::from(text.unwrap_or_default());
    bytes.truncate(bytes.len() / 2);
    cut::response(bytes, "application/json")
}
