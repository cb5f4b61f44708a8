//! `exec` over a WebSocket: frames of the protocol's fifth version, led to a program in the pod.

use std::process::Stdio;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response as HttpResponse, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Inner;

const PROTOCOL: &str = "v5.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const CLOSE: u8 = 255;

pub(super) fn enter(inner: &Arc<Inner>, pod: &str, mut request: Request) -> Response {
    let header = |name| {
        let value = request.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let offered = header(header::SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
    let key = header(header::SEC_WEBSOCKET_KEY).unwrap_or_default();
    if !offered.split(", ").any(|one| one == PROTOCOL) {
        return (axum::http::StatusCode::FORBIDDEN, "no such protocol").into_response();
    }
    let command = request.uri().query().unwrap_or_default().split('&');
    let command: Vec<String> = command
        .filter_map(|pair| pair.strip_prefix("command="))
        .map(|word| {
            percent_encoding::percent_decode_str(word)
                .decode_utf8_lossy()
                .into_owned()
        })
        .collect();
    let mut query = request.uri().query().unwrap_or_default().split('&');
    let container = query.find_map(|pair| pair.strip_prefix("container="));
    let child = inner
        .node
        .exec(pod, container.unwrap_or_default(), &command);
    let upgrade = hyper::upgrade::on(&mut request);
    let task = tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else {
            return;
        };
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        serve(socket, child).await;
    });
    inner.tasks.lock().unwrap().push(task.abort_handle());
    HttpResponse::builder()
        .status(101)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(
            header::SEC_WEBSOCKET_ACCEPT,
            derive_accept_key(key.as_bytes()),
        )
        .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
        .body(Body::empty())
        .unwrap()
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    let mut frame = vec![channel];
    frame.extend_from_slice(bytes);
    Message::binary(frame)
}

async fn serve(
    socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>,
    mut command: tokio::process::Command,
) {
    let (mut send, mut receive) = socket.split();
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.unwrap();
    let mut stdin = child.stdin.take();
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut out = vec![0; 32 * 1024];
    let mut err = vec![0; 4096];
    let mut err_open = true;
    loop {
        tokio::select! {
            message = receive.next() => match message {
                Some(Ok(Message::Binary(bytes))) => match bytes.first() {
                    Some(&STDIN) => if let Some(pipe) = &mut stdin
                        && pipe.write_all(&bytes[1..]).await.is_err()
                    {
                        stdin = None;
                    },
                    Some(&CLOSE) => stdin = None,
                    _ => {}
                },
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            read = stdout.read(&mut out) => match read {
                Ok(read @ 1..) => if send.send(frame(STDOUT, &out[..read])).await.is_err() {
                    return;
                },
                Ok(0) | Err(_) => break,
            },
            read = stderr.read(&mut err), if err_open => match read {
                Ok(read @ 1..) => if send.send(frame(STDERR, &err[..read])).await.is_err() {
                    return;
                },
                Ok(0) | Err(_) => err_open = false,
            },
        }
    }
    let ended = child.wait().await.ok().and_then(|status| status.code());
    let status = match ended {
        Some(0) => json!({ "metadata": {}, "status": "Success" }),
        code => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with exit code {code:?}"),
        }),
    };
    send.send(frame(STATUS, status.to_string().as_bytes()))
        .await
        .ok();
    send.close().await.ok();
}
