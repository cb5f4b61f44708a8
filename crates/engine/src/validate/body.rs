//! Rules between fields of a body whose parts are right: marks of the cache, texts, citations.

use serde_json::Value;
use wire::member::at;
use wire::refusal::{self, Invalid};
use wire::request::asked_format;

use super::items;
use crate::models;
use common::limits;
use workspace::quirks::WeakRefusals;

/// Checks a body against itself; the error is the text for the client.
pub(super) fn check(body: &Value, weak: WeakRefusals) -> Result<(), Invalid> {
    check_deferred(body)?;
    check_marks(body)?;
    check_system_texts(at(body, "system"))?;
    check_citations(body, weak)?;
    check_compaction(body, weak)?;
    check_prewarm(body, weak)
}

/// A `cache_control`, what it stands in, and the path of that.
struct Mark<'a> {
    path: String,
    block: &'a Value,
}

impl Mark<'_> {
    /// The path of a text whose type the service adds to it.
    fn text_path(&self) -> String {
        if self.path.starts_with("messages") {
            format!("{}.text", self.path)
        } else {
            self.path.clone()
        }
    }
}

/// Every mark, in the order in which the service processes them.
fn marks(body: &Value) -> Vec<Mark<'_>> {
    let mut marks = Vec::new();
    for key in ["tools", "system"] {
        for (index, block) in items(at(body, key)) {
            mark(&mut marks, format!("{key}.{index}"), block);
        }
    }
    for (index, message) in items(at(body, "messages")) {
        for (position, block) in items(at(message, "content")) {
            marks_of(
                &mut marks,
                format!("messages.{index}.content.{position}"),
                block,
            );
        }
    }
    marks
}

/// The marks of a block of a message, after those of what is in it.
fn marks_of<'a>(marks: &mut Vec<Mark<'a>>, path: String, block: &'a Value) {
    // What a page holds that was fetched is a block by itself.
    let page = at(block, "content");
    if at(page, "content").is_object() {
        marks_of(
            marks,
            format!("{path}.content.content"),
            at(page, "content"),
        );
    }
    for (inner, part) in items(page) {
        marks_of(marks, format!("{path}.content.{inner}"), part);
    }
    for (inner, part) in items(at(at(block, "source"), "content")) {
        marks_of(marks, format!("{path}.source.content.{inner}"), part);
    }
    mark(marks, path, block);
}

fn mark<'a>(marks: &mut Vec<Mark<'a>>, path: String, block: &'a Value) {
    if at(block, "cache_control").is_object() {
        marks.push(Mark { path, block });
    }
}

/// Whether a body has marks of the cache, and each asks for an hour.
pub(crate) fn caches_for_an_hour(body: &Value) -> bool {
    let marks = marks(body);
    let own = Some(body).filter(|body| at(body, "cache_control").is_object());
    let mut all = marks.iter().map(|mark| mark.block).chain(own).peekable();
    all.peek().is_some() && all.all(is_long)
}

fn is_long(block: &Value) -> bool {
    at(at(block, "cache_control"), "ttl") == "1h"
}

fn check_marks(body: &Value) -> Result<(), Invalid> {
    let marks = marks(body);
    for mark in &marks {
        if at(mark.block, "type") == "text" && at(mark.block, "text") == "" {
            let path = mark.text_path();
            return Err(refusal::CACHE_EMPTY_TEXT.refuse(&[("path", &path)]));
        }
    }
    // The mark of the body itself takes a place, too.
    let found = marks.len() + usize::from(at(body, "cache_control").is_object());
    if found > limits::MAX_CACHE_MARKS {
        return Err(refusal::CACHE_COUNT.refuse(&[("found", &found)]));
    }
    let mut behind_a_short_one = marks
        .iter()
        .skip_while(|mark| is_long(mark.block))
        .peekable();
    if behind_a_short_one.peek().is_none() {
        return Ok(());
    }
    let late = behind_a_short_one.find(|mark| is_long(mark.block));
    let path = match late {
        Some(mark) => mark.path.clone(),
        // The body's own mark stands for one of the last block.
        None if is_long(body) => last_block(body),
        None => return Ok(()),
    };
    Err(refusal::CACHE_TTL_ORDER.refuse(&[("path", &path)]))
}

/// The path of the last block of a body.
fn last_block(body: &Value) -> String {
    let last = |value: &Value| items(value).last().map_or(0, |(index, _)| index);
    let messages = at(body, "messages");
    let message = last(messages);
    format!(
        "messages.{message}.content.{}",
        last(at(&messages[message], "content"))
    )
}

/// What is sent only once it is found cannot be cached.
fn check_deferred(body: &Value) -> Result<(), Invalid> {
    let is_both =
        |tool: &Value| at(tool, "defer_loading") == true && at(tool, "cache_control").is_object();
    match items(at(body, "tools")).find(|(_, tool)| is_both(tool)) {
        Some((_, tool)) => {
            let name = at(tool, "name").as_str().unwrap_or_default();
            Err(refusal::DEFERRED_CACHE.refuse(&[("name", &name)]))
        }
        None => Ok(()),
    }
}

