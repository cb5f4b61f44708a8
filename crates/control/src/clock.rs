//! A workspace's time.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// The workspace's time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockState {
    #[serde(serialize_with = "micros")]
    #[schemars(with = "DateTime<Utc>")]
    pub now: DateTime<Utc>,
    /// It stands still.
    pub frozen: bool,
}

/// Changes of the clock, applied in this order. At least one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockChange {
    /// `30d`, `12h`, `5m`, `90s`, `1h30m`, or ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub advance: Option<String>,
    /// A later time, up to 9999-01-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub set: Option<String>,
    /// Whether it stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub freeze: Option<bool>,
}

/// `2026-01-04T20:47:05.000000Z`.
pub fn time_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

pub(crate) fn micros<S: Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time_text(*time))
}

#[expect(clippy::ref_option, reason = "serde hands it over so")]
pub(crate) fn micros_if_known<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => micros(time, serializer),
        None => serializer.serialize_none(),
    }
}
