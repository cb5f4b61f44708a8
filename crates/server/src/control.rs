//! Our own surface under `/_sandtable`: what a test needs to set up, look at, and clear.
//!
//! Everything acts on the caller's workspace: the one of its key, or `?workspace=NAME`; a caller
//! without either means the only one there is.

mod api_files;
mod body;
mod cassettes;
mod clock;
mod coding;
mod containers;
mod error;
mod events;
mod faults;
mod files;
mod fork;
mod health;
mod journal;
mod label;
mod metrics;
mod openapi;
mod page;
mod query;
mod quirks;
mod rates;
mod scripts;
mod snapshot;
mod target;
mod usage;
mod verify;
mod wait;
mod workspaces;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::routing::{any, get, post, put};

use crate::app::App;
use common::limits;
use error::ControlError;
pub(crate) use error::shaped;

/// Every path of ours, health checks included.
pub(crate) fn router(app: &App) -> Router<App> {
    let guarded = Router::new()
        .route("/_sandtable/clock", get(clock::show).post(clock::change))
        .route("/_sandtable/reset", post(snapshot::reset))
        .route(
            "/_sandtable/journal",
            get(journal::list).delete(journal::clear),
        )
        .route("/_sandtable/journal/{id}", get(journal::one))
        .route("/_sandtable/workspaces", get(workspaces::list))
        .route("/_sandtable/wait", get(wait::wait))
        .route("/_sandtable/metrics", get(metrics::show))
        .route("/_sandtable/label", put(label::put))
        .route("/_sandtable/containers", get(containers::list))
        .route(
            "/_sandtable/containers/{id}/expire",
            post(containers::expire),
        )
        .route("/_sandtable/containers/{id}/sleep", post(containers::sleep))
        .route("/_sandtable/containers/{id}/files", get(files::list))
        .route(
            "/_sandtable/containers/{id}/files/{*path}",
            get(files::read),
        )
        .route("/_sandtable/files", get(api_files::list))
        .route("/_sandtable/scripts/check", post(scripts::check))
        .route("/_sandtable/state/fork", post(fork::fork))
        .route(
            "/_sandtable/scripts",
            get(scripts::list)
                .put(scripts::replace)
                .post(scripts::add)
                .delete(scripts::clear),
        )
        .route(
            "/_sandtable/faults",
            get(faults::list).post(faults::add).delete(faults::clear),
        )
        .route(
            "/_sandtable/quirks",
            get(quirks::show).put(quirks::replace).delete(quirks::clear),
        )
        .route(
            "/_sandtable/rate-limits",
            get(rates::show).put(rates::replace).delete(rates::clear),
        )
        .route(
            "/_sandtable/cassettes",
            get(cassettes::show)
                .put(cassettes::mount)
                .delete(cassettes::unmount)
                .layer(DefaultBodyLimit::max(limits::MAX_CASSETTE_BYTES)),
        )
        .route("/_sandtable/usage", get(usage::show))
        .route(
            "/_sandtable/state",
            get(snapshot::export)
                .put(snapshot::import)
                .layer(DefaultBodyLimit::max(limits::MAX_STATE_BYTES)),
        )
        .route("/_sandtable/verify", get(verify::show))
        .route("/_sandtable/events", get(events::listen))
        .merge(page::router())
        .layer(DefaultBodyLimit::max(limits::MAX_CONTROL_BODY_BYTES))
        .layer(axum::middleware::from_fn(coding::check))
        .layer(axum::middleware::from_fn(query::check))
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            target::check_token,
        ));
    Router::new()
        .route("/_sandtable/health", get(health::health))
        .route("/_sandtable/ready", get(health::ready))
        .route("/_sandtable/openapi.json", get(openapi::show))
        .layer(axum::middleware::from_fn(query::check))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/_x-steady/health", get(health::health))
        .route("/_sandtable/{*path}", any(unknown))
        .merge(guarded)
}

async fn unknown(uri: Uri) -> ControlError {
    ControlError::new(
        StatusCode::NOT_FOUND,
        format!("no control call `{}`", uri.path()),
        "`GET /_sandtable/openapi.json` lists them; `sandtable docs control` says how they are used",
    )
}

#[cfg(test)]
mod tests;
