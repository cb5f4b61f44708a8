//! The documentation, the examples, and the schema say what the parser does.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::script::parse::keys;
use crate::script::{SCHEMA, Survey, survey};
use common::document;

const GUIDE: &str = include_str!("../../../../../docs/SCRIPTS.md");

/// The YAML blocks of the guide with their lines.
fn examples() -> Vec<(usize, String)> {
    let mut examples = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in GUIDE.lines().enumerate() {
        match &mut open {
            None if line == "```yaml" => open = Some((index + 1, String::new())),
            None => {}
            Some(_) if line == "```" => examples.extend(open.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    examples
}

fn schema() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap()
}

fn json_of(source: &str) -> Value {
    document::read(source, "a.yaml").unwrap().unwrap().to_json()
}

#[test]
fn every_example_of_the_guide_is_a_good_script() {
    let examples = examples();
    assert!(examples.len() >= 5);
    for (line, source) in examples {
        let found = Scripts::default().replace(&source, "example");
        assert!(
            found.is_ok(),
            "docs/SCRIPTS.md:{line}\n{}",
            common::hinted::told_all(&found.unwrap_err())
        );
        let schema = schema();
        let json = json_of(&source);
        let errors: Vec<String> = schema.iter_errors(&json).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "docs/SCRIPTS.md:{line}\n{errors:#?}");
    }
}

#[test]
fn the_examples_of_the_guide_use_every_key() {
    let all: String = examples().into_iter().map(|(_, source)| source).collect();
    for key in keys() {
        let alone = all.contains(&format!("- {key}\n"));
        assert!(
            alone || all.contains(&format!("{key}:")),
            "no example of `{key}`"
        );
    }
}

#[test]
fn the_schema_knows_the_keys_that_the_parser_knows() {
    fn collect(schema: &Value, into: &mut BTreeSet<String>) {
        match schema {
            Value::Object(entries) => {
                if let Some(Value::Object(properties)) = entries.get("properties") {
                    into.extend(properties.keys().cloned());
                }
                entries.values().for_each(|value| collect(value, into));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            _ => {}
        }
    }
    let mut known = BTreeSet::new();
    collect(&serde_json::from_str(SCHEMA).unwrap(), &mut known);
    for key in keys() {
        assert!(known.contains(key), "the schema lacks `{key}`");
    }
}

#[test]
fn the_schema_refuses_what_the_parser_refuses() {
    let wrong = [
        "[]",
        "- {}",
        "- { then: [] }",
        "- { then: [{ text: a, bash: b }] }",
        "- { then: [{ txt: a }] }",
        "- { thn: [], then: [{ text: a }] }",
        "- { then: [{ text: a, expect: {} }] }",
        "- { when: { tool: a }, then: [{ text: a }] }",
        "- { when: { uploads: [] }, then: [{ text: a }] }",
        "- { when: { user: { contain: a } }, then: [{ text: a }] }",
        "- { when: { body: { $.a: { exists: 1 } } }, then: [{ text: a }] }",
        "- { when: { body: { $.a: [] } }, then: [{ text: a }] }",
        "- { times: 0, then: [{ text: a }] }",
        "- { then: [{ delay: 200 }] }",
        "- { then: [{ stop: tool_use }] }",
        "- { then: [{ bash: a, tool_error: b }] }",
        "- { then: [{ bash: a, tool_error: unavailable, result: {} }] }",
        "- { then: [{ bash: a, result: { stdot: b } }] }",
        "- { then: [{ bash: a, result: { return_code: 1.5 } }] }",
        "- { then: [{ bash: a, result: { error_code: unavailable, stdout: b } }] }",
        "- { then: [{ bash: a, result: { files: [{ name: b }] } }] }",
        "- { then: [{ bash: a, result: { files: [{ text: b }] } }] }",
        "- { then: [{ bash: a, result: { files: [{ name: b, text: c, base64: YQ== }] } }] }",
        "- { then: [{ web_search: a, result: {} }] }",
        "- { then: [{ tool_use: a, result: {} }] }",
        "- { then: [{ text: a, result: {} }] }",
        "- { then: [{ create: { path: a } }] }",
        "- { then: [{ http_error: 200 }] }",
        "- { then: [{ text: a, citations: [{ type: nonsense, cited_text: b }] }] }",
        "- { then: [{ text: a, citations: [{ type: char_location, cited_text: b }] }] }",
        "- { then: [{ text: a, citations: [{ type: web_search_result_location, url: a, cited_text: {} }] }] }",
        "- { when: { user: [a, {}] }, then: [{ text: a }] }",
        "- { then: [{ http_error: { status: 500, headers: { a b: c } } }] }",
        "- { then: [{ if: a }] }",
        "- { then: [{ parallel: [{ text: a }] }] }",
        "- { then: [{ tool_use: { input: {} } }] }",
        "- { then: [{ web_search: { results: [] } }] }",
        "- { then: [{ web_fetch: { url: a, results: [] } }] }",
        "- { then: [{ bash: a, expect: { return_code: [] } }] }",
        "- { then: [{ stop: { reason: refusal, category: nonsense } }] }",
        "- { then: [{ bash: a, expect: {} }] }",
        "- { then: [{ bash: a, capture: {} }] }",
        "- { then: [{ if: {}, then: [{ text: a }] }] }",
        "- { when: { body: {} }, then: [{ text: a }] }",
        "- { when: { user: '${{ a }}' }, then: [{ text: a }] }",
        "- { when: { tools: ['${% a %}'] }, then: [{ text: a }] }",
        "- { name: '${{ a }}', then: [{ text: a }] }",
        "- { then: [{ bash: a, expect: { stdout: { regex: '${{ a }}' } } }] }",
        "- { web: [], then: [{ text: a }] }",
        "- { web: [{ search: a }], then: [{ text: a }] }",
        "- { web: [{ fetch: a, results: [] }], then: [{ text: a }] }",
        "- { web: [{ search: a, error: url_too_long }], then: [{ text: a }] }",
    ];
    let schema = schema();
    for source in wrong {
        assert!(
            Scripts::default().replace(source, "a.yaml").is_err(),
            "{source}"
        );
        assert!(!schema.is_valid(&json_of(source)), "{source}");
    }
}

#[test]
fn the_shipped_examples_and_the_tour_are_good_scripts() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let folders = ["fixtures/scripts", "crates/model/src/tour"].map(|folder| root.join(folder));
    let Survey {
        files, diagnostics, ..
    } = survey(&folders);
    assert!(
        diagnostics.is_empty(),
        "{}",
        common::hinted::told_all(&diagnostics)
    );
    assert!(files >= 5);
    let schema = schema();
    for folder in folders {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                let json = json_of(&std::fs::read_to_string(&path).unwrap());
                let errors: Vec<String> =
                    schema.iter_errors(&json).map(|e| e.to_string()).collect();
                assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
            }
        }
    }
}

