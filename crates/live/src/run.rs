//! Running one cassette: uploads and skills put in place, the calls of its turns made in their order,
//! containers, files, and tools known under the ids of this run.

mod outcome;
mod request;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::client::Client;
use super::gather::{self, Gathered, Item, Turn, Upload};
use super::{CallReport, CassetteReport, Difference, Options, Outcome};
use crate::obstacle::Obstacle;
use cassette::Cassette;
use model::draft::is_from_code;

const ENDED: &str = "the run ended before it";

/// Makes the calls of a cassette.
pub(super) async fn cassette(
    client: &Client,
    cassette: &Cassette,
    options: &Options,
) -> CassetteReport {
    let Gathered {
        items,
        contents,
        names,
    } = gather::gather(cassette);
    let mut run = Run {
        client,
        options,
        results: results(&items),
        contents,
        names,
        containers: HashMap::new(),
        files: HashMap::new(),
        skills: HashMap::new(),
        calls: Vec::new(),
    };
    let mut done: HashSet<usize> = HashSet::new();
    for (at, item) in items.iter().enumerate() {
        match item {
            Item::Upload(upload) => run.upload(upload).await,
            Item::Turn(_) if done.contains(&at) => {}
            Item::Turn(_) => {
                let chain = chain(&items, at);
                done.extend(&chain);
                let turns: Vec<&Turn> = chain.iter().filter_map(|at| turn(&items, *at)).collect();
                run.turns(&turns).await;
            }
        }
    }
    CassetteReport {
        name: cassette.name.clone(),
        calls: run.calls,
    }
}

fn turn(items: &[Item], at: usize) -> Option<&Turn> {
    match &items[at] {
        Item::Turn(turn) => Some(turn),
        Item::Upload(_) => None,
    }
}

fn blocks(message: &Value) -> &[Value] {
    message["content"].as_array().map_or(&[], Vec::as_slice)
}

fn id(block: &Value) -> &str {
    block["id"].as_str().unwrap_or_default()
}

/// The recorded results of all calls, by the calls' ids: some come in a later answer.
fn results(items: &[Item]) -> HashMap<String, Value> {
    let mut results = HashMap::new();
    for at in 0..items.len() {
        let Some(turn) = turn(items, at) else {
            continue;
        };
        for block in blocks(&turn.message) {
            if let Some(id) = block["tool_use_id"].as_str() {
                results.insert(id.to_owned(), block["content"].clone());
            }
        }
    }
    results
}

/// The turn, and those that hand its waiting code what it asked the client for.
fn chain(items: &[Item], first: usize) -> Vec<usize> {
    let mut chain = vec![first];
    loop {
        let last = chain[chain.len() - 1];
        let asked: HashSet<&str> = turn(items, last)
            .into_iter()
            .flat_map(|turn| blocks(&turn.message))
            .filter(|block| block["type"] == "tool_use" && is_from_code(block))
            .map(id)
            .collect();
        let answers = |at: &usize| {
            let request = turn(items, *at).and_then(|turn| turn.request.as_ref().ok());
            let mut answers = request.into_iter().flat_map(answers);
            answers.any(|it| asked.contains(it["tool_use_id"].as_str().unwrap_or_default()))
        };
        match (last + 1..items.len()).find(answers) {
            Some(next) if !asked.is_empty() => chain.push(next),
            _ => return chain,
        }
    }
}

/// The newest user message.
fn newest(request: &Value) -> &[Value] {
    let messages = request["messages"].as_array();
    let last = messages.and_then(|messages| messages.last());
    let last = last.filter(|message| message["role"] == "user");
    last.and_then(|message| message["content"].as_array())
        .map_or(&[], Vec::as_slice)
}

/// The client's `tool_result` blocks.
fn answers(request: &Value) -> impl Iterator<Item = &Value> {
    newest(request)
        .iter()
        .filter(|block| block["type"] == "tool_result")
}

/// A recorded call.
#[derive(Debug)]
struct Call<'a> {
    turn: &'a Turn,
    block: &'a Value,
}

/// A recorded id's counterpart in this run, or why there is none.
type Known = HashMap<String, Result<String, Obstacle>>;

struct Run<'a> {
    client: &'a Client,
    options: &'a Options,
    results: HashMap<String, Value>,
    contents: HashMap<String, bytes::Bytes>,
    names: HashMap<String, String>,
    containers: Known,
    files: Known,
    skills: Known,
    calls: Vec<CallReport>,
}

