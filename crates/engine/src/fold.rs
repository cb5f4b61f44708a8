//! Folding the events of a turn into the plain message.

use wire::block::{CitedText, ContentBlock, Message, Open};
use wire::event::{Delta, StreamEvent};

use crate::Sink;
use common::json;

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
                let Some(block) = block else {
                    debug_assert!(false, "{delta:?} has no block");
                    return;
                };
                match (block.open(), delta) {
                    (
                        Open::Text(text) | Open::CitedText(CitedText { text, .. }),
                        Delta::TextDelta { text: more },
                    ) => {
                        if text.is_empty() {
                            *text = more;
                        } else {
                            text.push_str(&more);
                        }
                    }
                    (
                        Open::CitedText(CitedText { citations, .. }),
                        Delta::CitationsDelta { citation },
                    ) => citations.push(citation),
                    (Open::Thinking { thinking, .. }, Delta::ThinkingDelta { thinking: more }) => {
                        thinking.push_str(&more);
                    }
                    (
                        Open::Thinking { signature, .. },
                        Delta::SignatureDelta { signature: all },
                    ) => {
                        *signature = all;
                    }
                    (
                        Open::Compaction(compaction),
                        Delta::CompactionDelta {
                            content,
                            encrypted_content,
                        },
                    ) => {
                        compaction.content = content;
                        compaction.encrypted_content = encrypted_content;
                    }
                    (Open::Input(_), Delta::InputJsonDelta { partial_json }) => {
                        self.partial_json.push_str(&partial_json);
                    }
                    (open, delta) => debug_assert!(false, "{delta:?} does not fit {open:?}"),
                }
            }
            StreamEvent::ContentBlockStop { index } => {
                let text = std::mem::take(&mut self.partial_json);
                let block = self
                    .message
                    .as_mut()
                    .and_then(|message| message.content.get_mut(index));
                if let Some(Open::Input(input)) = block.map(ContentBlock::open)
                    && !text.is_empty()
                {
                    *input = json::again(&text).expect("the fragments are one JSON text, cut up");
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