#[test]
fn the_schema_takes_what_the_parser_takes() {
    let schema = schema();
    for step in [
        "{ bash: a, expect: { files: [] } }",
        "{ bash: a, expect: { stdout: '${{ last.stdout }}', files: '${{ last.name }}' } }",
        "mcp_tool_use: { server: a, name: 12, text: [] }",
        "tool_use: 12",
        "stop: { reason: refusal, category: null }",
    ] {
        let source = format!("- then:\n    - {step}\n");
        assert!(
            Scripts::default().replace(&source, "a.yaml").is_ok(),
            "{source}"
        );
        assert!(schema.is_valid(&json_of(&source)), "{source}");
    }
}

/// Every value within `value` by its JSON pointer.
fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), into);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers(item, &format!("{at}/{key}"), into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_value_of_a_type_that_the_schema_refuses_is_a_mistake() {
    let schema = schema();
    let types =
        serde_json::json!([null, true, 0, -1, 1.5, "x", [], {}, [null], [{}], [1], {"x": {}}]);
    let types = types.as_array().unwrap();
    let own = [
        "- web: [{ search: a, results: [{ url: u, title: t, text: x, page_age: y }] }, { fetch: a, pdf: YQ== }]
  then: [{ text: a }]",
        "- then:
    - web_search: { query: a, results: [{ url: u, title: t, text: x, page_age: y }] }
    - web_fetch: { url: a, pdf: YQ== }
    - tool_search: { query: a, limit: 1, finds: [b] }
    - compaction: { content: a, tool_changes: [{ a: b }] }
    - mcp_tool_listing: { server: a, tools: [{ name: b, description: c, input_schema: {} }] }
    - view: a
      result: { content: a, file_type: text, num_lines: 1, start_line: 1, total_lines: 1 }
    - str_replace: { path: a, old_str: b, new_str: c }
      result: { lines: [a], old_start: 1, old_lines: 1, new_start: 1, new_lines: 1 }
    - create: { path: a, file_text: b }
      result: { is_file_update: true }
    - bash: a
      expect: { stdout: [a, { contains: b }], error_code: unavailable }",
        "- then:
    - text: a
      citations:
        - { type: char_location, cited_text: a, document_index: 0, document_title: b, start_char_index: 0, end_char_index: 1, file_id: c }
        - { type: web_search_result_location, cited_text: a, url: b, title: c, encrypted_index: d }",
    ];
    let sources = examples().into_iter().map(|(_, source)| source);
    let mut taken = Vec::new();
    let rules = sources
        .chain(own.map(str::to_owned))
        .flat_map(|source| match json_of(&source) {
            Value::Array(rules) => rules,
            other => other["rules"].as_array().cloned().unwrap_or_default(),
        });
    for rule in rules {
        let good = Value::Array(vec![rule]);
        assert!(schema.is_valid(&good), "{good}");
        let mut all = Vec::new();
        pointers(&good, "", &mut all);
        for pointer in all {
            for other in types {
                let mut wrong = good.clone();
                *wrong.pointer_mut(&pointer).unwrap() = other.clone();
                if schema.is_valid(&wrong) {
                    continue;
                }
                if Scripts::default()
                    .replace(&wrong.to_string(), "a.json")
                    .is_ok()
                {
                    taken.push(format!("{pointer}: {other} in {good}"));
                }
            }
        }
    }
    assert!(
        taken.is_empty(),
        "{}: {:#?}",
        taken.len(),
        &taken[..taken.len().min(40)]
    );
}
