//! From the tree of a file to its rules: every mistake is collected, with its place.

mod calls;
mod citations;
mod doubts;
mod endings;
mod hosted;
mod results;
mod steps;
mod web;
mod when;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::Sink;
use super::matching::{Clause, TextMatcher, TextTest, Way, gist};
use super::rule::Rule;
use super::template::{Json, Mistake, Templates, Text, has_template};
use common::bounded::{self, GlobError};
use common::document::{self, Diagnostic, Key, Kind, Node, Position, list};
use common::limits::{self, MAX_SCRIPT_BYTES};

/// Keys of a rule.
pub(super) const RULE_KEYS: [&str; 5] = ["name", "when", "times", "then", "web"];
/// Keys of a text matcher.
pub(super) const TEXT_KEYS: [&str; 3] = ["equals", "contains", "regex"];
/// Keys of a file that is a map.
const FILE_KEYS: [&str; 2] = ["rules", "$schema"];

/// Reads the rules of one file.
pub(super) fn rules(source: &str, file: &str) -> Result<Vec<Arc<Rule>>, Vec<Diagnostic>> {
    rules_and_warnings(source, file, None).map(|(rules, _)| rules)
}

/// The rules of a file and the warnings, or its mistakes.
pub(super) type Found = Result<(Vec<Arc<Rule>>, Vec<Diagnostic>), Vec<Diagnostic>>;

/// Reads the rules of one file, and what in them is probably not meant. `folder` is where the file lies, if
/// it is one.
pub(super) fn rules_and_warnings(source: &str, file: &str, folder: Option<&Path>) -> Found {
    let tree = if source.len() > MAX_SCRIPT_BYTES {
        Err(too_long(source, file))
    } else {
        document::read(source, file)
    };
    let tree = tree.map_err(|diagnostic| vec![diagnostic])?;
    let mut parser = Parser {
        sink: Sink::new(file),
        folder: folder.map(Arc::from),
        templates: Templates::new(file.into()),
        regexes: 0,
        wrong_regexes: Vec::new(),
        reads: Vec::new(),
    };
    let rules = match &tree {
        None => {
            parser.sink.error_with_hint(
                Position::default(),
                "there are no rules in it",
                "a script is a list of rules, each with `then`",
            );
            Vec::new()
        }
        Some(tree) => parser.file(tree),
    };
    doubts::of_rules(&rules, &mut parser.sink);
    let (mistakes, warnings) = parser.sink.into_found();
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let templates = Arc::new(parser.templates);
    let rules = rules
        .into_iter()
        .map(|draft| {
            Arc::new(Rule {
                templates: Arc::clone(&templates),
                ..draft
            })
        })
        .collect();
    Ok((rules, warnings))
}

struct Parser {
    sink: Sink,
    /// Where the file lies.
    folder: Option<Arc<Path>>,
    templates: Templates,
    /// Regular expressions that were tried.
    regexes: usize,
    /// Those of the present rule that cannot be used: what they would capture is not called unknown as well.
    wrong_regexes: Vec<String>,
    /// Captures that the templates of the present rule read, and where.
    reads: Vec<(String, Position)>,
}

/// Reads one text, of which a message says what it is.
type Reader<T> = dyn Fn(&mut Parser, &Node, &str) -> Option<T>;

/// The meaning of a plain string.
#[derive(Debug, Clone, Copy)]
enum PlainText {
    Contains,
    Glob,
}

impl Parser {
    fn file(&mut self, tree: &Node) -> Vec<Rule> {
        let items = match &tree.kind {
            Kind::List(items) => items,
            Kind::Map(entries) if entries.iter().any(|(key, _)| key.name == "rules") => {
                self.known_keys(entries, &FILE_KEYS, "key");
                if let Some((_, schema)) = entries.iter().find(|(key, _)| key.name == "$schema") {
                    self.word(schema, "`$schema`");
                }
                match entries.iter().find(|(key, _)| key.name == "rules") {
                    Some((_, node)) => match &node.kind {
                        Kind::List(items) if !items.is_empty() => items,
                        _ => return self.no_rules(node),
                    },
                    None => return self.no_rules(tree),
                }
            }
            _ => return self.no_rules(tree),
        };
        if items.is_empty() {
            return self.no_rules(tree);
        }
        items.iter().filter_map(|item| self.rule(item)).collect()
    }

