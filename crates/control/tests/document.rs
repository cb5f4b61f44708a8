//! The description of the control API, kept as a page and looked at as a diff.
//!
//! `SANDTABLE_UPDATE=1 cargo test -p sandtable-control` writes it anew; then
//! `python3 clients/generate.py` makes the packages' types from it.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use sandtable_control::openapi;
use serde_json::Value;

fn document() -> Value {
    openapi::document(env!("CARGO_PKG_VERSION"))
}

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}

#[test]
fn the_page_of_the_docs_is_what_the_types_say() {
    let text = format!("{:#}\n", document());
    if std::env::var_os("SANDTABLE_UPDATE").is_some() {
        std::fs::write(page(), &text).unwrap();
    }
    let kept = std::fs::read_to_string(page()).unwrap_or_default();
    assert!(
        kept == text,
        "docs/openapi.json is stale: `SANDTABLE_UPDATE=1 cargo test -p sandtable-control`, then `python3 clients/generate.py`"
    );
}

#[test]
fn every_reference_leads_to_a_schema_and_every_schema_is_referred_to() {
    let document = document();
    let mut referred = BTreeSet::new();
    collect(&document, &mut referred);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let known: BTreeSet<String> = schemas.keys().cloned().collect();
    assert_eq!(referred, known);
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("$ref", Value::String(path)) => {
                        let name = path.strip_prefix("#/components/schemas/").unwrap();
                        found.insert(name.to_owned());
                    }
                    _ => collect(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_every_part_of_a_path_is_a_parameter() {
    let mut names = BTreeSet::new();
    for call in openapi::calls() {
        assert!(names.insert(call.id), "{}", call.id);
        for part in call.path.split('{').skip(1) {
            let name = part.split('}').next().unwrap();
            let mut parameters = call.parameters.iter();
            assert!(parameters.any(|known| known.name == name), "{}", call.id);
        }
    }
}
