//! Answering from a tape: which recorded answer a request gets, and which ids stand in it.
//!
//! The first time an answer is given it has the ids that were recorded; whenever it is given again, new
//! ones, so that two conversations never share a container or a file. What a client sends back is
//! translated before it is compared, and what it gets is translated to what that client knows.

mod loose;
mod names;
mod threads;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use control_api::UnusedRecording;
use sha2::{Digest as _, Sha256};

use super::tape::{Asked, Entry, Tape};
use super::{Body, Request, Response, Timing, idents, miss};
use common::hinted::Hinted;
use common::ids::Ids;
pub(crate) use loose::Loose;
use names::Names;
use threads::Threads;

pub use names::Translation;

/// A tape, and what one workspace was given from it.
#[derive(Debug)]
pub struct Player {
    tape: Arc<Tape>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often a request, as the client sent it, was answered.
    asked: HashMap<[u8; 32], usize>,
    /// How often each exchange was given.
    given: HashMap<usize, u64>,
    names: Names,
    /// When each container, by the name it was given, was first and last given.
    containers: HashMap<String, (DateTime<Utc>, DateTime<Utc>)>,
    loose: HashSet<usize>,
    threads: Threads,
}

/// A recorded answer, ready to be given.
#[derive(Debug)]
pub struct Played {
    /// `NAME #3`.
    pub name: String,
    /// When its pieces came.
    pub timing: Option<Timing>,
    pub response: Response,
    /// The container that the request names, if an earlier answer gave it.
    pub container: Option<Named>,
}

/// A container of recorded answers, on the workspace's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As the client knows it.
    pub id: String,
    /// When an answer first named it.
    pub made_at: DateTime<Utc>,
    /// When one last did, before this request.
    pub last_used_at: DateTime<Utc>,
}

/// Why there is no recorded answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Miss {
    pub message: String,
    pub hint: String,
}

impl Hinted for Miss {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.hint))
    }
}

/// An exchange that nobody has asked for.
fn left_over(entry: &Entry) -> UnusedRecording {
    let request = entry.exchange.request.as_ref();
    UnusedRecording {
        workspace: None,
        recording: entry.name.clone(),
        request: request.map(|request| format!("{} {}", request.method, request.path)),
        label: None,
    }
}

impl State {
    /// What was given was of other exchanges than it seemed.
    fn moved(&mut self, moved: &[(usize, usize)]) {
        for (from, to) in moved {
            let left = self
                .given
                .get(from)
                .map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                self.given.remove(from);
            } else {
                self.given.insert(*from, left);
            }
            *self.given.entry(*to).or_insert(0) += 1;
        }
    }

    fn is_given(&self, tape: &Tape, at: usize, entry: &Entry) -> bool {
        if self.given.contains_key(&at) {
            return true;
        }
        let (Some(request), Some(canonical)) = (&entry.exchange.request, &entry.canonical) else {
            return false;
        };
        let mut alike = tape.same(canonical).iter();
        request.method == "GET" && alike.any(|other| self.given.contains_key(other))
    }
}

impl Player {
    /// Nothing was given yet.
    pub fn new(tape: Arc<Tape>) -> Self {
        Self {
            tape,
            state: Mutex::default(),
        }
    }

    /// The tape to answer from.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Forgets what was given.
    pub fn reset(&self) {
        *self.lock() = State::default();
    }

    /// Exchanges that were never given. A request that only looks counts as given once one with the same words
    /// was: how often a client asks whether something has ended is a matter of time.
    pub fn unused(&self) -> Vec<UnusedRecording> {
        let state = self.lock();
        let entries = self.tape.entries.iter().enumerate();
        entries
            .filter(|(at, entry)| !state.is_given(&self.tape, *at, entry))
            .map(|(_, entry)| left_over(entry))
            .collect()
    }

    /// A request of a message thread with the conversation that it goes on with; `None` of any other.
    pub fn whole(&self, request: &Request) -> Option<Request> {
        let body = self.lock().threads.whole(request)?;
        Some(Request {
            body: Body::Json(body.into()),
            ..request.clone()
        })
    }

