//! When a key that is new makes a workspace.

use super::*;

#[tokio::test]
async fn a_call_that_is_refused_or_only_looks_makes_no_workspace() {
    let server = Server::start(Config::default());
    let refused = [
        (Method::POST, "clock", "x"),
        (Method::POST, "clock", r#"{"set":"2000-01-01T00:00:00Z"}"#),
        (Method::PUT, "scripts", "- bad: 1"),
        (Method::POST, "scripts", "- bad: 1"),
        (Method::POST, "faults", r#"{"at":"nowhere"}"#),
        (Method::PUT, "quirks", r#"{"no":"such"}"#),
        (Method::PUT, "rate-limits", "[{}]"),
        (Method::PUT, "cassettes", "{"),
        (Method::PUT, "state", r#"{"x":1}"#),
        (Method::POST, "state/fork", r#"{"ke":1}"#),
        (Method::PUT, "label", "{}"),
        (Method::POST, "containers/c/expire", ""),
        (Method::POST, "containers/c/sleep", ""),
        (Method::GET, "wait", ""),
        (Method::GET, "journal/req_x", ""),
    ];
    for (method, path, body) in refused {
        let whole = format!("/_sandtable/{path}");
        let (status, answer) = server.send(Some("new"), method, &whole, body).await;
        assert!(status.is_client_error(), "{path}: {status} {answer}");
        assert_eq!(server.app.workspaces.all().len(), 0, "{path} {body}");
    }
    for (method, path) in [
        (Method::HEAD, "clock"),
        (Method::GET, "state"),
        (Method::POST, "scripts/check"),
    ] {
        let whole = format!("/_sandtable/{path}");
        let (status, answer) = server.send(Some("new"), method, &whole, "[]").await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        assert_eq!(server.app.workspaces.all().len(), 0, "{path}");
    }
    server
        .post("new", "/_sandtable/clock", &json!({"freeze": true}))
        .await;
    assert_eq!(server.app.workspaces.all().len(), 1);
}

#[tokio::test]
async fn rules_for_all_workspaces_are_read_where_there_is_none() {
    let server = Server::start(Config::default());
    let path = "/_sandtable/scripts?workspace=*";
    let (status, _) = server.send(None, Method::PUT, path, "- bad: 1").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
