//! The facts of `docs/service`: what names one, and that each is named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::house::files;

static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bF\d{3}\b").unwrap());

fn numbers(text: &str) -> BTreeSet<String> {
    let found = NUMBER.find_iter(text);
    found.map(|number| number.as_str().to_owned()).collect()
}

/// Each fact with its page; a number that stands twice is a mistake.
fn facts() -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for (page, text) in files("docs/service", &[".md"]) {
        for line in text.lines() {
            let cells: Vec<&str> = line.split(" | ").collect();
            let number = cells[0].trim_start_matches("| ");
            if NUMBER
                .find(number)
                .is_some_and(|it| it.len() == number.len())
            {
                assert!(cells.len() >= 3, "{number} lacks its fact or its origin");
                let twice = facts.insert(number.to_owned(), page.clone());
                assert!(twice.is_none(), "{number} stands twice");
            }
        }
    }
    facts
}

#[test]
fn every_fact_is_named_by_code_or_a_test_and_every_number_is_a_fact() {
    let facts = facts();
    assert!(facts.len() > 70, "the pages have another form: {facts:?}");
    let code = ["src", "crates", "tests"].map(|folder| files(folder, &[".rs", ".py", ".ts"]));
    let mut named = BTreeSet::new();
    for (name, text) in code.iter().flatten() {
        for number in numbers(text) {
            assert!(
                facts.contains_key(&number),
                "{name} names {number}, which docs/service does not have"
            );
            named.insert(number);
        }
    }
    for (name, text) in files("docs", &[".md"]) {
        for number in numbers(&text) {
            // The index names ranges.
            let known = facts.contains_key(&number) || name.ends_with("/service/README.md");
            assert!(known, "{name} names {number}");
        }
    }
    let idle: Vec<_> = facts
        .iter()
        .filter(|(it, _)| !named.contains(*it))
        .collect();
    assert!(idle.is_empty(), "no code and no test names {idle:?}");
}

#[test]
fn no_source_is_named_that_a_clone_does_not_have() {
    let elsewhere = Regex::new(r"\bFACTS\b|\bspec \d\d\b|\bspec README\b|\bseed \d{3}\b").unwrap();
    let code = ["src", "crates", "tests", "docs"].map(|folder| files(folder, &[".rs", ".md"]));
    for (name, text) in code.iter().flatten() {
        if name == "tests/it/service.rs" {
            continue;
        }
        let found = elsewhere.find(text).map(|it| it.as_str());
        assert_eq!(found, None, "{name}");
    }
}
