//! A script that is drafted from exchanges: its rules match the requests, and say what was answered.

mod continuation;
mod rest;
mod steps;
mod threads;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::script::has_template;
pub use steps::{Emit, NotEmulated, call, is_from_code, steps};
use threads::Threads;

/// So much of a prompt tells it apart, and is easy to shorten by hand.
const MAX_CLUE_CHARS: usize = 80;

/// What came of a request.
#[derive(Debug)]
pub enum Answer {
    Message(Value),
    /// A message that is not whole, as far as it came, and why no more came.
    Part {
        message: Value,
        why: String,
    },
    /// An error, as the service words it.
    Error {
        status: u16,
        body: Value,
    },
    /// None that a rule could give.
    Other,
}

/// A rule that is not yet written down.
struct Rule {
    when: Map<String, Value>,
    name: String,
    /// How much of what is asked it wants: all of it, or so many characters.
    wants: Wants,
    steps: Vec<Value>,
    comments: Vec<String>,
    /// Its request is a question, and no continuation.
    asks: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wants {
    All,
    Part(Reverse<usize>),
    Nothing,
}

/// Rules as YAML, one for each question with all that was said until its turn was over, in an order in which none answers
/// what another was made of; requests that are for no message have none. Where there is no answer that a step can give, a
/// step is left for the author to write. What a rule does not have of its answers is named in comments before it.
pub fn script(turns: impl IntoIterator<Item = (Value, Answer)>) -> String {
    let mut rules: Vec<Rule> = Vec::new();
    // By what it waits for: the rule that goes on with it.
    let mut waiting: HashMap<String, usize> = HashMap::new();
    let mut threads = Threads::default();
    for (mut request, answer) in turns {
        threads.make_whole(&mut request, &answer);
        let brought = continuation::brought(&request);
        let before = brought.iter().find_map(|key| waiting.get(key).copied());
        let at = match before {
            Some(at) if rules[at].goes_on(&answer) => at,
            _ => {
                let Some(rule) = rule(&request, &answer) else {
                    continue;
                };
                rules.push(rule);
                rules.len() - 1
            }
        };
        if before == Some(at) {
            // Who sends it again begins a branch of its own.
            for key in &brought {
                waiting.remove(key);
            }
        }
        waiting.extend(continuation::awaited(&answer).map(|key| (key, at)));
    }
    // Turns of one conversation stay in their order.
    rules.sort_by_key(|rule| rule.wants);
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut asked: HashSet<Map<String, Value>> = HashSet::new();
    for rule in &mut rules {
        let count = names.entry(rule.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            rule.name = format!("{} ({count})", rule.name);
        }
        let is_first = asked.insert(rule.when.clone());
        if !is_first && rule.asks {
            let comment = "A rule before it answers the same requests: give that `times`, or this another `when`.";
            rule.comments.push(comment.to_owned());
        }
    }
    rules.iter().filter_map(Rule::written).collect()
}

impl Rule {
    /// Takes in what was said when its turn went on; `false` if that is none of a rule's.
    fn goes_on(&mut self, answer: &Answer) -> bool {
        let Answer::Message(message) = answer else {
            return false;
        };
        let Ok(steps) = said(message) else {
            return false;
        };
        self.steps.extend(steps);
        self.comments.extend(lacks(&rest::left_out(message)));
        true
    }

