//! The parts of a turn beside texts and calls: thoughts, compactions, fallbacks, and changes of its context.

use serde_json::Value;
use wire::block::ContentBlock;
use wire::hosted::{Compaction, FallbackModel, FallbackTrigger, McpTool, RefusalCategory};
use wire::request::ThinkingDisplay;

use super::{End, Turn};
use crate::usage::{AfterCompaction, tokens_before_messages};
use crate::{TurnError, fallbacks, models};
use model::{Compacted, ModelError, Stop};

/// The kind of a thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thought {
    Reasoning,
    /// It tells how the work goes on (F208).
    Progress,
}

impl Turn<'_> {
    pub(super) fn think(&mut self, thinking: &str, thought: Thought) -> Result<(), TurnError> {
        self.check_thinks()?;
        self.start()?;
        self.meter.thought(thinking);
        let display = match &self.attempt {
            Some(attempt) => attempt.display,
            None => self.input.request.display,
        };
        let hides = match (display, thought) {
            (Some(ThinkingDisplay::Omitted), _)
            | (Some(ThinkingDisplay::Updates), Thought::Reasoning) => true,
            (Some(ThinkingDisplay::Updates), Thought::Progress)
            | (Some(ThinkingDisplay::Summarized) | None, _) => false,
        };
        let hidden = hides.then_some(self.input.quirks.hidden_thinking);
        self.emitter.thinking(thinking, hidden)
    }

    pub(super) fn think_redacted(&mut self, data: String) -> Result<(), TurnError> {
        self.check_thinks()?;
        self.start()?;
        self.meter.thought(&data);
        self.emitter.whole(ContentBlock::RedactedThinking { data })
    }

    /// The request has thinking on, or its model thinks by itself.
    fn check_thinks(&self) -> Result<(), TurnError> {
        let thinking = match &self.attempt {
            Some(attempt) => attempt.thinking,
            None => self.input.request.thinking,
        };
        if models::may_think(self.model(), thinking) {
            return Ok(());
        }
        let lacks = "`thinking` of type `adaptive` or `enabled`";
        Err(unasked("thinks", lacks))
    }

    /// Sums up what was said before; the answer may end with it.
    pub(super) fn compact(&mut self, compacted: Compacted) -> Result<Option<End>, TurnError> {
        let asked = self.input.request.context_management;
        if !asked.compacts {
            return Err(unasked(
                "compacts its context",
                "`context_management` with an edit `compact_20260112`, and no `compaction`",
            ));
        }
        let Compacted {
            summary,
            tool_changes,
        } = compacted;
        self.start()?;
        self.emitter.compaction(Compaction {
            signature: asked
                .only_compacts
                .then(|| model::compaction_signature(&self.message_id)),
            content: summary.clone(),
            encrypted_content: None,
            tool_changes,
        })?;
        if let Some(summary) = summary {
            let fixed = tokens_before_messages(&self.input.body);
            let then = if asked.stops_compacted {
                AfterCompaction::Ends
            } else {
                AfterCompaction::GoesOn
            };
            self.meter.compacted(&summary, fixed, then);
        }
        Ok(asked.stops_compacted.then(|| self.park("compaction")))
    }

    /// This model declines, and the next of `fallbacks` goes on; where none is left, the answer ends.
    pub(super) fn fall_back(
        &mut self,
        to: Option<&str>,
        category: Option<RefusalCategory>,
    ) -> Result<Option<End>, TurnError> {
        let request = &self.input.request;
        if request.fallbacks.is_none() {
            return Err(unasked("falls back to another", "`fallbacks`"));
        }
        let Some(next) = fallbacks::next(request, self.attempt.as_deref(), to)? else {
            self.meter.declines();
            return Ok(Some(End::Stop(Stop {
                reason: "refusal".to_owned(),
                category: category.map(|category| category.name().to_owned()),
                ..Stop::default()
            })));
        };
        let from = match &self.attempt {
            Some(attempt) => &attempt.model,
            None => &request.model,
        };
        let (from, to) = (from.clone(), next.model.clone());
        self.start()?;
        self.emitter.whole(ContentBlock::Fallback {
            from: FallbackModel {
                model: from.clone(),
            },
            to: FallbackModel { model: to.clone() },
            trigger: FallbackTrigger::Refusal { category },
        })?;
        self.meter.fell_back(from, to);
        self.attempt = Some(Box::new(next));
        Ok(None)
    }

    /// Tells the tools of an MCP server.
    pub(super) fn list_tools(
        &mut self,
        server: String,
        tools: Vec<McpTool>,
    ) -> Result<(), TurnError> {
        self.check_connected(&server)?;
        self.start()?;
        let listing = ContentBlock::McpToolListing {
            mcp_server_name: server,
            tools,
        };
        self.emitter.whole(listing)
    }

    /// The request must name the server.
    pub(super) fn check_connected(&self, server: &str) -> Result<(), ModelError> {
        let mut servers = self.input.request.mcp_servers.iter();
        if servers.any(|known| known.name == server) {
            return Ok(());
        }
        Err(ModelError::new(format!(
            "the model asks the MCP server `{server}`, but the request's `mcp_servers` have none of that name"
        ))
        .with_hint("name it in `mcp_servers`, with an `mcp_toolset` in `tools`"))
    }

    /// Keeps the edits that cleared parts of the context, which are told at the end.
    pub(super) fn apply(&mut self, edits: Vec<Value>) -> Result<(), TurnError> {
        if !self.input.body["context_management"].is_object() {
            return Err(unasked("clears its context", "`context_management`"));
        }
        self.applied_edits.extend(edits);
        Ok(())
    }
}

/// The model does what the request has not asked for.
fn unasked(does: &str, lacks: &str) -> TurnError {
    ModelError::new(format!("the model {does}, but the request has no {lacks}"))
        .with_hint("add it to the request, or take the step out")
        .into()
}
