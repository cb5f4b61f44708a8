//! Values of quirks as text.

use chrono::TimeDelta;

use super::{ContainerIdle, TurnIterations};

/// A value with its words.
pub(super) trait QuirkValue: Sized {
    /// The values that can be written; in angle brackets those that have no fixed word.
    const VALUES: &'static [&'static str];

    fn read(text: &str) -> Option<Self>;

    fn text(&self) -> String;
}

impl QuirkValue for ContainerIdle {
    const VALUES: &'static [&'static str] = &["none", "<span such as 270s, 5m, 12h, 30d>"];

    fn read(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self(None));
        }
        let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(unit_at);
        let number: i64 = number.parse().ok()?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return None,
        };
        let span = TimeDelta::try_seconds(number.checked_mul(seconds)?)?;
        // Longer than containers live would never be seen, and overflows dates.
        (span > TimeDelta::zero() && span <= TimeDelta::days(3650)).then_some(Self(Some(span)))
    }

    fn text(&self) -> String {
        match self.0 {
            None => "none".to_owned(),
            Some(span) => format!("{}s", span.num_seconds()),
        }
    }
}

impl QuirkValue for TurnIterations {
    const VALUES: &'static [&'static str] = &["<1 to 1000>"];

    fn read(text: &str) -> Option<Self> {
        let number = text.parse().ok()?;
        (1..=1000).contains(&number).then_some(Self(number))
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_needs_its_unit() {
        assert_eq!(ContainerIdle::read("5m").unwrap().text(), "300s");
        for wrong in [
            "",
            "270",
            "s",
            "0s",
            "-5s",
            "99999999999999999999s",
            "9223372036854775807d",
        ] {
            assert_eq!(ContainerIdle::read(wrong), None, "{wrong}");
        }
    }
}
