//! Limits of rate.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Rate limits per minute. A limit that is absent does not apply.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The prefix of a model's id; every model if absent. Each model has buckets of its own.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "there"
    )]
    pub model: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "there"
    )]
    #[schemars(range(min = 1))]
    pub requests: Option<u64>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "there"
    )]
    #[schemars(range(min = 1))]
    pub input_tokens: Option<u64>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "there"
    )]
    #[schemars(range(min = 1))]
    pub output_tokens: Option<u64>,
    /// Calls of the Files API, all of them together; models have no part in it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "there"
    )]
    #[schemars(range(min = 1))]
    pub files: Option<u64>,
}

/// What is absent or said, and never null.
fn there<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A limit that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RateLimitError(String);

impl RateLimit {
    /// Whether it says anything, and can count behind those `before` it: the first that fits a model does.
    pub fn check(&self, before: &[Self]) -> Result<(), RateLimitError> {
        let limits = [
            self.requests,
            self.input_tokens,
            self.output_tokens,
            self.files,
        ];
        if limits.contains(&Some(0)) {
            return Err(RateLimitError("a limit must be at least 1".to_owned()));
        }
        if limits.iter().all(Option::is_none) {
            return Err(RateLimitError(
                "none of `requests`, `input_tokens`, `output_tokens`, and `files` is limited"
                    .to_owned(),
            ));
        }
        if self.model.as_deref() == Some("") {
            return Err(RateLimitError(
                "`model` is empty: without it the limit is for every model".to_owned(),
            ));
        }
        if self.model.is_some() && self.files.is_some() {
            return Err(RateLimitError(
                "`files` is for no model: give it a limit of its own".to_owned(),
            ));
        }
        if self.model.as_ref().is_some_and(|model| model.contains('*')) {
            return Err(RateLimitError(
                "`model` is what ids begin with, and none has a `*`: leave it out".to_owned(),
            ));
        }
        if self.files.is_some() && before.iter().any(|other| other.files.is_some()) {
            return Err(RateLimitError(
                "a limit before it has `files` already, and the first counts: leave one of them out"
                    .to_owned(),
            ));
        }
        if before.iter().any(|other| other.hides(self)) {
            return Err(RateLimitError(
                "a limit before it fits every model that it fits, and the first that fits counts: \
                 put both into one, or the one with the longer `model` first"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Whether it limits models.
    pub fn is_for_models(&self) -> bool {
        self.requests.is_some() || self.input_tokens.is_some() || self.output_tokens.is_some()
    }

    /// Whether it fits every model that the other limits.
    fn hides(&self, other: &Self) -> bool {
        let prefix = self.model.as_deref().unwrap_or_default();
        let fits = other
            .model
            .as_deref()
            .unwrap_or_default()
            .starts_with(prefix);
        self.is_for_models() && other.is_for_models() && fits
    }
}

/// `requests=50,input_tokens=30000,output_tokens=8000,model=claude-sonnet`.
impl std::str::FromStr for RateLimit {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut limit = Self::default();
        let mut given = Vec::new();
        for part in text.split(',') {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| RateLimitError(format!("`{part}` is not NAME=NUMBER")))?;
            if given.contains(&name.trim()) {
                let name = name.trim();
                return Err(RateLimitError(format!("`{name}` is there twice")));
            }
            given.push(name.trim());
            let number = || {
                let number = value.parse();
                number
                    .map(Some)
                    .map_err(|_| RateLimitError(format!("`{value}` is no number of {name}")))
            };
            match name.trim() {
                "model" => limit.model = Some(value.to_owned()),
                "requests" => limit.requests = number()?,
                "input_tokens" => limit.input_tokens = number()?,
                "output_tokens" => limit.output_tokens = number()?,
                "files" => limit.files = number()?,
                other => {
                    return Err(RateLimitError(format!(
                        "`{other}` is none of `requests`, `input_tokens`, `output_tokens`, `files`, and `model`"
                    )));
                }
            }
        }
        limit.check(&[])?;
        Ok(limit)
    }
}

/// Whose limits are the server's again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClearedRates {
    /// How many workspaces.
    pub workspaces: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_absent_or_said() {
        let read = |text: &str| serde_json::from_str::<RateLimit>(text);
        assert!(read(r#"{"requests": 1}"#).is_ok_and(|limit| limit.model.is_none()));
        for wrong in [
            r#"{"model": null, "requests": 1}"#,
            r#"{"requests": null, "files": 1}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
    #[test]
    fn a_limit_that_can_never_count_is_refused() {
        let check = |texts: &[&str]| {
            let limits = texts.iter().map(|text| text.parse().unwrap());
            let limits: Vec<RateLimit> = limits.collect();
            let (last, before) = limits.split_last().unwrap();
            last.check(before).map_err(|error| error.to_string())
        };
        for hidden in [
            ["requests=2", "output_tokens=1"],
            ["requests=2", "output_tokens=1,model=claude-opus"],
            ["requests=2,model=claude", "requests=1,model=claude-opus"],
            ["requests=2,files=1", "requests=1"],
        ] {
            let error = check(&hidden).unwrap_err();
            assert!(error.contains("the first that fits counts"), "{hidden:?}");
        }
        assert!(check(&["files=1", "files=2"]).is_err());
        for meant in [
            ["requests=1,model=claude-opus", "requests=2"],
            [
                "requests=1,model=claude-opus",
                "requests=2,model=claude-haiku",
            ],
            ["files=1", "requests=2"],
            ["requests=2", "files=1"],
        ] {
            assert_eq!(check(&meant), Ok(()), "{meant:?}");
        }
    }
}
