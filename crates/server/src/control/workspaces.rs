//! `GET /_sandtable/workspaces`.

use axum::Json;
use axum::extract::State;
use control_api::{List, WorkspaceState};

use crate::app::App;

/// All workspaces by name.
pub(super) async fn list(State(app): State<App>) -> Json<List<WorkspaceState>> {
    let all = app.workspaces.all();
    let data = all.iter().map(|workspace| WorkspaceState {
        name: workspace.name.clone(),
        id: workspace.id.clone(),
        label: workspace.label(),
        key: workspace.key_end().map(|end| format!("…{end}")),
        now: workspace.clock.now(),
        frozen: workspace.clock.is_frozen(),
        requests: workspace.watch.requests(),
    });
    Json(List {
        data: data.collect(),
    })
}
