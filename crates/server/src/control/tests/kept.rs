//! What a call does not do as a whole, it does not do.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use chrono::{DateTime, TimeDelta};
use serde_json::json;

use super::Server;
use crate::app::MoveError;
use crate::config::Config;
use common::clock::{self, Change};
use store::Options;
use workspace::{Defaults, Workspaces};

#[tokio::test]
async fn a_clock_that_cannot_be_kept_is_not_moved_and_no_other_is() {
    let server = Server::start(Config::default());
    let workspace = server.app.workspace_of_key("a").await.unwrap();
    // The store does not know it.
    let unknown = Arc::new(server.app.workspaces.untouched());
    let change = Change {
        freeze: Some(true),
        ..Change::default()
    };
    let both = [Arc::clone(&workspace), Arc::clone(&unknown)];
    let refused = server.app.move_clocks(&both, change).await;
    assert!(matches!(refused, Err(MoveError::Store(_))), "{refused:?}");
    for workspace in &both {
        assert!(!workspace.clock.is_frozen());
    }
    server.app.move_clocks(&both[..1], change).await.unwrap();
    assert!(workspace.clock.is_frozen());
    let kept = server.app.store.workspaces().await.unwrap();
    assert!(kept[0].clock.frozen_at.is_some(), "{kept:?}");
}

#[tokio::test]
async fn every_call_that_needs_one_more_workspace_is_told_alike_that_there_is_none() {
    for (data_dir, help) in [
        (None, "restart the server"),
        (Some("data".into()), "give `--data-dir` another folder"),
    ] {
        let config = Config {
            data_dir,
            ..Config::default()
        };
        let options = Options {
            max_workspaces: 1,
            ..Options::default()
        };
        let server = Server::start_with(config, options);
        server.app.workspace_of_key("a").await.unwrap();
        let state = json!({"version": 1}).to_string();
        let freeze = json!({"freeze": true}).to_string();
        for (key, method, path, body) in [
            ("b", Method::PUT, "/_sandtable/state", state.as_str()),
            ("b", Method::POST, "/_sandtable/clock", freeze.as_str()),
            ("a", Method::POST, "/_sandtable/state/fork", ""),
            ("b", Method::GET, "/v1/files", ""),
        ] {
            let (status, said) = server.send(Some(key), method, path, body).await;
            assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{path}: {said}");
            assert!(said.to_string().contains(help), "{path}: {said}");
        }
        // A key that has one goes on.
        let (status, _) = server
            .send(Some("a"), Method::PUT, "/_sandtable/state", &state)
            .await;
        assert_eq!(status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_state_names_the_file_that_has_lost_its_bytes_and_does_without_it() {
    let server = Server::start(Config::default());
    let state = json!({"version": 1, "files": [
        {"id": "file_1", "filename": "a.txt", "content": "kept"},
        {"id": "file_2", "filename": "b.txt", "content": "lost"},
    ]});
    let (status, put) = server.put("a", "/_sandtable/state", &state).await;
    assert_eq!((status, &put["files"]), (StatusCode::OK, &json!(2)));
    let shelves = std::fs::read_dir(server.dir.path().join("blobs")).unwrap();
    let blobs = shelves.flat_map(|shelf| std::fs::read_dir(shelf.unwrap().path()).unwrap());
    let mut blobs = blobs.map(|blob| blob.unwrap().path());
    let lost = blobs.find(|blob| std::fs::read(blob).unwrap() == b"lost");
    std::fs::remove_file(lost.unwrap()).unwrap();
    let (status, said) = server.get("a", "/_sandtable/state").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(said.to_string().contains("`file_2`"), "{said}");
    server
        .send(Some("a"), Method::DELETE, "/v1/files/file_2", "")
        .await;
    let (status, said) = server.get("a", "/_sandtable/state").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(said["files"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_clock_that_begins_frozen_is_kept_also_of_a_workspace_that_was_there() {
    let server = Server::start(Config::default());
    let workspaces = |frozen_at| {
        let defaults = Defaults {
            clock: clock::State {
                frozen_at,
                ..clock::State::default()
            },
            ..Defaults::default()
        };
        Workspaces::new(server.app.store.clone(), None, Arc::default()).over(defaults)
    };
    workspaces(None).of_key("before").await.unwrap();
    let at = DateTime::UNIX_EPOCH + TimeDelta::days(40_000);
    let frozen = workspaces(Some(at));
    frozen.take_up().await.unwrap();
    frozen.of_key("after").await.unwrap();
    // Of the next server, which was not told.
    let next = workspaces(None);
    next.take_up().await.unwrap();
    for key in ["before", "after"] {
        let (workspace, _) = next.of_key(key).await.unwrap();
        assert_eq!(workspace.clock.now(), at, "{key}");
    }
}
