//! The API keys that a request carries.

use axum::http::{HeaderMap, HeaderName, header};

/// The key, from `x-api-key` or `authorization: Bearer` (F130).
pub(crate) fn key(headers: &HeaderMap) -> Option<&str> {
    keys(headers).next()
}

/// Both keys a request may carry, the one in `x-api-key` first.
pub(crate) fn keys(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let text = |name: HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let bearer = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    [text(HeaderName::from_static("x-api-key")), bearer]
        .into_iter()
        .flatten()
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
    fn the_key_is_taken_from_either_header_and_x_api_key_first() {
        assert_eq!(
            key(&headers(&[
                ("x-api-key", "a"),
                ("authorization", "Bearer b")
            ])),
            Some("a")
        );
        assert_eq!(key(&headers(&[("authorization", "bearer b")])), Some("b"));
        assert_eq!(
            key(&headers(&[
                ("x-api-key", ""),
                ("authorization", "Bearer b")
            ])),
            Some("b")
        );
        assert_eq!(key(&headers(&[("authorization", "Basic b")])), None);
    }
}
