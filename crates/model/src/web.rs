//! Results of the web tools: canned, never the real web.

use wire::ToolErrorCode;

use super::{ModelError, ServerTool};

/// Answers for calls that bring none with them.
pub trait Web: Send + Sync + std::fmt::Debug {
    /// The result of `tool` for a query or a URL.
    fn find(&self, tool: ServerTool, asked: &str) -> Result<WebAnswer, ModelError>;
}

/// The result of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebAnswer {
    /// Of a search.
    Pages(Vec<WebPage>),
    /// Of a fetch.
    Page(Box<WebPage>),
    Error(ToolErrorCode),
}

/// A page of the scripted web.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebPage {
    /// Of a fetch: empty stands for the URL that was asked for.
    pub url: String,
    pub title: Option<String>,
    pub text: String,
    /// Only of a search.
    pub page_age: Option<String>,
    /// Base64, in place of the text. Only of a fetch.
    pub pdf: Option<String>,
}