/// `system` is a text or a list of them; those of the messages are looked at with the messages.
fn check_system_texts(system: &Value) -> Result<(), Invalid> {
    let path: (&str, &dyn std::fmt::Display) = ("path", &"system");
    let texts = items(system).filter_map(|(_, block)| at(block, "text").as_str());
    for text in texts {
        check_text(text, path)?;
    }
    match system.as_str() {
        // Nothing to say is said by an empty text, too.
        None | Some("") => Ok(()),
        Some(text) => check_text(text, path),
    }
}

/// A text holds more than white space.
pub(super) fn check_text(text: &str, path: (&str, &dyn std::fmt::Display)) -> Result<(), Invalid> {
    if text.is_empty() {
        return Err(refusal::EMPTY_TEXT.refuse(&[path]));
    }
    if text.trim().is_empty() {
        return Err(refusal::BLANK_TEXT.refuse(&[path]));
    }
    Ok(())
}

/// What is cited is cited everywhere, or nowhere (F248).
fn check_citations(body: &Value, weak: WeakRefusals) -> Result<(), Invalid> {
    let is_formatted = asked_format(body).is_some();
    for (kind, what) in [
        ("document", "documents"),
        ("search_result", "search results"),
    ] {
        let messages = items(at(body, "messages")).map(|(_, message)| at(message, "content"));
        let blocks = messages.flat_map(|content| items(content).map(|(_, block)| block));
        let shown = blocks.flat_map(|block| {
            let inner = (at(block, "type") == "tool_result").then(|| at(block, "content"));
            let inner = inner.into_iter().flat_map(items).map(|(_, block)| block);
            inner.chain(std::iter::once(block))
        });
        let cites = shown
            .filter(|block| at(block, "type") == kind)
            .map(|block| at(at(block, "citations"), "enabled") == true);
        let (some_cite, some_do_not) = cites.fold((false, false), |(some, others), cites| {
            (some || cites, others || !cites)
        });
        if some_cite && some_do_not {
            models::unless_taken(&refusal::CITATIONS_MIXED, &[("what", &what)], weak)?;
        }
        if some_cite && is_formatted && kind == "document" {
            return Err(refusal::CITATIONS_WITH_FORMAT.refuse(&[]));
        }
    }
    Ok(())
}

/// A request that is for the compaction alone edits no context besides, and says nothing of an answer (F203).
fn check_compaction(body: &Value, weak: WeakRefusals) -> Result<(), Invalid> {
    if !at(body, "compaction").is_object() {
        return Ok(());
    }
    let edits = at(body, "context_management").is_object();
    let mut stops = items(at(body, "stop_sequences"));
    let conflict = None::<&str>
        .or(edits.then_some("context_management"))
        .or(stops.next().map(|_| "stop_sequences"))
        .or(forces_call(body).then_some("tool_choice"))
        .or(asked_format(body).map(|(path, _)| path));
    match conflict {
        Some(what) => models::unless_taken(&refusal::COMPACTION_BESIDE, &[("what", &what)], weak),
        None => Ok(()),
    }
}

/// What only fills the cache has nothing to stream, and nothing that an answer would have to be (F007).
fn check_prewarm(body: &Value, weak: WeakRefusals) -> Result<(), Invalid> {
    if at(body, "max_tokens") != 0 {
        return Ok(());
    }
    let thinks = at(at(body, "thinking"), "type") == "enabled";
    let format = asked_format(body).map(|(path, _)| format!("`{path}`"));
    let conflict = None::<&str>
        .or((at(body, "stream") == true).then_some("`stream: true`"))
        .or(thinks.then_some("`thinking.type: enabled`"))
        .or(format.as_deref())
        .or(forces_call(body).then_some("a `tool_choice` that forces a call"));
    match conflict {
        Some(what) => models::unless_taken(&refusal::PREWARM, &[("what", &what)], weak),
        None => Ok(()),
    }
}