impl Run<'_> {
    async fn upload(&mut self, upload: &Upload) {
        let answer = &upload.answer;
        let Some(recorded) = answer["id"].as_str() else {
            return;
        };
        let version = upload.path.ends_with("/versions");
        let mut path = upload.path.clone();
        if version {
            let skill = answer["skill_id"].as_str().unwrap_or_default();
            match self.skills.get(skill) {
                Some(Ok(live)) => path = format!("/v1/skills/{live}/versions"),
                _ => return,
            }
        }
        let sent = match &upload.parts {
            Ok(parts) => self.client.post_form(&path, parts).await,
            Err(why) => Err(why.clone()),
        };
        let live = sent.map(|live| live["id"].as_str().unwrap_or_default().to_owned());
        if path == "/v1/files" {
            self.files.insert(recorded.to_owned(), live);
        } else if !version {
            self.skills.insert(recorded.to_owned(), live);
        }
    }

    /// Makes the calls of turns that belong together.
    async fn turns(&mut self, turns: &[&Turn]) {
        let mut calls: Vec<Call<'_>> = Vec::new();
        for turn in turns {
            for block in blocks(&turn.message) {
                let names = [
                    "bash_code_execution",
                    "text_editor_code_execution",
                    "code_execution",
                ];
                let known = names.iter().any(|name| block["name"] == *name);
                if block["type"] == "server_tool_use" && known && !is_from_code(block) {
                    calls.push(Call { turn, block });
                }
            }
        }
        if calls.is_empty() {
            return;
        }
        let reasons: Vec<Option<String>> = calls
            .iter()
            .map(|call| self.obstacle(call, turns))
            .collect();
        let whole = match self.request(turns[0], &calls) {
            Err(obstacle) => Some(obstacle.to_string()),
            Ok(_) if reasons.iter().all(Option::is_some) => reasons[0].clone(),
            Ok(_) => None,
        };
        if let Some(reason) = whole {
            self.lose(turns, &reason);
            for call in &calls {
                self.told(
                    call,
                    Outcome::NotExecutable {
                        reason: reason.clone(),
                    },
                );
            }
            return;
        }
        let skipped: HashSet<&str> = calls
            .iter()
            .zip(&reasons)
            .filter(|(_, reason)| reason.is_some())
            .map(|(call, _)| id(call.block))
            .collect();
        let (answers, broken) = self.send(turns, &calls, &skipped).await;
        self.rebind_container(turns, &answers, broken.as_ref());
        let live: Vec<&Value> = answers
            .iter()
            .flat_map(blocks)
            .filter(|block| block["type"] == "server_tool_use" && !is_from_code(block))
            .collect();
        let mut live = live.into_iter();
        for (call, reason) in calls.iter().zip(reasons) {
            let outcome = match reason {
                Some(reason) => Outcome::NotExecutable { reason },
                None => match live.next() {
                    Some(block) => self.outcome(call, block, &answers, broken.as_ref()).await,
                    None => Outcome::NotExecutable {
                        reason: broken
                            .as_ref()
                            .map_or_else(|| ENDED.to_owned(), Broken::text),
                    },
                },
            };
            self.told(call, outcome);
        }
    }

    fn lose(&mut self, turns: &[&Turn], reason: &str) {
        for turn in turns {
            if let Some(recorded) = turn.message["container"]["id"].as_str() {
                let why = format!("exchange {} was not run in it: {reason}", turn.label);
                self.containers
                    .entry(recorded.to_owned())
                    .or_insert(Err(Obstacle::Recording(why)));
            }
        }
    }

    fn rebind_container(&mut self, turns: &[&Turn], answers: &[Value], broken: Option<&Broken>) {
        let live = answers
            .iter()
            .find_map(|answer| answer["container"]["id"].as_str());
        let Some(live) = live else {
            let none = || "no container came about".to_owned();
            let why = broken.map_or_else(none, Broken::text);
            self.lose(turns, &why);
            return;
        };
        for turn in turns {
            if let Some(recorded) = turn.message["container"]["id"].as_str() {
                self.containers
                    .insert(recorded.to_owned(), Ok(live.to_owned()));
            }
        }
    }
}

/// Why a run ended early.
#[derive(Debug)]
enum Broken {
    /// Code went another way than in the recording.
    Differs(Difference),
    /// The recording lacks what it needs, or the server refused it.
    Lacks(Obstacle),
}

impl Broken {
    fn text(&self) -> String {
        match self {
            Self::Differs(_) => "code before it went another way".to_owned(),
            Self::Lacks(obstacle) => obstacle.to_string(),
        }
    }
}

impl<E: Into<Obstacle>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self::Lacks(error.into())
    }
}
