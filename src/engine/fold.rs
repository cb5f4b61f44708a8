//! Folding the events of a turn into the plain message.

use wire::block::{CitedText, ContentBlock, Message};
use wire::event::{Delta, StreamEvent};

use crate::engine::Sink;

/// Takes events and keeps the message they amount to.
#[derive(Debug, Default)]
pub struct Fold {
    message: Option<Message>,
    partial_json: String,
}

impl Fold {
    /// The message, once `message_start` came.
    pub fn finish(self) -> Option<Message> {
        self.message
    }
}

impl Sink for Fold {
    fn event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::MessageStart { message } => self.message = Some(*message),
            StreamEvent::ContentBlockStart { content_block, .. } => {
                if let Some(message) = &mut self.message {
                    if let ContentBlock::Fallback { to, .. } = &content_block {
                        // The message is of the model that has answered (F206).
                        message.model.clone_from(&to.model);
                    }
                    message.content.push(content_block);
                }
            }
            StreamEvent::ContentBlockDelta { index, delta } => {
                let block = self
                    .message
                    .as_mut()
                    .and_then(|message| message.content.get_mut(index));
                match (block, delta) {
                    (
                        Some(
                            ContentBlock::Text { text }
                            | ContentBlock::CitedText(CitedText { text, .. }),
                        ),
                        Delta::TextDelta { text: more },
                    ) => {
                        text.push_str(&more);
                    }
                    (
                        Some(ContentBlock::CitedText(CitedText { citations, .. })),
                        Delta::CitationsDelta { citation },
                    ) => {
                        citations.push(citation);
                    }
                    (
                        Some(ContentBlock::Thinking { thinking, .. }),
                        Delta::ThinkingDelta { thinking: more },
                    ) => {
                        thinking.push_str(&more);
                    }
                    (
                        Some(ContentBlock::Thinking { signature, .. }),
                        Delta::SignatureDelta { signature: all },
                    ) => {
                        *signature = all;
                    }
                    (
                        Some(ContentBlock::Compaction(compaction)),
                        Delta::CompactionDelta {
                            content,
                            encrypted_content,
                        },
                    ) => {
                        compaction.content = content;
                        compaction.encrypted_content = encrypted_content;
                    }
                    (Some(_), Delta::InputJsonDelta { partial_json }) => {
                        self.partial_json.push_str(&partial_json);
                    }
                    (block, delta) => debug_assert!(false, "{delta:?} does not fit {block:?}"),
                }
            }
            StreamEvent::ContentBlockStop { index } => {
                let text = std::mem::take(&mut self.partial_json);
                let block = self
                    .message
                    .as_mut()
                    .and_then(|message| message.content.get_mut(index));
                if let Some(
                    ContentBlock::ToolUse { input, .. }
                    | ContentBlock::ServerToolUse { input, .. }
                    | ContentBlock::McpToolUse { input, .. },
                ) = block
                    && !text.is_empty()
                {
                    *input = serde_json::from_str(&text)
                        .expect("the fragments are one JSON text, cut up");
                }
            }
            StreamEvent::MessageDelta {
                delta,
                usage,
                context_management,
            } => {
                if let Some(message) = &mut self.message {
                    message.stop_reason = delta.stop_reason;
                    message.stop_sequence = delta.stop_sequence;
                    message.stop_details = delta.stop_details;
                    if !delta.container.is_absent() {
                        message.container = delta.container;
                    }
                    message.context_management = context_management;
                    message.usage.update(usage);
                }
            }
            StreamEvent::Ping | StreamEvent::MessageStop | StreamEvent::Error { .. } => {}
        }
    }
}
