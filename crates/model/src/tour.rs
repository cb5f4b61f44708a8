//! Shipped scripts that answer the prompts of the public documents by really doing the work, so that
//! the documents' own snippets run as they stand. Each answer says that it came from the tour.

use std::sync::LazyLock;

use super::script::{Scripts, Shipped};
use super::{Model, TurnRequest, direct};

const FILES: [(&str, &str); 4] = [
    ("tour/basics.yaml", include_str!("tour/basics.yaml")),
    ("tour/sales.yaml", include_str!("tour/sales.yaml")),
    ("tour/analysis.yaml", include_str!("tour/analysis.yaml")),
    ("tour/weather.yaml", include_str!("tour/weather.yaml")),
];

static RULES: LazyLock<Shipped> = LazyLock::new(|| {
    Shipped::read(&FILES)
        .map_err(|mistakes| common::hinted::told_all(&mistakes))
        .expect("a test reads the shipped scripts")
});

/// The model of the first shipped rule that knows the prompt. A block to run goes to `direct`.
pub fn answer(request: &TurnRequest, scripts: &Scripts) -> Option<Box<dyn Model>> {
    request.code_tool?;
    if direct::has_block(&request.user_text) {
        return None;
    }
    RULES.answer(request, scripts)
}

#[cfg(test)]
mod tests;
