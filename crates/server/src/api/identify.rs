//! Identification of a request: the workspace behind its key, and the version, betas, and quirks in its headers.

pub(in crate::api) mod version;

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::api::caller::{Betas, Caller};
use crate::api::era;
use crate::api::error::{ApiError, ApiResult, RequestId};
use crate::api::faults;
use crate::api::key::keys;
use crate::app::App;
use cassette::Redactor;
use common::document::{did_you_mean, list};
use common::hinted::{self, Mistake};
use workspace::lint::Lint;
use workspace::quirks::{Era, Layer};
use workspace::verify::Made;
use workspace::{OpenRequest, Workspace, WorkspaceError};

/// A key that is always wrong, so that clients can test their 401.
pub(crate) const INVALID_KEY: &str = "sk-ant-invalid";
/// Quirks for one request.
const QUIRK: &str = "x-sandtable-quirk";

/// The workspace behind the request's key.
pub(super) async fn workspace(app: &App, headers: &HeaderMap) -> ApiResult<Arc<Workspace>> {
    let mut sent = keys(headers).peekable();
    if app.cassettes.is_some() && sent.peek().is_none_or(|key| *key == INVALID_KEY) {
        // Whether a key is wrong, a recording says, or who is recorded.
        return of_key(app, sent.next().unwrap_or_default()).await;
    }
    if sent.peek().is_none() {
        let mut unreadable = ["x-api-key", "authorization"].into_iter();
        let unreadable = unreadable.find(|name| {
            let value = headers.get(*name);
            value.is_some_and(|value| value.to_str().is_err())
        });
        return Err(ApiError::unauthenticated(match unreadable {
            Some(name) => format!("{name}: the value is not ASCII text"),
            None => "x-api-key header is required".to_owned(),
        }));
    }
    let key = sent
        .find(|key| *key != INVALID_KEY)
        .ok_or_else(|| ApiError::unauthenticated("invalid x-api-key"))?;
    of_key(app, key).await
}

async fn of_key(app: &App, key: &str) -> ApiResult<Arc<Workspace>> {
    let found = app.workspace_of_key(key).await;
    found.map_err(|error| match error {
        WorkspaceError::TooMany => ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_error",
            format!("{error}; {}", app.too_many_hint()),
        ),
        WorkspaceError::Store(error) => error.into(),
    })
}

/// The caller as its headers say, and notes for the journal.
pub(super) fn caller(
    app: &App,
    workspace: &Arc<Workspace>,
    id: &RequestId,
    head: &Parts,
    (made, redactor): (Made, Redactor),
) -> ApiResult<(Caller, Vec<Lint>)> {
    let read = version::read(&head.headers, &app.config)?;
    check_own(&head.headers)?;
    let quirks = workspace.quirks().with(&quirks(&head.headers)?).quirks;
    if quirks.era == Era::Beta2025 {
        era::check_version(&read.version)?;
        era::check_path(head.uri.path(), &read.betas)?;
    }
    let caller = Caller {
        workspace: Arc::clone(workspace),
        request_id: id.clone(),
        version: read.version,
        betas: read.betas,
        quirks,
        faults: faults::of_request(head, workspace.seed, &id.0)?,
        made,
        open: OpenRequest::default(),
        redactor,
    };
    Ok((caller, read.notes))
}

/// The caller where a recording, or who is recorded, decides what is wrong with its headers.
pub(super) fn lenient_caller(
    workspace: &Arc<Workspace>,
    id: &RequestId,
    head: &Parts,
    (made, redactor): (Made, Redactor),
) -> ApiResult<Caller> {
    check_own(&head.headers)?;
    Ok(Caller {
        workspace: Arc::clone(workspace),
        request_id: id.clone(),
        version: Cow::default(),
        betas: Betas::default(),
        quirks: workspace.quirks().with(&quirks(&head.headers)?).quirks,
        faults: faults::of_request(head, workspace.seed, &id.0)?,
        made,
        open: OpenRequest::default(),
        redactor,
    })
}

/// A header of ours that is misspelt does nothing, and its request would prove nothing.
fn check_own(headers: &HeaderMap) -> ApiResult<()> {
    const KNOWN: [&str; 4] = [
        faults::HEADER,
        QUIRK,
        // A front reads it, and hands it on.
        "x-sandtable-server",
        "x-sandtable-token",
    ];
    let own = headers.keys().map(HeaderName::as_str);
    let mut own = own.filter(|name| name.starts_with("x-sandtable-"));
    let Some(unknown) = own.find(|name| !KNOWN.contains(name)) else {
        return Ok(());
    };
    let wrong = Mistake::new(format!("`{unknown}` is no header of sandtable"));
    let wrong = wrong.with_hint(did_you_mean(unknown, KNOWN, || {
        format!("known are {}", list(&KNOWN))
    }));
    Err(ApiError::invalid(hinted::in_line(&wrong)))
}

/// The quirks that a request sets for itself; several headers are one list.
fn quirks(headers: &HeaderMap) -> ApiResult<Layer> {
    let parts = headers.get_all(QUIRK).iter().map(HeaderValue::to_str);
    let parts: Result<Vec<_>, _> = parts.collect();
    let parts = parts.map_err(|_| ApiError::not_ascii(QUIRK))?;
    Layer::from_text(&parts.join(","))
        .map_err(|error| ApiError::invalid(format!("{QUIRK}: {}", hinted::in_line(&error))))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn headers_of_one_name_are_one_list() {
        let mut headers = HeaderMap::new();
        let quirk = "x-sandtable-quirk";
        headers.append(quirk, HeaderValue::from_static("era=beta-2025"));
        headers.append(quirk, HeaderValue::from_static("container-idle=5m"));
        let layer = quirks(&headers).unwrap();
        assert_eq!(layer.rows().count(), 2);
        headers.append(quirk, HeaderValue::from_static("nonsense"));
        assert!(quirks(&headers).is_err());

        let fault = "x-sandtable-fault";
        let http = HeaderValue::from_static(r#"{"at":"http","status":529}"#);
        headers.append(fault, http);
        let turn = r#"[{"at":"turn","do":"expire_container"}]"#;
        headers.append(fault, HeaderValue::from_static(turn));
        let of_request = |headers: &HeaderMap| {
            let mut head = Request::post("/v1/messages")
                .body(())
                .unwrap()
                .into_parts()
                .0;
            head.headers.clone_from(headers);
            faults::of_request(&head, None, "req_1")
        };
        let read = of_request(&headers).unwrap().unwrap();
        assert_eq!(read.list().len(), 2);
        headers.append(fault, HeaderValue::from_static(r#"{"at":"disk"}"#));
        assert!(of_request(&headers).is_err());
    }
}
