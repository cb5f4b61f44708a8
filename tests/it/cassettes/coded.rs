//! What is compressed, in UTF-16, or of the connection, on its way through a recorder.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use cassette::{Body, End, Mode, load};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Studio, ask, path, player, recorder};
use crate::harness::server::prompt;
use crate::harness::{Request, Response, TestServer};

/// `PLAIN`, by gzip.
const PACKED: &str = "1f8b0800000000000203ab56ca4c51b252ca2d4e8f37304c4c4a56d2512aa92c480509a5161727a6a702058af273400289c5c599c52589792540a1e4fcbc925420cb2aba1aa6be24b5022403a6ac940a1293b35353946a636b013a96577a62000000";
const PLAIN: &str = r#"{"id":"msg_01abc","type":"message","role":"assistant","content":[{"type":"text","text":"packed"}]}"#;

fn packed() -> Vec<u8> {
    let pairs = PACKED.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16));
    bytes.map(Result::unwrap).collect()
}

/// A service that says the same to everybody, and what it was asked.
async fn service(headers: &str, body: Vec<u8>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&asked);
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut read = Vec::new();
            while !read.windows(4).any(|four| four == b"\r\n\r\n") {
                if stream.read_buf(&mut read).await.unwrap_or_default() == 0 {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&read).into_owned();
            let is_head = text.starts_with("HEAD");
            heads.lock().unwrap().push(text);
            let body = if is_head { &[][..] } else { &body };
            // A client may have left.
            // The client may have what it wants before the end.
            stream
                .write_all(&[head.as_bytes(), body].concat())
                .await
                .ok();
            stream.shutdown().await.ok();
            stream.read_to_end(&mut Vec::new()).await.ok();
        }
    });
    (address, asked)
}

/// The answer to HEAD, which has a length and no body.
async fn head_of(server: &TestServer, request: &Request) -> Response {
    let mut connection = server.connect().await;
    connection.send(request).await;
    connection.read_head().await.unwrap()
}

#[tokio::test]
async fn a_compressed_answer_is_plain_for_the_client_the_cassette_and_the_replay() {
    let (address, _) = service(
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
        packed(),
    )
    .await;
    let folder = TempDir::new().unwrap();
    let recorder = recorder(address.to_string(), &path(&folder), Mode::All).await;
    let answer = recorder.send(&ask(&recorder, "hi")).await;
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.text(), PLAIN);
    assert_eq!(recorder.journal().await[0]["response_body"], answer.json());
    let player = player(&path(&folder)).await;
    let again = player.send(&ask(&player, "hi")).await;
    assert_eq!(again.header("content-encoding"), None);
    assert_eq!(again.text(), PLAIN);
}

#[tokio::test]
async fn an_answer_in_an_encoding_that_nobody_undoes_is_passed_on_and_not_kept() {
    let (address, _) = service(
        "content-type: application/json\r\ncontent-encoding: br\r\n",
        packed(),
    )
    .await;
    let folder = TempDir::new().unwrap();
    let recorder = recorder(address.to_string(), &path(&folder), Mode::All).await;
    let answer = recorder.send(&ask(&recorder, "hi")).await;
    assert_eq!(answer.header("content-encoding"), Some("br"));
    assert_eq!(answer.body, packed());
    let shown = recorder
        .send(&recorder.request("GET", "/_sandtable/cassettes"))
        .await;
    assert!(shown.text().contains("encoding `br`"), "{}", shown.text());
    let player = player(&path(&folder)).await;
    let again = player.send(&ask(&player, "hi")).await;
    assert_eq!(again.status, 400);
    assert!(again.message().contains("`br`"), "{}", again.text());
}

#[tokio::test]
async fn a_replay_gives_compressed_bytes_with_the_header_that_says_so() {
    let folder = TempDir::new().unwrap();
    let base64 = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(packed())
    };
    let exchange = |path: &str, body: &str| {
        format!(
            "- request: {{method: GET, path: {path}}}\n  response:\n    status: 200\n    headers: {{content-type: application/json, content-encoding: gzip}}\n    body: {body}\n"
        )
    };
    let text = format!(
        "cassette: 1\nexchanges:\n{}{}",
        exchange("/v1/models", &format!("{{base64: \"{base64}\"}}")),
        exchange("/v1/files", "{json: {data: []}}"),
    );
    std::fs::write(path(&folder), text).unwrap();
    let player = player(&path(&folder)).await;
    let bytes = player.send(&player.request("GET", "/v1/models")).await;
    assert_eq!(bytes.body, packed(), "{}", bytes.status);
    assert_eq!(bytes.header("content-encoding"), Some("gzip"));
    let text = player.send(&player.request("GET", "/v1/files")).await;
    assert_eq!(text.text(), r#"{"data":[]}"#);
    assert_eq!(text.header("content-encoding"), None);
}

