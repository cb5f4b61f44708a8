//! Requests that make calls: the tools and the container of each, and the client's results.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{Broken, Call, Known, Run, answers, blocks, id, newest};
use crate::Difference;
use crate::gather::Turn;
use crate::obstacle::Obstacle;
use model::draft::{self, Emit, is_from_code};

/// The model of every request: it does not matter to a sandbox, and the recorded one may be retired.
const MODEL: &str = "claude-opus-5";
/// The code tool of a request that names none, or whose code was called by web tools.
const CODE_TOOL: &str = "code_execution_20260120";
static INPUT_DIR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("/files/input/[0-9a-f]{16}").expect("the pattern is well-formed"));
static OUTPUT_DIR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("/files/output/[0-9a-f]{16}").expect("the pattern is well-formed"));

impl Run<'_> {
    /// Why a single call cannot be made.
    pub(super) fn obstacle(&self, call: &Call<'_>, turns: &[&Turn]) -> Option<String> {
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
        if draft::call(call.block).is_none() {
            return Some("the call's input is not one that can be made".to_owned());
        }
        let input = call.block["input"].to_string();
        if OUTPUT_DIR.is_match(&input) {
            return Some(
                "it names the recorded `$OUTPUT_DIR` by its path, which is another in every run"
                    .to_owned(),
            );
        }
        let request = call.turn.request.as_ref().ok()?;
        let skills = request["container"]["skills"].as_array();
        let vendors = skills
            .into_iter()
            .flatten()
            .filter(|skill| skill["type"] == "anthropic");
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
    pub(super) fn request(&self, turn: &Turn, calls: &[Call<'_>]) -> Result<Value, Obstacle> {
        let recorded = turn.request.as_ref().map_err(Clone::clone)?;
        let mut content = Vec::new();
        for block in newest(recorded) {
            if block["type"] == "container_upload" {
                let file = block["file_id"].as_str().unwrap_or_default();
                let live = known(&self.files, file).map_err(|why| {
                    why.behind(format!("the uploaded file `{file}` is not there"))
                })?;
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

    fn container(&self, recorded: &Value) -> Result<Option<Value>, Obstacle> {
        let name = recorded.as_str().or(recorded["id"].as_str());
        let mut container = Map::new();
        if let Some(name) = name {
            let live = known(&self.containers, name)
                .map_err(|why| why.behind(format!("it goes on in the container `{name}`")))?;
            container.insert("id".to_owned(), json!(live));
        }
        let mut skills = Vec::new();
        for skill in recorded["skills"].as_array().into_iter().flatten() {
            let mut skill = match skill {
                Value::Object(_) => skill.clone(),
                _ => return Err(Obstacle::recording("a skill of the request is no object")),
            };
            let name = skill["skill_id"].as_str().unwrap_or_default().to_owned();
            if skill["type"] == "custom" {
                let live = known(&self.skills, &name)
                    .map_err(|why| why.behind(format!("the skill `{name}` is not there")))?;
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
    pub(super) async fn send(
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
        let mut body = self.request(turns[0], calls)?;
        let mut steps = json!(draft::steps(made, Emit::Calls)?);
        if INPUT_DIR.is_match(&steps.to_string()) {
            self.name_input_dir(turns[0], &mut body, &mut steps).await?;
        }
        let user = marker(turns[0]);
        let rule = json!([{"name": user, "when": {"user": {"equals": user}}, "then": steps}]);
        self.client.add_script(&rule).await?;
        let mut answer = self.client.post("/v1/messages", &body).await?;
        for pair in turns.windows(2) {
            let [before, after] = pair else { continue };
            answers.push(answer.clone());
            let results = client_results(before, after, &answer)?;
            if let Some(container) = answer["container"]["id"].as_str() {
                body["container"] = json!(container);
            }
            let messages = body.get_mut("messages");
            if let Some(messages) = messages.and_then(Value::as_array_mut) {
                messages.push(json!({"role": "assistant", "content": answer["content"]}));
                messages.push(json!({"role": "user", "content": results}));
            }
            answer = self.client.post("/v1/messages", &body).await?;
        }
        let waits = answer["stop_reason"] == "tool_use";
        answers.push(answer);
        if waits {
            return Err(Broken::Lacks(Obstacle::recording(
                "code waits for the client's tools, and the recording has no answer",
            )));
        }
        Ok(())
    }

    /// Makes the container, asks it for its `$INPUT_DIR`, and puts that in the place of the recorded one.
    async fn name_input_dir(
        &self,
        turn: &Turn,
        body: &mut Value,
        steps: &mut Value,
    ) -> Result<(), Broken> {
        let user = format!("{}, its $INPUT_DIR", marker(turn));
        let rule = json!([{
            "name": user,
            "when": {"user": {"equals": user}},
            "then": [{"bash": "printf %s \"$INPUT_DIR\""}],
        }]);
        self.client.add_script(&rule).await?;
        let mut asked = json!({
            "model": MODEL,
            "max_tokens": 4096,
            "tools": [{"type": CODE_TOOL, "name": "code_execution"}],
            "messages": [{"role": "user", "content": user}],
        });
        if let Some(container) = body.get("container") {
            asked["container"] = container.clone();
        }
        let answer = self.client.post("/v1/messages", &asked).await?;
        let results = blocks(&answer).iter();
        let said = results
            .filter_map(|block| block["content"]["stdout"].as_str())
            .find(|said| INPUT_DIR.is_match(said));
        let (Some(place), Some(id)) = (said, answer["container"]["id"].as_str()) else {
            return Err(Broken::Lacks(Obstacle::recording(
                "the container does not say its `$INPUT_DIR`",
            )));
        };
        replace(steps, place);
        match &mut body["container"] {
            Value::Object(container) => {
                container.insert("id".to_owned(), json!(id));
            }
            other => *other = json!(id),
        }
        Ok(())
    }
}

/// Puts `place` where a text has the input directory of the recorded container.
fn replace(value: &mut Value, place: &str) {
    match value {
        Value::String(text) => *text = INPUT_DIR.replace_all(text, place).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, place)),
        Value::Object(map) => map.values_mut().for_each(|item| replace(item, place)),
        _ => {}
    }
}

fn known(map: &Known, recorded: &str) -> Result<String, Obstacle> {
    match map.get(recorded) {
        Some(known) => known.clone(),
        None => Err(Obstacle::recording(
            "where it came from is not in the recording",
        )),
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
            Obstacle::recording("the recording has no answer to a call of the client's tools")
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
