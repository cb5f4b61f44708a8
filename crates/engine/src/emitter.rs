//! Turning what a model emits into the events of a stream.

use std::sync::Arc;

use serde_json::Value;
use wire::block::{
    AssistantTag, Caller, CitedText, Container, ContentBlock, Message, MessageTag, Printed,
    StopDetails, TextTag,
};
use wire::event::{Delta, MessageDelta, StreamEvent};
use wire::hosted::Compaction;
use wire::usage::{DeltaUsage, Usage};

use crate::{Sink, TurnError, Wait, json_text, seal};
use model::ServiceError;
use workspace::fault::{Act, Fault, StreamAct};
use workspace::quirks::{HiddenThinking, ServerCaller};

/// Words in one text delta.
const WORDS_PER_DELTA: usize = 3;
/// Sizes in characters of successive input fragments, as recorded: 1 to 12.
const FRAGMENT_CHARS: [usize; 8] = [8, 5, 11, 3, 12, 6, 9, 4];
/// Inputs longer than this come in [`LONG_FRAGMENT_CHARS`], so that a large file is not 10,000 events.
const LONG_INPUT_CHARS: usize = 4096;
const LONG_FRAGMENT_CHARS: usize = 1024;

/// The members of `message_start` beside the constants.
pub(super) struct Head {
    pub(super) container: Printed<Container>,
    pub(super) diagnostics: Option<()>,
}

/// The members of an answer that are known only at the end: its container, its usage, and the edits of its context.
pub(super) struct Tail {
    pub(super) container: Printed<Container>,
    pub(super) usage: DeltaUsage,
    pub(super) context_management: Option<Value>,
}

