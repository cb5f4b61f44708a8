//! Warnings, which `check` shows, about parts of a script that work and are probably not meant.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use super::super::diagnostic::Sink;
use super::super::matching::Clause;
use super::super::rule::Rule;
use super::super::view::ROOTS;
use super::Node;
use common::document::{Position, did_you_mean, list};
use wire::ToolErrorCode;

/// The error code of a tool that is not the service's.
const IS_ERROR: &str = "is_error";
/// Delimiters of other template languages around what only a template of ours could mean.
static FOREIGN: LazyLock<Regex> = LazyLock::new(|| {
    let roots = ROOTS.join("|");
    let source = format!(
        r"(?P<dollar>\$?)\{{(?:\{{|%)-?\s*(?:(?:if|for\s+\w+\s+in|set\s+\w+\s*=)\s+)?(?:not\s+)?(?:{roots})\b[^}}]*(?:\}}|%)\}}"
    );
    Regex::new(&source).expect("the expression is constant")
});

/// Rules that never answer, and names that stand for two.
pub(super) fn of_rules(rules: &[Rule], sink: &mut Sink) {
    let mut names: HashMap<&str, Position> = HashMap::new();
    let mut behind: Option<&Rule> = None;
    for rule in rules {
        if let Some(all) = behind {
            let message = format!(
                "no request reaches `{}`: `{}` at line {} answers all",
                rule.name, all.name, all.at.line
            );
            sink.warn(
                rule.at,
                &message,
                "move the rule that answers all to the end, or give it `times`",
            );
        }
        if rule.times.is_none() && rule.clauses.iter().all(Clause::always_holds) {
            behind = behind.or(Some(rule));
        }
        if let Some(first) = names.get(rule.name.as_str()) {
            let message = format!(
                "the name `{}` is that of line {}, too",
                rule.name, first.line
            );
            sink.warn(
                rule.at,
                &message,
                "reports tell rules by their names: give each its own",
            );
        } else {
            names.insert(&rule.name, rule.at);
        }
    }
}

/// A `capture` with a template in it is no regular expression, whatever it looks like.
pub(super) fn of_capture(source: &str, at: Position, sink: &mut Sink) {
    const REGEX: [&str; 7] = [r"\d", r"\w", r"\s", r"\b", ".*", ".+", "(${{"];
    if REGEX.iter().any(|mark| source.contains(mark)) {
        sink.warn(
            at,
            "a `capture` with a template in it is no regular expression",
            "its text is kept as it is; without a template a regular expression is looked for in stdout",
        );
    }
}

/// No result has such an error code: the test never holds.
pub(super) fn of_error_code(code: &str, at: Position, sink: &mut Sink) {
    let known = [ToolErrorCode::NAMES, &[IS_ERROR]].concat();
    if known.contains(&code) {
        return;
    }
    let hint = did_you_mean(code, known.iter().copied(), || {
        format!("known are {}", list(&known))
    });
    sink.warn(
        at,
        &format!("`{code}` is no error code of the service"),
        &hint,
    );
}

/// `{{ last.stdout }}` is text: a template begins with `${{`.
pub(super) fn of_text(source: &str, node: &Node, sink: &mut Sink) {
    let Some(found) = FOREIGN
        .captures_iter(source)
        .find(|found| found["dollar"].is_empty())
    else {
        return;
    };
    let Some(place) = found.get(0) else {
        return;
    };
    let before = source[..place.start()].matches('\n').count();
    let line = node.lines.behind(before);
    let column = if line == node.at.line {
        node.at.column
    } else {
        1
    };
    sink.warn(
        Position { line, column },
        &format!("`{}` stays as it is", place.as_str()),
        "a template begins with `${{` or `${%`",
    );
}
