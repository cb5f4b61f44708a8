//! A verdict as people and CI servers read it: a short text, `JUnit`, JSON.

use std::fmt::Write as _;

use serde_json::Value;

use super::args::ReportArgs;
use super::coverage::{self, CoverageError};
use super::output::{self, Form};
use common::hinted::{self, Mistake};
use common::junit::{self, Case, CaseResult, Suite};
use common::terminal;

/// Findings of a list that the text shows.
const SHOWN: usize = 10;

/// A list of the verdict that makes it bad.
struct List {
    name: &'static str,
    /// The statement that holds if it is empty.
    holds: &'static str,
    word: &'static str,
    line: fn(&Value) -> String,
}

const LISTS: &[List] = &[
    List {
        name: "unmatched",
        holds: "every turn was answered by a rule",
        word: "unmatched turn",
        line: turn,
    },
    List {
        name: "failed",
        holds: "every turn came to its end",
        word: "failed turn",
        line: turn,
    },
    List {
        name: "unused_steps",
        holds: "every step ran",
        word: "unused step",
        line: unused_step,
    },
    List {
        name: "unused_faults",
        holds: "every fault fired",
        word: "unused fault",
        line: |item| {
            let note = item["note"].as_str();
            let text = format!(
                "{}{}fault {}: fired {} times, {} left: {}",
                label(item),
                of_request(item),
                item["id"],
                item["fired"],
                item["left"],
                item["fault"],
            );
            match note {
                Some(note) => helped(text, note),
                None => text,
            }
        },
    },
    List {
        name: "unused_recordings",
        holds: "every recorded request was made",
        word: "unused recording",
        line: |item| {
            format!(
                "{}{}: {} was never asked for",
                label(item),
                text(&item["recording"]),
                item["request"].as_str().unwrap_or("the answer"),
            )
        },
    },
    List {
        name: "duplicated",
        holds: "nothing was made twice",
        word: "duplicate",
        line: |item| {
            let text = format!(
                "{}{} was carried out {} times ({}) and left {}",
                label(item),
                text(&item["request"]),
                items(item, "request_ids").len(),
                listed(item, "request_ids"),
                listed(item, "ids"),
            );
            let hint =
                "look for what a lost answer has made before sending again, or remove all but one";
            helped(text, hint)
        },
    },
    List {
        name: "lints",
        holds: "the client made no mistake",
        word: "lint",
        line: |item| {
            let what = format!(
                "{}{}: {} [{}, {}]",
                label(item),
                text(&item["request_id"]),
                text(&item["message"]),
                text(&item["code"]),
                text(&item["level"]),
            );
            helped(what, text(&item["hint"]))
        },
    },
    List {
        name: "unclaimed",
        holds: "every key was handed out",
        word: "unclaimed key",
        line: |item| {
            let text = format!(
                "a key that no test handed out{} made {} requests, the first is {}",
                item["key"]
                    .as_str()
                    .map_or_else(String::new, |end| format!(" ({end})")),
                item["requests"],
                text(&item["first_request_id"]),
            );
            let hint = "a client that is made outside of a test, such as at import, keeps the key it found there";
            helped(text, hint)
        },
    },
    List {
        name: "empty",
        holds: "something was asked",
        word: "empty run",
        line: |item| helped(text(&item["message"]).to_owned(), text(&item["hint"])),
    },
];

/// The test that the key was handed to, as a prefix; empty if there is none.
fn label(item: &Value) -> String {
    item["label"]
        .as_str()
        .map_or_else(String::new, |label| format!("{label}: "))
}

fn of_request(item: &Value) -> String {
    item["request_id"]
        .as_str()
        .map_or_else(String::new, |id| format!("{id}: "))
}

fn helped(text: String, hint: &str) -> String {
    hinted::told(&Mistake::new(text).with_hint(hint.to_owned()))
}

fn listed(item: &Value, name: &str) -> String {
    let texts: Vec<&str> = items(item, name).iter().map(text).collect();
    texts.join(", ")
}

fn turn(item: &Value) -> String {
    let (id, message) = (text(&item["request_id"]), text(&item["message"]));
    format!("{}{id}: {message}", label(item))
}

/// Says before the work begins that a file could not be written after it.
pub(super) fn check(args: &ReportArgs) -> Result<(), CoverageError> {
    let reports = [
        (args.json.as_deref(), Form::Json),
        (args.junit.as_deref(), Form::Junit),
    ];
    coverage::check(args.coverage.as_deref(), &reports)
}

/// Says the verdict on stderr and writes the files that are wanted. Whether it is good.
pub(super) fn publish(verdict: &Value, args: &ReportArgs) -> Result<bool, CoverageError> {
    let told = match &args.coverage {
        Some(path) => Some(coverage::keep(path, verdict)),
        None => coverage::of_verdict(verdict).map(Ok),
    };
    let mut said = short(verdict);
    // Who has asked nothing has nothing to cover.
    if let Some(Ok(told)) = &told
        && told.met > 0
    {
        said.push_str(&coverage::summary(told));
    }
    super::eprint(&said);
    if let Some(Err(error)) = told {
        return Err(error);
    }
    if let Some(path) = &args.json {
        output::write(path, Form::Json, &format!("{verdict:#}\n"))?;
    }
    if let Some(path) = &args.junit {
        output::write(path, Form::Junit, &junit(verdict, args.lints.name()))?;
    }
    Ok(verdict["ok"] == true)
}

