//! The endpoints, called through the routes with a real store.

mod errors;
mod large;
mod lists;
mod lives;
mod uploads;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::api::caller::Betas;
use crate::api::routes;
use crate::api::shaped::Connection;
use cassette::Redactor;
use common::clock::Clock;
use store::{NewFile, NewWorkspace, Options, Store};
use workspace::quirks::Quirks;
use workspace::verify::Made;
use workspace::{OpenRequest, Workspace};

/// The routes over a store of its own, and the workspaces `a` and `b`, both seeded and frozen.
struct Server {
    app: App,
    store: Store,
    dir: TempDir,
    workspaces: [Arc<Workspace>; 2],
    betas: Betas,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// `400 invalid_request_error/error_code: message`.
    fn error(&self) -> String {
        let error = &self.json()["error"];
        let code = error["details"]["error_code"].as_str();
        format!(
            "{} {}{}: {}",
            self.status.as_u16(),
            error["type"].as_str().unwrap(),
            code.map(|code| format!("/{code}")).unwrap_or_default(),
            error["message"].as_str().unwrap()
        )
    }
}

impl Server {
    async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    async fn start_with(options: Options) -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open_with(dir.path(), options).unwrap();
        let clock = || {
            let clock = Clock::default();
            clock.freeze(true);
            let start = "2030-01-02T03:04:05.678901Z".parse().unwrap();
            clock.set(start).unwrap();
            clock
        };
        let workspaces = [1, 2].map(|n| {
            let id = format!("wrkspc_{n}");
            Arc::new(Workspace::new(id, clock(), Some(7), Arc::default()))
        });
        for (n, workspace) in (1..).zip(&workspaces) {
            let new = NewWorkspace {
                id: workspace.id.clone(),
                name: workspace.id.clone(),
                created_at: workspace.clock.now(),
                clock: common::clock::State::default(),
            };
            store.workspace_for_key(&[n; 32], new).await.unwrap();
        }
        Self {
            app: App::for_store(store.clone()),
            store,
            dir,
            workspaces,
            betas: Betas::default(),
        }
    }

    /// Sends the beta header from now on.
    fn beta(mut self) -> Self {
        self.betas = Betas(vec![FILES_BETA.to_owned()]);
        self
    }

    fn a(&self) -> &Workspace {
        &self.workspaces[0]
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        self.send_as(0, request).await
    }

    async fn send_as(&self, workspace: usize, request: Request<Body>) -> Answer {
        let caller = Caller {
            workspace: Arc::clone(&self.workspaces[workspace]),
            request_id: crate::api::error::RequestId("req_test".into()),
            version: "2023-06-01".into(),
            betas: self.betas.clone(),
            quirks: Quirks::default(),
            faults: None,
            made: Made::default(),
            open: OpenRequest::default(),
            redactor: Redactor::default(),
        };
        let over = (self.app.clone(), Connection::default());
        let mut exchange = Exchange::new(over, caller, request.into_parts());
        let outcome = routes::route(&mut exchange).await;
        let response = outcome.unwrap_or_else(|error| error.answer(Some("req_test")).0);
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    async fn delete(&self, path: &str) -> Answer {
        // As the Python SDK does it: JSON announced, nothing sent.
        let request = Request::delete(path)
            .header("content-type", "application/json")
            .body(Body::empty());
        self.send(request.unwrap()).await
    }

    async fn upload(&self, parts: &[Part<'_>]) -> Answer {
        self.send(post(multipart(parts))).await
    }

    /// Uploads a file and returns its id.
    async fn add(&self, filename: &str) -> String {
        let answer = self.upload(&[file(filename, b"1,2\n")]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Adds a file as code execution would.
    async fn add_output(&self, filename: &str, content: &[u8]) -> String {
        let mut writer = self.store.begin_blob().await.unwrap();
        writer.write(content).await.unwrap();
        let now = self.a().clock.now();
        let used = self.store.used_bytes("wrkspc_1", now).await.unwrap();
        let new = NewFile {
            id: format!("file_{used}").into(),
            workspace: self.a().id.clone(),
            filename: filename.to_owned(),
            mime_type: "text/csv".to_owned(),
            downloadable: true,
            created_at: self.a().clock.now(),
            expires_at: Some(self.a().clock.now() + chrono::TimeDelta::hours(1)),
            container_id: Some("container_1".into()),
        };
        let blob = writer.finish().await.unwrap();
        self.store
            .insert_file(new, blob)
            .await
            .unwrap()
            .id
            .into_string()
    }

    /// Asserts that neither workspace has a file, and that nothing is on the disk beside whole files.
    async fn nothing_is_stored(&self) {
        for workspace in 0..2 {
            let request = Request::get("/v1/files").body(Body::empty()).unwrap();
            let answer = self.send_as(workspace, request).await;
            assert_eq!(answer.json()["data"], serde_json::json!([]));
        }
        assert_eq!(
            std::fs::read_dir(self.dir.path().join("sandtable-tmp"))
                .unwrap()
                .count(),
            0
        );
    }
}

/// One part: its headers without the line breaks around them, and its content.
type Part<'a> = (String, &'a [u8]);

fn file<'a>(filename: &str, content: &'a [u8]) -> Part<'a> {
    let head = format!(
        "Content-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
         Content-Type: text/csv"
    );
    (head, content)
}

fn field<'a>(name: &str, content: &'a str) -> Part<'a> {
    let head = format!("Content-Disposition: form-data; name=\"{name}\"");
    (head, content.as_bytes())
}

fn multipart(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(format!("--BOUND\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--BOUND--\r\n");
    body
}

fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/v1/files")
        .header("content-type", "multipart/form-data; boundary=BOUND")
        .body(body.into())
        .unwrap()
}
