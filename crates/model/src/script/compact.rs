//! Requests for a compaction alone: a rule's `compaction` if that is its next step, else a stand-in, and no other step.
//!
//! What continues the conversation has the compaction in place of all before it: it leads back to the rule.

use super::run::Run;
use super::scripts::Scripts;
use crate::{CallResult, Compacted, Model, ModelError, Step, TurnRequest};

/// Says a summary that nobody has written. The run whose client asks for it goes on behind it.
#[derive(Debug)]
pub(super) struct StandIn {
    summary: String,
    said: bool,
    run: Option<Box<Run>>,
}

impl StandIn {
    pub(super) fn new(request: &TurnRequest, run: Option<Run>) -> Self {
        let count = request.body["messages"].as_array().map_or(0, Vec::len);
        Self {
            summary: match count {
                1 => "sandtable's stand-in for a summary of 1 message.".to_owned(),
                _ => format!("sandtable's stand-in for a summary of {count} messages."),
            },
            said: false,
            run: run.map(Box::new),
        }
    }
}

impl Model for StandIn {
    fn source(&self) -> &str {
        self.run.as_ref().map_or("direct", |run| run.source())
    }

    fn is_rule(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.is_rule())
    }

    fn next(&mut self, _: &[CallResult]) -> Result<Option<Step>, ModelError> {
        if std::mem::replace(&mut self.said, true) {
            return Ok(None);
        }
        Ok(Some(Step::Compaction(Compacted {
            summary: Some(self.summary.clone()),
            tool_changes: None,
        })))
    }

    fn park(self: Box<Self>, _: &[String], _: &[String]) {
        if let Some(run) = self.run {
            run.keep_behind(&self.summary);
        }
    }
}

impl Scripts {
    /// The model of a request for a compaction alone.
    pub(super) fn compact(&self, request: &TurnRequest) -> Result<Box<dyn Model>, ModelError> {
        if let Some(mut run) = self.waiting(request)? {
            // The results come with this request, and with no later one.
            run.take_in()?;
            return Ok(if run.compacts_next() {
                Box::new(run)
            } else {
                Box::new(StandIn::new(request, Some(run)))
            });
        }
        let begun = self.first_that_fits(request, Run::compacts_next);
        Ok(match begun {
            Some(run) => Box::new(run),
            None => Box::new(StandIn::new(request, None)),
        })
    }
}
