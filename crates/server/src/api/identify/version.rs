//! `anthropic-version` and `anthropic-beta`: what is known, and what becomes of the rest.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue};

use crate::api::caller::Betas;
use crate::api::error::{ApiError, ApiResult};
use crate::config::Config;
use workspace::lint::{Lint, UNKNOWN_BETA, UNKNOWN_VERSION};

/// The versions the service knows; any other is noted, or refused with `--strict-version`.
const VERSIONS: &[&str] = &["2023-01-01", "2023-06-01", "2026-10-21"];

/// The values of the two headers.
pub(super) struct Read {
    pub(super) version: Cow<'static, str>,
    pub(super) betas: Betas,
    /// For the journal: what is unknown.
    pub(super) notes: Vec<Lint>,
}

/// Reads both headers.
pub(super) fn read(headers: &HeaderMap, config: &Config) -> ApiResult<Read> {
    let (version, version_note) = version(headers, config.strict_version)?;
    let (betas, betas_note) = betas(headers, config.strict_version || config.strict_betas)?;
    Ok(Read {
        version,
        betas,
        notes: [version_note, betas_note].into_iter().flatten().collect(),
    })
}

/// The version, and a note for the journal if it is unknown.
fn version(headers: &HeaderMap, strict: bool) -> ApiResult<(Cow<'static, str>, Option<Lint>)> {
    let mut given = headers.get_all("anthropic-version").iter().map(text);
    let Some(first) = given.next() else {
        return Err(ApiError::invalid("anthropic-version: header is required"));
    };
    // Two are none: they are read as one value with a comma.
    let version = given.fold(first, |all, next| Cow::Owned(format!("{all}, {next}")));
    if let Some(known) = VERSIONS.iter().find(|known| **known == version) {
        return Ok((Cow::Borrowed(known), None));
    }
    if strict {
        return Err(ApiError::invalid(format!(
            "anthropic-version: \"{version}\" is not a valid version"
        )));
    }
    // Which one, the journal says, where no key is: somebody may have put theirs into the wrong header.
    tracing::warn!("unknown `anthropic-version`; going on as with the last one that is not newer");
    let note = format!("unknown version `{version}`: the service refuses it");
    let version = Cow::Owned(version.into_owned());
    Ok((version, Some(Lint::new(&UNKNOWN_VERSION, note))))
}

/// A header's value; what is no text in it makes a name that nobody knows, and hides none beside it.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// The betas, and a note for the journal if some are unknown.
fn betas(headers: &HeaderMap, strict: bool) -> ApiResult<(Betas, Option<Lint>)> {
    let mut betas: Vec<String> = Vec::new();
    for value in headers.get_all("anthropic-beta") {
        let value = text(value);
        let named = value.split(',').map(str::trim);
        betas.extend(named.filter(|beta| !beta.is_empty()).map(str::to_owned));
    }
    let unknown: Vec<_> = betas
        .iter()
        .filter(|beta| !BETAS.contains(&beta.as_str()))
        .map(|beta| format!("`{beta}`"))
        .collect();
    if unknown.is_empty() {
        return Ok((Betas(betas), None));
    }
    let unknown = unknown.join(", ");
    if strict {
        // Parity: quoted (F139).
        return Err(ApiError::invalid(format!(
            "Unexpected value(s) {unknown} for the `anthropic-beta` header. Please consult our documentation at \
             docs.claude.com or try again without the header."
        )));
    }
    let note = format!("unknown beta {unknown}: the service refuses it");
    Ok((Betas(betas), Some(Lint::new(&UNKNOWN_BETA, note))))
}

