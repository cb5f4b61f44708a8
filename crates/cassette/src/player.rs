//! Answering from a tape: which recorded answer a request gets, and which ids stand in it.
//!
//! The first time an answer is given it has the ids that were recorded; whenever it is given again, new
//! ones, so that two conversations never share a container or a file. What a client sends back is
//! translated before it is compared, and what it gets is translated to what that client knows.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use control_api::UnusedRecording;
use sha2::{Digest as _, Sha256};

use super::tape::{Entry, Tape};
use super::{Body, Request, Response, Timing, canon, idents, miss};
use common::hinted::Hinted;
use common::ids::Ids;

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
    /// The name that a recorded id was last given, to whomever it was given.
    last: HashMap<String, String>,
    /// Recorded ids that went out as they are.
    original: HashSet<String>,
    /// The recorded id behind one that was given, and the group it was given in.
    behind: HashMap<String, (String, usize)>,
    /// The names that belong together: recorded ids and what a conversation calls them.
    groups: Vec<HashMap<String, String>>,
    /// When each container, by the name it was given, was first and last given.
    containers: HashMap<String, (DateTime<Utc>, DateTime<Utc>)>,
    loose: HashSet<usize>,
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
    fn is_given(&self, tape: &Tape, at: usize, entry: &Entry) -> bool {
        if self.given.contains_key(&at) {
            return true;
        }
        let (Some(request), Some(canonical)) = (&entry.exchange.request, &entry.canonical) else {
            return false;
        };
        request.method == "GET"
            && tape
                .with(canonical)
                .iter()
                .any(|other| self.given.contains_key(other))
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

    /// The answer to a request. `ids` gives the ids of answers that are given again.
    pub fn play(&self, request: &Request, now: DateTime<Utc>, ids: &Ids) -> Result<Played, Miss> {
        let mut state = self.lock();
        let told = canon::text(request, &self.tape.ignore);
        let meant = idents::rename(&told, |id| {
            state.behind.get(id).map(|(recorded, _)| recorded.clone())
        });
        let digest: [u8; 32] = Sha256::digest(told.as_bytes()).into();
        let found = self.tape.with(&meant);
        let count = state.asked.get(&digest).copied().unwrap_or(0);
        let at = match found.get(count.min(found.len().saturating_sub(1))) {
            Some(at) => *at,
            None => self
                .loose(&state, request)
                .ok_or_else(|| self.miss(&meant))?,
        };
        state.asked.insert(digest, count + 1);
        *state.given.entry(at).or_insert(0) += 1;
        if found.is_empty() {
            state.loose.insert(at);
        }
        let entry = &self.tape.entries[at];
        let names = state.names(&self.tape, at, entry, idents::find(&told), ids);
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
        Ok(Played {
            name: entry.name.clone(),
            timing: entry.exchange.timing.clone(),
            response,
            container,
        })
    }

    /// The next answer without a request that fits one of this kind.
    fn loose(&self, state: &State, request: &Request) -> Option<usize> {
        let streams = request
            .body
            .json()
            .is_some_and(|body| body["stream"] == true);
        self.tape.loose.iter().copied().find(|at| {
            let response = &self.tape.entries[*at].exchange.response;
            !state.loose.contains(at) && answers(response, request, streams)
        })
    }

    fn miss(&self, meant: &str) -> Miss {
        let meant = canon::read(meant);
        let asked = format!(
            "{} {}",
            meant["method"].as_str().unwrap_or_default(),
            meant["path"].as_str().unwrap_or_default()
        );
        match self.tape.nearest(&meant) {
            Some((name, differences)) => Miss {
                message: format!(
                    "no recorded exchange answers this {asked}; the nearest is {name}, which differs in:\n{}",
                    miss::told(&differences)
                ),
                hint: "record it (`--record new --upstream URL`), or let a path that may differ be ignored (`--ignore PATH`, or `ignore:` in the cassette)".to_owned(),
            },
            None => Miss {
                message: format!(
                    "no recorded exchange answers this {asked}, and none of the {} was made with that call",
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

impl State {
    /// The names that the ids of an answer have for the client that sent `asked`.
    fn names<'a>(
        &mut self,
        tape: &Tape,
        at: usize,
        entry: &Entry,
        asked: impl Iterator<Item = &'a str>,
        ids: &Ids,
    ) -> HashMap<String, String> {
        let mut said: Vec<(String, String)> = Vec::new();
        let mut involved = BTreeSet::new();
        for id in asked {
            match self.behind.get(id) {
                Some((recorded, group)) => {
                    involved.insert(*group);
                    said.push((recorded.clone(), id.to_owned()));
                }
                None => said.push((id.to_owned(), id.to_owned())),
            }
        }
        let mut known: HashMap<String, String> = HashMap::new();
        for group in involved {
            known.extend(self.groups[group].clone());
        }
        known.extend(said);
        let mut names = HashMap::new();
        let mut new = Vec::new();
        for id in &entry.ids {
            if let Some(name) = known.get(id) {
                names.insert(id.clone(), name.clone());
                continue;
            }
            let elsewhere = tape.born.get(id).is_some_and(|born| *born != at);
            let name = if self.original.insert(id.clone()) {
                id.clone()
            } else if elsewhere && !idents::is_one_way(id) {
                self.last.get(id).unwrap_or(id).clone()
            } else {
                idents::fresh(id, ids)
            };
            if !idents::is_one_way(id) {
                self.last.insert(id.clone(), name.clone());
                new.push((id.clone(), name.clone()));
            }
            names.insert(id.clone(), name);
        }
        if !new.is_empty() {
            known.extend(new.iter().cloned());
            let group = self.groups.len();
            for (recorded, name) in new {
                self.behind.insert(name, (recorded, group));
            }
            self.groups.push(known);
        }
        names
    }
}

/// The container that a Messages request names.
fn container(request: &Request) -> Option<String> {
    let body = request.body.json()?;
    let container = &body["container"];
    let id = container.as_str().or_else(|| container["id"].as_str())?;
    Some(id.to_owned())
}

/// Whether an answer without a request is one to a request of this kind.
fn answers(response: &Response, request: &Request, streams: bool) -> bool {
    let path = request.path.trim_end_matches('/');
    let is_messages = request.method == "POST" && path == "/v1/messages";
    if response.is_stream() {
        return is_messages && streams;
    }
    let body = response.body.json().unwrap_or_default();
    let id = body["id"].as_str().unwrap_or_default();
    match body["type"].as_str() {
        Some("message") => is_messages && !streams,
        Some("error") => is_messages,
        Some("file") => path == "/v1/files",
        Some("message_batch") => path == "/v1/messages/batches",
        Some("skill_version") => path.starts_with("/v1/skills/") && path.ends_with("/versions"),
        _ => id.starts_with("skill_") && path == "/v1/skills",
    }
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
        Body::Blob(blob) => match std::fs::read_to_string(blob.path()) {
            Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() => {
                Body::Text(idents::rename(&text, other).into_owned())
            }
            _ => Body::Blob(blob),
        },
        body @ (Body::Empty | Body::Bytes(_) | Body::Form(_) | Body::Missing(_)) => body,
    };
    response
}
