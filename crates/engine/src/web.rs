//! `web_search` and `web_fetch`: what a script lets them find, within the limits that the request sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use serde_json::Value;
use wire::ToolErrorCode;
use wire::block::Printed;
use wire::block::{Caller, ContentBlock};
use wire::request::WebOptions;
use wire::web::{
    WebCitations, WebDocument, WebFetchContent, WebSearchContent, WebSearchError, WebSearchResult,
    WebSource,
};

use crate::{TurnInput, json_text, seal};
use common::limits;
use model::{CallResult, ModelError, ServerTool, Web, WebAnswer, WebPage};
use workspace::lint::WEB_WITHOUT_SCRIPT;
use workspace::quirks::FetchDocument;

/// The web tools of one request.
#[derive(Debug, Default)]
pub(super) struct WebTools {
    source: Option<Arc<dyn Web>>,
    took_part: AtomicBool,
    searches: Uses,
    fetches: Uses,
}

#[derive(Debug, Default)]
struct Uses {
    /// Against `max_uses`.
    begun: AtomicU64,
    /// For `usage`.
    counted: AtomicU64,
}

/// A call to a web tool.
pub(super) struct WebCall<'a> {
    pub(super) id: String,
    pub(super) tool: ServerTool,
    pub(super) arguments: &'a Value,
    /// The call is not carried out: its result is this error.
    pub(super) error_code: Option<ToolErrorCode>,
    /// The answer that comes with the call; else the script's table has it.
    pub(super) found: Option<WebAnswer>,
    pub(super) caller: Caller,
}

/// The outcome of a call to a web tool.
pub(super) struct WebResult {
    pub(super) block: ContentBlock,
    pub(super) result: CallResult,
    /// The result for code that awaits it.
    pub(super) for_code: String,
    /// Whether `usage` counts it.
    pub(super) counts: bool,
}

impl WebTools {
    /// Answers come from `source`.
    pub(super) fn of(source: Option<Arc<dyn Web>>) -> Self {
        Self {
            source,
            ..Self::default()
        }
    }

    /// Searches and fetches so far, as `usage` counts them; `None` before the first call.
    pub(super) fn counted(&self) -> Option<(u64, u64)> {
        let read = |uses: &Uses| uses.counted.load(Ordering::Relaxed);
        let counted = (read(&self.searches), read(&self.fetches));
        self.took_part.load(Ordering::Relaxed).then_some(counted)
    }

    /// Carries a call out.
    pub(super) fn run(
        &self,
        input: &TurnInput,
        call: WebCall<'_>,
    ) -> Result<WebResult, ModelError> {
        self.took_part.store(true, Ordering::Relaxed);
        let answer = self.answer(input, &call)?;
        // Parity: a fetch that fails counts (vercel-ai/anthropic-web-fetch-tool.error); a search does not (D).
        let counts = match &answer {
            WebAnswer::Error(ToolErrorCode::MaxUsesExceeded) => false,
            WebAnswer::Error(_) => call.tool != ServerTool::WebSearch,
            WebAnswer::Pages(_) | WebAnswer::Page(_) => true,
        };
        self.count(call.tool, counts);
        let options = options(input, call.tool);
        let now = input.workspace.clock.now();
        let result = if call.tool == ServerTool::WebFetch {
            fetched(call, answer, &options, now, input.quirks.fetch_document)
        } else {
            searched(call, answer)
        };
        Ok(WebResult { counts, ..result })
    }

    /// A call that was carried out for an earlier request, of which this is the same again.
    pub(super) fn recall(&self, tool: ServerTool, counts: bool) {
        self.took_part.store(true, Ordering::Relaxed);
        self.uses(tool).begun.fetch_add(1, Ordering::Relaxed);
        self.count(tool, counts);
    }

    fn count(&self, tool: ServerTool, counts: bool) {
        let one = u64::from(counts);
        self.uses(tool).counted.fetch_add(one, Ordering::Relaxed);
    }

    fn uses(&self, tool: ServerTool) -> &Uses {
        if tool == ServerTool::WebFetch {
            &self.fetches
        } else {
            &self.searches
        }
    }