/// Those of the documents, of the official SDKs with what their helpers add, of Claude Code (2.1.197), and of libraries that
/// talk to the service (litellm, the AI SDK), in alphabetical order (F255).
pub(in crate::api) const BETAS: &[&str] = &[
    "admin-user-sign-out-2026-10-08",
    "advanced-tool-use-2025-11-20",
    "advisor-tool-2026-03-01",
    "afk-mode-2026-01-31",
    "agent-memory-2026-07-22",
    "analytics-usage-cost-2026-08-24",
    "cache-diagnosis-2026-04-07",
    "ccr-byoc-2025-07-29",
    "ccr-triggers-2026-01-30",
    "ce-claude-code-managed-settings-2026-10-06",
    "ce-plugins-2026-09-01",
    "ce-user-management-2026-07-13",
    "claude-code-20250219",
    "code-execution-2025-05-22",
    "code-execution-2025-08-25",
    "code-execution-web-tools-2026-02-09",
    "compact-2026-01-12",
    "compact-2026-09-04",
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    "context-hint-2026-04-09",
    "context-management-2025-06-27",
    "dangerous-tool-use-2026-09-03",
    "dev-full-thinking-2025-05-14",
    "dreaming-2026-04-21",
    "effort-2025-11-24",
    "efs-2026-10-01",
    "environments-2025-11-01",
    "experimental-claude-tag-2026-10-21",
    "extended-cache-ttl-2025-04-11",
    "fallback-credit-2026-06-01",
    "fallback-credit-2026-07-01",
    "fast-mode-2026-02-01",
    "files-api-2025-04-14",
    "fine-grained-tool-streaming-2025-05-14",
    "google-managed-data-controls-2026-09-01",
    "inline-tools-2026-09-15",
    "interleaved-thinking-2025-05-14",
    "managed-agents-2026-04-01",
    "mcp-client-2025-04-04",
    "mcp-client-2025-11-20",
    "mcp-client-2026-09-15",
    "mcp-servers-2025-12-04",
    "mcp-tunnels-2026-06-22",
    "message-batches-2024-09-24",
    "message-threads-2026-08-12",
    "mid-conversation-output-config-2026-07-01",
    "mid-conversation-system-2026-04-07",
    "mid-conversation-system-clear-at-2026-08-21",
    "mid-conversation-tool-changes-2026-07-01",
    "model-context-window-exceeded-2025-08-26",
    "oauth-2025-04-20",
    "oidc-federation-2026-04-01",
    "output-128k-2025-02-19",
    "output-300k-2026-03-24",
    "pdfs-2024-09-25",
    "per-turn-control-2026-07-01",
    "prompt-caching-2024-07-31",
    "prompt-caching-scope-2026-01-05",
    "redact-thinking-2026-02-12",
    "server-side-fallback-2026-06-01",
    "server-side-fallback-2026-07-01",
    "skills-2025-10-02",
    "spend-limit-reads-2026-09-26",
    "structured-outputs-2025-11-13",
    "structured-outputs-2025-12-15",
    "summarize-connector-text-2026-03-13",
    "task-budgets-2026-03-13",
    "telemetry-destinations-2026-08-11",
    "thinking-binding-controls-2026-08-01",
    "thinking-display-updates-2026-08-18",
    "thinking-token-count-2026-05-13",
    "token-counting-2024-11-01",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
    "tool-search-tool-2025-10-19",
    "user-profiles-2026-03-24",
    "user-profiles-2026-08-18",
    "user-profiles-2026-09-04",
    "user-profiles-billing-2026-10-01",
    "web-fetch-2025-09-10",
    "web-search-2025-03-05",
    "webhooks-2026-10-07",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        [(name, value)]
            .into_iter()
            .map(|(name, value)| {
                let name = axum::http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn betas_are_split_and_trimmed() {
        let headers = headers(
            "anthropic-beta",
            "code-execution-2025-08-25, files-api-2025-04-14",
        );
        let (betas, note) = betas(&headers, true).unwrap();
        assert!(betas.has("files-api-2025-04-14") && betas.has("code-execution-2025-08-25"));
        assert_eq!(note, None);
    }

    #[test]
    fn an_unknown_beta_is_noted_or_refused() {
        let headers = headers("anthropic-beta", "a-2020-01-01,files-api-2025-04-14,b");
        let (betas_taken, note) = betas(&headers, false).unwrap();
        assert!(betas_taken.has("b"));
        assert_eq!(
            note.map(|note| note.message).as_deref(),
            Some("unknown beta `a-2020-01-01`, `b`: the service refuses it")
        );
        let refused = betas(&headers, true).unwrap_err().body(None)["error"]["message"].to_string();
        assert!(
            refused.contains("Unexpected value(s) `a-2020-01-01`, `b` for the"),
            "{refused}"
        );
    }

    #[test]
    fn a_beta_that_is_no_ascii_hides_none_beside_it() {
        let value = HeaderValue::from_bytes("files-api-2025-04-14, é".as_bytes()).unwrap();
        let name = axum::http::HeaderName::from_static("anthropic-beta");
        let headers = HeaderMap::from_iter([(name, value)]);
        let (taken, note) = betas(&headers, false).unwrap();
        assert!(taken.has("files-api-2025-04-14"));
        assert!(note.unwrap().message.contains("`é`"));
        assert!(betas(&headers, true).is_err());
    }

    #[test]
    fn the_list_is_in_order_and_names_each_beta_once() {
        assert!(BETAS.is_sorted_by(|a, b| a < b));
    }
}
