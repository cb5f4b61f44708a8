//! Coverage: the parts of the service's surface that the tests have met, of all there are.
//!
//! The parts follow from the wire's closed sets and from the tables of `docs/ERRORS.md`, so that a new member is in
//! the list by itself. Counting is one addition in a fixed array: it costs a plain message nothing to speak of.

mod areas;
mod errors;
mod needs;
mod report;
mod show;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use wire::block::{ContentBlock, Message};
use wire::event::StreamEvent;
use wire::kinds::EventKind;
use wire::request::{Block, MessagesRequest};

pub use areas::{Area, ContainerMet, Endpoint, Mode, Pause, Retry};
pub use report::{Counts, merge_told, report};

/// Where the members of each area begin among all, and how many there are.
static PLACES: LazyLock<(Vec<usize>, usize)> = LazyLock::new(|| {
    let mut next = 0;
    let begins = Area::ALL.iter().map(|area| {
        let begin = next;
        next += area.members().len();
        begin
    });
    let begins = begins.collect();
    (begins, next)
});

/// The members of that area as numbers, which every answer looks for its own in.
static STATUSES: LazyLock<Vec<Option<u16>>> = LazyLock::new(|| {
    let members = Area::Statuses.members().iter();
    members.map(|status| status.parse().ok()).collect()
});

fn place(area: Area, member: usize) -> usize {
    PLACES.0[area as usize] + member
}

/// The counts of one workspace.
#[derive(Debug)]
pub struct Coverage(Box<[AtomicU64]>);

impl Default for Coverage {
    fn default() -> Self {
        Self((0..PLACES.1).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Coverage {
    /// The `member`th of an area was met.
    fn met(&self, area: Area, member: usize) {
        self.0[place(area, member)].fetch_add(1, Ordering::Relaxed);
    }

    /// The one of this name was met, if there is one.
    fn met_named(&self, area: Area, name: &str) {
        if let Some(member) = area.members().iter().position(|known| *known == name) {
            self.met(area, member);
        }
    }

    /// A turn has found its container so.
    pub fn container(&self, met: ContainerMet) {
        self.met(Area::Containers, met as usize);
    }

    /// An item of a batch came out so.
    pub fn result(&self, kind: &str) {
        self.met_named(Area::BatchResults, kind);
    }

    /// A request was sent again after such an end.
    pub fn retry(&self, retry: Retry) {
        self.met(Area::Retries, retry as usize);
    }

    /// Code waited for what a request brings.
    pub fn answers_code(&self) {
        self.met(Area::Pauses, Pause::CodeAnswered as usize);
    }

    /// A turn is asked for.
    pub fn asked(&self, request: &MessagesRequest) {
        for tool in &request.tools {
            self.met_named(Area::Tools, &tool.tag);
        }
    }

    /// A turn goes on after a pause.
    pub fn goes_on(&self, request: &MessagesRequest) {
        self.met(Area::Pauses, Pause::Continued as usize);
        let last = request.last_said().and_then(|said| said.content.last());
        if matches!(last, Some(Block::ServerToolUse { .. })) {
            self.met(Area::Pauses, Pause::InCall as usize);
        }
    }

    /// A whole message leaves, or lies in the results of a batch.
    pub fn message(&self, message: &Message) {
        for block in &message.content {
            self.block(block);
        }
        if let Some(reason) = &message.stop_reason {
            self.stopped(reason);
        }
    }

    /// A message ends so.
    pub fn stopped(&self, reason: &str) {
        self.met_named(Area::StopReasons, reason);
    }

    /// An answer is of this kind.
    pub fn mode(&self, mode: Mode) {
        self.met(Area::Modes, mode as usize);
    }

    /// An event leaves.
    pub fn event(&self, event: &StreamEvent) {
        self.met(Area::Events, event.kind() as usize);
        match event {
            StreamEvent::ContentBlockStart { content_block, .. } => self.block(content_block),
            StreamEvent::ContentBlockDelta { delta, .. } => {
                self.met(Area::Deltas, delta.kind() as usize);
            }
            StreamEvent::MessageDelta { delta, .. } => {
                if let Some(reason) = &delta.stop_reason {
                    self.stopped(reason);
                }
            }
            StreamEvent::Error { error } => self.error(error),
            StreamEvent::MessageStart { .. }
            | StreamEvent::Ping
            | StreamEvent::ContentBlockStop { .. }
            | StreamEvent::MessageStop => {}
        }
    }

    /// A block leaves.
    pub fn block(&self, block: &ContentBlock) {
        self.met(Area::Blocks, block.kind() as usize);
        if let Some(code) = block.error_code() {
            self.met(Area::ToolErrors, code as usize);
        }
    }

    /// An answer with this status has left.
    pub fn answered(&self, method: &str, path: &str, status: u16) {
        let endpoint = Endpoint::ALL
            .iter()
            .position(|endpoint| endpoint.is(method, path));
        if let Some(endpoint) = endpoint {
            self.met(Area::Endpoints, endpoint);
        }
        if let Some(member) = STATUSES.iter().position(|known| *known == Some(status)) {
            self.met(Area::Statuses, member);
        }
    }

    /// The body of an error, or the event in a stream.
    pub fn error(&self, error: &Value) {
        if let Some(kind) = error["type"].as_str() {
            self.met_named(Area::ErrorTypes, kind);
        }
        if let Some(code) = error["details"]["error_code"].as_str() {
            self.met_named(Area::ErrorCodes, code);
        }
    }

    /// A recorded message leaves: it is bytes, and no type of ours need know it.
    pub fn recorded(&self, message: &Value) {
        for block in message["content"].as_array().into_iter().flatten() {
            self.recorded_block(block);
        }
        if let Some(reason) = message["stop_reason"].as_str() {
            self.stopped(reason);
        }
    }

    /// A recorded event leaves.
    pub fn recorded_event(&self, event: &Value) {
        let Some(kind) = event["type"].as_str().and_then(EventKind::from_name) else {
            return;
        };
        self.met(Area::Events, kind as usize);
        match kind {
            EventKind::ContentBlockStart => self.recorded_block(&event["content_block"]),
            EventKind::ContentBlockDelta => {
                let delta = event["delta"]["type"].as_str().unwrap_or_default();
                self.met_named(Area::Deltas, delta);
            }
            EventKind::MessageDelta => {
                let reason = event["delta"]["stop_reason"].as_str().unwrap_or_default();
                self.met_named(Area::StopReasons, reason);
            }
            EventKind::Error => self.error(&event["error"]),
            EventKind::MessageStart
            | EventKind::Ping
            | EventKind::ContentBlockStop
            | EventKind::MessageStop => {}
        }
    }

    fn recorded_block(&self, block: &Value) {
        self.met_named(Area::Blocks, block["type"].as_str().unwrap_or_default());
        if let Some(code) = block["content"]["error_code"].as_str() {
            self.met_named(Area::ToolErrors, code);
        }
    }

    /// How often each was met.
    pub fn counts(&self) -> Counts {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Counts(counts.collect())
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for count in &self.0 {
            count.store(0, Ordering::Relaxed);
        }
    }
}