    fn answer(&self, input: &TurnInput, call: &WebCall<'_>) -> Result<WebAnswer, ModelError> {
        let error = |code| Ok(WebAnswer::Error(code));
        if let Some(code) = call.error_code {
            return error(code);
        }
        let options = options(input, call.tool);
        let before = self.uses(call.tool).begun.fetch_add(1, Ordering::Relaxed);
        if options.max_uses.is_some_and(|most| before >= most) {
            return error(ToolErrorCode::MaxUsesExceeded);
        }
        let fetches = call.tool == ServerTool::WebFetch;
        let key = if fetches { "url" } else { "query" };
        let Some(asked) = call.arguments[key].as_str().filter(|text| !text.is_empty()) else {
            return error(ToolErrorCode::InvalidToolInput);
        };
        if call.tool == ServerTool::WebFetch {
            if host(asked).is_none() {
                return error(ToolErrorCode::InvalidToolInput);
            }
            if asked.chars().count() > limits::MAX_FETCH_URL_CHARS {
                return error(ToolErrorCode::UrlTooLong);
            }
            if !is_allowed(&options, asked) {
                return error(ToolErrorCode::UrlNotAllowed);
            }
        }
        let mut answer = match &call.found {
            Some(found) => found.clone(),
            None => self.find(input, call.tool, asked)?,
        };
        if let WebAnswer::Pages(pages) = &mut answer {
            pages.retain(|page| is_allowed(&options, &page.url));
        }
        Ok(answer)
    }

    fn find(
        &self,
        input: &TurnInput,
        tool: ServerTool,
        asked: &str,
    ) -> Result<WebAnswer, ModelError> {
        if let Some(source) = &self.source {
            return source.find(tool, asked);
        }
        let name = tool.name();
        let text = format!(
            "`{name}` finds nothing without a script: write what it finds under `web` in a rule"
        );
        input.lint(&WEB_WITHOUT_SCRIPT, text);
        Ok(WebAnswer::Error(ToolErrorCode::Unavailable))
    }
}

/// The options that the request gives to `tool`.
fn options(input: &TurnInput, tool: ServerTool) -> WebOptions {
    let mut tools = input.request.tools.iter();
    tools
        .find(|declared| declared.is_web() && declared.name == tool.name())
        .map(|declared| declared.web.clone())
        .unwrap_or_default()
}

/// Whether calls of ended code to `tool` stay out of the answer.
pub(super) fn is_excluded(input: &TurnInput, tool: ServerTool) -> bool {
    options(input, tool).excluded
}

fn searched(call: WebCall<'_>, answer: WebAnswer) -> WebResult {
    let mut error_code = None;
    let (content, for_code, text) = match answer {
        WebAnswer::Error(code) => {
            error_code = Some(code);
            let error = WebSearchError::Error { error_code: code };
            let text = json_text::spaced(&as_json(&error));
            (WebSearchContent::Error(error), text, String::new())
        }
        WebAnswer::Pages(pages) => {
            let plain = pages.iter().map(plain_page).collect();
            let texts: Vec<&str> = pages.iter().map(|page| page.text.as_str()).collect();
            let text = texts.join("\n");
            let results = pages.iter().map(sealed_page).collect();
            let for_code = json_text::spaced(&Value::Array(plain));
            (WebSearchContent::Results(results), for_code, text)
        }
        // A script's search gives pages.
        WebAnswer::Page(_) => (
            WebSearchContent::Results(Vec::new()),
            "[]".to_owned(),
            String::new(),
        ),
    };
    let result = call_result(&call, error_code, as_json(&content), text);
    WebResult {
        block: ContentBlock::WebSearchToolResult {
            tool_use_id: call.id,
            content,
            caller: call.caller,
        },
        result,
        for_code,
        counts: true,
    }
}

