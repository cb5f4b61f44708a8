//! The things that a client was given and may forget: output files, pauses, and the containers of its calls.

use std::collections::{HashMap, HashSet, VecDeque};

use super::Output;
use super::notices::{Notices, Told};
use crate::lint::{FURTHER_OUTPUT, IGNORED_EXPIRY, IGNORED_PAUSE, Lint, UNFETCHED_OUTPUT};
use common::ids::FileId;
use common::limits;

/// The newest [`limits::VERIFY_MEMORY`] of each.
#[derive(Debug, Default)]
pub(super) struct Memory {
    outputs: VecDeque<Unread>,
    /// Answers of which the client has read one file, and not yet every other.
    partly_read: HashSet<String>,
    pub(super) notices: Notices,
    pauses: VecDeque<(String, Vec<String>)>,
    containers: HashMap<String, String>,
    calls: VecDeque<String>,
    dropped: u64,
}

/// An output file that the client has not taken.
#[derive(Debug)]
struct Unread {
    /// That made it.
    request: String,
    output: Output,
    /// The client has seen its name: who leaves it then may mean to.
    looked_at: bool,
}

/// A client's use of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handling {
    /// It has the content, or hands it on.
    Takes,
    Deletes,
    LooksAt,
}

impl Memory {
    pub(super) fn made(&mut self, request: &str, outputs: Vec<Output>) {
        for output in outputs {
            self.outputs.push_back(Unread {
                request: request.to_owned(),
                output,
                looked_at: false,
            });
        }
        while self.outputs.len() > limits::VERIFY_MEMORY {
            self.outputs.pop_front();
            self.dropped += 1;
        }
    }

    /// Notes the client's use of the files that are meant.
    pub(super) fn handled(&mut self, handling: Handling, is_meant: impl Fn(&FileId) -> bool) {
        let is_meant = |unread: &Unread| is_meant(&unread.output.file_id);
        if handling == Handling::LooksAt {
            for unread in self.outputs.iter_mut().filter(|unread| is_meant(unread)) {
                unread.looked_at = true;
            }
            return;
        }
        if handling == Handling::Takes {
            let taken = self.outputs.iter().filter(|unread| is_meant(unread));
            self.partly_read
                .extend(taken.map(|unread| unread.request.clone()));
        }
        self.outputs.retain(|unread| !is_meant(unread));
        let left = &self.outputs;
        self.partly_read
            .retain(|request| left.iter().any(|unread| unread.request == *request));
    }

    /// An answered request hands these on.
    pub(super) fn handed_on(&mut self, files: &[String]) {
        for file in files {
            self.handled(Handling::Takes, |id| *id == **file);
        }
    }

    /// The client was told that its container has expired.
    pub(super) fn told(&mut self, request: &str, told: Told) {
        self.notices.told(request, told);
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

    /// The containers that these calls ran in, each once, in the calls' order.
    pub(super) fn containers_of<'a>(
        &self,
        calls: impl IntoIterator<Item = &'a str>,
    ) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for call in calls {
            if let Some(container) = self.containers.get(call)
                && !found.contains(container)
            {
                found.push(container.clone());
            }
        }
        found
    }

    /// The lints that are known only at the end, with the request that each began with.
    pub(super) fn late_lints(&self) -> Vec<(String, Lint)> {
        let pauses = self.pauses.iter().map(|(request, _)| {
            let text = "the answer ended with `pause_turn`, and no request went on with it";
            (request.clone(), Lint::new(&IGNORED_PAUSE, text))
        });
        let notices = self.notices.open().map(|(request, told)| {
            let text = format!(
                "the answer said `container_expired` of `{}`, and what it should do was never asked again",
                told.container
            );
            (request.clone(), Lint::new(&IGNORED_EXPIRY, text))
        });
        let outputs = self.outputs.iter().map(|unread| {
            let Output { file_id, filename } = &unread.output;
            // A recorded answer may not say it.
            let name = if filename.is_empty() {
                String::new()
            } else {
                format!(" (`{filename}`)")
            };
            let request = unread.request.clone();
            if self.partly_read.contains(&request) && !unread.looked_at {
                let text = format!(
                    "the output file `{file_id}`{name} was never looked at, though another of the same answer \
                     was fetched"
                );
                return (request, Lint::new(&FURTHER_OUTPUT, text));
            }
            let text = format!("the output file `{file_id}`{name} was never fetched");
            (request, Lint::new(&UNFETCHED_OUTPUT, text))
        });
        pauses.chain(notices).chain(outputs).collect()
    }

    pub(super) fn outputs(&self) -> usize {
        self.outputs.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}
