//! The coding of a request's body: whoever reads one takes it as it is.

use axum::http::{HeaderMap, header};

use crate::api::error::{ApiError, ApiResult};
use common::lossy;

/// The codings that a body is said to have, in whatever header; `None` where it is as it is.
pub(crate) fn coding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let values: Vec<_> = values.map(|value| lossy::text(value.as_bytes())).collect();
    let codings = values.iter().flat_map(|value| value.split(','));
    let codings: Vec<&str> = codings
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
        .collect();
    (!codings.is_empty()).then(|| codings.join(", "))
}

/// Refuses a body with a coding.
pub(super) fn check(headers: &HeaderMap) -> ApiResult<()> {
    match coding(headers) {
        None => Ok(()),
        Some(coding) => Err(ApiError::invalid(format!(
            "The content encoding `{coding}` is not supported"
        ))
        .with_code("request_body_encoding_unsupported")),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn every_value_of_every_header_counts() {
        for (values, said) in [
            (&[][..], None),
            (&["", "identity", "Identity, ,identity"], None),
            (&["gzip"], Some("gzip")),
            (&["identity", "br"], Some("br")),
            (&["identity, gzip", "zstd"], Some("gzip, zstd")),
        ] {
            let headers: HeaderMap = values
                .iter()
                .map(|value| (header::CONTENT_ENCODING, HeaderValue::from_static(value)))
                .collect();
            assert_eq!(coding(&headers).as_deref(), said, "{values:?}");
            assert_eq!(check(&headers).is_err(), said.is_some(), "{values:?}");
        }
    }
}
