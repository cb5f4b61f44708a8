//! The virtual clock. Every time a client sees, every expiry and every window, comes from here;
//! nothing else may ask the system for the date.
//!
//! A clock belongs to a workspace. It runs with the wall clock, shifted by what it was advanced, or
//! stands still while frozen. It never goes back, except by [`Clock::reset`].

use std::sync::{Arc, Mutex};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// One workspace's clock. Clones share the same time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    shown: Arc<Mutex<Shown>>,
}

#[derive(Debug, Default)]
struct Shown {
    state: State,
    /// The latest time that it has shown while it ran.
    last: Option<DateTime<Utc>>,
}

impl Shown {
    /// The present time. What the machine's clock was set back is made good: what comes later has no earlier time.
    fn now(&mut self) -> DateTime<Utc> {
        let now = self.state.now();
        if self.state.frozen_at.is_some() {
            return now;
        }
        if let Some(last) = self.last.filter(|last| now < *last) {
            self.state.offset += last - now;
            return last;
        }
        self.last = Some(now);
        now
    }
}

/// The state of a clock, from which the same clock is built again after a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// How far the virtual time is ahead of the wall clock (behind, if negative).
    pub offset: TimeDelta,
    /// The instant at which the clock stands still, if it does.
    pub frozen_at: Option<DateTime<Utc>>,
}

/// What a clock is told to do, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    pub advance: Option<TimeDelta>,
    pub set: Option<DateTime<Utc>>,
    pub freeze: Option<bool>,
}

/// The clock only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clock only goes forward: it is {now}, and {wanted} is earlier")]
pub struct BackwardsError {
    now: DateTime<Utc>,
    wanted: DateTime<Utc>,
}

impl Clock {
    /// A clock that goes on from a kept state.
    pub fn from_state(state: State) -> Self {
        Self {
            shown: Arc::new(Mutex::new(Shown { state, last: None })),
        }
    }

    /// The present virtual time.
    pub fn now(&self) -> DateTime<Utc> {
        self.lock().now()
    }

    /// Whether the clock stands still.
    pub fn is_frozen(&self) -> bool {
        self.lock().state.frozen_at.is_some()
    }

    /// The state to keep over a restart.
    pub fn state(&self) -> State {
        self.forward().state
    }

    /// Moves the clock forward by `by`; a negative span is refused.
    pub fn advance(&self, by: TimeDelta) -> Result<DateTime<Utc>, BackwardsError> {
        self.change(Change {
            advance: Some(by),
            ..Change::default()
        })
    }

    /// Moves the clock forward to `to`.
    pub fn set(&self, to: DateTime<Utc>) -> Result<DateTime<Utc>, BackwardsError> {
        self.change(Change {
            set: Some(to),
            ..Change::default()
        })
    }

    /// Stops the clock where it stands, or lets it run on from there.
    pub fn freeze(&self, frozen: bool) {
        self.forward().state.freeze(frozen);
    }

    /// Makes a change as a whole, or none of it.
    pub fn change(&self, change: Change) -> Result<DateTime<Utc>, BackwardsError> {
        let mut shown = self.forward();
        let changed = shown.state.after(change)?;
        shown.state = changed;
        Ok(changed.now())
    }

