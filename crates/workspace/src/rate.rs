//! Rate limits, off by default: requests, input and output tokens a minute, for each model of a workspace.
//!
//! A bucket holds what a minute allows and fills up steadily on the workspace's clock. A request takes
//! one and its estimated input when it comes; what the turn really used is settled when it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};

pub use control_api::{RateLimit, RateLimitError};

/// The models that a limit applies to, and its amount of each kind.
trait Bounds {
    /// Whether it limits this model.
    fn applies_to(&self, model: &str) -> bool;
    /// How much of a kind, if it says so.
    fn of(&self, kind: Kind) -> Option<u64>;
}

impl Bounds for RateLimit {
    fn applies_to(&self, model: &str) -> bool {
        let prefix = self.model.as_deref();
        self.is_for_models() && prefix.is_none_or(|prefix| model.starts_with(prefix))
    }

    fn of(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::Requests => self.requests,
            Kind::InputTokens => self.input_tokens,
            Kind::OutputTokens => self.output_tokens,
        }
    }
}

/// The unit that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Requests,
    InputTokens,
    OutputTokens,
}

impl Kind {
    /// All of them, in the order in which they are checked.
    pub const ALL: [Self; 3] = [Self::Requests, Self::InputTokens, Self::OutputTokens];

    /// As the service's message calls it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
        }
    }
}

/// How one limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    pub limit: u64,
    pub remaining: u64,
    /// When the bucket is full again.
    pub reset: DateTime<Utc>,
}

/// How a model's limits stand, in the order of [`Kind::ALL`]; `None` where nothing is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing(pub [Option<Gauge>; 3]);

/// A request beyond a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub kind: Kind,
    /// The amount allowed per minute.
    pub limit: u64,
    /// Whole seconds until it would be let in.
    pub retry_after: u64,
    pub standing: Standing,
}

/// The limits of one workspace, and how they stand.
#[derive(Debug, Default)]
pub struct Rates {
    /// The limits of the server's flags.
    base: Arc<[RateLimit]>,
    limits: RwLock<Arc<[RateLimit]>>,
    /// By model.
    buckets: Mutex<HashMap<String, [Bucket; 3]>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Below zero after a turn that used more than there was.
    level: f64,
    at: DateTime<Utc>,
}

/// Stands in the place of a model; no model is called so.
const FILES: &str = "/v1/files";

/// More models than this share no buckets any more: they start with full ones.
const MAX_MODELS: usize = 1000;

impl Rates {
    /// Limits of a server's flags.
    pub fn new(base: Arc<[RateLimit]>) -> Self {
        Self {
            limits: RwLock::new(Arc::clone(&base)),
            base,
            buckets: Mutex::default(),
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> Arc<[RateLimit]> {
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&limits)
    }

    /// The limits in force, if they are not the server's.
    pub fn own(&self) -> Option<Arc<[RateLimit]>> {
        let limits = self.limits();
        (!Arc::ptr_eq(&limits, &self.base)).then_some(limits)
    }

    /// Other limits, with full buckets.
    pub fn set(&self, limits: Arc<[RateLimit]>) {
        let mut current = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        *current = limits;
        self.buckets().clear();
    }

    /// Back to the server's limits, with full buckets.
    pub fn reset(&self) {
        self.set(Arc::clone(&self.base));
    }

    /// Lets a request in, or not. `None` where nothing is limited.
    pub fn admit(
        &self,
        model: &str,
        input_tokens: u64,
        now: DateTime<Utc>,
    ) -> Result<Option<Standing>, Refusal> {
        let limits = self.limits();
        match limits.iter().find(|limit| limit.applies_to(model)) {
            Some(limit) => self.take(limit, model, input_tokens, now).map(Some),
            None => Ok(None),
        }
    }

    /// Lets a call of the Files API in, or not.
    pub fn admit_files(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        let limits = self.limits();
        let Some(files) = limits.iter().find_map(|limit| limit.files) else {
            return Ok(());
        };
        let limit = RateLimit {
            requests: Some(files),
            ..RateLimit::default()
        };
        self.take(&limit, FILES, 0, now).map(|_| ())
    }

    fn take(
        &self,
        limit: &RateLimit,
        model: &str,
        input_tokens: u64,
        now: DateTime<Utc>,
    ) -> Result<Standing, Refusal> {
        let mut all = self.buckets();
        let buckets = fill(&mut all, model, limit, now);
        let wants = [1, input_tokens, 1];
        for ((kind, wants), bucket) in Kind::ALL.into_iter().zip(wants).zip(&*buckets) {
            let Some(most) = limit.of(kind) else {
                continue;
            };
            let missing = number(wants) - bucket.level;
            if missing > 0.0 {
                return Err(Refusal {
                    kind,
                    limit: most,
                    retry_after: whole(missing / number(most) * 60.0).clamp(1, 60),
                    standing: standing(limit, buckets, now),
                });
            }
        }
        buckets[0].level -= 1.0;
        buckets[1].level -= number(input_tokens);
        Ok(standing(limit, buckets, now))
    }

    /// Settles what a turn used beyond the estimate it was let in with.
    pub fn settle(&self, model: &str, estimate: u64, input: u64, output: u64, now: DateTime<Utc>) {
        let limits = self.limits();
        let Some(limit) = limits.iter().find(|limit| limit.applies_to(model)) else {
            return;
        };
        let mut all = self.buckets();
        let buckets = fill(&mut all, model, limit, now);
        buckets[1].level -= number(input) - number(estimate);
        buckets[2].level -= number(output);
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<String, [Bucket; 3]>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A model's buckets, filled up to `now`.
fn fill<'a>(
    all: &'a mut HashMap<String, [Bucket; 3]>,
    model: &str,
    limit: &RateLimit,
    now: DateTime<Utc>,
) -> &'a mut [Bucket; 3] {
    if all.len() >= MAX_MODELS && !all.contains_key(model) {
        all.clear();
    }
    let full = |kind| Bucket {
        level: number(limit.of(kind).unwrap_or(0)),
        at: now,
    };
    let buckets = all
        .entry(model.to_owned())
        .or_insert_with(|| Kind::ALL.map(full));
    for (bucket, kind) in buckets.iter_mut().zip(Kind::ALL) {
        let most = number(limit.of(kind).unwrap_or(0));
        let seconds = (now - bucket.at).as_seconds_f64().max(0.0);
        bucket.level = (bucket.level + most * seconds / 60.0).min(most);
        bucket.at = now;
    }
    buckets
}

fn standing(limit: &RateLimit, buckets: &[Bucket; 3], now: DateTime<Utc>) -> Standing {
    let mut standing = Standing::default();
    for ((gauge, kind), bucket) in standing.0.iter_mut().zip(Kind::ALL).zip(buckets) {
        *gauge = limit.of(kind).map(|most| {
            let seconds = whole((number(most) - bucket.level) / number(most) * 60.0);
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000);
            Gauge {
                limit: most,
                remaining: floor(bucket.level),
                reset: now + TimeDelta::seconds(seconds),
            }
        });
    }
    standing
}