#[tokio::test]
async fn a_compressed_request_is_refused_before_the_service_is_asked() {
    let (address, asked) = service("content-type: application/json\r\n", PLAIN.into()).await;
    let folder = TempDir::new().unwrap();
    let recorder = recorder(address.to_string(), &path(&folder), Mode::All).await;
    let coded = |server: &TestServer| {
        let request = ask(server, "hi").header("content-encoding", "identity");
        let request = request.header("content-encoding", "gzip");
        request.body(packed())
    };
    let refused = recorder.send(&coded(&recorder)).await;
    assert_eq!(refused.status, 400);
    let error = &refused.json()["error"];
    assert_eq!(
        error["details"]["error_code"],
        "request_body_encoding_unsupported"
    );
    assert!(
        refused
            .message()
            .contains("hint: send requests uncompressed")
    );
    assert_eq!(asked.lock().unwrap().len(), 0);
    assert_eq!(recorder.send(&ask(&recorder, "hi")).await.status, 200);
    assert_eq!(load(&path(&folder)).unwrap().exchanges.len(), 1);

    let player = player(&path(&folder)).await;
    assert_eq!(player.send(&ask(&player, "hi")).await.status, 200);
    let refused = player.send(&coded(&player)).await;
    assert_eq!(refused.status, 400);
    let verdict = player
        .send(&player.request("GET", "/_sandtable/verify"))
        .await;
    let verdict = verdict.json();
    assert_eq!(verdict["ok"], false, "{verdict}");
    assert!(verdict.to_string().contains("compressed"), "{verdict}");
}

#[tokio::test]
async fn a_key_in_a_text_of_utf_16_reaches_no_disk_and_its_upload_replays_with_another() {
    let studio = Studio::open().await;
    let upload = |server: &TestServer, key: &str| {
        let text: Vec<u8> = "\u{feff}name;"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let key_16: Vec<u8> = key.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let head =
            "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"u.csv\"\r\n\r\n";
        let body = [head.as_bytes(), &text, &key_16, b"\r\n--b--\r\n"].concat();
        let request = server.request("POST", "/v1/files").without("x-api-key");
        let request = request.header("x-api-key", key);
        request
            .header("content-type", "multipart/form-data; boundary=b")
            .body(body)
    };
    let key = "sk-ant-api03-SECRETSECRETSECRET";
    let answer = studio.recorder.send(&upload(&studio.recorder, key)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cassette = studio.cassette();
    let request = cassette.exchanges[0].request.as_ref().unwrap();
    let Body::Form(parts) = &request.body else {
        panic!("an upload is a form");
    };
    let kept = parts[0].body.bytes().unwrap().unwrap();
    let letters: Vec<u8> = kept.iter().copied().filter(|byte| *byte != 0).collect();
    assert_eq!(letters, b"\xff\xfename;[redacted]");
    let player = player(&studio.path()).await;
    for key in [key, "sk-ant-api03-another-one-of-another-length"] {
        let answer = player.send(&upload(&player, key)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // Also where the text that was kept out is not known any more.
    let answer = player.send(&upload(&player, "other-key-altogether")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn what_is_of_the_connection_goes_no_further_and_the_rest_is_the_services_own() {
    let headers = "content-type: text/csv\r\nconnection: x-hop, close\r\nx-hop: 1\r\n\
                   anthropic-organization-id: org-of-theirs\r\n";
    let (address, asked) = service(headers, b"a;b".to_vec()).await;
    let folder = TempDir::new().unwrap();
    let recorder = recorder(address.to_string(), &path(&folder), Mode::All).await;
    let content = |method: &str, server: &TestServer| -> Request {
        server.request(method, "/v1/files/file_1/content")
    };
    let request = content("GET", &recorder).header("connection", "X-Mine");
    let request = request.header("x-mine", "1").header("x-other", "2");
    let answer = recorder.send(&request).await;
    assert_eq!(answer.text(), "a;b");
    assert_eq!(answer.header("x-hop"), None);
    assert_eq!(
        answer.header("anthropic-organization-id"),
        Some("org-of-theirs")
    );
    assert_eq!(answer.header("anthropic-workspace-id"), None);
    let head = asked.lock().unwrap()[0].clone();
    assert!(
        head.contains("x-other: 2") && !head.contains("x-mine"),
        "{head}"
    );
    let journal = recorder.journal().await;
    assert!(!journal[0].to_string().contains("org-of-theirs"));

    let answer = head_of(&recorder, &content("HEAD", &recorder)).await;
    assert_eq!(answer.header("content-length"), Some("3"));
    let cassette = load(&path(&folder)).unwrap();
    let [get, head] = &cassette.exchanges[..] else {
        panic!("two were asked");
    };
    assert_eq!(get.response.header("content-length"), None);
    assert_eq!(head.response.end, End::Complete);
    let player = player(&path(&folder)).await;
    let answer = head_of(&player, &content("HEAD", &player)).await;
    assert_eq!(answer.header("content-length"), Some("3"));
    let answer = player.send(&content("GET", &player)).await;
    assert_eq!(answer.text(), "a;b");
    assert_ne!(
        player.send(&player.messages(&prompt("hi"))).await.status,
        200
    );
}