/// Writes events, counts them, and breaks off where a fault is armed.
pub(super) struct Emitter<'a> {
    sink: &'a mut dyn Sink,
    events: u32,
    blocks: usize,
    pinged: bool,
    armed: Option<(u32, ServiceError)>,
    fault: Option<Arc<Fault>>,
    /// The newest thought.
    thought: seal::Link,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        Self {
            sink,
            events: 0,
            blocks: 0,
            pinged: false,
            armed: None,
            fault: None,
            thought: seal::Link::default(),
        }
    }

    /// The stream meets `fault` where it says.
    pub(super) fn apply(&mut self, fault: Option<Arc<Fault>>) {
        self.fault = fault;
    }

    /// Whether `message_start` is out.
    pub(super) fn started(&self) -> bool {
        self.events > 0
    }

    /// How many blocks are out.
    pub(super) fn blocks(&self) -> u32 {
        u32::try_from(self.blocks).unwrap_or(u32::MAX)
    }

    /// The stream breaks off with `error` after `after` events in all.
    pub(super) fn arm(&mut self, after: u32, error: ServiceError) {
        self.armed = Some((after, error));
    }

    /// Takes the armed error if it has not come yet.
    pub(super) fn disarm(&mut self) -> Option<ServiceError> {
        self.armed.take().map(|(_, error)| error)
    }

    /// The last moment of a fault that wants more events than the answer has.
    pub(super) fn settle(&mut self) -> Result<(), TurnError> {
        self.fail_at(u32::MAX)
    }

    /// Lets the fault happen if it is due before event number `events`, from 0.
    fn fail_at(&mut self, events: u32) -> Result<(), TurnError> {
        let Some(fault) = &self.fault else {
            return Ok(());
        };
        let Act::Stream { after_events, act } = &fault.act else {
            return Ok(());
        };
        if after_events.map_or(events == u32::MAX, |after| events < after) {
            return Ok(());
        }
        match act {
            StreamAct::Error(error) => return Err(TurnError::Service(Box::new(error.clone()))),
            StreamAct::Cut => return Err(TurnError::Cut),
            StreamAct::Wait(None) => self.sink.wait(Wait::Forever),
            StreamAct::Wait(Some(span)) => self.sink.wait(Wait::For(*span)),
        }
        if after_events.is_some() {
            self.fault = None;
        }
        Ok(())
    }

    pub(super) fn start(
        &mut self,
        id: String,
        model: String,
        usage: Usage,
        head: Head,
    ) -> Result<(), TurnError> {
        self.put(StreamEvent::MessageStart {
            message: Box::new(Message {
                model,
                id,
                kind: MessageTag::Message,
                role: AssistantTag::Assistant,
                content: Vec::new(),
                container: head.container,
                stop_reason: None,
                stop_sequence: None,
                stop_details: None,
                usage,
                context_management: None,
                diagnostics: head.diagnostics,
            }),
        })
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), TurnError> {
        let index = self.open(ContentBlock::Text {
            text: String::new(),
        })?;
        self.words(index, text)?;
        self.close(index)
    }

    /// A text with what it is taken from, which is said first.
    pub(super) fn cited(&mut self, text: &str, citations: Vec<Value>) -> Result<(), TurnError> {
        let index = self.open(ContentBlock::CitedText(CitedText {
            citations: Vec::new(),
            kind: TextTag::Text,
            text: String::new(),
        }))?;
        for mut citation in citations {
            if citation["encrypted_index"].is_null()
                && citation["type"] == "web_search_result_location"
            {
                let cited = citation["cited_text"].as_str().unwrap_or_default();
                citation["encrypted_index"] = seal::sealed(cited).into();
            }
            self.delta(index, Delta::CitationsDelta { citation })?;
        }
        self.words(index, text)?;
        self.close(index)
    }

    fn words(&mut self, index: usize, text: &str) -> Result<(), TurnError> {
        // Who folds them has room for all in the first.
        let mut room = text.len();
        for piece in pieces_of_words(text) {
            let mut text = String::with_capacity(room.max(piece.len()));
            text.push_str(piece);
            room = 0;
            self.delta(index, Delta::TextDelta { text })?;
        }
        Ok(())
    }

    /// A thought; hidden, it has no text, and `hidden` says whether an empty delta stands for it.
    pub(super) fn thinking(
        &mut self,
        thinking: &str,
        hidden: Option<HiddenThinking>,
    ) -> Result<(), TurnError> {
        let index = self.open(ContentBlock::Thinking {
            thinking: String::new(),
            signature: String::new(),
        })?;
        if hidden == Some(HiddenThinking::EmptyDelta) {
            // Parity: recordings of 2026-09 to 2026-10.
            let thinking = String::new();
            self.delta(index, Delta::ThinkingDelta { thinking })?;
        }
        for piece in pieces_of_words(if hidden.is_some() { "" } else { thinking }) {
            self.delta(
                index,
                Delta::ThinkingDelta {
                    thinking: piece.to_owned(),
                },
            )?;
        }
        self.delta(
            index,
            Delta::SignatureDelta {
                signature: seal::signature_behind(thinking, self.thought),
            },
        )?;
        self.thought = seal::link(thinking);
        self.close(index)
    }

    pub(super) fn client_call(
        &mut self,
        id: String,
        name: String,
        toolset_name: Option<&'static str>,
        input: &Value,
    ) -> Result<(), TurnError> {
        let empty = Value::Object(serde_json::Map::new());
        let index = self.open(ContentBlock::ToolUse {
            id,
            name,
            input: empty,
            caller: Caller::Direct,
            toolset_name,
        })?;
        self.input(index, input)
    }

    pub(super) fn server_call(
        &mut self,
        id: String,
        name: &str,
        input: &Value,
        caller: ServerCaller,
    ) -> Result<(), TurnError> {
        let empty = Value::Object(serde_json::Map::new());
        let index = self.open(ContentBlock::ServerToolUse {
            id,
            name: name.to_owned(),
            input: empty,
            caller: (caller == ServerCaller::Direct).then_some(Caller::Direct),
        })?;
        self.input(index, input)
    }

    /// A call that the service hands to an MCP server.
    pub(super) fn mcp_call(
        &mut self,
        id: String,
        name: String,
        server_name: String,
        input: &Value,
    ) -> Result<(), TurnError> {
        let empty = Value::Object(serde_json::Map::new());
        let index = self.open(ContentBlock::McpToolUse {
            id,
            name,
            input: empty,
            server_name,
        })?;
        self.input(index, input)
    }

    /// A summary, which comes in one piece (F203).
    pub(super) fn compaction(&mut self, block: Compaction) -> Result<(), TurnError> {
        let content = block.content.clone();
        let encrypted_content = block.encrypted_content.clone();
        let index = self.open(ContentBlock::Compaction(Compaction {
            content: None,
            encrypted_content: None,
            ..block
        }))?;
        let delta = Delta::CompactionDelta {
            content,
            encrypted_content,
        };
        self.delta(index, delta)?;
        self.close(index)
    }

    /// A call that code made comes whole (F023).
    pub(super) fn code_call(
        &mut self,
        id: String,
        name: String,
        input: Value,
        caller: Caller,
    ) -> Result<(), TurnError> {
        let index = self.open(ContentBlock::ToolUse {
            id,
            name,
            input,
            caller,
            toolset_name: None,
        })?;
        self.close(index)
    }

    /// A block that comes whole: a result (F023), a redacted thought.
    pub(super) fn whole(&mut self, block: ContentBlock) -> Result<(), TurnError> {
        let index = self.open(block)?;
        self.close(index)
    }

    pub(super) fn ping(&mut self) -> Result<(), TurnError> {
        self.pinged = true;
        self.put(StreamEvent::Ping)
    }

    pub(super) fn end(
        &mut self,
        stop: (String, Option<String>, Option<StopDetails>),
        tail: Tail,
    ) -> Result<(), TurnError> {
        if !self.pinged {
            // Parity: a message without content has its ping after the start (vercel-ai/anthropic-refusal).
            self.ping()?;
        }
        let (stop_reason, stop_sequence, stop_details) = stop;
        let delta = MessageDelta {
            stop_reason: Some(stop_reason),
            stop_sequence,
            stop_details,
            container: tail.container,
        };
        self.put(StreamEvent::MessageDelta {
            delta,
            usage: tail.usage,
            context_management: tail.context_management,
        })?;
        self.put(StreamEvent::MessageStop)
    }

    fn input(&mut self, index: usize, input: &Value) -> Result<(), TurnError> {
        // Parity: the first fragment is always empty (F024); a call without arguments has no other.
        self.delta(
            index,
            Delta::InputJsonDelta {
                partial_json: String::new(),
            },
        )?;
        for piece in input_pieces(input) {
            self.delta(
                index,
                Delta::InputJsonDelta {
                    partial_json: piece,
                },
            )?;
        }
        self.close(index)
    }

    fn open(&mut self, content_block: ContentBlock) -> Result<usize, TurnError> {
        let index = self.blocks;
        self.blocks += 1;
        self.put(StreamEvent::ContentBlockStart {
            index,
            content_block,
        })?;
        if !self.pinged {
            // Parity: the third event of most streams is a ping (F022).
            self.ping()?;
        }
        Ok(index)
    }

    fn delta(&mut self, index: usize, delta: Delta) -> Result<(), TurnError> {
        self.put(StreamEvent::ContentBlockDelta { index, delta })
    }

    fn close(&mut self, index: usize) -> Result<(), TurnError> {
        self.put(StreamEvent::ContentBlockStop { index })
    }

    fn put(&mut self, event: StreamEvent) -> Result<(), TurnError> {
        if let Some((after, error)) = &self.armed
            && self.events >= *after
        {
            return Err(TurnError::Service(Box::new(error.clone())));
        }
        self.fail_at(self.events)?;
        self.events += 1;
        self.sink.event(event);
        Ok(())
    }
}