fn fetched(
    call: WebCall<'_>,
    answer: WebAnswer,
    options: &WebOptions,
    now: DateTime<Utc>,
    form: FetchDocument,
) -> WebResult {
    let mut error_code = None;
    let mut text = String::new();
    let content = match answer {
        WebAnswer::Page(page) => {
            let source = if let Some(data) = page.pdf {
                WebSource::Base64 {
                    media_type: "application/pdf",
                    data,
                }
            } else {
                page.text.clone_into(&mut text);
                cut(&mut text, options.max_content_tokens);
                WebSource::Text {
                    media_type: "text/plain",
                    data: text.clone(),
                }
            };
            WebFetchContent::Result {
                url: call.arguments["url"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                retrieved_at: match form {
                    // Parity: recorded in 2026-08 as `2026-08-02T17:44:16.540847`.
                    FetchDocument::Current => now.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
                    // Parity: milliseconds, padded (vercel-ai/anthropic-web-fetch-tool-20260209).
                    FetchDocument::Until202605 => {
                        now.format("%Y-%m-%dT%H:%M:%S%.3f000+00:00").to_string()
                    }
                },
                content: WebDocument::Document {
                    source,
                    title: match (page.title, form) {
                        (Some(title), _) => Printed::Of(title),
                        (None, FetchDocument::Current) => Printed::Null,
                        (None, FetchDocument::Until202605) => Printed::Absent,
                    },
                    citations: options
                        .cites
                        .filter(|enabled| *enabled || form == FetchDocument::Current)
                        .map(|enabled| WebCitations { enabled }),
                },
            }
        }
        WebAnswer::Error(code) => {
            error_code = Some(code);
            WebFetchContent::Error { error_code: code }
        }
        // A script's fetch gives one page.
        WebAnswer::Pages(_) => WebFetchContent::Error {
            error_code: ToolErrorCode::Unavailable,
        },
    };
    let json = as_json(&content);
    let for_code = json_text::spaced(&json);
    let result = call_result(&call, error_code, json, text);
    WebResult {
        block: ContentBlock::WebFetchToolResult {
            tool_use_id: call.id,
            content,
            caller: call.caller,
        },
        result,
        for_code,
        counts: true,
    }
}

fn call_result(
    call: &WebCall<'_>,
    error_code: Option<ToolErrorCode>,
    content: Value,
    text: String,
) -> CallResult {
    CallResult {
        id: call.id.clone(),
        name: call.tool.name().to_owned(),
        stdout: text,
        stderr: String::new(),
        return_code: None,
        error_code: error_code.map(|code| code.name().to_owned()),
        content,
        files: Vec::new(),
    }
}

fn as_json(content: &impl serde::Serialize) -> Value {
    serde_json::to_value(content).unwrap_or_default()
}

fn sealed_page(page: &WebPage) -> WebSearchResult {
    WebSearchResult::Result {
        title: title_of(page),
        url: page.url.clone(),
        encrypted_content: seal::sealed(&page.text),
        page_age: page.page_age.clone(),
    }
}

/// A found page as code sees it (inferred: no recording shows one).
fn plain_page(page: &WebPage) -> Value {
    serde_json::json!({
        "type": "web_search_result",
        "title": title_of(page),
        "url": page.url,
        "content": page.text,
        "page_age": page.page_age,
    })
}

fn title_of(page: &WebPage) -> String {
    page.title.clone().unwrap_or_else(|| page.url.clone())
}

/// Four bytes for a token, as everywhere.
fn cut(text: &mut String, most_tokens: Option<u64>) {
    let most = most_tokens.and_then(|tokens| usize::try_from(tokens.saturating_mul(4)).ok());
    if let Some(most) = most {
        let mut end = most.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

/// The host of a URL, and what follows it.
fn host(url: &str) -> Option<(&str, &str)> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or(host);
    let host = host.split(':').next().unwrap_or(host);
    (!host.is_empty()).then_some((host, path))
}

/// Whether the request lets the tool have `url`. A domain stands for its subdomains, too, and may go on
/// with a path.
fn is_allowed(options: &WebOptions, url: &str) -> bool {
    let Some((host, path)) = host(url) else {
        return options.allowed_domains.is_none();
    };
    let fits = |domain: &String| {
        let (name, below) = domain.split_at(domain.find('/').unwrap_or(domain.len()));
        let (host, name) = (host.to_ascii_lowercase(), name.to_ascii_lowercase());
        let inside = host
            .strip_suffix(&name)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        inside && path.starts_with(below)
    };
    match &options.allowed_domains {
        Some(allowed) => allowed.iter().any(fits),
        None => !options.blocked_domains.iter().any(fits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_stands_for_its_subdomains_and_may_have_a_path() {
        let only = |domain: &str| WebOptions {
            allowed_domains: Some(vec![domain.to_owned()]),
            ..WebOptions::default()
        };
        let allowed = |domain: &str, url: &str| is_allowed(&only(domain), url);
        assert!(allowed("example.com", "https://example.com/a"));
        assert!(allowed("example.com", "http://Docs.example.com:8080"));
        assert!(!allowed("example.com", "https://badexample.com"));
        assert!(!allowed("example.com", "https://example.com@evil.org/"));
        assert!(allowed("example.com/blog", "https://example.com/blog/1"));
        assert!(!allowed("example.com/blog", "https://example.com/shop"));
        let blocked = WebOptions {
            blocked_domains: vec!["example.com".to_owned()],
            ..WebOptions::default()
        };
        assert!(!is_allowed(&blocked, "https://www.example.com"));
        assert!(is_allowed(&blocked, "https://example.org"));
    }

    #[test]
    fn a_long_page_is_cut_between_characters() {
        let mut text = "äöü".to_owned();
        cut(&mut text, Some(1));
        assert_eq!(text, "äö");
        cut(&mut text, None);
        assert_eq!(text, "äö");
    }
}
