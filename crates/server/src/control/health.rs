//! Health and readiness.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use control_api::{Health, PassedOver, Ready};

use crate::app::App;
use crate::config::BackendChoice;
use model::OnUnmatched;

/// The server runs.
pub(super) async fn health(State(app): State<App>) -> Json<Health> {
    let backend = app.containers.backend();
    let passed_over = backend.passed_over().iter();
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backend: backend.name().to_owned(),
        isolation: backend.capabilities().rung.to_owned(),
        passed_over: passed_over
            .map(|passed| PassedOver {
                name: passed.name.to_owned(),
                reason: passed.reason.clone(),
            })
            .collect(),
        profile: app.config.quirks.profile.name().to_owned(),
    })
}

/// Readiness: a container can be had at once, or, where nothing is to run, answers. `sandboxes` says which it is,
/// and `reason` why there is none and what that means for the scripts.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let backend = app.containers.backend();
    let refused = backend.ready().await.err().map(|error| error.to_string());
    // Recordings need no sandbox, and whoever starts without a backend wants none.
    let without = app.config.cassettes.is_some() || app.config.backend == BackendChoice::None;
    let refused = refused.map(|refused| (refused, Unscripted::of(&app)));
    let is_fine = |unscripted| without || unscripted == Unscripted::Nothing;
    let ok = refused
        .as_ref()
        .is_none_or(|(_, unscripted)| is_fine(*unscripted));
    let reason = refused.map(|(refused, unscripted)| format!("{refused}{}", unscripted.text()));
    let body = Ready {
        status: if ok { "ok" } else { "not_ready" }.to_owned(),
        backend: backend.name().to_owned(),
        sandboxes: reason.is_none(),
        reason,
    };
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}

/// The need of a server's own scripts for a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unscripted {
    /// No step does, and nothing but the scripts answers.
    Nothing,
    /// So many steps do.
    Steps(usize),
    /// Other models beside them may.
    Others,
}

impl Unscripted {
    fn of(app: &App) -> Self {
        // As a workspace begins: with those of the state, too.
        let scripts = app.workspaces.untouched().scripts;
        match (scripts.sandboxed_steps(), app.config.on_unmatched) {
            (_, _) if scripts.is_empty() => Self::Others,
            (0, OnUnmatched::Fail) => Self::Nothing,
            (0, OnUnmatched::Direct) => Self::Others,
            (steps, OnUnmatched::Fail | OnUnmatched::Direct) => Self::Steps(steps),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Nothing => "; no step of the scripts needs a sandbox".to_owned(),
            Self::Steps(1) => {
                "; a step of the scripts has no `result` and gets `unavailable`".to_owned()
            }
            Self::Steps(steps) => {
                format!("; {steps} steps of the scripts have no `result` and get `unavailable`")
            }
            Self::Others => String::new(),
        }
    }
}
