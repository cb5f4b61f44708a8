//! Requests for a compaction alone: a rule's `compaction` if that is its next step, else a stand-in, and no other step.
//!
//! What continues the conversation has the compaction in place of all before it: it leads back to the rule.

use super::rule::{OpKind, ScriptTool};
use super::run::Run;
use super::scripts::Scripts;
use crate::{CallResult, Compacted, Model, ModelError, Step, TurnRequest};

/// Says a summary that nobody has written. The run whose client asks for it goes on behind it.
#[derive(Debug)]
struct StandIn {
    /// Until it is said.
    summary: Option<String>,
    run: Option<Box<Run>>,
}

impl StandIn {
    fn new(request: &TurnRequest, run: Option<Run>) -> Self {
        let count = request.body["messages"].as_array().map_or(0, Vec::len);
        Self {
            summary: Some(match count {
                1 => "sandtable's stand-in for a summary of 1 message.".to_owned(),
                _ => format!("sandtable's stand-in for a summary of {count} messages."),
            }),
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
        let summary = self.summary.take();
        Ok(summary.map(|summary| {
            Step::Compaction(Compacted {
                summary: Some(summary),
                tool_changes: None,
            })
        }))
    }

    fn park(self: Box<Self>, ids: &[String], _: &[String]) {
        if let Some(run) = self.run {
            run.keep_behind(ids);
        }
    }
}

impl Scripts {
    /// The model of a request for a compaction alone.
    pub(super) fn compact(&self, request: &TurnRequest) -> Result<Box<dyn Model>, ModelError> {
        let waiting = self.waiting(request)?;
        // What the service itself still has to carry out is not done for a summary: the rule's place stays where it is.
        if let Some(mut run) = waiting.filter(|run| !run.waits_for_service()) {
            // The results come with this request, and with no later one.
            run.absorb(&[])?;
            return Ok(if run.compacts_next() {
                Box::new(run)
            } else {
                Box::new(StandIn::new(request, Some(run)))
            });
        }
        let begun = self.first_that_begins(request, Run::compacts_next);
        Ok(match begun {
            Some(run) => Box::new(run),
            None => Box::new(StandIn::new(request, None)),
        })
    }
}

impl Run {
    /// Whether what it does next is a compaction, or fails in place of one; what says nothing may come before.
    fn compacts_next(&self) -> bool {
        let rule = &self.place.rule;
        let mut next = self.place.next;
        while let Some(op) = rule.ops.get(next) {
            next = match &op.kind {
                OpKind::Compaction { .. } | OpKind::Fail(_) => return true,
                OpKind::Jump(to) => *to,
                OpKind::Branch {
                    condition,
                    otherwise,
                } => match self.holds(rule, next, condition) {
                    Ok(true) => next + 1,
                    Ok(false) => *otherwise,
                    Err(_) => return false,
                },
                OpKind::Delay(_) | OpKind::Usage(_) | OpKind::AppliedEdits(_) => next + 1,
                OpKind::Text(_)
                | OpKind::Cited(..)
                | OpKind::Thinking(_)
                | OpKind::Progress(_)
                | OpKind::RedactedThinking(_)
                | OpKind::Fallback { .. }
                | OpKind::McpListing { .. }
                | OpKind::ContainerUpload(_)
                | OpKind::Calls(_)
                | OpKind::Pause
                | OpKind::Stop(_) => return false,
            };
        }
        false
    }

    /// Whether calls of it wait that the service itself carries out.
    fn waits_for_service(&self) -> bool {
        let pending = self.place.pending.as_ref();
        let op = pending.map(|(op, _)| &self.place.rule.ops[*op].kind);
        let Some(OpKind::Calls(calls)) = op else {
            return false;
        };
        let is_clients = |tool: &ScriptTool| {
            matches!(tool, ScriptTool::Client { .. } | ScriptTool::AnyClient(_))
        };
        !calls.iter().all(|call| is_clients(&call.tool))
    }

    /// Keeps its place for whatever continues the message of these ids.
    fn keep_behind(self, ids: &[String]) {
        self.home.keep(ids.to_vec(), self.place);
    }
}
