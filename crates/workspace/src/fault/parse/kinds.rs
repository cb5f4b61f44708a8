//! Every kind of fault is offered to people: the inspector's catalogue has each, and the packages of `clients/` have a
//! shorthand for each kind of the catalogue (their own tests).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Change, Layer, ToolWord, Transport, parse, turn, wire};

const CATALOGUE: &str = include_str!("../../../../../page/src/catalogue.json");

/// The value of `at`, and that of `do` or of the key that stands for it.
type Kind = (String, String);

fn kinds() -> BTreeSet<Kind> {
    let http = [Transport::NAMES, Change::NAMES].concat();
    let words = |layer: &str| match Layer::from_name(layer) {
        Some(Layer::Http) => http.clone(),
        Some(Layer::Stream) => Transport::NAMES.to_vec(),
        Some(Layer::Tool) => ToolWord::NAMES.to_vec(),
        Some(Layer::Turn) => turn::NAMES.to_vec(),
        Some(Layer::Wire) => wire::NAMES.to_vec(),
        None => Vec::new(),
    };
    let kind = |layer: &str, word: &str| (layer.to_owned(), word.to_owned());
    let layers = Layer::NAMES.iter();
    layers
        .flat_map(|layer| words(layer).into_iter().map(|word| kind(layer, word)))
        .collect()
}

fn kind_of(fault: &Value) -> Kind {
    let delays = fault.get("delay_ms").is_some();
    let word = fault["do"].as_str();
    let word = word.unwrap_or(if delays { "delay_ms" } else { "error" });
    let layer = fault["at"].as_str().unwrap_or_default();
    (layer.to_owned(), word.to_owned())
}

#[test]
fn the_inspectors_catalogue_has_every_kind_of_fault_and_none_that_is_refused() {
    let groups: Vec<Value> = serde_json::from_str(CATALOGUE).unwrap();
    let entries = groups
        .iter()
        .flat_map(|group| group["faults"].as_array().unwrap());
    let mut offered = BTreeSet::new();
    for entry in entries {
        let fault = &entry["fault"];
        let read = parse(fault);
        assert!(read.is_ok(), "{fault}: {:?}", read.err());
        offered.insert(kind_of(fault));
    }
    assert_eq!(offered, kinds());
}
