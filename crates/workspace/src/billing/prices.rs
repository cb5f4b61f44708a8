//! Prices of tokens: one data file, which a user may replace.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use serde::Deserialize;

use super::Tokens;
use common::hinted::Hinted;

const SHIPPED: &str = include_str!("prices.json");
/// Part of the standard price that a batch's tokens cost (F180).
const BATCH_FACTOR: f64 = 0.5;
const MILLION: f64 = 1e6;

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

/// A file of prices that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct PricesError {
    path: String,
    #[source]
    reason: Box<dyn Error + Send + Sync>,
}

impl Hinted for PricesError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = r#"such as {"claude-opus-4-7": {"input": 15, "output": 75}}, in dollars for a million tokens"#;
        Some(hint.into())
    }
}

impl Default for Prices {
    fn default() -> Self {
        Self(serde_json::from_str(SHIPPED).expect("the shipped prices are tested"))
    }
}

impl Prices {
    /// The shipped prices under those of a JSON file.
    pub fn load(path: &Path) -> Result<Self, PricesError> {
        let fail = |reason: Box<dyn Error + Send + Sync>| PricesError {
            path: path.display().to_string(),
            reason,
        };
        let text = common::input::read_text(path, common::limits::MAX_INPUT_FILE_BYTES)
            .map_err(|error| fail(error.into()))?;
        let own: BTreeMap<String, Price> =
            serde_json::from_str(&text).map_err(|error| fail(error.into()))?;
        let Self(mut prices) = Self::default();
        prices.extend(own);
        if let Some((model, _)) = prices.iter().find(|(_, price)| !price.is_sane()) {
            return Err(fail(format!("a price of `{model}` is negative").into()));
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
    fn is_sane(&self) -> bool {
        [
            Some(self.input),
            Some(self.output),
            self.cache_write,
            self.cache_read,
        ]
        .into_iter()
        .flatten()
        .all(|dollars| dollars >= 0.0)
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
}
