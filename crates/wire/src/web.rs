//! Contents of `web_search_tool_result` and `web_fetch_tool_result`.

use serde::Serialize;

use crate::block::Printed;

/// The error codes of a search (F049).
pub const SEARCH_ERRORS: [&str; 6] = [
    "invalid_tool_input",
    "unavailable",
    "max_uses_exceeded",
    "too_many_requests",
    "query_too_long",
    "request_too_large",
];
/// The error codes of a fetch (F050).
pub const FETCH_ERRORS: [&str; 10] = [
    "invalid_tool_input",
    "url_too_long",
    "url_not_allowed",
    "url_not_in_prior_context",
    "url_not_accessible",
    "unsupported_content_type",
    "too_many_requests",
    "max_uses_exceeded",
    "unavailable",
    "content_too_large",
];

/// `content` of a search result: a list, or an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum WebSearchContent {
    Results(Vec<WebSearchResult>),
    Error(WebSearchError),
}

/// One page that a search has found. Key order as recorded (vercel-ai/anthropic-web-search-tool).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum WebSearchResult {
    #[serde(rename = "web_search_result")]
    Result {
        title: String,
        url: String,
        /// Opaque; comes back unchanged.
        encrypted_content: String,
        // Parity: prints null.
        page_age: Option<String>,
    },
}

/// Why a search has no results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum WebSearchError {
    #[serde(rename = "web_search_tool_result_error")]
    Error { error_code: String },
}

/// `content` of a fetched page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum WebFetchContent {
    #[serde(rename = "web_fetch_result")]
    Result {
        url: String,
        /// ISO 8601 with microseconds; with `+00:00` before 2026-06.
        retrieved_at: String,
        content: WebDocument,
    },
    #[serde(rename = "web_fetch_tool_result_error")]
    Error { error_code: String },
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum WebDocument {
    #[serde(rename = "document")]
    Document {
        source: WebSource,
        /// Null where the page has none, and absent before 2026-06.
        #[serde(skip_serializing_if = "Printed::is_absent")]
        title: Printed<String>,
        /// Only if the tool says whether it wants citations.
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<WebCitations>,
    },
}

/// Whether a document can be cited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WebCitations {
    pub enabled: bool,
}

/// The bytes of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum WebSource {
    /// `text/plain`.
    Text {
        media_type: &'static str,
        data: String,
    },
    /// `application/pdf`.
    Base64 {
        media_type: &'static str,
        data: String,
    },
}