/// How many events a stream of this message has, cut as ours are.
pub fn events_of(message: &Value) -> u32 {
    let blocks = message["content"].as_array().into_iter().flatten();
    // Around them `message_start`, a ping, `message_delta`, and `message_stop`.
    let events = 4 + blocks.map(|block| 2 + deltas_of(block)).sum::<usize>();
    u32::try_from(events).unwrap_or(u32::MAX)
}

fn deltas_of(block: &Value) -> usize {
    let words = |member: &str| pieces_of_words(block[member].as_str().unwrap_or_default()).count();
    match block["type"].as_str().unwrap_or_default() {
        "text" => block["citations"].as_array().map_or(0, Vec::len) + words("text"),
        "thinking" => words("thinking") + 1,
        "compaction" => 1,
        // Of code: it comes whole.
        "tool_use" if block["caller"]["tool_id"].is_string() => 0,
        "tool_use" | "server_tool_use" | "mcp_tool_use" => 1 + input_pieces(&block["input"]).len(),
        _ => 0,
    }
}

/// The fragments of a call's input behind the empty one.
fn input_pieces(input: &Value) -> Vec<String> {
    if input.as_object().is_some_and(serde_json::Map::is_empty) {
        return Vec::new();
    }
    fragments(&json_text::spaced(input))
}

