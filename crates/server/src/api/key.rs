//! The API keys that a request carries.

use axum::http::{HeaderMap, HeaderName, header};

/// Every key that a request carries, in `x-api-key` or `authorization: Bearer` (F130): those in `x-api-key` first. What
/// stands between a client and the server may have added one.
pub(crate) fn keys(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let texts = |name: HeaderName| {
        let values = headers.get_all(name).into_iter();
        values
            .filter_map(|value| value.to_str().ok())
            .map(str::trim)
    };
    let bearers = texts(header::AUTHORIZATION).filter_map(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    texts(HeaderName::from_static("x-api-key"))
        .chain(bearers)
        .filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn every_key_is_found_in_either_header_and_those_in_x_api_key_first() {
        for (pairs, found) in [
            (
                &[
                    ("authorization", "Bearer c"),
                    ("x-api-key", "a"),
                    ("authorization", "bearer d"),
                    ("x-api-key", "b"),
                ][..],
                &["a", "b", "c", "d"][..],
            ),
            (&[("x-api-key", ""), ("authorization", "Bearer b")], &["b"]),
            (&[("authorization", "Basic b")], &[]),
        ] {
            assert_eq!(keys(&headers(pairs)).collect::<Vec<_>>(), found);
        }
    }
}
