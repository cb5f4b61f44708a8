//! Rate limits on the wire: who is let in, and the headers that say how the limits stand.

use std::cell::RefCell;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use chrono::{DateTime, SecondsFormat, Utc};

use crate::api::error::{ApiError, ApiResult};
use engine::{self, TurnInput};
use workspace::rate::{Gauge, Kind, Refusal, Standing};

/// An answer has about as many headers, those of the limits and its ids among them.
const ANSWER_HEADERS: usize = 24;

/// Lets a turn in, or refuses it.
pub(super) fn admit(input: &mut TurnInput) -> ApiResult<Option<Standing>> {
    let workspace = &input.workspace;
    if workspace.rates.limits().is_empty() {
        return Ok(None);
    }
    let estimate = engine::input_tokens(input);
    let now = workspace.clock.now();
    let model = engine::models::resolve(&input.request.model);
    let standing = workspace.rates.admit(model, estimate, now);
    let standing =
        standing.map_err(|refusal| refused(&refusal, &workspace.organization_id, model, now))?;
    input.admitted_with = standing.map(|_| estimate);
    Ok(standing)
}

/// Parity: the service's text (F137).
fn refused(refusal: &Refusal, organization: &str, model: &str, now: DateTime<Utc>) -> ApiError {
    let limit = with_commas(refusal.limit);
    let kind = refusal.kind.text();
    let message = format!(
        "This request would exceed your organization's rate limit of {limit} {kind} per minute (org: {organization}, \
         model: {model}). For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the \
         response headers for current usage. Please reduce the prompt length or the maximum tokens requested, or \
         try again later. You may also contact sales at https://claude.com/contact-sales to discuss your options \
         for a rate limit increase."
    );
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
    let mut headers = HeaderMap::new();
    add(&mut headers, now, Some(refusal.standing));
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| Some((name?, value)))
        .chain([
            (header::RETRY_AFTER, refusal.retry_after.into()),
            (
                HeaderName::from_static("x-should-retry"),
                HeaderValue::from_static("true"),
            ),
        ]);
    headers.fold(error, |error, (name, value)| error.with_header(name, value))
}

fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The names of one limit's headers.
struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

/// In the order of [`Kind::ALL`]; then the more restrictive of the two kinds of tokens.
static NAMES: [Names; 4] = [
    Names {
        limit: HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        remaining: HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        reset: HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    },
    Names {
        limit: HeaderName::from_static("anthropic-ratelimit-input-tokens-limit"),
        remaining: HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining"),
        reset: HeaderName::from_static("anthropic-ratelimit-input-tokens-reset"),
    },
    Names {
        limit: HeaderName::from_static("anthropic-ratelimit-output-tokens-limit"),
        remaining: HeaderName::from_static("anthropic-ratelimit-output-tokens-remaining"),
        reset: HeaderName::from_static("anthropic-ratelimit-output-tokens-reset"),
    },
    Names {
        limit: HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        remaining: HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        reset: HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    },
];

/// An account that is far from its limits; `remaining` is rounded as recorded (F138).
const FAR_FROM: [(&str, &str); 4] = [
    ("10000", "9999"),
    ("10000000", "9998000"),
    ("2000000", "1999000"),
    ("12000000", "11997000"),
];

/// The headers of an answer of this type. Without limits all answers of a second have the same, and get a copy.
pub(super) fn head(
    kind: &HeaderValue,
    now: DateTime<Utc>,
    standing: Option<Standing>,
) -> HeaderMap {
    thread_local! {
        static LAST: RefCell<(i64, HeaderMap)> = RefCell::default();
    }
    let new = |standing| {
        let mut headers = HeaderMap::with_capacity(ANSWER_HEADERS);
        headers.insert(header::CONTENT_TYPE, kind.clone());
        add(&mut headers, now, standing);
        headers
    };
    if standing.is_some() {
        return new(standing);
    }
    LAST.with_borrow_mut(|(second, last)| {
        let is_same = *second == now.timestamp() && last.get(header::CONTENT_TYPE) == Some(kind);
        if !is_same {
            (*second, *last) = (now.timestamp(), new(None));
        }
        last.clone()
    })
}

