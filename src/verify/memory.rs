//! What a client was given and may forget: output files, pauses, and the containers of its calls.

use std::collections::{HashMap, VecDeque};

use super::Output;
use crate::limits;
use crate::lint::{IGNORED_PAUSE, Lint, UNFETCHED_OUTPUT};

/// The newest [`limits::VERIFY_MEMORY`] of each.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By the request that made them.
    outputs: VecDeque<(String, Output)>,
    pauses: VecDeque<(String, Vec<String>)>,
    containers: HashMap<String, String>,
    calls: VecDeque<String>,
    dropped: u64,
}

impl Memory {
    pub(super) fn made(&mut self, request: &str, outputs: Vec<Output>) {
        for output in outputs {
            self.outputs.push_back((request.to_owned(), output));
        }
        while self.outputs.len() > limits::VERIFY_MEMORY {
            self.outputs.pop_front();
            self.dropped += 1;
        }
    }

    /// The client has the file, hands it on, or wants it no more.
    pub(super) fn handled(&mut self, file_id: &str) {
        self.outputs.retain(|(_, output)| output.file_id != file_id);
    }

    pub(super) fn paused(&mut self, request: &str, calls: Vec<String>) {
        self.pauses.push_back((request.to_owned(), calls));
        if self.pauses.len() > limits::VERIFY_MEMORY {
            self.pauses.pop_front();
            self.dropped += 1;
        }
    }

    /// A pause without calls is known by nothing else: the oldest of these goes on.
    pub(super) fn goes_on(&mut self, calls: &[&str]) {
        if calls.is_empty() {
            if let Some(at) = self.pauses.iter().position(|(_, known)| known.is_empty()) {
                self.pauses.remove(at);
            }
            return;
        }
        self.pauses
            .retain(|(_, known)| !known.iter().any(|id| calls.contains(&id.as_str())));
    }

    pub(super) fn ran<'a>(&mut self, container: &str, calls: impl IntoIterator<Item = &'a str>) {
        for call in calls {
            let known = self
                .containers
                .insert(call.to_owned(), container.to_owned());
            if known.is_none() {
                self.calls.push_back(call.to_owned());
            }
        }
        // One that is forgotten costs a lint, nothing else.
        while self.calls.len() > limits::VERIFY_MEMORY {
            if let Some(oldest) = self.calls.pop_front() {
                self.containers.remove(&oldest);
            }
        }
    }

    pub(super) fn container_of(&self, call: &str) -> Option<&str> {
        self.containers.get(call).map(String::as_str)
    }

    /// What is only known at the end, with the request it began with.
    pub(super) fn late_lints(&self) -> Vec<(String, Lint)> {
        let pauses = self.pauses.iter().map(|(request, _)| {
            let text = "the answer ended with `pause_turn`, and no request went on with it";
            (request.clone(), Lint::new(&IGNORED_PAUSE, text))
        });
        let outputs = self.outputs.iter().map(|(request, output)| {
            let text = format!(
                "the output file `{}` (`{}`) was never fetched",
                output.file_id, output.filename
            );
            (request.clone(), Lint::new(&UNFETCHED_OUTPUT, text))
        });
        pauses.chain(outputs).collect()
    }

    pub(super) fn outputs(&self) -> usize {
        self.outputs.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}
