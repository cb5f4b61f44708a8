//! The files of a workspace, for who looks on.

use super::*;

#[tokio::test]
async fn who_looks_on_sees_the_files_whatever_the_faults_and_is_no_client() {
    let server = Server::start(Config::default());
    let (_, none) = server.get("a", "/_sandtable/files").await;
    assert_eq!(none, json!({"data": []}));
    assert!(server.app.workspaces.all().is_empty());
    let file = json!({
        "id": "file_011CPa", "filename": "a.csv", "mime_type": "text/csv", "size_bytes": 3,
        "created_at": "2026-01-04T20:47:05.000000Z", "downloadable": false,
    });
    let kept = json!({
        "id": "file_011CPa", "filename": "a.csv", "mime_type": "text/csv", "created_at": "2026-01-04T20:47:05Z",
        "downloadable": false, "content": "abc",
    });
    let state = json!({"version": 1, "files": [kept]});
    let (status, put) = server.put("a", "/_sandtable/state", &state).await;
    assert_eq!(status, StatusCode::OK, "{put}");
    let silence = json!({"at": "http", "do": "stall", "times": "always"});
    server.post("a", "/_sandtable/faults", &silence).await;
    let (status, list) = server.get("a", "/_sandtable/files").await;
    assert_eq!((status, &list["data"]), (StatusCode::OK, &json!([file])));
    let (_, verdict) = server.get("a", "/_sandtable/verify?coverage=1").await;
    assert_eq!(verdict["faults"], json!([]));
    assert_eq!(verdict["coverage"]["met"], 0, "{verdict}");
    let (_, other) = server.get("b", "/_sandtable/files").await;
    assert_eq!(other, json!({"data": []}));
}