#[expect(
    clippy::cast_precision_loss,
    reason = "limits beyond 2^53 limit nothing"
)]
fn number(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is no count becomes the nearest one"
)]
fn floor(count: f64) -> u64 {
    count.max(0.0) as u64
}

fn whole(seconds: f64) -> u64 {
    // What is a billionth beyond a whole second is a matter of rounding.
    floor((seconds - 1e-9).ceil())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    const MODEL: &str = "claude-opus-5";

    fn at(seconds: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
    }

    fn rates(limit: &str) -> Rates {
        Rates::new(Arc::new([limit.parse().unwrap()]))
    }

    #[test]
    fn requests_beyond_the_limit_wait_for_the_bucket_to_fill() {
        let rates = rates("requests=2");
        rates.admit(MODEL, 10, at(0)).unwrap();
        let Standing([Some(gauge), None, None]) = rates.admit(MODEL, 10, at(0)).unwrap().unwrap()
        else {
            panic!("only requests are limited");
        };
        assert_eq!((gauge.limit, gauge.remaining, gauge.reset), (2, 0, at(60)));
        let refusal = rates.admit(MODEL, 10, at(0)).unwrap_err();
        assert_eq!((refusal.kind, refusal.retry_after), (Kind::Requests, 30));
        assert!(rates.admit(MODEL, 10, at(29)).is_err());
        assert!(rates.admit(MODEL, 10, at(30)).is_ok());
    }

    #[test]
    fn each_model_has_its_own_buckets_and_others_none() {
        let rates = rates("requests=1,model=claude-opus");
        assert!(rates.admit(MODEL, 0, at(0)).unwrap().is_some());
        assert!(rates.admit(MODEL, 0, at(0)).is_err());
        assert!(rates.admit("claude-opus-4-7", 0, at(0)).is_ok());
        assert_eq!(rates.admit("claude-haiku-4-5", 0, at(0)), Ok(None));
    }

    #[test]
    fn input_counts_by_estimate_and_then_by_use() {
        let rates = rates("input_tokens=1000");
        rates.admit(MODEL, 400, at(0)).unwrap();
        rates.settle(MODEL, 400, 900, 50, at(0));
        let refusal = rates.admit(MODEL, 400, at(0)).unwrap_err();
        assert_eq!(
            (refusal.kind, refusal.limit, refusal.retry_after),
            (Kind::InputTokens, 1000, 18)
        );
        assert!(rates.admit(MODEL, 400, at(18)).is_ok());
    }

    #[test]
    fn output_is_refused_only_when_it_is_used_up() {
        let rates = rates("output_tokens=60");
        rates.admit(MODEL, 400, at(0)).unwrap();
        rates.settle(MODEL, 400, 400, 100, at(0));
        let refusal = rates.admit(MODEL, 400, at(0)).unwrap_err();
        assert_eq!(
            (refusal.kind, refusal.retry_after),
            (Kind::OutputTokens, 41)
        );
        assert!(rates.admit(MODEL, 400, at(41)).is_ok());
    }

    #[test]
    fn a_request_larger_than_the_limit_never_gets_in() {
        let rates = rates("input_tokens=100");
        let refusal = rates.admit(MODEL, 101, at(0)).unwrap_err();
        assert_eq!(refusal.retry_after, 1);
        assert!(rates.admit(MODEL, 101, at(3600)).is_err());
    }

    #[test]
    fn what_is_typed_wrongly_says_what_is_wrong() {
        for (text, word) in [
            ("requests", "NAME=NUMBER"),
            ("requests=many", "no number"),
            ("tokens=5", "none of"),
            ("requests=0", "at least 1"),
            ("requests=1,requests=2", "`requests` is there twice"),
            ("model=claude", "none of"),
            ("requests=1,model=claude-*", "none has a `*`"),
        ] {
            let error = text.parse::<RateLimit>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
