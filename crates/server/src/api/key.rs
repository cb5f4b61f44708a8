//! The API keys that a request carries.

use axum::http::{HeaderMap, HeaderName, header};

/// Every key that a request carries, in `x-api-key` or `authorization`, a token or a signature's access key (F130):
/// those in `x-api-key` first. What stands between a client and the server may have added one.
pub(crate) fn keys(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let texts = |name: HeaderName| {
        let values = headers.get_all(name).into_iter();
        values
            .filter_map(|value| value.to_str().ok())
            .map(str::trim)
    };
    let bearers = texts(header::AUTHORIZATION).filter_map(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(rest.trim());
        }
        // Clients of the platform on AWS sign: the access key says whose it is, and the signature is not looked at.
        (scheme == "AWS4-HMAC-SHA256").then_some(())?;
        let mut members = rest.split(',').map(str::trim);
        let scope = members.find_map(|member| member.strip_prefix("Credential="))?;
        scope.split('/').next()
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
            (
                &[(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIA/20261201/us-east-1/x/aws4_request, SignedHeaders=host, Signature=0f",
                )],
                &["AKIA"],
            ),
        ] {
            assert_eq!(keys(&headers(pairs)).collect::<Vec<_>>(), found);
        }
    }
}