fn short(verdict: &Value) -> String {
    let mut out = String::new();
    let good = verdict["ok"] == true;
    let mut counts = Vec::new();
    for list in LISTS {
        let items = items(verdict, list.name);
        if !items.is_empty() {
            let plural = if items.len() == 1 { "" } else { "s" };
            counts.push(format!("{} {}{plural}", items.len(), list.word));
        }
        for item in items.iter().take(SHOWN) {
            push(&mut out, &format!("{}: {}", list.word, (list.line)(item)));
        }
        if items.len() > SHOWN {
            push(&mut out, &format!("and {} more", items.len() - SHOWN));
        }
    }
    for chain in items(verdict, "faults").iter().take(SHOWN) {
        push(&mut out, &told(chain));
    }
    let counts = if counts.is_empty() {
        "all as scripted".to_owned()
    } else {
        counts.join(", ")
    };
    let word = if good { "ok" } else { "NOT ok" };
    format!("sandtable: {word}, {counts}\n{out}")
}

/// Adds a text, and what it says in further lines below it.
fn push(out: &mut String, text: &str) {
    let text = terminal::plain(text).replace('\n', "\n    ");
    writeln!(out, "  {text}").expect("a String takes every write");
}

/// The client's reaction to a fault, in a line.
fn told(chain: &Value) -> String {
    let met = if items(chain, "faults").is_empty() {
        "client left"
    } else {
        "fault met"
    };
    let mut line = format!("{}{met} {}:", label(chain), text(&chain["request"]));
    for (at, attempt) in items(chain, "attempts").iter().enumerate() {
        let status = attempt["status"].as_u64().map_or_else(
            || {
                let left = attempt["client_left"] == true;
                let word = if left { "client left" } else { "cut" };
                word.to_owned()
            },
            |status| status.to_string(),
        );
        let link = match attempt["after_ms"].as_f64() {
            Some(after) if at > 0 => format!(", after {after:.0} ms"),
            _ => String::new(),
        };
        write!(line, "{link} {status}").expect("a String takes every write");
    }
    format!("{line}: {}", text(&chain["outcome"]).replace('_', " "))
}

fn unused_step(item: &Value) -> String {
    let place = format!("{}{}:{}", label(item), text(&item["file"]), item["line"]);
    let rule = text(&item["rule"]);
    let why = &item["why"];
    if let Some(left) = why.get("times_left") {
        let (used, times) = (&left["used"], &left["times"]);
        return format!("{place}: rule `{rule}` answered {used} of {times} times");
    }
    match item["step"].as_str() {
        Some(step) => format!("{place}: step `{step}` of rule `{rule}` never ran"),
        None => format!("{place}: rule `{rule}` never answered"),
    }
}

/// A test case for each finding, and one for each list without.
fn junit(verdict: &Value, lints: &str) -> String {
    let mut cases = Vec::new();
    for list in LISTS {
        let class = format!("sandtable.{}", list.name);
        let items = items(verdict, list.name).iter();
        let mut bad = items.filter(|item| is_bad(item, lints)).peekable();
        if bad.peek().is_none() {
            cases.push(Case::new(&class, list.holds, CaseResult::Passed));
        }
        cases.extend(bad.map(|item| {
            let line = (list.line)(item);
            let first = line.lines().next().unwrap_or_default().to_owned();
            let result = CaseResult::Failed {
                message: first.clone(),
                kind: Some(list.name.to_owned()),
                text: line,
            };
            Case::new(&class, &first, result)
        }));
    }
    junit::written(&[Suite::new("sandtable", cases)])
}

/// Everything is, but lints that are milder than what was asked for.
fn is_bad(item: &Value, lints: &str) -> bool {
    match item["level"].as_str() {
        None => true,
        Some(level) => lints == "warning" || (lints == "error" && level == "error"),
    }
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict() -> Value {
        json!({
            "ok": false,
            "unmatched": [{"request_id": "req_1", "message": "no rule <x> & \"y\"\u{1}\nsecond line"}],
            "failed": [],
            "unused_steps": [
                {"rule": "a", "file": "a.yaml", "line": 3, "step": null, "why": {"times_left": {"used": 1, "times": 2}}},
                {"rule": "b", "file": "a.yaml", "line": 9, "step": "bash", "why": "never_ran"},
            ],
            "unused_faults": [],
            "faults": [{"request": "POST /v1/messages", "outcome": "recovered", "faults": [{"id": 1}], "attempts": [
                {"status": 529}, {"status": 200, "after_ms": 512.4}]}],
            "lints": [{"request_id": "req_2", "code": "unfetched_output", "level": "warning", "message": "m", "hint": "h"}],
        })
    }

    #[test]
    fn the_text_names_every_finding_and_what_became_of_faults() {
        insta::assert_snapshot!(short(&verdict()), @r#"
        sandtable: NOT ok, 1 unmatched turn, 2 unused steps, 1 lint
          unmatched turn: req_1: no rule <x> & "y"�
            second line
          unused step: a.yaml:3: rule `a` answered 1 of 2 times
          unused step: a.yaml:9: step `bash` of rule `b` never ran
          lint: req_2: m [unfetched_output, warning]
              hint: h
          fault met POST /v1/messages: 529, after 512 ms 200: recovered
        "#);
    }

    #[test]
    fn junit_has_a_failure_for_each_finding_and_counts_them() {
        let xml = junit(&verdict(), "error");
        assert!(xml.contains("tests=\"10\" failures=\"3\""), "{xml}");
        assert!(
            xml.contains("no rule &lt;x&gt; &amp; &quot;y&quot;\u{fffd}&#10;second line</failure>"),
            "{xml}"
        );
        assert!(
            xml.contains("name=\"the client made no mistake\"/>"),
            "{xml}"
        );
        assert!(junit(&verdict(), "warning").contains("failures=\"4\""));
    }
}
