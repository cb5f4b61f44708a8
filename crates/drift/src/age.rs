//! How old recordings are, and how old they may get.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use cassette::Cassette;
use common::clock::Clock;

/// How old a recording may get.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Beyond it the run fails.
    pub expire: Option<TimeDelta>,
    /// Beyond it the age is told.
    pub warn: Option<TimeDelta>,
}

/// A recording's age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Age {
    pub cassette: String,
    /// RFC 3339; null where the cassette does not say.
    pub recorded_at: Option<String>,
    /// Null where the day is not known.
    pub days: Option<i64>,
    #[serde(flatten)]
    pub state: State,
}

/// The state of a recording by its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "age", rename_all = "snake_case")]
pub enum State {
    Young,
    /// Older than is told of.
    Old,
    /// Older than is allowed. A recording without a day is where there is a limit.
    Expired,
}

impl Age {
    /// The age of a cassette, today.
    pub(super) fn of(cassette: &Cassette, limits: Limits) -> Self {
        Self::at(cassette, limits, Clock::default().now())
    }

    fn at(cassette: &Cassette, limits: Limits, now: DateTime<Utc>) -> Self {
        let recorded_at = cassette.about.recorded_at.clone();
        let day = recorded_at
            .as_deref()
            .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        let age = day.map(|day| now - day.to_utc());
        let beyond =
            |limit: Option<TimeDelta>| limit.is_some_and(|most| age.is_none_or(|age| age > most));
        Self {
            cassette: cassette.name.clone(),
            recorded_at,
            days: age.map(|age| age.num_days()),
            state: if beyond(limits.expire) {
                State::Expired
            } else if beyond(limits.warn) {
                State::Old
            } else {
                State::Young
            },
        }
    }

    /// Whether the run fails for it.
    pub fn is_expired(&self) -> bool {
        self.state == State::Expired
    }

    /// The message about it; `None` of a young recording.
    pub fn told(&self) -> Option<String> {
        let what = match self.state {
            State::Young => return None,
            State::Old => "is old",
            State::Expired => "has expired",
        };
        let age = match (self.days, &self.recorded_at) {
            (Some(days), Some(at)) => format!("recorded {days} days ago, {at}"),
            _ => "it does not say when it was recorded".to_owned(),
        };
        Some(format!("{}: {what}: {age}", self.cassette))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cassette::About;

    #[test]
    fn a_recording_is_young_then_old_then_expired_and_one_without_a_day_has_expired() {
        let limits = Limits {
            expire: Some(TimeDelta::days(90)),
            warn: Some(TimeDelta::days(60)),
        };
        let now = "2026-11-28T00:00:00Z".parse().unwrap();
        let state = |recorded: Option<&str>, limits| {
            let cassette = Cassette {
                about: About {
                    recorded_at: recorded.map(str::to_owned),
                    ..About::default()
                },
                ..Cassette::default()
            };
            Age::at(&cassette, limits, now).state
        };
        assert_eq!(state(Some("2026-10-28T00:00:00Z"), limits), State::Young);
        assert_eq!(state(Some("2026-09-20T00:00:00Z"), limits), State::Old);
        assert_eq!(
            state(Some("2026-08-20T00:00:00+02:00"), limits),
            State::Expired
        );
        assert_eq!(state(None, limits), State::Expired);
        assert_eq!(state(None, Limits::default()), State::Young);
    }
}
