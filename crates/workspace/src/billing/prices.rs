//! Prices of tokens: one data file, which a user may replace.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::Tokens;
use common::document::{self, Diagnostic, Kind, Node, Position, list};

const SHIPPED: &str = include_str!("prices.json");
/// Part of the standard price that a batch's tokens cost (F180).
const BATCH_FACTOR: f64 = 0.5;
const MILLION: f64 = 1e6;
/// Those of a price, and how many of them it must have.
const MEMBERS: [&str; 4] = ["input", "output", "cache_write", "cache_read"];
const REQUIRED: usize = 2;
const HINT: &str =
    r#"such as {"claude-opus-4-7": {"input": 15, "output": 75}}, in dollars for a million tokens"#;

/// Dollars for a million tokens of one model.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    /// 1.25 times `input` if absent.
    pub cache_write: Option<f64>,
    /// A tenth of `input` if absent.
    pub cache_read: Option<f64>,
}

/// Prices by model: the longest name that a model's id starts with decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices(BTreeMap<String, Price>);

impl Default for Prices {
    fn default() -> Self {
        Self(serde_json::from_str(SHIPPED).expect("the shipped prices are tested"))
    }
}

impl Prices {
    /// The shipped prices under those of a JSON file.
    pub fn load(path: &Path) -> Result<Self, Diagnostic> {
        let file = path.display().to_string();
        let wrong = |at, message: String| Diagnostic {
            file: file.clone(),
            at,
            message,
            hint: Some(HINT.to_owned()),
        };
        let text = common::input::read_text(path, common::limits::MAX_INPUT_FILE_BYTES)
            .map_err(|error| wrong(Position::default(), error.to_string()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let tree = document::read(text, &file).map_err(|mut error| {
            error.hint.get_or_insert_with(|| HINT.to_owned());
            error
        })?;
        let Some(Kind::Map(models)) = tree.as_ref().map(|tree| &tree.kind) else {
            let at = tree.map_or_else(Position::default, |tree| tree.at);
            return Err(wrong(at, "the prices must be a map by model".to_owned()));
        };
        let Self(mut prices) = Self::default();
        for (model, price) in models {
            let price = Price::read(price).map_err(|(at, message)| {
                let message = format!("the price of `{}` {message}", model.name);
                wrong(at, message)
            })?;
            prices.insert(model.name.clone(), price);
        }
        Ok(Self(prices))
    }

    /// The cost of a model's tokens in dollars; `None` if it has no price.
    pub fn dollars(&self, model: &str, tokens: &Tokens, batch: bool) -> Option<f64> {
        let (_, price) = self
            .0
            .iter()
            .filter(|(name, _)| model.starts_with(name.as_str()))
            .max_by_key(|(name, _)| name.len())?;
        let dollars = count(tokens.input) * price.input
            + count(tokens.output) * price.output
            + count(tokens.cache_write) * price.cache_write.unwrap_or(price.input * 1.25)
            + count(tokens.cache_read) * price.cache_read.unwrap_or(price.input * 0.1);
        Some(dollars / MILLION * if batch { BATCH_FACTOR } else { 1.0 })
    }
}

impl Price {
    /// Of one model, or what is wrong with it and where.
    fn read(node: &Node) -> Result<Self, (Position, String)> {
        let Kind::Map(members) = &node.kind else {
            return Err((node.at, format!("must be a map, got {}", node.what())));
        };
        let mut dollars = [None; 4];
        for (key, value) in members {
            let Some(place) = MEMBERS.iter().position(|known| *known == key.name) else {
                let known = list(&MEMBERS);
                return Err((key.at, format!("has no `{}`: there are {known}", key.name)));
            };
            dollars[place] = match &value.kind {
                Kind::Null if place >= REQUIRED => None,
                Kind::Number(number) if number.as_f64().is_some_and(|dollars| dollars >= 0.0) => {
                    number.as_f64()
                }
                Kind::Null
                | Kind::Bool(_)
                | Kind::Number(_)
                | Kind::Text(_)
                | Kind::List(_)
                | Kind::Map(_) => {
                    let name = &key.name;
                    return Err((value.at, format!("needs a number from 0 on for `{name}`")));
                }
            };
        }
        let needed = |place: usize| {
            dollars[place].ok_or_else(|| (node.at, format!("lacks `{}`", MEMBERS[place])))
        };
        Ok(Self {
            input: needed(0)?,
            output: needed(1)?,
            cache_write: dollars[2],
            cache_read: dollars[3],
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts beyond 2^53 tokens are nobody's"
)]
fn count(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_decides() {
        let prices = Prices::default();
        let tokens = Tokens {
            input: 1_000_000,
            ..Tokens::default()
        };
        assert_eq!(
            prices.dollars("claude-opus-4-1-20250805", &tokens, false),
            Some(15.0)
        );
        assert_eq!(prices.dollars("claude-opus-4-7", &tokens, false), Some(5.0));
        assert_eq!(prices.dollars("claude-opus-4-7", &tokens, true), Some(2.5));
        assert_eq!(prices.dollars("gpt", &tokens, false), None);
    }

    #[test]
    fn a_mistake_in_a_file_has_its_place_and_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.json");
        let load = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Prices::load(&path)
        };
        let good = "\u{feff}{\n\t\"m\": {\"input\": 1, \"output\": 2.5, \"cache_read\": null}}";
        assert!(load(good).is_ok());
        for (text, line, said) in [
            ("[1]", 1, "a map by model"),
            ("", 0, "a map by model"),
            (
                "{\n\"m\": 5}",
                2,
                "the price of `m` must be a map, got a number",
            ),
            ("{\"m\": {\"input\": 1}}", 1, "lacks `output`"),
            (
                "{\"m\": {\"input\": 1,\n\"output\": -1}}",
                2,
                "from 0 on for `output`",
            ),
            (
                "{\"m\": {\"input\": 1,\n\"outptu\": 1}}",
                2,
                "has no `outptu`",
            ),
            ("{\"m\": [}", 1, ""),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.message.contains(said), "{error}");
            assert_eq!(error.at.line, line, "{error}");
            assert_eq!(error.hint.as_deref(), Some(HINT));
        }
    }
}
