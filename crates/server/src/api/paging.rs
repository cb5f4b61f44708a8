//! The parameters that all lists share: `limit`, and cursors that are ids (F120).

use serde_json::{Value, json};

use crate::api::error::{ApiError, ApiResult};
use common::limits;

/// The number that `limit` is; the nearest one there is, if it is too large.
pub(crate) fn parse_number(text: &str) -> ApiResult<i64> {
    use std::num::IntErrorKind;
    text.parse()
        .or_else(|error: std::num::ParseIntError| match error.kind() {
            IntErrorKind::PosOverflow => Ok(i64::MAX),
            IntErrorKind::NegOverflow => Ok(i64::MIN),
            // Of another crate: more kinds may come.
            _ => Err(ApiError::invalid(
                "limit: Input should be a valid integer, unable to parse string as an integer",
            )),
        })
}

/// `limit`, from 1 to `most`.
pub(crate) fn parse_limit(text: &str, most: usize) -> ApiResult<usize> {
    match usize::try_from(parse_number(text)?) {
        Ok(0) | Err(_) => Err(ApiError::invalid(
            "limit: Input should be greater than or equal to 1",
        )),
        Ok(limit) if limit > most => Err(ApiError::invalid(format!(
            "limit: Input should be less than or equal to {most}"
        ))),
        Ok(limit) => Ok(limit),
    }
}

/// The answer to a cursor, the value of `parameter`, that is the id of no `what`.
pub(crate) fn unknown_cursor(parameter: &str, what: &str, id: &str) -> ApiError {
    ApiError::invalid(format!("{parameter}: {what} `{id}` not found."))
}

/// Where a page of a list begins: behind or before an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdPage {
    pub limit: usize,
    pub after: Option<String>,
    pub before: Option<String>,
}

impl IdPage {
    /// Reads the three parameters; others are the caller's.
    pub(super) fn parse(pairs: &[(String, String)]) -> ApiResult<Self> {
        let last = |wanted: &str| {
            let mut found = pairs.iter().rev().filter(|(name, _)| name == wanted);
            found.next().map(|(_, value)| value.as_str())
        };
        let (after, before) = (last("after_id"), last("before_id"));
        if after.is_some() && before.is_some() {
            return Err(ApiError::invalid(
                "before_id: Cannot be combined with `after_id`",
            ));
        }
        Ok(Self {
            limit: last("limit").map_or(Ok(limits::LIST_LIMIT_DEFAULT), |text| {
                parse_limit(text, limits::LIST_LIMIT_MAX)
            })?,
            after: after.map(str::to_owned),
            before: before.map(str::to_owned),
        })
    }

    /// The id that the page begins behind or before.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.after.as_deref().or(self.before.as_deref())
    }

    /// The page of a whole list of `what`, and whether it goes on. `stood` is how many of the list are before a
    /// cursor that is no longer in it.
    pub(super) fn cut<'a, T>(
        &self,
        what: &str,
        list: &'a [T],
        id: impl Fn(&T) -> &str,
        stood: Option<usize>,
    ) -> ApiResult<(&'a [T], bool)> {
        self.find(list, id, stood).ok_or_else(|| {
            let parameter = if self.after.is_some() {
                "after_id"
            } else {
                "before_id"
            };
            unknown_cursor(parameter, what, self.cursor().unwrap_or_default())
        })
    }

    /// `None` if the cursor is not in the list, and never was.
    fn find<'a, T>(
        &self,
        list: &'a [T],
        id: impl Fn(&T) -> &str,
        stood: Option<usize>,
    ) -> Option<(&'a [T], bool)> {
        let place = |wanted: &str| list.iter().position(|item| id(item) == wanted);
        if let Some(before) = &self.before {
            let end = place(before).or(stood)?;
            let start = end.saturating_sub(self.limit);
            return Some((&list[start..end], start > 0));
        }
        let start = match &self.after {
            Some(after) => place(after).map(|at| at + 1).or(stood)?,
            None => 0,
        };
        let end = list.len().min(start + self.limit);
        Some((&list[start..end], end < list.len()))
    }
}

/// A page with ids as cursors; null ids where it is empty.
pub(crate) fn id_page(data: &[Value], has_more: bool) -> Value {
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first_id, last_id) = (id(data.first()), id(data.last()));
    json!({ "data": data, "has_more": has_more, "first_id": first_id, "last_id": last_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &[(&str, &str)]) -> IdPage {
        let pairs: Vec<_> = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        IdPage::parse(&pairs).unwrap()
    }

    #[test]
    fn a_list_is_walked_forwards_and_backwards() {
        let list = ["e", "d", "c", "b", "a"];
        let cut = |query: &[(&str, &str)]| page(query).find(&list, |item| item, None);
        assert_eq!(cut(&[("limit", "2")]), Some((&list[..2], true)));
        assert_eq!(
            cut(&[("limit", "3"), ("after_id", "d")]),
            Some((&list[2..], false))
        );
        assert_eq!(cut(&[("after_id", "a")]), Some((&list[5..], false)));
        assert_eq!(
            cut(&[("limit", "2"), ("before_id", "b")]),
            Some((&list[1..3], true))
        );
        assert_eq!(
            cut(&[("limit", "9"), ("before_id", "b")]),
            Some((&list[..3], false))
        );
        assert_eq!(cut(&[("after_id", "x")]), None);
        let gone = |query: &[(&str, &str)]| page(query).find(&list, |item| item, Some(2));
        assert_eq!(gone(&[("after_id", "x")]), Some((&list[2..], false)));
        assert_eq!(gone(&[("before_id", "x")]), Some((&list[..2], false)));
        assert_eq!(gone(&[("after_id", "b")]), Some((&list[4..], false)));
    }

    #[test]
    fn a_limit_of_any_size_is_a_number() {
        for (text, told) in [
            ("99999999999999999999", "less than or equal to 100"),
            ("-99999999999999999999", "greater than or equal to 1"),
            ("101", "less than or equal to 100"),
            ("0", "greater than or equal to 1"),
            ("1x", "a valid integer, unable to parse"),
            ("", "a valid integer, unable to parse"),
        ] {
            let body = parse_limit(text, 100).unwrap_err().body(None);
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.contains(told), "{text}: {message}");
        }
    }
}
