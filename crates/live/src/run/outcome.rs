//! The outcome of a call: its result and its files against the recorded ones.

use serde_json::Value;

use super::{Broken, Call, ENDED, Run, blocks, id};
use crate::text::When;
use crate::{CallReport, Difference, Outcome, compare, files};
use common::clock::Clock;

/// Longest excerpt of a call.
const CALL_CHARS: usize = 80;

impl Run<'_> {
    pub(super) async fn outcome(
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
                live: why.to_string(),
            }),
        }
    }

    pub(super) fn told(&mut self, call: &Call<'_>, outcome: Outcome) {
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

fn not_run(broken: Option<&Broken>) -> Outcome {
    match broken {
        Some(Broken::Differs(difference)) => Outcome::Different {
            differences: vec![difference.clone()],
        },
        Some(Broken::Lacks(reason)) => Outcome::NotExecutable {
            reason: reason.to_string(),
        },
        None => Outcome::NotExecutable {
            reason: ENDED.to_owned(),
        },
    }
}
