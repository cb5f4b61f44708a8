//! JSON bodies: size, content type, and the service's words for what is not JSON.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde_json::Value;

use crate::api::error::{ApiError, ApiResult};

/// Reads a JSON body of at most `limit` bytes; also returns its bytes.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> ApiResult<(Value, Bytes)> {
    check_headers(headers, limit)?;
    let bytes = axum::body::to_bytes(body, limit)
        .await
        .map_err(|error| body_error(&error))?;
    let value = parse(&bytes)?;
    Ok((value, bytes))
}

fn check_headers(headers: &HeaderMap, limit: usize) -> ApiResult<()> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let content_type = text(header::CONTENT_TYPE);
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence != "application/json" && !essence.ends_with("+json") {
        let got = if essence.is_empty() {
            "none".to_owned()
        } else {
            format!("`{essence}`")
        };
        return Err(ApiError::invalid(format!(
            "content-type: Expected `application/json`, got {got}"
        )));
    }
    let encoding = text(header::CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        return Err(ApiError::invalid(format!(
            "The content encoding `{encoding}` is not supported"
        ))
        .with_code("request_body_encoding_unsupported"));
    }
    let announced = text(header::CONTENT_LENGTH).parse::<usize>().ok();
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::too_large());
    }
    Ok(())
}

fn body_error(error: &axum::Error) -> ApiError {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<http_body_util::LengthLimitError>() {
            return ApiError::too_large();
        }
        source = inner.source();
    }
    ApiError::invalid("The request body could not be read to its end")
}

fn parse(bytes: &[u8]) -> ApiResult<Value> {
    serde_json::from_slice(bytes).map_err(|error| {
        // Parity: the service's parser words its faults like Python's (FACTS §9).
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or(&text);
        let offset = offset_of(bytes, error.line(), error.column());
        ApiError::invalid(format!(
            "The request body is not valid JSON: {reason}: line {} column {} (char {offset})",
            error.line(),
            error.column()
        ))
    })
}

fn offset_of(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    before + column.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_the_text_is_located() {
        let error = parse(b"{\n  \"model\": }").unwrap_err();
        assert_eq!(
            error.body(None)["error"]["message"],
            "The request body is not valid JSON: expected value: line 2 column 12 (char 13)"
        );
    }
}