    /// The answer to a request. `ids` gives the ids of answers that are given again.
    pub fn play(&self, request: &Request, now: DateTime<Utc>, ids: &Ids) -> Result<Played, Miss> {
        let mut state = self.lock();
        let asked = self.tape.asked(request);
        let digest: [u8; 32] = Sha256::digest(asked.text.as_bytes()).into();
        let mut found = self.tape.with(&asked, |name| state.names.recorded(name));
        if found.is_empty()
            && let Some((others, moved)) = state.names.meant_otherwise(&self.tape, &asked)
        {
            state.moved(&moved);
            found = others;
        }
        let count = state.asked.get(&digest).copied().unwrap_or(0);
        let at = match found.get(count.min(found.len().saturating_sub(1))) {
            Some(at) => *at,
            None => self
                .loose(&state, request)
                .ok_or_else(|| self.miss(&state, &asked))?,
        };
        let entry = &self.tape.entries[at];
        // It was asked for, whatever is left of it.
        state.asked.insert(digest, count + 1);
        *state.given.entry(at).or_insert(0) += 1;
        if let (Body::Missing(why), false) =
            (&entry.exchange.response.body, request.method == "HEAD")
        {
            return Err(unkept(entry, why));
        }
        if found.is_empty() {
            state.loose.insert(at);
        }
        let asked = (&asked, found.as_slice());
        let names = state.names.of_answer(&self.tape, (at, entry), asked, ids);
        let named = container(request);
        let container = named.and_then(|id| Some((*state.containers.get(&id)?, id)));
        let container = container.map(|((made_at, last_used_at), id)| Named {
            id,
            made_at,
            last_used_at,
        });
        let response = renamed(&entry.exchange.response, &names);
        for id in names.values().filter(|id| id.starts_with("container_")) {
            state.containers.entry(id.clone()).or_insert((now, now)).1 = now;
        }
        if let Some(whole) = state.threads.whole(request) {
            state.threads.answered(whole, &response);
        }
        Ok(Played {
            name: entry.name.clone(),
            timing: entry.exchange.timing.clone(),
            response,
            container,
        })
    }

    /// The names of ids for a request that is passed on: what goes to whom is recorded has the recorded ids, or its
    /// own, and the client hears of them by the names it knows.
    pub fn translation(&self, request: &Request) -> Translation {
        self.lock().names.translation(&self.tape.asked(request))
    }

    /// The next answer without a request that fits one of this kind.
    fn loose(&self, state: &State, request: &Request) -> Option<usize> {
        self.tape.loose.iter().copied().find(|at| {
            let response = &self.tape.entries[*at].exchange.response;
            !state.loose.contains(at)
                && Loose::of(response).is_some_and(|loose| loose.answers(request))
        })
    }

    fn miss(&self, state: &State, asked: &Asked) -> Miss {
        let recorded = |name: &str| state.names.recorded(name);
        let meant = asked.value(recorded);
        let call = format!(
            "{} {}",
            meant["method"].as_str().unwrap_or_default(),
            meant["path"].as_str().unwrap_or_default()
        );
        match self.tape.nearest(asked, recorded) {
            Some((name, differences)) => Miss {
                message: format!(
                    "no recorded exchange answers this {call}; the nearest is {name}, which differs in:\n{}",
                    miss::told(&differences)
                ),
                hint: "record it (`--record new --upstream URL`), or let a path that may differ be ignored (`--ignore PATH`, or `ignore:` in the cassette)".to_owned(),
            },
            None => Miss {
                message: format!(
                    "no recorded exchange answers this {call}, and none of the {} was made with that call",
                    self.tape.len()
                ),
                hint: "record it: `--record new --upstream URL`".to_owned(),
            },
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer of which it is known that there was one, and no more.
fn unkept(entry: &Entry, why: &str) -> Miss {
    Miss {
        message: format!("{} has no body of its answer: {why}", entry.name),
        hint: "record it with `sandtable record`, which keeps files too, or put the body into the cassette".to_owned(),
    }
}

/// The container that a Messages request names.
fn container(request: &Request) -> Option<String> {
    let body = request.body.json()?;
    let container = &body["container"];
    let id = container.as_str().or_else(|| container["id"].as_str())?;
    Some(id.to_owned())
}

/// A recorded answer with other ids.
fn renamed(response: &Response, names: &HashMap<String, String>) -> Response {
    let mut response = response.clone();
    if names.iter().all(|(recorded, name)| recorded == name) {
        return response;
    }
    let other = |id: &str| names.get(id).cloned();
    for (_, value) in &mut response.headers {
        *value = idents::rename(value, other).into_owned();
    }
    response.body = match response.body {
        Body::Json(value) => {
            let text = value.to_string();
            let text = idents::rename(&text, other);
            serde_json::from_str(&text).map_or(Body::Text(text.into_owned()), Body::Json)
        }
        Body::Text(text) => Body::Text(idents::rename(&text, other).into_owned()),
        // An answer that was laid out otherwise, and so lies beside the cassette. What is no JSON is somebody's file.
        Body::Blob(blob) => match blob.json_text() {
            Some(text) => Body::Text(idents::rename(&text, other).into_owned()),
            None => Body::Blob(blob),
        },
        body @ (Body::Empty | Body::Bytes(_) | Body::Form(_) | Body::Missing(_)) => body,
    };
    response
}

#[cfg(test)]
mod tests;
