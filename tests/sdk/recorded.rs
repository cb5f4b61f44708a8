//! Recordings made and replayed with the SDK, and a service that is reached over TLS.

use std::path::Path;
use std::process::{Command, Stdio};

use cli::image::Flavor;
use tempfile::TempDir;

use crate::image::image_ready;
use crate::interpreter::Interpreter::Python;
use crate::program::against;
use crate::server::Server;

#[tokio::test]
async fn the_walk_through_recorded_once_replays_without_a_sandbox() {
    if Python.find().is_none() || !image_ready(Flavor::Full).await {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("walkthrough.yaml");
    let path = path.to_str().unwrap();
    let upstream = Server::start(&["--backend", "docker"]).await;
    let recorder = Server::start(&[
        "--cassette",
        path,
        "--record",
        "all",
        "--upstream",
        &upstream.url,
    ])
    .await;
    against(&recorder, Python, "walkthrough.py").await;
    recorder.stop().await;
    upstream.stop().await;

    let player = Server::start(&["--cassette", path, "--backend", "none"]).await;
    against(&player, Python, "walkthrough.py").await;
    // Once more: another conversation, with ids of its own.
    against(&player, Python, "walkthrough.py").await;
    player.stop().await;
}

/// Serves one answer to everything, over TLS, and prints its port.
const SERVICE: &str = r#"
import http.server, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b'{"data":[],"has_more":false}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("leaf.pem", "leaf.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// An authority, and a certificate of it for `localhost`.
const CERTIFICATES: &str = "set -e
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test
openssl req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=localhost
printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' > ext
openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out leaf.pem
";

fn record(folder: &Path, url: &str, authority: Option<&Path>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandtable"));
    command
        .current_dir(folder)
        .args([
            "record",
            "--upstream",
            url,
            "--out",
            "tls.yaml",
            "--",
            "sh",
            "-c",
        ])
        .arg("curl -s $ANTHROPIC_BASE_URL/v1/files -H 'x-api-key: sk-ant-for-tls'")
        .stderr(Stdio::null());
    if let Some(authority) = authority {
        command.env("SSL_CERT_FILE", authority);
    }
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn a_service_behind_tls_is_recorded_if_its_certificate_is_trusted() {
    use std::io::{BufRead as _, BufReader};
    let Some(python) = Python.find() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let made = Command::new("sh")
        .args(["-c", CERTIFICATES])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
        assert!(!required.contains("sdk"), "openssl makes no certificates");
        eprintln!("SKIPPED: openssl makes no certificates here");
        return;
    }
    let mut service = Command::new(&python[0])
        .args(["-c", SERVICE])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    let stdout = service.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut port).unwrap();
    let url = format!("https://localhost:{}", port.trim());

    let trusted = record(folder.path(), &url, Some(&folder.path().join("ca.pem")));
    let cassette = std::fs::read_to_string(folder.path().join("tls.yaml")).unwrap();
    let doubted = record(folder.path(), &url, None);
    service.kill().unwrap();
    service.wait().unwrap();

    assert_eq!(trusted, r#"{"data":[],"has_more":false}"#);
    assert!(cassette.contains("has_more: false"), "{cassette}");
    assert!(!cassette.contains("sk-ant-for-tls"));
    assert!(doubted.contains("invalid peer certificate"), "{doubted}");
}
