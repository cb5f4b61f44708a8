//! Pages of skills and versions: `limit` and an opaque `page` (F120).

use serde_json::{Value, json};
use wire::refusal;

use super::shape::Shape;
use crate::api::error::{ApiError, ApiResult};
use crate::api::paging::parse_number;
use common::limits;

const PREFIX: &str = "page_";

/// The page of a list that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SkillPage {
    limit: usize,
    /// Only what is ordered behind it.
    below: i64,
}

impl SkillPage {
    pub(super) fn parse(pairs: &[(String, String)], shape: Shape) -> ApiResult<Self> {
        let last = |wanted: &str| {
            let mut found = pairs.iter().rev().filter(|(name, _)| name == wanted);
            found.next().map(|(_, value)| value.as_str())
        };
        let most = match shape {
            Shape::Current => limits::LIST_LIMIT_MAX,
            Shape::Beta => limits::SKILL_LIST_LIMIT_BETA,
        };
        let limit = last("limit").map_or(Ok(limits::LIST_LIMIT_DEFAULT), |text| {
            // What is no number at all is refused as everywhere.
            let limit = usize::try_from(parse_number(text)?).ok();
            limit
                .filter(|limit| (1..=most).contains(limit))
                .ok_or_else(|| ApiError::invalid(refusal::SKILL_LIMIT.say(&[("most", &most)])))
        })?;
        let below = match last("page") {
            None => i64::MAX,
            Some(page) => {
                cursor(page).ok_or_else(|| ApiError::invalid(refusal::SKILL_PAGE.say(&[])))?
            }
        };
        Ok(Self { limit, below })
    }

    /// The page of a list that falls by its numbers.
    pub(super) fn cut(self, mut rows: Vec<(i64, Value)>, shape: Shape) -> Value {
        rows.retain(|(n, _)| *n < self.below);
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| has_more);
        let next_page = next.map(|(n, _)| format!("{PREFIX}{:016x}", n.cast_unsigned()));
        let data: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
        match shape {
            Shape::Current => json!({ "data": data, "next_page": next_page }),
            Shape::Beta => json!({ "data": data, "has_more": has_more, "next_page": next_page }),
        }
    }
}

fn cursor(page: &str) -> Option<i64> {
    let digits = page.strip_prefix(PREFIX)?;
    if digits.len() != 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(u64::from_str_radix(digits, 16).ok()?.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_walked_to_its_end_over_own_and_vendor_skills() {
        let rows: Vec<_> = [9, 7, 2, -1, -2].map(|n| (n, json!(n))).to_vec();
        let mut query = vec![("limit".to_owned(), "2".to_owned())];
        let mut seen = Vec::new();
        loop {
            let page = SkillPage::parse(&query, Shape::Beta).unwrap();
            let page = page.cut(rows.clone(), Shape::Beta);
            seen.extend(page["data"].as_array().unwrap().clone());
            let Some(next) = page["next_page"].as_str() else {
                assert_eq!(page["has_more"], false);
                break;
            };
            query.push(("page".to_owned(), next.to_owned()));
        }
        assert_eq!(seen, [9, 7, 2, -1, -2].map(|n| json!(n)));
        let wrong = [("page".to_owned(), "page_x".to_owned())];
        assert!(SkillPage::parse(&wrong, Shape::Current).is_err());
    }
}
