//! Layers of overrides: the server's, the workspace's, one request's.

use serde_json::Value;

use super::{Profile, QuirkError, Quirks};

/// The settings of one layer: perhaps a profile, then single rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    profile: Option<Profile>,
    rows: Vec<(String, String)>,
}

/// Layers resolved so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layers {
    pub profile: Profile,
    pub quirks: Quirks,
}

impl Layer {
    /// Sets one row, or `profile`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), QuirkError> {
        if name == "profile" {
            self.profile = Some(value.parse()?);
            return Ok(());
        }
        Quirks::default().set(name, value)?;
        self.rows.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Reads `name=value, name=value`.
    pub fn from_text(text: &str) -> Result<Self, QuirkError> {
        let mut layer = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (name, value) = part.split_once('=').ok_or_else(|| QuirkError {
                message: format!("`{part}` is not NAME=VALUE"),
                hint: "such as `era=beta-2025, expired-container=server-error`".to_owned(),
            })?;
            layer.set(name.trim(), value.trim())?;
        }
        Ok(layer)
    }

    /// Every row of `quirks`: what [`Layer::to_text`] keeps, whatever the layers below say later.
    pub fn of(quirks: &Quirks) -> Self {
        let rows = quirks.rows().into_iter();
        Self {
            profile: None,
            rows: rows
                .map(|(name, value, _)| (name.to_owned(), value))
                .collect(),
        }
    }

    /// The rows as [`Layer::from_text`] reads them.
    pub fn to_text(&self) -> String {
        let profile = self.profile.map(|profile| ("profile", profile.name()));
        let parts: Vec<_> = profile
            .into_iter()
            .chain(self.rows())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        parts.join(",")
    }

    /// Reads `{"name":"value"}`.
    pub fn from_json(value: &Value) -> Result<Self, QuirkError> {
        let hint = || r#"such as {"profile":"observed","container-idle":"270s"}"#.to_owned();
        let members = value.as_object().ok_or_else(|| QuirkError {
            message: "quirks are an object of names and values".to_owned(),
            hint: hint(),
        })?;
        let mut layer = Self::default();
        for (name, value) in members {
            let text = match value {
                Value::String(text) => text.clone(),
                // A row may be a number.
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(QuirkError {
                        message: format!("`{name}` is {value}, not a string"),
                        hint: hint(),
                    });
                }
            };
            layer.set(name, &text)?;
        }
        Ok(layer)
    }

    /// The rows set, by name.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The profile set.
    pub fn profile(&self) -> Option<Profile> {
        self.profile
    }
}

impl Layers {
    /// Lays `layer` over what is there. A profile in it sets every row anew.
    #[must_use]
    pub fn with(mut self, layer: &Layer) -> Self {
        if let Some(profile) = layer.profile {
            self = Self {
                profile,
                quirks: Quirks::of(profile),
            };
        }
        for (name, value) in &layer.rows {
            self.quirks
                .set(name, value)
                .expect("a layer takes only what a quirk takes");
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quirks::{Era, ExpiredContainer, UnknownContainer};

    #[test]
    fn a_later_layer_wins_row_by_row_and_a_profile_sets_all_rows() {
        let server = Layer::from_text("profile=observed, era=beta-2025").unwrap();
        let workspace =
            Layer::from_json(&serde_json::json!({"expired-container": "request-error"}));
        let layers = Layers::default().with(&server).with(&workspace.unwrap());
        assert_eq!(layers.quirks.era, Era::Beta2025);
        assert_eq!(
            layers.quirks.expired_container,
            ExpiredContainer::RequestError
        );
        assert_eq!(layers.quirks.unknown_container, UnknownContainer::AsExpired);
        let request = Layer::from_text("profile=documented").unwrap();
        assert_eq!(layers.with(&request), Layers::default());
    }

    #[test]
    fn all_rows_go_into_a_text_and_come_out_of_it() {
        let set = Layer::from_text("profile=observed, era=beta-2025, container-idle=270s");
        let quirks = Layers::default().with(&set.unwrap()).quirks;
        let text = Layer::of(&quirks).to_text();
        let read = Layer::from_text(&text).unwrap();
        assert_eq!(Layers::default().with(&read).quirks, quirks);
        let mixed = Layer::from_text("profile=observed,era=beta-2025").unwrap();
        assert_eq!(mixed.to_text(), "profile=observed,era=beta-2025");
    }

    #[test]
    fn what_is_not_name_and_value_is_refused() {
        assert!(Layer::from_text("era").is_err());
        assert!(Layer::from_text("era=").is_err());
        assert!(Layer::from_json(&serde_json::json!({"era": 1})).is_err());
        let number = Layer::from_json(&serde_json::json!({"turn-iterations": 5})).unwrap();
        assert_eq!(number.to_text(), "turn-iterations=5");
        assert!(Layer::from_json(&serde_json::json!([])).is_err());
        assert_eq!(Layer::from_text(" ,").unwrap(), Layer::default());
    }
}
