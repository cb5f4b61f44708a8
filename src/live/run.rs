//! Running one cassette: uploads and skills put in place, the calls of its turns made in their order,
//! containers, files, and tools known under the ids of this run.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::client::Client;
use super::gather::{self, Gathered, Item, Turn, Upload};
use super::script::{self, Emit, is_from_code};
use super::text::When;
use super::{CallReport, CassetteReport, Difference, Options, Outcome, compare, files};
use crate::cassette::Cassette;
use crate::clock::Clock;

/// Who asks does not matter to a sandbox; the recorded model may be retired.
const MODEL: &str = "claude-opus-5";
/// The code tool of a request that names none, or whose code was called by web tools.
const CODE_TOOL: &str = "code_execution_20260120";
/// Longest excerpt of a call.
const CALL_CHARS: usize = 80;

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

/// What the client answers to its tools.
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
type Known = HashMap<String, Result<String, String>>;

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
            Err(reason) => Some(reason),
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
                    None => not_run(broken.as_ref()),
                },
            };
            self.told(call, outcome);
        }
    }

    /// Why a single call cannot be made.
    fn obstacle(&self, call: &Call<'_>, turns: &[&Turn]) -> Option<String> {
        let of_code = turns
            .iter()
            .flat_map(|turn| blocks(&turn.message))
            .any(|block| {
                block["type"] == "server_tool_use" && block["caller"]["tool_id"] == call.block["id"]
            });
        let result = self.results.get(id(call.block));
        let sealed = result.is_some_and(|it| it["type"] == "encrypted_code_execution_result");
        if of_code || sealed {
            return Some(
                "its code awaits results of the web, which a recording holds sealed".to_owned(),
            );
        }
        if script::call(call.block).is_none() {
            return Some("the call's input is not one that can be made".to_owned());
        }
        let request = call.turn.request.as_ref().ok()?;
        let skills = request["container"]["skills"].as_array();
        let vendors = skills
            .into_iter()
            .flatten()
            .filter(|skill| skill["type"] == "anthropic");
        let input = call.block["input"].to_string();
        for skill in vendors {
            let skill = skill["skill_id"].as_str().unwrap_or_default();
            if input.contains(&format!("/skills/{skill}")) {
                return Some(format!(
                    "the vendor's skill `{skill}` is not in the recording"
                ));
            }
        }
        None
    }

    /// The request that makes the calls; why there can be none otherwise.
    fn request(&self, turn: &Turn, calls: &[Call<'_>]) -> Result<Value, String> {
        let recorded = turn.request.as_ref().map_err(Clone::clone)?;
        let mut content = Vec::new();
        for block in newest(recorded) {
            if block["type"] == "container_upload" {
                let file = block["file_id"].as_str().unwrap_or_default();
                let live = known(&self.files, file)
                    .map_err(|why| format!("the uploaded file `{file}` is not there: {why}"))?;
                content.push(json!({"type": "container_upload", "file_id": live}));
            }
        }
        content.push(json!({"type": "text", "text": marker(turn)}));
        let mut body = json!({
            "model": MODEL,
            "max_tokens": 4096,
            "tools": tools(recorded, calls),
            "messages": [{"role": "user", "content": content}],
        });
        if let Some(container) = self.container(&recorded["container"])? {
            body["container"] = container;
        }
        Ok(body)
    }

    fn container(&self, recorded: &Value) -> Result<Option<Value>, String> {
        let name = recorded.as_str().or(recorded["id"].as_str());
        let mut container = Map::new();
        if let Some(name) = name {
            let live = known(&self.containers, name)
                .map_err(|why| format!("it goes on in the container `{name}`: {why}"))?;
            container.insert("id".to_owned(), json!(live));
        }
        let mut skills = Vec::new();
        for skill in recorded["skills"].as_array().into_iter().flatten() {
            let mut skill = skill.clone();
            let name = skill["skill_id"].as_str().unwrap_or_default().to_owned();
            if skill["type"] == "custom" {
                let live = known(&self.skills, &name)
                    .map_err(|why| format!("the skill `{name}` is not there: {why}"))?;
                skill["skill_id"] = json!(live);
            }
            // Versions are numbered anew in every run.
            skill["version"] = json!("latest");
            skills.push(skill);
        }
        if !skills.is_empty() {
            container.insert("skills".to_owned(), json!(skills));
        }
        Ok((!container.is_empty()).then_some(Value::Object(container)))
    }

    /// Sends the turns; the answers as far as they came, and why no more did.
    async fn send(
        &self,
        turns: &[&Turn],
        calls: &[Call<'_>],
        skipped: &HashSet<&str>,
    ) -> (Vec<Value>, Option<Broken>) {
        let mut answers = Vec::new();
        let made: Vec<Value> = turns
            .iter()
            .flat_map(|turn| blocks(&turn.message))
            .filter(|block| !skipped.contains(id(block)))
            .cloned()
            .collect();
        let sent = self.send_all(turns, calls, &made, &mut answers).await;
        (answers, sent.err())
    }

    async fn send_all(
        &self,
        turns: &[&Turn],
        calls: &[Call<'_>],
        made: &[Value],
        answers: &mut Vec<Value>,
    ) -> Result<(), Broken> {
        let steps = script::steps(made, Emit::Calls)?;
        let user = marker(turns[0]);
        let rule = json!([{"name": user, "when": {"user": {"equals": user}}, "then": steps}]);
        self.client.add_script(&rule).await?;
        let mut body = self.request(turns[0], calls)?;
        let mut answer = self.client.post("/v1/messages", &body).await?;
        for pair in turns.windows(2) {
            let [before, after] = pair else { continue };
            answers.push(answer.clone());
            let results = client_results(before, after, &answer)?;
            if let Some(container) = answer["container"]["id"].as_str() {
                body["container"] = json!(container);
            }
            if let Some(messages) = body["messages"].as_array_mut() {
                messages.push(json!({"role": "assistant", "content": answer["content"]}));
                messages.push(json!({"role": "user", "content": results}));
            }
            answer = self.client.post("/v1/messages", &body).await?;
        }
        let waits = answer["stop_reason"] == "tool_use";
        answers.push(answer);
        if waits {
            return Err(Broken::Lacks(
                "code waits for the client's tools, and the recording has no answer".to_owned(),
            ));
        }
        Ok(())
    }

    fn lose(&mut self, turns: &[&Turn], reason: &str) {
        for turn in turns {
            if let Some(recorded) = turn.message["container"]["id"].as_str() {
                let why = format!("exchange {} was not run in it: {reason}", turn.label);
                self.containers
                    .entry(recorded.to_owned())
                    .or_insert(Err(why));
            }
        }
    }

    fn rebind_container(&mut self, turns: &[&Turn], answers: &[Value], broken: Option<&Broken>) {
        let live = answers
            .iter()
            .find_map(|answer| answer["container"]["id"].as_str());
        let Some(live) = live else {
            let why = broken.map_or("no container came about", Broken::text);
            self.lose(turns, why);
            return;
        };
        for turn in turns {
            if let Some(recorded) = turn.message["container"]["id"].as_str() {
                self.containers
                    .insert(recorded.to_owned(), Ok(live.to_owned()));
            }
        }
    }

    async fn outcome(
        &mut self,
        call: &Call<'_>,
        block: &Value,
        answers: &[Value],
        broken: Option<&Broken>,
    ) -> Outcome {
        let all = answers.iter().flat_map(blocks);
        let mut all = all.filter(|it| it["tool_use_id"] == block["id"]);
        let Some(live) = all.next().map(|it| it["content"].clone()) else {
            return not_run(broken);
        };
        let Some(recorded) = self.results.get(id(call.block)).cloned() else {
            return Outcome::Same {
                unchecked: vec!["the recording has no result".to_owned()],
            };
        };
        let when = When {
            recorded: call.turn.when,
            live: Clock::default().now(),
        };
        let mut differences = compare::results(&recorded, &live, when, self.options);
        let mut unchecked = Vec::new();
        self.files(&recorded, &live, when, &mut differences, &mut unchecked)
            .await;
        if differences.is_empty() {
            Outcome::Same { unchecked }
        } else {
            Outcome::Different { differences }
        }
    }

    /// Compares the files of a result, and learns their ids.
    async fn files(
        &mut self,
        recorded: &Value,
        live: &Value,
        when: When,
        differences: &mut Vec<Difference>,
        unchecked: &mut Vec<String>,
    ) {
        let ids = |content: &Value| -> Vec<String> {
            let items = content["content"].as_array().into_iter().flatten();
            items
                .filter_map(|item| item["file_id"].as_str())
                .map(str::to_owned)
                .collect()
        };
        let theirs = ids(recorded);
        let mut ours = Vec::new();
        for id in ids(live) {
            let about = self
                .client
                .get(&format!("/v1/files/{id}"))
                .await
                .unwrap_or_default();
            let about: Value = serde_json::from_slice(&about).unwrap_or_default();
            ours.push((
                id,
                about["filename"].as_str().unwrap_or_default().to_owned(),
            ));
        }
        let list = |names: Vec<String>| {
            format!("{} files {}", names.len(), names.join(", "))
                .trim_end()
                .to_owned()
        };
        let their_names: Vec<Option<String>> = theirs
            .iter()
            .map(|id| self.names.get(id).cloned())
            .collect();
        if theirs.len() != ours.len() {
            differences.push(Difference {
                what: "files".to_owned(),
                recorded: list(
                    their_names
                        .iter()
                        .zip(&theirs)
                        .map(|(name, id)| name.clone().unwrap_or_else(|| id.clone()))
                        .collect(),
                ),
                live: list(ours.iter().map(|(_, name)| name.clone()).collect()),
            });
        }
        let mut unnamed = Vec::new();
        for (their_id, name) in theirs.iter().zip(their_names) {
            let Some(name) = name else {
                unnamed.push(their_id);
                continue;
            };
            match ours.iter().position(|(_, our_name)| *our_name == name) {
                Some(at) => {
                    let (our_id, name) = ours.remove(at);
                    self.file(their_id, &our_id, &name, when, differences, unchecked)
                        .await;
                }
                None => differences.push(Difference {
                    what: format!("file {name}"),
                    recorded: "there".to_owned(),
                    live: "not there".to_owned(),
                }),
            }
        }
        // Without a name the order must do.
        for (their_id, (our_id, name)) in unnamed.into_iter().zip(ours) {
            self.file(their_id, &our_id, &name, when, differences, unchecked)
                .await;
        }
    }

    async fn file(
        &mut self,
        recorded: &str,
        live: &str,
        name: &str,
        when: When,
        differences: &mut Vec<Difference>,
        unchecked: &mut Vec<String>,
    ) {
        self.files.insert(recorded.to_owned(), Ok(live.to_owned()));
        let Some(theirs) = self.contents.get(recorded) else {
            unchecked.push(format!("file {name}: its content was not recorded"));
            return;
        };
        match self.client.get(&format!("/v1/files/{live}/content")).await {
            Ok(ours) => differences.extend(files::compare(name, theirs, &ours, when, self.options)),
            Err(why) => differences.push(Difference {
                what: format!("file {name}"),
                recorded: "downloaded".to_owned(),
                live: why,
            }),
        }
    }

    fn told(&mut self, call: &Call<'_>, outcome: Outcome) {
        let input = &call.block["input"];
        let text = |key: &str| input[key].as_str().unwrap_or_default();
        let line = match input["path"].as_str() {
            Some(path) => format!("{} {path}", text("command")),
            None => format!("{}{}", text("command"), text("code")),
        };
        let line = line.trim().lines().next().unwrap_or_default();
        self.calls.push(CallReport {
            exchange: call.turn.label.clone(),
            id: id(call.block).to_owned(),
            tool: call.block["name"].as_str().unwrap_or_default().to_owned(),
            call: line.chars().take(CALL_CHARS).collect(),
            outcome,
        });
    }
}

fn known(map: &Known, recorded: &str) -> Result<String, String> {
    match map.get(recorded) {
        Some(known) => known.clone(),
        None => Err("where it came from is not in the recording".to_owned()),
    }
}

fn not_run(broken: Option<&Broken>) -> Outcome {
    match broken {
        Some(Broken::Differs(difference)) => Outcome::Different {
            differences: vec![difference.clone()],
        },
        Some(Broken::Lacks(reason)) => Outcome::NotExecutable {
            reason: reason.clone(),
        },
        None => Outcome::NotExecutable {
            reason: "the run ended before it".to_owned(),
        },
    }
}

/// Why a run ended early.
#[derive(Debug)]
enum Broken {
    /// Code went another way than in the recording.
    Differs(Difference),
    /// The recording lacks what it needs, or the server refused it.
    Lacks(String),
}

impl Broken {
    fn text(&self) -> &str {
        match self {
            Self::Differs(_) => "its code went another way",
            Self::Lacks(reason) => reason,
        }
    }
}

impl From<String> for Broken {
    fn from(reason: String) -> Self {
        Self::Lacks(reason)
    }
}

/// The text of the user by which the turn's rule is found.
fn marker(turn: &Turn) -> String {
    format!("exchange {}", turn.label)
}

/// The recorded tools that matter to code: the code tool, and what code may call of the client's.
fn tools(recorded: &Value, calls: &[Call<'_>]) -> Vec<Value> {
    let mut tools: Vec<Value> = recorded["tools"].as_array().cloned().unwrap_or_default();
    let is_code = |tool: &Value| {
        tool["type"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("code_execution"))
    };
    let from_code = |tool: &Value| {
        tool["allowed_callers"]
            .to_string()
            .contains("code_execution")
    };
    tools.retain(|tool| is_code(tool) || tool["type"].is_null() || tool["type"] == "custom");
    let cells = calls
        .iter()
        .any(|call| call.block["name"] == "code_execution");
    let awaited = tools.iter().any(from_code);
    for tool in tools.iter_mut().filter(|tool| is_code(tool)) {
        // The web tools that made it run cells are gone.
        if cells && !awaited && tool["type"] == "code_execution_20250825" {
            tool["type"] = json!(CODE_TOOL);
        }
    }
    if !tools.iter().any(is_code) {
        tools.push(json!({"type": CODE_TOOL, "name": "code_execution"}));
    }
    tools
}

/// The recorded answers of the client's tools, for the calls that code made this time.
fn client_results(before: &Turn, after: &Turn, answer: &Value) -> Result<Vec<Value>, Broken> {
    let asked = |message: &Value| -> Vec<Value> {
        let calls = blocks(message).iter();
        calls
            .filter(|block| block["type"] == "tool_use" && is_from_code(block))
            .cloned()
            .collect()
    };
    let list = |calls: &[Value]| {
        let calls = calls.iter();
        let calls: Vec<String> = calls
            .map(|call| {
                format!(
                    "{}({})",
                    call["name"].as_str().unwrap_or_default(),
                    call["input"]
                )
            })
            .collect();
        calls.join(", ")
    };
    let theirs = asked(&before.message);
    let ours = asked(answer);
    let differs = || {
        Broken::Differs(Difference {
            what: "calls of the client's tools".to_owned(),
            recorded: list(&theirs),
            live: list(&ours),
        })
    };
    let request = after.request.as_ref().map_err(Clone::clone)?;
    let mut left: Vec<&Value> = ours.iter().collect();
    let mut results = Vec::new();
    for call in &theirs {
        let same = |it: &&Value| it["name"] == call["name"] && it["input"] == call["input"];
        let live = left.remove(left.iter().position(same).ok_or_else(differs)?);
        let answered = answers(request).find(|it| it["tool_use_id"] == call["id"]);
        let mut result = answered.cloned().ok_or_else(|| {
            "the recording has no answer to a call of the client's tools".to_owned()
        })?;
        result["tool_use_id"] = live["id"].clone();
        results.push(result);
    }
    if left.is_empty() {
        Ok(results)
    } else {
        Err(differs())
    }
}