fn pieces_of_words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut spaces = rest
            .match_indices(' ')
            .skip(WORDS_PER_DELTA - 1)
            .map(|(at, _)| at);
        let cut = spaces.find(|at| *at > 0).unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(cut);
        rest = tail;
        Some(piece)
    })
}

fn fragments(text: &str) -> Vec<String> {
    let long = text.len() > LONG_INPUT_CHARS;
    let mut sizes = FRAGMENT_CHARS.iter().copied().cycle();
    let mut chars = text.chars().peekable();
    let mut pieces = Vec::new();
    while chars.peek().is_some() {
        let size = if long {
            LONG_FRAGMENT_CHARS
        } else {
            sizes.next().unwrap_or(1)
        };
        pieces.push(chars.by_ref().take(size).collect());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn pieces_join_to_the_whole(text in "\\PC{0,200}") {
            prop_assert_eq!(pieces_of_words(&text).collect::<String>(), text.clone());
            prop_assert!(pieces_of_words(&text).all(|piece| !piece.is_empty()));
            prop_assert_eq!(fragments(&text).concat(), text);
        }
    }

    /// Counts events.
    struct Count(u32);

    impl Sink for Count {
        fn event(&mut self, _: StreamEvent) {
            self.0 += 1;
        }
    }

    #[test]
    fn a_messages_events_are_counted_as_they_are_sent() {
        let mut count = Count(0);
        let mut emitter = Emitter::new(&mut count);
        let (text, input) = ("one two three four five", json!({"command": "echo one"}));
        emitter.text(text).unwrap();
        emitter.thinking(text, None).unwrap();
        let name = "bash_code_execution";
        let (id, caller) = ("srvtoolu_1".to_owned(), ServerCaller::Absent);
        emitter.server_call(id, name, &input, caller).unwrap();
        let (id, name) = ("toolu_1".to_owned(), "clock".to_owned());
        emitter.client_call(id, name, None, &json!({})).unwrap();
        let data = "x".to_owned();
        let redacted = ContentBlock::RedactedThinking { data };
        emitter.whole(redacted).unwrap();
        let message = json!({"content": [
            {"type": "text", "text": text},
            {"type": "thinking", "thinking": text, "signature": "s"},
            {"type": "server_tool_use", "input": input},
            {"type": "tool_use", "input": {}, "caller": {"type": "direct"}},
            {"type": "redacted_thinking", "data": "x"},
        ]});
        // The start and the two at the end.
        assert_eq!(events_of(&message), count.0 + 3);
    }

    #[test]
    fn a_fragment_is_one_to_twelve_characters_unless_the_input_is_long() {
        assert!(
            fragments(&"x".repeat(4000))
                .iter()
                .all(|piece| (1..=12).contains(&piece.len()))
        );
        assert!(fragments(&"x".repeat(1_000_000)).len() < 1000);
    }
}
