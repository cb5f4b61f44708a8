//! Headers that users give to answers, in faults and in scripts.

use std::collections::HashSet;

use crate::hinted::Mistake;

/// Headers of the connection and of the body's length: an answer that says otherwise than the server sends it is none.
const OF_THE_SERVER: [&str; 10] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Headers by which every answer says whose it is.
const OF_THE_WORKSPACE: [&str; 2] = ["anthropic-organization-id", "anthropic-workspace-id"];

/// Checks the name of a header that an answer is to have.
pub fn check_name(name: &str) -> Result<(), Mistake> {
    let token = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if name.is_empty() || !token {
        return Err(Mistake::new(format!("`{name}` is no name of a header"))
            .with_hint("such as `retry-after`: letters, digits, `-`, `_`, and `.`"));
    }
    let is_in = |list: &[&str]| list.iter().any(|own| name.eq_ignore_ascii_case(own));
    let hint = if is_in(&OF_THE_SERVER) {
        "leave it out; a fault at `wire` cuts, stalls, or resets the body of an answer"
    } else if is_in(&OF_THE_WORKSPACE) {
        "leave it out; it follows from the request's key"
    } else {
        return Ok(());
    };
    Err(Mistake::new(format!("`{name}` is a header that the server sets itself")).with_hint(hint))
}

/// The mistake where two of an answer's headers have one name, in which case does not count.
pub fn named_twice<'a>(names: impl Iterator<Item = &'a str>) -> Option<Mistake> {
    let mut seen = HashSet::new();
    let mut names = names;
    let twice = names.find(|name| !seen.insert(name.to_ascii_lowercase()))?;
    let mistake = Mistake::new(format!("`{twice}` stands there twice"));
    Some(mistake.with_hint("upper and lower case are the same in the name of a header"))
}

/// Checks the value of a header.
pub fn check_value(name: &str, value: &str) -> Result<(), Mistake> {
    if value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Ok(());
    }
    Err(
        Mistake::new(format!("the value of `{name}` is none of a header"))
            .with_hint("write it in printable ASCII, on one line"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hinted::Hinted as _;

    #[test]
    fn what_frames_an_answer_and_what_is_no_name_are_refused() {
        for name in [
            "",
            "a b",
            "a:b",
            "é",
            "Content-Length",
            "transfer-encoding",
            "connection",
            "Upgrade",
            "Anthropic-Organization-Id",
        ] {
            let error = check_name(name).unwrap_err();
            assert!(error.hint().is_some(), "{error}");
        }
        for name in [
            "retry-after",
            "X-Should-Retry",
            "content-type",
            "request-id",
        ] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_name_in_another_case_is_the_same() {
        assert!(named_twice(["retry-after", "a", "Retry-After"].into_iter()).is_some());
        assert!(named_twice(["retry-after", "retry-after-ms"].into_iter()).is_none());
    }

    #[test]
    fn a_value_is_one_line_of_ascii() {
        assert!(check_value("a", "").is_ok() && check_value("a", "b c; d=\"e\"").is_ok());
        for value in ["a\nb", "a\r", "é", "\u{7f}"] {
            assert!(check_value("a", value).is_err(), "{value:?}");
        }
    }
}
