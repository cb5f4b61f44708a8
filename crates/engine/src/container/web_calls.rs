//! Calls to the web that code in a cell has made: kept for a continuation that is sent again.
//!
//! The guest keeps the results of cells for the same reason; both end with the interpreter.

use std::sync::PoisonError;

use wire::block::ContentBlock;

use super::Container;
use common::limits;

/// A call with its result.
#[derive(Debug, Clone)]
pub(crate) struct WebCallMade {
    /// Its number among the calls of the cell.
    pub n: u64,
    pub blocks: [ContentBlock; 2],
    pub(crate) for_code: String,
    /// Whether `usage` counts it.
    pub counts: bool,
}

/// The web calls of a cell since the client gave these answers.
#[derive(Debug)]
pub(super) struct Since {
    tag: String,
    answered: Vec<u64>,
    calls: Vec<WebCallMade>,
}

impl Since {
    fn is(&self, tag: &str, answered: &[u64]) -> bool {
        self.tag == tag && self.answered == answered
    }
}

impl Container {
    /// The web calls of the cell `tag` since the calls `answered` were answered, as far as they are remembered.
    pub(crate) fn web_calls(&self, tag: &str, answered: &[u64]) -> Vec<WebCallMade> {
        let kept = self
            .web_calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let since = kept.iter().find(|since| since.is(tag, answered));
        since.map_or_else(Vec::new, |since| since.calls.clone())
    }

    /// The cell `tag` has called.
    pub(crate) fn made_web_call(&self, tag: &str, answered: &[u64], call: WebCallMade) {
        let mut kept = self
            .web_calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = kept.iter_mut().find(|since| since.is(tag, answered)) {
            since.calls.push(call);
            return;
        }
        if kept.len() >= limits::KEPT_WEB_CELLS {
            kept.pop_front();
        }
        kept.push_back(Since {
            tag: tag.to_owned(),
            answered: answered.to_vec(),
            calls: vec![call],
        });
    }
}