fn forces_call(body: &Value) -> bool {
    let choice = at(at(body, "tool_choice"), "type");
    choice == "any" || choice == "tool"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(body: &Value) -> Result<(), Invalid> {
        check(body, WeakRefusals::Refused)
    }

    fn text(ttl: Option<&str>) -> Value {
        let mut control = json!({"type": "ephemeral"});
        if let Some(ttl) = ttl {
            control["ttl"] = json!(ttl);
        }
        json!({"type": "text", "text": "a", "cache_control": control})
    }

    fn user(content: &[Value]) -> Value {
        json!({"messages": [{"role": "user", "content": content}]})
    }

    #[test]
    fn marks_are_counted_wherever_they_stand() {
        let mut body = user(&[text(None), text(None)]);
        body["system"] = json!([text(None)]);
        body["tools"] = json!([{"name": "f", "cache_control": {"type": "ephemeral"}}]);
        assert_eq!(checked(&body), Ok(()));
        let nested = json!({"type": "tool_result", "content": [text(None)]});
        let mut more = body.clone();
        more["messages"][0]["content"]
            .as_array_mut()
            .unwrap()
            .push(nested);
        let refused = "A maximum of 4 blocks with cache_control may be provided. Found 5.";
        assert_eq!(checked(&more).unwrap_err().to_string(), refused);
        body["cache_control"] = json!({"type": "ephemeral"});
        assert_eq!(checked(&body).unwrap_err().to_string(), refused);
    }

    #[test]
    fn a_long_mark_comes_before_all_short_ones() {
        assert!(!caches_for_an_hour(&user(&[])));
        assert!(caches_for_an_hour(&user(&[text(Some("1h"))])));
        let fine = user(&[text(Some("1h")), text(Some("5m")), text(None)]);
        assert!(!caches_for_an_hour(&fine));
        assert_eq!(checked(&fine), Ok(()));
        let mut body = user(&[text(None), text(Some("1h"))]);
        let error = checked(&body).unwrap_err().to_string();
        assert!(
            error.starts_with("messages.0.content.1.cache_control.ttl: "),
            "{error}"
        );
        body = user(&[text(None), text(None)]);
        body["cache_control"] = json!({"type": "ephemeral", "ttl": "1h"});
        let error = checked(&body).unwrap_err().to_string();
        assert!(
            error.starts_with("messages.0.content.1.cache_control.ttl: "),
            "{error}"
        );
        body = user(&[text(Some("1h"))]);
        body["cache_control"] = json!({"type": "ephemeral", "ttl": "1h"});
        assert_eq!(checked(&body), Ok(()));
        body = user(&[text(Some("1h"))]);
        body["tools"] = json!([{"name": "f", "cache_control": {"type": "ephemeral"}}]);
        assert!(checked(&body).is_err());
        body["system"] = json!([text(Some("1h"))]);
        let error = checked(&body).unwrap_err().to_string();
        assert!(error.starts_with("system.0.cache_control.ttl: "), "{error}");
    }

    #[test]
    fn a_tool_that_is_loaded_when_it_is_found_has_no_mark() {
        let mut body = json!({"tools": [{"name": "f", "cache_control": {"type": "ephemeral"}}]});
        assert_eq!(checked(&body), Ok(()));
        body["tools"][0]["defer_loading"] = json!(true);
        assert_eq!(
            checked(&body).unwrap_err().to_string(),
            "Tool 'f' cannot have both defer_loading=true and cache_control set. Tools with defer_loading cannot use \
             prompt caching."
        );
        body["tools"][0]["cache_control"] = Value::Null;
        assert_eq!(checked(&body), Ok(()));
    }

    #[test]
    fn documents_and_search_results_are_all_cited_or_none_is() {
        let refused = |content: &[Value]| {
            check(&user(content), WeakRefusals::Refused)
                .err()
                .map(|error| error.to_string())
        };
        let block = |kind: &str, cites: Value| json!({"type": kind, "citations": cites});
        let cited = |kind| block(kind, json!({"enabled": true}));
        let plain = |kind| block(kind, Value::Null);
        let off = block("document", json!({"enabled": false}));
        assert_eq!(refused(&[plain("document"), off.clone()]), None);
        assert_eq!(refused(&[cited("document"), plain("search_result")]), None);
        let said = "citations must be enabled on all or none of the documents within a request";
        assert_eq!(refused(&[cited("document"), off]).as_deref(), Some(said));
        let result = json!({"type": "tool_result", "content": [plain("search_result")]});
        let mixed = [result, cited("search_result")];
        let said =
            "citations must be enabled on all or none of the search results within a request";
        assert_eq!(refused(&mixed).as_deref(), Some(said));
        assert_eq!(check(&user(&mixed), WeakRefusals::Taken), Ok(()));
    }

    #[test]
    fn what_only_fills_the_cache_answers_nothing() {
        let check = |more: Value| {
            let mut body = user(&[]);
            body["max_tokens"] = json!(0);
            for (key, value) in more.as_object().unwrap() {
                body[key] = value.clone();
            }
            check(&body, WeakRefusals::Refused)
        };
        assert_eq!(
            check(json!({"stream": false, "tool_choice": {"type": "auto"}})),
            Ok(())
        );
        assert_eq!(check(json!({"stream": true, "max_tokens": 1})), Ok(()));
        for more in [
            json!({"stream": true}),
            json!({"tool_choice": {"type": "any"}}),
            json!({"thinking": {"type": "enabled"}}),
            json!({"output_config": {"format": {"type": "json_schema", "schema": {}}}}),
            json!({"output_format": {"type": "json_schema", "schema": {}}}),
        ] {
            let said = check(more.clone()).unwrap_err().to_string();
            assert!(
                said.starts_with("max_tokens: 0 is not supported with "),
                "{more}: {said}"
            );
        }
    }
}