    /// Back to where it began, which may be earlier: the wall clock is `State::default()`.
    pub fn reset(&self, beginning: State) {
        *self.lock() = Shown {
            state: beginning,
            last: None,
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shown> {
        let shown = self.shown.lock();
        shown.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// With a state that is not behind what was shown.
    fn forward(&self) -> std::sync::MutexGuard<'_, Shown> {
        let mut shown = self.lock();
        shown.now();
        shown
    }
}

/// Where every clock stops: 9999-01-01, so that what ends some months later still has a year of four digits.
pub const LAST: DateTime<Utc> =
    DateTime::from_timestamp_secs(253_370_764_800).expect("it is in range");

impl State {
    /// Of a clock that shows `now` (the present where there is none).
    pub fn at(now: Option<DateTime<Utc>>, frozen: bool) -> Self {
        let wall = wall();
        let now = now.unwrap_or(wall);
        Self {
            offset: now - wall,
            frozen_at: frozen.then_some(now),
        }
    }

    /// The time that its clock shows at present.
    pub fn now(&self) -> DateTime<Utc> {
        let now = self
            .frozen_at
            .or_else(|| wall().checked_add_signed(self.offset));
        now.unwrap_or(LAST).min(LAST)
    }

    /// Whether a change would go on past [`LAST`], where the clock stops.
    pub fn goes_past_the_end(&self, change: Change) -> bool {
        let Change {
            advance,
            set,
            freeze: _,
        } = change;
        let is_over = |time: Option<DateTime<Utc>>| time.is_none_or(|time| time > LAST);
        advance.is_some_and(|by| is_over(self.now().checked_add_signed(by)))
            || set.is_some_and(|time| is_over(Some(time)))
    }

    /// The state that a change leads to.
    pub fn after(mut self, change: Change) -> Result<Self, BackwardsError> {
        // First, so that a clock that is to stand does so at the time that is given, and not a moment later.
        if change.freeze == Some(true) {
            self.freeze(true);
        }
        if let Some(by) = change.advance {
            let now = self.now();
            self.move_to(now, now.checked_add_signed(by).unwrap_or(LAST))?;
        }
        if let Some(to) = change.set {
            self.move_to(self.now(), to)?;
        }
        if change.freeze == Some(false) {
            self.freeze(false);
        }
        Ok(self)
    }

    fn freeze(&mut self, frozen: bool) {
        let now = self.now();
        match (frozen, self.frozen_at) {
            (true, None) => self.frozen_at = Some(now),
            (false, Some(at)) => {
                self.offset = at - wall();
                self.frozen_at = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn move_to(&mut self, now: DateTime<Utc>, wanted: DateTime<Utc>) -> Result<(), BackwardsError> {
        let wanted = wanted.min(LAST);
        if wanted < now {
            return Err(BackwardsError { now, wanted });
        }
        match &mut self.frozen_at {
            Some(at) => *at = wanted,
            None => self.offset += wanted - now,
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
fn wall() -> DateTime<Utc> {
    Utc::now()
}

/// RFC 3339 with microseconds and `Z`, as the API prints container and file times.
pub fn rfc3339_micros(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The milliseconds of a unit of time: of `w`, `d`, `h`, `m`, `s`, and `ms`.
pub fn unit_ms(unit: &str) -> Option<u32> {
    Some(match unit {
        "w" => 7 * 24 * 3_600_000,
        "d" => 24 * 3_600_000,
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1000,
        "ms" => 1,
        _ => return None,
    })
}

/// `30d`, `12h`, `5m`, `90s`, `250ms`, one after the other (`1h30m`), or ISO 8601 (`P30D`, `PT5M`).
pub fn span(text: &str) -> Option<TimeDelta> {
    let Some(iso) = text.strip_prefix('P') else {
        return sum(text, &["w", "d", "h", "m", "s", "ms"]);
    };
    let iso = iso.to_ascii_lowercase();
    // Before the `T` an `M` is months, which are not all as long.
    let (days, times) = match iso.split_once('t') {
        Some((days, times)) => (days, Some(times)),
        None => (iso.as_str(), None),
    };
    let of_days = |days: &str| sum(days, &["w", "d"]);
    match times.map(|times| sum(times, &["h", "m", "s"])) {
        None => of_days(days),
        Some(times) if days.is_empty() => times,
        Some(times) => of_days(days)?.checked_add(&times?),
    }
}

/// The sum of numbers with these units.
fn sum(text: &str, units: &[&str]) -> Option<TimeDelta> {
    let mut rest = text;
    let mut total = TimeDelta::zero();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (unit, tail) = rest.split_at(end);
        let unit = unit_ms(unit).filter(|_| units.contains(&unit))?;
        let millis = number.checked_mul(i64::from(unit))?;
        total = total.checked_add(&TimeDelta::try_milliseconds(millis)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_and_frozen_stands_at_that_very_time() {
        let time = DateTime::from_timestamp_secs(4_102_444_800).unwrap();
        let change = Change {
            advance: None,
            set: Some(time),
            freeze: Some(true),
        };
        for _ in 0..10_000 {
            let state = State::default().after(change).unwrap();
            assert_eq!(state.now(), time);
        }
    }

    #[test]
    fn spans_are_read_in_both_forms() {
        assert_eq!(span("30d"), Some(TimeDelta::days(30)));
        assert_eq!(span("1h30m"), Some(TimeDelta::minutes(90)));
        assert_eq!(span("250ms"), Some(TimeDelta::milliseconds(250)));
        assert_eq!(span("P30D"), Some(TimeDelta::days(30)));
        assert_eq!(span("PT5M"), Some(TimeDelta::minutes(5)));
        assert_eq!(span("P1W"), Some(TimeDelta::weeks(1)));
        assert_eq!(span("P1DT12H"), Some(TimeDelta::hours(36)));
        for wrong in [
            "",
            "30",
            "d",
            "5 m",
            "-1d",
            "1y",
            "99999999999999999d",
            "P",
            "PT",
            "P1DT",
            "P1Y",
            "P1M",
            "P1H",
            "P1S",
            "PT1D",
            "PT1W",
            "PT1HT1M",
            "PT250MS",
        ] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_frozen_clock_stands_still_and_moves_only_when_told() {
        let clock = Clock::default();
        clock.freeze(true);
        let start = clock.now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert_eq!(clock.now(), start);
        let later = clock.advance(TimeDelta::days(30)).unwrap();
        assert_eq!(later - start, TimeDelta::days(30));
        assert_eq!(clock.now(), later);
    }

    #[test]
    fn a_machine_whose_clock_is_set_back_sets_none_back() {
        let clock = Clock::default();
        let before = clock.now();
        // As if it had shown this before.
        let last = before + TimeDelta::days(40);
        clock.shown.lock().unwrap().last = Some(last);
        let after = clock.now();
        assert!(after >= last && after - last < TimeDelta::seconds(5));
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(clock.now() > after, "it goes on");
        // A reset, and a clock that stands, may be earlier.
        clock.reset(State::default());
        assert!(clock.now() < last);
        clock.reset(State::at(Some(before), true));
        assert_eq!(clock.now(), before);
    }

    #[test]
    fn a_thawed_clock_goes_on_from_where_it_stood() {
        let clock = Clock::default();
        clock.freeze(true);
        let stood = clock.advance(TimeDelta::hours(1)).unwrap();
        clock.freeze(false);
        let now = clock.now();
        assert!(
            now >= stood && now - stood < TimeDelta::seconds(5),
            "{stood} then {now}"
        );
    }

    #[test]
    fn a_clock_stops_before_times_have_no_name() {
        let clock = Clock::default();
        clock.advance(TimeDelta::MAX).unwrap();
        clock.freeze(true);
        clock.advance(TimeDelta::MAX).unwrap();
        assert_eq!(rfc3339_micros(clock.now()), "9999-01-01T00:00:00.000000Z");
        clock.freeze(false);
        assert_eq!(clock.set(DateTime::<Utc>::MAX_UTC).unwrap(), LAST);
    }

    #[test]
    fn going_back_is_refused_and_changes_nothing() {
        let clock = Clock::default();
        clock.freeze(true);
        let now = clock.now();
        assert!(clock.set(now - TimeDelta::seconds(1)).is_err());
        assert!(clock.advance(TimeDelta::seconds(-1)).is_err());
        let half = Change {
            advance: Some(TimeDelta::days(1)),
            set: Some(now),
            freeze: Some(false),
        };
        assert!(clock.change(half).is_err());
        assert_eq!(clock.now(), now);
        assert!(clock.is_frozen());
    }
}
