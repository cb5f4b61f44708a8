//! The peer that does nothing: an axum handler that reads the request and returns the same bytes.

use std::convert::Infallible;
use std::fs;
use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;

/// The first argument of this program when it is the peer.
pub(crate) const MODE: &str = "bare-handler";

/// One kind of answer.
#[derive(Debug, Clone)]
struct Canned {
    headers: HeaderMap,
    /// One piece, or one for each event.
    pieces: Vec<Bytes>,
}

/// Keeps an answer for [`serve`].
pub(crate) fn keep(folder: &Path, name: &str, head: &str, body: &[u8]) {
    fs::write(folder.join(format!("{name}.head")), head).unwrap();
    fs::write(folder.join(format!("{name}.body")), body).unwrap();
}

fn load(folder: &Path, name: &str) -> Canned {
    let head = fs::read_to_string(folder.join(format!("{name}.head"))).unwrap();
    let body = fs::read(folder.join(format!("{name}.body"))).unwrap();
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1) {
        let Some((key, value)) = line.split_once(": ") else {
            continue;
        };
        // hyper writes these itself.
        if !["content-length", "transfer-encoding", "date"].contains(&key) {
            headers.insert(
                HeaderName::try_from(key).unwrap(),
                HeaderValue::try_from(value).unwrap(),
            );
        }
    }
    let pieces = if name == "stream" {
        let text = String::from_utf8(body).unwrap();
        text.split_inclusive("\n\n")
            .map(|event| Bytes::from(event.to_owned()))
            .collect()
    } else {
        vec![Bytes::from(body)]
    };
    Canned { headers, pieces }
}

/// Serves until it is killed.
pub(crate) fn serve(port: u16, folder: &Path) {
    let canned = [load(folder, "plain"), load(folder, "stream")];
    let app = Router::new()
        .route("/health", get(async || "ok"))
        .route("/v1/messages", post(answer))
        .with_state(std::sync::Arc::new(canned));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .unwrap();
        axum::serve(listener, app).await.unwrap();
    });
}

async fn answer(State(canned): State<std::sync::Arc<[Canned; 2]>>, body: Bytes) -> Response {
    let streams = memchr::memmem::find(&body, b"\"stream\":true").is_some();
    let canned = &canned[usize::from(streams)];
    let body = match canned.pieces.as_slice() {
        [whole] => Body::from(whole.clone()),
        pieces => Body::from_stream(stream::iter(
            pieces
                .iter()
                .cloned()
                .map(Ok::<_, Infallible>)
                .collect::<Vec<_>>(),
        )),
    };
    let mut response = Response::new(body);
    *response.headers_mut() = canned.headers.clone();
    response
}
