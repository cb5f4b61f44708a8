//! Reading wire faults.

use std::time::Duration;

use serde_json::Value;

use super::{FaultError, Keys, bad, one_of};
use crate::fault::{Pace, Where, WireAct};

/// The keys of a wire fault, beside those of every fault.
pub(super) const KEYS: [&str; 13] = [
    "path",
    "method",
    "do",
    "bytes",
    "bytes_per_second",
    "after_bytes",
    "after_events",
    "after_work",
    "count",
    "chars",
    "ttft_ms",
    "tokens_per_second",
    "jitter",
];

::wire::words! {
    /// `do`.
    Word {
        Slow "slow",
        Split "split",
        Merge "merge",
        Hang "hang",
        Reset "reset",
        Malformed "malformed",
        UnknownEvent "unknown_event",
        Pings "pings",
        Deltas "deltas",
        UnknownMembers "unknown_members",
        Pace "pace",
    }
}

/// All of its `do`.
#[cfg(test)]
pub(super) const NAMES: &[&str] = Word::NAMES;

impl Word {
    /// The keys that go with it.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Slow => &["bytes_per_second"],
            Self::Split => &["bytes"],
            Self::Merge | Self::UnknownMembers => &[],
            Self::Deltas => &["chars"],
            Self::Hang | Self::Reset => &["after_bytes", "after_events", "after_work"],
            Self::Malformed | Self::UnknownEvent => &["after_events"],
            Self::Pings => &["after_events", "count"],
            Self::Pace => &["ttft_ms", "tokens_per_second", "jitter"],
        }
    }
}

/// Most pings in a row.
const MAX_PINGS: u64 = 1000;
/// The least keeps the longest wait within what a span can hold.
const TOKENS_PER_SECOND: std::ops::RangeInclusive<f64> = 1e-3..=1e6;

pub(super) fn read(keys: &Keys<'_>) -> Result<WireAct, FaultError> {
    let names = one_of(Word::NAMES);
    let word = keys.get("do", &names, |value| Word::from_name(value.as_str()?))?;
    let Some(word) = word else {
        return Err(bad("a wire fault needs a `do`", names));
    };
    let name = word.name();
    keys.refuse_strays(name, word.keys(), &KEYS[3..])?;
    let whole = |key: &str| keys.get(key, "a number from 0", Value::as_u64);
    let after = whole("after_events")?.unwrap_or(1);
    let needed = |key: &'static str, example: &str| {
        let value = keys.get(key, "a number from 1", |value| {
            value.as_u64().filter(|number| *number > 0)
        })?;
        value.ok_or_else(|| bad(format!("`do: {name}` needs `{key}`"), example))
    };
    let place = || -> Result<Where, FaultError> {
        match (whole("after_bytes")?, whole("after_events")?) {
            (Some(_), Some(_)) => Err(bad(
                "`after_bytes` and `after_events` say two places",
                "leave one out",
            )),
            (Some(bytes), None) => Ok(Where::Bytes(bytes)),
            (None, Some(events)) => Ok(Where::Events(events)),
            (None, None) => Ok(Where::Bytes(0)),
        }
    };
    Ok(match word {
        Word::Slow => WireAct::Slow {
            bytes_per_second: needed("bytes_per_second", "such as \"bytes_per_second\": 1000")?,
        },
        Word::Split => WireAct::Split {
            bytes: usize::try_from(needed("bytes", "such as \"bytes\": 7")?).unwrap_or(usize::MAX),
        },
        Word::Merge => WireAct::Merge,
        Word::Deltas => WireAct::Deltas {
            chars: usize::try_from(needed("chars", "such as \"chars\": 1")?).unwrap_or(usize::MAX),
        },
        Word::UnknownMembers => WireAct::UnknownMembers,
        Word::Hang | Word::Reset if keys.boolean("after_work")?.unwrap_or(false) => WireAct::Lost {
            place: place()?,
            hangs: name == Word::Hang.name(),
        },
        Word::Hang => WireAct::Hang(place()?),
        Word::Reset => WireAct::Reset(place()?),
        Word::Malformed => WireAct::Malformed {
            after_events: after,
        },
        Word::UnknownEvent => WireAct::Unknown {
            after_events: after,
        },
        Word::Pings => WireAct::Pings {
            after_events: after,
            count: keys
                .get("count", "a number from 1 to 1000", |value| {
                    let count = value
                        .as_u64()
                        .filter(|count| (1..=MAX_PINGS).contains(count));
                    count.and_then(|count| u32::try_from(count).ok())
                })?
                .unwrap_or(2),
        },
        Word::Pace => WireAct::Pace(pace(keys)?),
    })
}

fn pace(keys: &Keys<'_>) -> Result<Pace, FaultError> {
    let ttft = keys.milliseconds("ttft_ms")?;
    let rates = "a number from 0.001 to 1000000";
    let tokens_per_second = keys.get("tokens_per_second", rates, |value| {
        let rate = value.as_f64();
        rate.filter(|rate| TOKENS_PER_SECOND.contains(rate))
    })?;
    let jitter = keys.get("jitter", "a number from 0 to 1", |value| {
        value.as_f64().filter(|part| (0.0..=1.0).contains(part))
    })?;
    if ttft.is_none() && tokens_per_second.is_none() {
        return Err(bad(
            "`do: pace` needs `ttft_ms` or `tokens_per_second`",
            "such as \"ttft_ms\": 300, \"tokens_per_second\": 60",
        ));
    }
    Ok(Pace {
        ttft: ttft.unwrap_or(Duration::ZERO),
        tokens_per_second,
        jitter: jitter.unwrap_or(0.0),
    })
}
