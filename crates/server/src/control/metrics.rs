//! `GET /_sandtable/metrics`: counts of the whole server, as Prometheus reads them.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use control_api::ContainerState;

use super::containers::state;
use super::error::ControlError;
use crate::app::App;
use workspace::telemetry::Gauges;

/// All metrics.
pub(super) async fn show(State(app): State<App>) -> Result<impl IntoResponse, ControlError> {
    let workspaces = app.workspaces.all();
    let mut gauges = Gauges {
        version: env!("CARGO_PKG_VERSION"),
        backend: app.containers.backend().name().to_owned(),
        workspaces: workspaces.len() as u64,
        ..Gauges::default()
    };
    for workspace in workspaces {
        gauges.journal_bytes += workspace.journal.bytes() as u64;
        for row in app.store.containers(&workspace.id).await? {
            let count = match state(&app, &workspace, &row) {
                ContainerState::Awake => &mut gauges.awake,
                ContainerState::Asleep => &mut gauges.asleep,
                ContainerState::Expired => &mut gauges.expired,
            };
            *count += 1;
        }
    }
    let text = app.containers.telemetry().text(&gauges);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text))
}
