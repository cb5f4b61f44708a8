//! Stub.
use axum::Json;
pub(super) async fn list() -> Json<serde_json::Value> {
    Json(serde_json::Value::Null)
}
pub(super) async fn clear() {}