    fn written(&self) -> Option<String> {
        let mut text = String::new();
        for comment in &self.comments {
            text.push_str("# ");
            text.push_str(comment);
            text.push('\n');
        }
        let rule = json!([{ "name": self.name, "when": self.when, "then": self.steps }]);
        // A tree of JSON can be written.
        text.push_str(&serde_saphyr::to_string(&rule).ok()?);
        Some(text)
    }
}

/// Whether the model says nothing in an answer: it is calls that earlier code has made, what such code came to, or
/// both, and part of what the rule before it says.
fn is_of_code_alone(answer: &Answer) -> bool {
    let Answer::Message(message) = answer else {
        return false;
    };
    let blocks = message["content"].as_array().filter(|it| !it.is_empty());
    blocks.is_some_and(|blocks| blocks.iter().all(rest::is_of_code))
        && said(message).is_ok_and(|steps| steps.is_empty())
}

fn rule(request: &Value, answer: &Answer) -> Option<Rule> {
    let messages = request["messages"].as_array()?;
    if is_of_code_alone(answer) {
        return None;
    }
    let mut when = Map::new();
    let code = |tool: &Value| {
        let kind = tool["type"].as_str().unwrap_or_default();
        kind.starts_with("code_execution")
    };
    if request["tools"]
        .as_array()
        .is_some_and(|tools| tools.iter().any(code))
    {
        when.insert("tools".to_owned(), json!("code_execution"));
    }
    let asked = asked(messages);
    let clue = asked.as_deref().and_then(clue);
    let mut wants = Wants::Nothing;
    if let Some(clue) = &clue {
        let is_all = asked.as_ref() == Some(clue);
        wants = if is_all {
            Wants::All
        } else {
            Wants::Part(Reverse(clue.chars().count()))
        };
        when.insert("user".to_owned(), test_of(clue, is_all));
    }
    let (mut steps, left_out) = match answer {
        Answer::Message(message) | Answer::Part { message, .. } => {
            (said(message).unwrap_or_default(), rest::left_out(message))
        }
        Answer::Error { status, body } => (failed(*status, body), Vec::new()),
        Answer::Other => (Vec::new(), Vec::new()),
    };
    let mut comments = Vec::from_iter(lacks(&left_out));
    if let Answer::Part { why, .. } = answer {
        comments.push(format!("Not the whole answer: {why}."));
    }
    if steps.is_empty() {
        let comment = "The step is to be written: nothing was answered that one can say.";
        comments.push(comment.to_owned());
        steps.push(json!({"text": "What the model is to say."}));
    }
    let last = messages.last().unwrap_or(&Value::Null);
    Some(Rule {
        when,
        // A name takes no template.
        name: clue.map_or_else(
            || "any request".to_owned(),
            |clue| clue.replace("${", "$ {"),
        ),
        wants,
        steps,
        comments,
        asks: last["role"] == "user" && !text(&last["content"]).is_empty(),
    })
}

/// The comment that names what a rule does not have of an answer.
fn lacks(left_out: &[String]) -> Option<String> {
    let told = || {
        format!(
            "Not in the rule, though it was answered: {}.",
            left_out.join(", ")
        )
    };
    (!left_out.is_empty()).then(told)
}

/// The test that a text passes which begins with the clue, or is all of it.
fn test_of(clue: &str, is_all: bool) -> Value {
    match (has_template(clue), is_all) {
        (false, true) => json!({ "equals": clue }),
        (false, false) => json!(clue),
        (true, true) => json!({ "regex": format!(r"\A{}\z", regex::escape(clue)) }),
        (true, false) => json!({ "regex": regex::escape(clue) }),
    }
}

/// The step that fails as the service did. What is wrong with a request is not the model's to say.
fn failed(status: u16, body: &Value) -> Vec<Value> {
    let (Some(kind), Some(message)) = (
        body["error"]["type"].as_str(),
        body["error"]["message"].as_str(),
    ) else {
        return Vec::new();
    };
    if status != 429 && !(500..600).contains(&status) {
        return Vec::new();
    }
    let message = steps::escaped(&json!(message));
    vec![json!({"http_error": {"status": status, "type": kind, "message": message}})]
}

/// The newest user message that has text.
fn asked(messages: &[Value]) -> Option<String> {
    let texts = messages
        .iter()
        .rev()
        .filter(|message| message["role"] == "user");
    texts
        .map(|message| text(&message["content"]))
        .find(|text| !text.is_empty())
}

/// The beginning of a text.
fn clue(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(
        line.chars()
            .take(MAX_CLUE_CHARS)
            .collect::<String>()
            .trim_end()
            .to_owned(),
    )
}

fn text(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let blocks = content.as_array().into_iter().flatten();
    let texts = blocks.filter(|block| block["type"] == "text");
    let texts: Vec<&str> = texts.filter_map(|block| block["text"].as_str()).collect();
    texts.join("\n")
}

/// The steps that emit the message, and how it ended.
fn said(message: &Value) -> Result<Vec<Value>, NotEmulated> {
    let blocks = message["content"].as_array().into_iter().flatten();
    let blocks: Vec<Value> = blocks
        .filter(|block| rest::is_said(block))
        .cloned()
        .collect();
    let mut steps = steps(&blocks, Emit::Everything)?;
    match message["stop_reason"].as_str().unwrap_or_default() {
        "pause_turn" => steps.push(json!({"pause_turn": null})),
        reason @ ("max_tokens" | "refusal" | "model_context_window_exceeded") => {
            steps.push(json!({"stop": reason}));
        }
        "stop_sequence" => steps.push(json!({
            "stop": {"reason": "stop_sequence", "stop_sequence": message["stop_sequence"]}
        })),
        _ => {}
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::script::Scripts;

    fn request(content: &Value) -> Value {
        json!({"model": "claude-opus-4-6", "messages": [{"role": "user", "content": content}],
            "tools": [{"type": "code_execution_20250825", "name": "code_execution"}]})
    }

    #[test]
    fn a_turn_becomes_the_rule_that_gives_it_again() {
        let answer = json!({"stop_reason": "pause_turn", "content": [
            {"type": "text", "text": "I look: ${{ x }}."},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {"command": "ls\n"}},
            {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": {}},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1]}},
        ]});
        let text = one(
            &request(&json!("\n List the files.\nAll.")),
            Answer::Message(answer),
        );
        insta::assert_snapshot!(text);
        check(&text);
    }

    #[test]
    fn a_turn_without_an_answer_leaves_a_step_to_write() {
        let blocks = json!([{"type": "container_upload", "file_id": "file_1"}, {"type": "text", "text": "Sum up: a"}]);
        let text = one(&request(&blocks), Answer::Other);
        assert!(text.contains("What the model is to say."), "{text}");
        check(&text);
        assert_eq!(one(&json!({"a": 1}), Answer::Other), "");
    }

    #[test]
    fn what_a_rule_does_not_have_of_the_answer_is_named_before_it() {
        let answer = json!({
            "stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "cyber"},
            "context_management": {"applied_edits": [{"type": "clear_tool_uses_20250919"}]},
            "content": [
                {"type": "redacted_thinking", "data": "x"},
                {"type": "redacted_thinking", "data": "y"},
                {"type": "text", "text": "It is.", "citations": [{"type": "char_location"}]},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "server_tool_use", "id": "srvtoolu_2", "name": "bash_code_execution", "input": {"command": "ls"}},
                {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_2", "content": {}},
                {"type": "mcp\n- x: y", "name": "f"},
            ],
        });
        let text = one(&request(&json!("Look it up.")), Answer::Message(answer));
        let (comment, rest) = text.split_once('\n').unwrap();
        assert_eq!(
            comment,
            "# Not in the rule, though it was answered: 2 `redacted_thinking`, citations of a text, a call of `web_search`, \
             `web_search_tool_result`, `mcp\\n- x: y`, `stop_details`, `context_management`."
        );
        assert!(
            rest.contains("It is.") && rest.contains("bash: ls"),
            "{rest}"
        );
        assert!(!rest.contains("What the model is to say."), "{rest}");
        check(&text);
        let only = json!({"content": [{"type": "redacted_thinking", "data": "x"}]});
        let text = one(&request(&json!("Think.")), Answer::Message(only));
        assert!(text.contains("answered: `redacted_thinking`."), "{text}");
        assert!(text.contains("# The step is to be written"), "{text}");
        check(&text);
    }

    #[test]
    fn what_is_said_until_a_turn_is_over_is_one_rule() {
        let uses = |id: &str, city: &str| json!({"type": "tool_use", "id": id, "name": "weather", "input": {"city": city}});
        let says = |text: &str| json!({"type": "text", "text": text});
        let answer = |reason: &str, content: &[Value]| {
            Answer::Message(json!({"stop_reason": reason, "content": content}))
        };
        let mut request = request(&json!("weather"));
        let mut turns = Vec::new();
        let mut go_on = |content: Option<Value>, reason: &str, said: &[Value]| {
            if let Some(content) = content {
                let messages = request["messages"].as_array_mut().unwrap();
                messages.push(content);
            }
            turns.push((request.clone(), answer(reason, said)));
            let said = json!({"role": "assistant", "content": said});
            request["messages"].as_array_mut().unwrap().push(said);
        };
        let result = |id: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "1"}]});
        go_on(None, "tool_use", &[says("I look."), uses("toolu_1", "A")]);
        go_on(Some(result("toolu_1")), "tool_use", &[uses("toolu_2", "B")]);
        go_on(Some(result("toolu_2")), "pause_turn", &[says("Wait.")]);
        go_on(None, "end_turn", &[says("End.")]);
        let text = script(turns);
        assert_eq!(text.matches("- name:").count(), 1, "{text}");
        let order = [
            "I look.",
            "city: A",
            "city: B",
            "Wait.",
            "pause_turn",
            "End.",
        ];
        let places: Vec<_> = order.iter().map(|step| text.find(step)).collect();
        assert!(places.is_sorted() && places[0].is_some(), "{text}");
        check(&text);
    }

    #[test]
    fn an_answer_in_which_code_alone_goes_on_is_no_rule() {
        let uses = json!({"type": "tool_use", "id": "toolu_1", "name": "q", "input": {},
            "caller": {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}});
        let cell = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "code_execution", "input": {"code": "await q()"}});
        let result = json!({"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": {}});
        let answer = |reason: &str, content: &[&Value]| {
            Answer::Message(json!({"stop_reason": reason, "content": content}))
        };
        let asked = request(&json!("go"));
        let text = script([
            (asked.clone(), answer("tool_use", &[&cell, &uses])),
            (asked.clone(), answer("tool_use", &[&uses])),
            (asked.clone(), answer("end_turn", &[&result])),
            (asked.clone(), answer("pause_turn", &[&result])),
        ]);
        assert_eq!(text.matches("- name:").count(), 2, "{text}");
        assert!(
            text.contains("await q()") && text.contains("pause_turn"),
            "{text}"
        );
        assert!(!text.contains("What the model is to say."), "{text}");
        check(&text);
    }

    #[test]
    fn a_part_of_an_answer_is_called_one() {
        let message = json!({"stop_reason": null, "content": [{"type": "text", "text": "Half"}]});
        let why = "its client left".to_owned();
        let text = one(&request(&json!("Tell me.")), Answer::Part { message, why });
        assert!(
            text.starts_with("# Not the whole answer: its client left.\n"),
            "{text}"
        );
        assert!(text.contains("- text: Half"), "{text}");
        check(&text);
    }

    #[test]
    fn drafts_do_not_answer_for_one_another() {
        let said =
            |text: &str| Answer::Message(json!({"content": [{"type": "text", "text": text}]}));
        let failed = |status, kind: &str| Answer::Error {
            status,
            body: json!({"type": "error", "error": {"type": kind, "message": "No ${{ x }}."}}),
        };
        let asked = [
            "list",
            "list\nall",
            "list files",
            "list",
            "${{ a }}",
            "${% b\nc",
            "busy",
            "wrong",
        ];
        let requests = asked.map(|text| request(&json!(text)));
        let answers = [
            said("short"),
            said("all"),
            said("long"),
            said("again"),
            said("a"),
            said("b"),
            failed(529, "overloaded_error"),
            failed(400, "invalid_request_error"),
        ];
        let text = script(requests.into_iter().zip(answers));
        insta::assert_snapshot!(text);
        check(&text);
    }

    fn one(request: &Value, answer: Answer) -> String {
        script([(request.clone(), answer)])
    }

    fn check(text: &str) {
        Scripts::default()
            .replace(text, "draft")
            .unwrap_or_else(|found| panic!("{found:?}\n{text}"));
    }

    proptest! {
        #[test]
        fn whatever_was_asked_and_said_the_draft_is_a_script(prompt in any::<String>(), said in any::<String>()) {
            let answer = json!({"content": [{"type": "text", "text": said}]});
            check(&one(&request(&json!(prompt)), Answer::Message(answer)));
        }
    }
}
