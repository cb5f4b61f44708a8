//! The query parameters of a list of files (F082).

use crate::api::error::{ApiError, ApiResult};
use crate::api::files::Shape;
use crate::api::paging::parse_limit;
use common::limits;
use store::{Position, Select, Start};

const PAGE_PREFIX: &str = "page_";

/// The opaque cursor behind a place. It holds nothing of other workspaces, so that a run's answers
/// depend on that run alone.
pub(super) fn page_cursor(at: Position) -> String {
    format!("{PAGE_PREFIX}{:016x}{:016x}", at.created_at_us, at.ordinal)
}

fn parse_page_cursor(text: &str) -> Option<Position> {
    let digits = text.strip_prefix(PAGE_PREFIX)?;
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let number = |digits| Some(u64::from_str_radix(digits, 16).ok()?.cast_signed());
    Some(Position {
        created_at_us: number(&digits[..16])?,
        ordinal: number(&digits[16..])?,
    })
}

/// Which parameter names the file at which a selection begins.
pub(super) fn cursor_parameter(select: &Select) -> &'static str {
    match select {
        Select::Page {
            from: Start::AfterId(_),
            ..
        } => "after_id",
        Select::Page {
            from: Start::BeforeId(_) | Start::Position(_) | Start::Newest,
            ..
        }
        | Select::Ids(_) => "before_id",
    }
}

/// The selection that a query asks for; `None` for the files of a session, of which there are none here. Parameters
/// that are not known are ignored, those of the other shape are not: a client that pages with them would go round
/// in circles.
pub(super) fn parse(pairs: Vec<(String, String)>, shape: Shape) -> ApiResult<Option<Select>> {
    let mut ids: Option<Vec<String>> = None;
    let (mut limit, mut page, mut after, mut before) = (None, None, None, None);
    let mut scoped = false;
    for (name, value) in pairs {
        match name.as_str() {
            "ids[]" => {
                let ids = ids.get_or_insert_default();
                if !ids.contains(&value) {
                    ids.push(value);
                }
                if ids.len() > limits::LIST_IDS_MAX {
                    return Err(ApiError::invalid(format!(
                        "ids: List should have at most {} items after de-duplication",
                        limits::LIST_IDS_MAX
                    )));
                }
            }
            "limit" => limit = Some(parse_limit(&value, limits::LIST_LIMIT_MAX)?),
            "page" => page = Some(value),
            "after_id" => after = Some(value),
            "before_id" => before = Some(value),
            "scope_id" => scoped = true,
            _ => {}
        }
    }
    let given = [
        ("page", page.is_some()),
        ("after_id", after.is_some()),
        ("before_id", before.is_some()),
    ];
    let foreign: &[&str] = match shape {
        Shape::Current => &["after_id", "before_id"],
        Shape::Beta => &["page"],
    };
    if let Some((name, _)) = given.iter().find(|(n, set)| *set && foreign.contains(n)) {
        return Err(ApiError::invalid(match shape {
            Shape::Current => format!(
                "{name}: Extra inputs are not permitted without the beta \
                 `files-api-2025-04-14`; use `page`"
            ),
            Shape::Beta => format!(
                "{name}: Extra inputs are not permitted with the beta `files-api-2025-04-14`; \
                 use `after_id` or `before_id`"
            ),
        }));
    }
    if let Some(ids) = ids {
        let name = given.iter().find(|(_, set)| *set).map(|(name, _)| *name);
        return match name.or(limit.map(|_| "limit")) {
            Some(name) => Err(ApiError::invalid(format!(
                "{name}: Cannot be combined with `ids[]`"
            ))),
            None => Ok((!scoped).then_some(Select::Ids(ids.into_iter().map(Into::into).collect()))),
        };
    }
    let from = match (page, after, before) {
        (Some(page), ..) => Start::Position(
            parse_page_cursor(&page).ok_or_else(|| ApiError::invalid("page: Invalid cursor"))?,
        ),
        (None, Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "before_id: Cannot be combined with `after_id`",
            ));
        }
        (None, Some(id), None) => Start::AfterId(id.into()),
        (None, None, Some(id)) => Start::BeforeId(id.into()),
        (None, None, None) => Start::Newest,
    };
    Ok((!scoped).then_some(Select::Page {
        limit: limit.unwrap_or(limits::LIST_LIMIT_DEFAULT),
        from,
    }))
}