    fn no_rules(&mut self, node: &Node) -> Vec<Rule> {
        let (message, hint) = match &node.kind {
            Kind::Map(entries) if entries.iter().any(|(key, _)| key.name == "then") => (
                "a script is a list of rules, got a single map".to_owned(),
                "begin the rule with `- `",
            ),
            Kind::List(_) => (
                "there are no rules in it".to_owned(),
                "a rule needs at least `then`",
            ),
            _ => (
                format!("a script is a list of rules, got {}", node.what()),
                "write `- name: …` with `when:` and `then:`",
            ),
        };
        self.sink.error_with_hint(node.at, message, hint);
        Vec::new()
    }

    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let entries = self.map(node, "a rule")?;
        self.known_keys(entries, &RULE_KEYS, "key of a rule");
        self.reads.clear();
        self.wrong_regexes.clear();
        let mut rule = Rule {
            name: String::new(),
            file: self.sink.file(),
            folder: self.folder.clone(),
            at: entries.first().map_or(node.at, |(key, _)| key.at),
            clauses: Vec::new(),
            times: None,
            ops: Vec::new(),
            web: Vec::new(),
            templates: Arc::new(Templates::new(self.sink.file())),
        };
        for (key, value) in entries {
            match key.name.as_str() {
                "name" => rule.name = self.plain(value, "`name`").unwrap_or_default(),
                "when" => rule.clauses = self.when(value),
                "times" => rule.times = self.count(value, "`times`", 1),
                "then" => self.steps(value, &mut rule.ops),
                "web" => rule.web = self.web(value),
                _ => {}
            }
        }
        if !entries.iter().any(|(key, _)| key.name == "then") {
            self.sink.error_with_hint(
                rule.at,
                "the rule has no `then`",
                "`then` lists the steps of the answer, such as `- text: Hello`",
            );
        }
        if rule.name.is_empty() {
            rule.name = format!("rule at line {}", rule.at.line);
        }
        self.check_captures(&rule);
        Some(rule)
    }

    /// A template may only read what something in the rule captures.
    fn check_captures(&mut self, rule: &Rule) {
        let reads = std::mem::take(&mut self.reads);
        let groups = rule.clauses.iter().flat_map(Clause::group_names);
        let mut seen = HashSet::new();
        let mut known: Vec<&str> = groups.chain(rule.captured_names()).collect();
        known.retain(|name| seen.insert(*name));
        // What a regex that cannot be read would capture.
        let wrong: HashSet<&str> = self
            .wrong_regexes
            .iter()
            .flat_map(|regex| regex.split('<').skip(1))
            .filter_map(|group| group.split_once('>'))
            .map(|(name, _)| name)
            .collect();
        for (name, at) in reads {
            if seen.contains(name.as_str()) || wrong.contains(name.as_str()) {
                continue;
            }
            if known.is_empty() {
                self.sink.error_with_hint(
                    at,
                    format!("nothing captures `{name}`"),
                    "name a group in `when.user.regex`, or put `capture` beside a call",
                );
            } else {
                self.sink.unknown(at, "capture", &name, &known);
            }
        }
    }

    // What follows reads one value each and says what is wrong with it.

    fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        if let Kind::Map(entries) = &node.kind {
            return Some(entries);
        }
        let message = format!("{what} must be a map, got {}", node.what());
        self.sink.error(node.at, message);
        None
    }

    fn known_keys(&mut self, entries: &[(Key, Node)], known: &[&str], what: &str) {
        for (key, _) in entries {
            if !known.contains(&key.name.as_str()) {
                self.sink.unknown(key.at, what, &key.name, known);
            }
        }
    }

    fn string(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = node.text();
        if text.is_none() {
            self.sink.error(
                node.at,
                format!("{what} must be a string, got {}", node.what()),
            );
        }
        text.map(ToOwned::to_owned)
    }

    /// A string that no template can stand in.
    fn plain(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.string(node, what)?;
        self.check_plain(&text, node.at, what)?;
        Some(text)
    }

    /// What looks like a template and would be taken for text is a mistake.
    fn check_plain(&mut self, text: &str, at: Position, what: &str) -> Option<()> {
        if !has_template(text) {
            return Some(());
        }
        self.sink.error_with_hint(
            at,
            format!("{what} takes no template"),
            r"only texts of steps are templates; `regex: '\$\{'` finds the text itself",
        );
        None
    }

    /// A text that a number or a boolean cannot be meant for.
    fn word(&mut self, node: &Node, what: &str) -> Option<String> {
        if let Kind::Text(word) = &node.kind {
            self.check_plain(word, node.at, what)?;
            return Some(word.clone());
        }
        let message = format!("{what} must be a string, got {}", node.what());
        self.sink.error(node.at, message);
        None
    }

    fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        if let Kind::Bool(value) = node.kind {
            return Some(value);
        }
        let message = format!("{what} must be `true` or `false`, got {}", node.what());
        self.sink.error_with_hint(
            node.at,
            message,
            "without quotes, and neither `yes` nor `on`",
        );
        None
    }

    fn count(&mut self, node: &Node, what: &str, least: u64) -> Option<u64> {
        match &node.kind {
            Kind::Number(number) if number.as_u64().is_some_and(|n| n >= least) => number.as_u64(),
            _ => {
                self.sink.error_with_hint(
                    node.at,
                    format!("{what} must be a whole number from {least} on"),
                    "without quotes; leave the key out for what is usual",
                );
                None
            }
        }
    }

    fn template(&mut self, node: &Node, what: &str) -> Option<Text> {
        let source = self.string(node, what)?;
        doubts::of_text(&source, node, &mut self.sink);
        let mut reads = Vec::new();
        let made = self.templates.text(&source, node.lines, &mut reads);
        self.made(node, made, reads)
    }

    fn json(&mut self, node: &Node) -> Option<Json> {
        match &node.kind {
            Kind::Text(source) => {
                doubts::of_text(source, node, &mut self.sink);
                let mut reads = Vec::new();
                let made = self.templates.json_text(source, node.lines, &mut reads);
                self.made(node, made, reads)
            }
            Kind::List(items) => items
                .iter()
                .map(|item| self.json(item))
                .collect::<Option<Vec<_>>>()
                .map(Json::list),
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, value)| Some((key.name.clone(), self.json(value)?)))
                .collect::<Option<Vec<_>>>()
                .map(Json::map),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => Some(Json::Plain(node.to_json())),
        }
    }

    /// What became of a template, and the captures that it reads.
    fn made<T>(
        &mut self,
        node: &Node,
        made: Result<T, Mistake>,
        reads: Vec<(String, u64)>,
    ) -> Option<T> {
        let place = |line| Position {
            line,
            column: if line == node.at.line {
                node.at.column
            } else {
                1
            },
        };
        let reads = reads.into_iter();
        self.reads
            .extend(reads.map(|(name, line)| (name, place(line))));
        made.map_err(|mistake| {
            let at = place(mistake.line);
            match mistake.hint {
                Some(hint) => self.sink.error_with_hint(at, mistake.message, hint),
                None => self.sink.error(at, mistake.message),
            }
        })
        .ok()
    }

    fn regex(&mut self, source: &str, at: Position) -> Option<regex::Regex> {
        self.check_plain(source, at, "a regular expression")?;
        let regex = self.compiled(source, at);
        if regex.is_none() && self.regexes <= limits::SCRIPT_REGEXES {
            self.wrong_regexes.push(source.to_owned());
        }
        regex
    }

    fn compiled(&mut self, source: &str, at: Position) -> Option<regex::Regex> {
        self.regexes += 1;
        // How large each may become is bounded, and how many there may be.
        if self.regexes > limits::SCRIPT_REGEXES {
            if self.regexes == limits::SCRIPT_REGEXES + 1 {
                self.sink.error_with_hint(
                    at,
                    format!(
                        "a script has at most {} regular expressions",
                        limits::SCRIPT_REGEXES
                    ),
                    "`contains` and `equals` cost nothing",
                );
            }
            return None;
        }
        regex::RegexBuilder::new(source)
            .size_limit(limits::REGEX_BYTES)
            .build()
            .map_err(|error| {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                let reason = reason.trim_start_matches("error: ");
                self.sink.error_with_hint(
                    at,
                    format!("`{source}` is no regular expression: {reason}"),
                    "there are no look-arounds and no back-references; `(?i)` ignores case",
                );
            })
            .ok()
    }

    fn glob(&mut self, node: &Node, what: &str) -> Option<glob::Pattern> {
        let source = self.plain(node, what)?;
        if source.is_empty() {
            let message = format!("{what} is empty, so nothing could match");
            let hint = "`*` is any text; leave the key out to match everything";
            self.sink.error_with_hint(node.at, message, hint);
            return None;
        }
        let (message, hint) = match bounded::glob(&source) {
            Ok(glob) => return Some(glob),
            Err(GlobError::Stars) => (
                format!("`{}` has more `*` than a glob may have", gist(&source)),
                format!(
                    "at most {}; `contains` finds a text anywhere",
                    limits::GLOB_STARS
                ),
            ),
            Err(GlobError::Syntax(reason)) => (
                format!("`{source}` is no glob: {reason}"),
                "`*` is any text, `?` one character, `[ab]` one of several".to_owned(),
            ),
        };
        self.sink.error_with_hint(node.at, message, hint);
        None
    }

    /// A plain string, a list of alternatives, or a map of tests that must all hold.
    fn text_matcher(&mut self, node: &Node, what: &str, plain: PlainText) -> Option<TextMatcher> {
        self.matcher_of(node, what, plain, &Self::plain)
    }

    /// The same of texts that `read` reads.
    fn matcher_of<T>(
        &mut self,
        node: &Node,
        what: &str,
        plain: PlainText,
        read: &Reader<T>,
    ) -> Option<TextMatcher<T>> {
        let mut any_of = Vec::new();
        for item in self.alternatives(node, what)? {
            match &item.kind {
                Kind::Map(entries) => {
                    // One of several that has no test would hold always.
                    self.alternatives(item, what)?;
                    self.known_keys(entries, &TEXT_KEYS, &format!("key of {what}"));
                    any_of.push(self.text_tests(entries, read)?);
                }
                _ => any_of.push(vec![vec![match plain {
                    PlainText::Contains => TextTest::Contains(read(self, item, what)?),
                    PlainText::Glob => TextTest::Glob(self.glob(item, what)?),
                }]]),
            }
        }
        Some(TextMatcher { any_of })
    }

    /// The alternatives of each key.
    fn text_tests<T>(&mut self, entries: &[(Key, Node)], read: &Reader<T>) -> Option<Way<T>> {
        let mut keys = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let what = format!("`{}`", key.name);
            let mut tests = Vec::new();
            for item in self.alternatives(value, &what)? {
                tests.push(match key.name.as_str() {
                    "equals" => TextTest::Equals(read(self, item, &what)?),
                    "regex" => {
                        let source = self.string(item, &what)?;
                        TextTest::Regex(self.regex(&source, item.at)?)
                    }
                    _ => TextTest::Contains(read(self, item, &what)?),
                });
            }
            keys.push(tests);
        }
        Some(keys)
    }

    /// A map with nothing in it says nothing, whatever it was meant to.
    fn check_filled(&mut self, node: &Node, what: &str) {
        if matches!(&node.kind, Kind::Map(entries) if entries.is_empty()) {
            let hint = "leave it out if nothing is asked for";
            self.sink
                .error_with_hint(node.at, format!("{what} is empty"), hint);
        }
    }

    /// The items of a list that means "any of", which must not be empty.
    fn alternatives<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        let items = node.items();
        let empty = match &node.kind {
            Kind::Map(entries) => entries.is_empty(),
            _ => items.is_empty(),
        };
        if empty {
            self.sink.error_with_hint(
                node.at,
                format!("{what} is empty, so nothing could match"),
                "a list means any of its items; leave the key out to match everything",
            );
            return None;
        }
        Some(items)
    }
}

/// Every key of the language, for the tests of schema and guide.
#[cfg(test)]
pub(super) fn keys() -> Vec<&'static str> {
    [
        &RULE_KEYS[..],
        &TEXT_KEYS,
        &when::WHEN_KEYS,
        &when::BODY_KEYS,
        steps::PlainStep::NAMES,
        &steps::BESIDE_KEYS,
        calls::CallStep::NAMES,
        &calls::EXPECT_KEYS,
        &calls::FAILURE_KEYS,
        &results::keys(),
        &hosted::keys(),
        &web::WEB_KEYS,
        &web::PAGE_KEYS,
    ]
    .concat()
}

fn too_long(source: &str, file: &str) -> Diagnostic {
    Diagnostic {
        file: file.to_owned(),
        at: Position::default(),
        message: format!(
            "the file has {} bytes, the most is {MAX_SCRIPT_BYTES}",
            source.len()
        ),
        hint: Some("split it into several files in one folder".to_owned()),
    }
}

/// "expected one of …" for a hint.
fn one_of(known: &[&str]) -> String {
    format!("expected one of {}", list(known))
}
