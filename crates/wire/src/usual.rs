//! Which status, type, and message of an error go together, and the header that it has by itself (F142).

/// Status, type, and message. The first row of a status or type is its usual one.
const ERRORS: &[(u16, &str, &str)] = &[
    (400, "invalid_request_error", "Bad request"),
    (401, "authentication_error", "invalid x-api-key"),
    (
        402,
        "billing_error",
        "Your credit balance is too low to access the Anthropic API.",
    ),
    (403, "permission_error", "Permission denied"),
    (404, "not_found_error", "Not found"),
    (408, "timeout_error", "Request timed out"),
    (409, "conflict_error", "Conflict"),
    (
        409,
        "memory_precondition_failed_error",
        "Memory precondition failed",
    ),
    (409, "memory_path_conflict_error", "Memory path conflict"),
    (413, "request_too_large", "Request exceeds the maximum size"),
    (
        429,
        "rate_limit_error",
        "This request would exceed your organization's rate limit. Please try again later.",
    ),
    (500, "api_error", "Internal server error"),
    (504, "timeout_error", "Request timed out"),
    (529, "overloaded_error", "Overloaded"),
];

/// The error types, in the order of their status.
pub fn kinds() -> Vec<&'static str> {
    let mut kinds = Vec::new();
    for (_, kind, _) in ERRORS {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    kinds
}

/// The status an error of this type comes with; a time-out is the gateway's.
pub fn status_of(kind: &str) -> Option<u16> {
    let row = ERRORS.iter().rev().find(|(_, known, _)| *known == kind);
    row.map(|(status, _, _)| *status)
}

/// The type of this status.
pub fn kind_of(status: u16) -> &'static str {
    match ERRORS.iter().find(|(known, _, _)| *known == status) {
        Some((_, kind, _)) => kind,
        None if status >= 500 => "api_error",
        None => "invalid_request_error",
    }
}

/// The usual message of an error of this type, or, of a type that is none of the service's, of its status.
pub fn message_of(status: u16, kind: &str) -> &'static str {
    let row = ERRORS.iter().find(|(_, known, _)| *known == kind);
    let row = row.or_else(|| {
        ERRORS
            .iter()
            .find(|(_, known, _)| *known == kind_of(status))
    });
    row.map_or("Bad request", |(_, _, message)| message)
}

/// The header that a rate limit has, unless one of `named` says already when to come again. Spend caps come
/// without it (F141).
pub fn retry_after<'a>(
    status: u16,
    code: Option<&str>,
    mut named: impl Iterator<Item = &'a str>,
) -> Option<(&'static str, &'static str)> {
    let spent = code.is_some_and(|code| code.contains("spend_limit"));
    let said = named.any(|name| {
        name.eq_ignore_ascii_case("retry-after") || name.eq_ignore_ascii_case("retry-after-ms")
    });
    (status == 429 && !spent && !said).then_some(("retry-after", "1"))
}

/// The edge's words for what it refuses (F135).
pub fn edge_of(status: u16) -> Option<(&'static str, &'static str)> {
    match status {
        403 => Some(("forbidden", "Request not allowed")),
        413 => Some(("request_too_large", "Request exceeds the maximum size")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_status_that_leads_back_to_it() {
        for kind in kinds() {
            let status = status_of(kind).unwrap();
            assert!(ERRORS.iter().any(|row| (row.0, row.1) == (status, kind)));
        }
        assert_eq!(status_of("timeout_error"), Some(504));
        assert_eq!(
            (kind_of(503), kind_of(422)),
            ("api_error", "invalid_request_error")
        );
        let messages = [(400, "x"), (503, "x"), (503, "overloaded_error")];
        assert_eq!(
            messages.map(|(status, kind)| message_of(status, kind)),
            ["Bad request", "Internal server error", "Overloaded"]
        );
    }
}
