//! Contents of `web_search_tool_result` and `web_fetch_tool_result`.

use serde::Serialize;

use crate::ToolErrorCode;
use crate::block::Printed;

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
    Error { error_code: ToolErrorCode },
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
    Error { error_code: ToolErrorCode },
}

/// The document that was fetched.
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