/// Adds the headers: of the limits that are set, and far from them for the rest.
pub(super) fn add(headers: &mut HeaderMap, now: DateTime<Utc>, standing: Option<Standing>) {
    let full = text_of(now);
    headers.reserve(NAMES.len() * 3);
    let gauges = standing.map_or([None; 4], |standing| {
        let [requests, input, output] = standing.0;
        [requests, input, output, more_restrictive(input, output)]
    });
    let rows = NAMES.iter().zip(FAR_FROM).zip(gauges).enumerate();
    for (row, ((names, (limit, remaining)), gauge)) in rows {
        let tokens = row != Kind::Requests as usize;
        let (limit, remaining, reset) = match gauge {
            None => (
                HeaderValue::from_static(limit),
                HeaderValue::from_static(remaining),
                full.clone(),
            ),
            Some(gauge) => (
                gauge.limit.into(),
                rounded(gauge.remaining, tokens).into(),
                text_of(gauge.reset),
            ),
        };
        headers.insert(&names.limit, limit);
        headers.insert(&names.remaining, remaining);
        headers.insert(&names.reset, reset);
    }
}

/// Tokens are told to the thousand (F138).
fn rounded(remaining: u64, tokens: bool) -> u64 {
    if tokens {
        (remaining + 500) / 1000 * 1000
    } else {
        remaining
    }
}

fn more_restrictive(a: Option<Gauge>, b: Option<Gauge>) -> Option<Gauge> {
    match (a, b) {
        // Of two fractions the smaller one, without dividing.
        (Some(a), Some(b)) => {
            let (of_a, of_b) = (
                u128::from(a.remaining) * u128::from(b.limit),
                u128::from(b.remaining) * u128::from(a.limit),
            );
            Some(if of_b < of_a { b } else { a })
        }
        (a, b) => a.or(b),
    }
}

/// A time to the second.
fn text_of(time: DateTime<Utc>) -> HeaderValue {
    let text = time.to_rfc3339_opts(SecondsFormat::Secs, true);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (5, "5"),
            (1000, "1,000"),
            (30_000, "30,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(with_commas(number), text);
        }
    }

    #[test]
    fn set_limits_are_told_and_the_rest_are_far_away() {
        let now = Utc.timestamp_opt(1_800_000_000, 0).unwrap();
        let gauge = |limit, remaining| {
            Some(Gauge {
                limit,
                remaining,
                reset: now + chrono::TimeDelta::seconds(7),
            })
        };
        let mut headers = HeaderMap::new();
        let standing = Standing([None, gauge(30_000, 20_700), gauge(8_000, 1_000)]);
        add(&mut headers, now, Some(standing));
        let text = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(text("anthropic-ratelimit-requests-limit"), "10000");
        assert_eq!(text("anthropic-ratelimit-input-tokens-remaining"), "21000");
        assert_eq!(
            text("anthropic-ratelimit-input-tokens-reset"),
            "2027-01-15T08:00:07Z"
        );
        assert_eq!(text("anthropic-ratelimit-tokens-limit"), "8000");
        assert_eq!(
            text("anthropic-ratelimit-requests-reset"),
            "2027-01-15T08:00:00Z"
        );
    }

    #[test]
    fn a_copy_is_what_would_be_written_by_itself() {
        let second = |n: i64| Utc.timestamp_opt(1_800_000_000 + n, 0).unwrap();
        for (kind, n) in [
            ("a/b", 0),
            ("a/b", 0),
            ("c/d", 0),
            ("c/d", 1),
            ("c/d", 1),
            ("a/b", 0),
        ] {
            let kind = HeaderValue::from_static(kind);
            let headers = head(&kind, second(n), None);
            let mut alone = HeaderMap::new();
            alone.insert(header::CONTENT_TYPE, kind.clone());
            add(&mut alone, second(n), None);
            assert!(headers.iter().eq(alone.iter()), "{kind:?} {n}");
            assert_eq!(headers.len(), 13);
        }
    }
}
