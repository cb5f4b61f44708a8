//! Two keys on one server: neither gets at the other's container, files, or journal.

use std::fmt::Write as _;
use std::process::Stdio;

use cli::image::Flavor;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::bench::image_ready;
use crate::site::{Kind, Site};

/// The image of the Docker sandboxes.
const SLIM: &str = "sandtable-sandbox:slim";

/// A key's way to the server.
#[derive(Clone, Copy)]
struct Key<'a>(&'a str, &'a str);

struct Answer {
    status: u16,
    body: String,
}

pub(crate) async fn hold(kind: Kind) {
    // The local backend runs copies of the program: a test is none.
    let backend = match kind {
        Kind::Docker if image_ready(Flavor::Slim).await => ["docker", "--image", SLIM].as_slice(),
        Kind::Local if Site::open(kind).await.is_some() => &["local", "--provision", "never"],
        _ => return,
    };
    let folder = tempfile::tempdir().unwrap();
    #[cfg(target_os = "linux")]
    let program = crate::local_bench::program();
    #[cfg(not(target_os = "linux"))]
    let program = env!("CARGO_BIN_EXE_sandtable");
    let mut server = Command::new(program)
        .args(["serve", "--port", "0", "--data-dir"])
        .arg(folder.path())
        .arg("--backend")
        .args(backend)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("the server starts");
        if let Some((_, address)) = line.split_once("http://") {
            break address.trim().to_owned();
        }
    };
    let (owner, thief) = (Key(&address, "key-owner"), Key(&address, "key-thief"));

    let made = owner
        .run(
            "echo treasure | tee ~/note > \"$OUTPUT_DIR/note.txt\"; echo saved",
            None,
        )
        .await;
    assert!(made.body.contains("saved"), "{}", made.body);
    let made: Value = serde_json::from_str(&made.body).unwrap();
    let container = made["container"]["id"].as_str().unwrap();
    let file = find_file(&made).unwrap();

    let foreign = thief.run("cat ~/note", Some(container)).await;
    let unknown = thief
        .run("cat ~/note", Some("container_011CTestUnknown00000000"))
        .await;
    assert_eq!(foreign.status, unknown.status, "{}", foreign.body);
    assert!(
        foreign.status >= 400 && !foreign.body.contains("treasure"),
        "{}",
        foreign.body
    );
    assert_eq!(
        plain(&foreign.body).replace(container, "ID"),
        plain(&unknown.body).replace("container_011CTestUnknown00000000", "ID"),
        "another's container answers like an unknown one"
    );
    for path in [
        format!("/v1/files/{file}"),
        format!("/v1/files/{file}/content"),
    ] {
        assert_eq!(thief.get(&path).await.status, 404, "{path}");
        assert_eq!(owner.get(&path).await.status, 200, "{path}");
    }
    for path in ["/v1/files", "/_sandtable/containers", "/_sandtable/journal"] {
        let listed = thief.get(path).await;
        assert!(
            !listed.body.contains("note.txt") && !listed.body.contains("treasure"),
            "{path}: {}",
            listed.body
        );
    }
    for path in [
        format!("/_sandtable/containers/{container}/sleep"),
        format!("/_sandtable/containers/{container}/expire"),
        format!("/_sandtable/containers/{container}/files/home/user/note"),
    ] {
        let answers = [
            thief.send("POST", &path, "{}").await,
            thief.get(&path).await,
        ];
        assert!(answers.iter().all(|answer| answer.status >= 400), "{path}");
    }
    for path in [
        "/v1/files/../../etc/passwd",
        "/v1/files/..%2f..%2fetc%2fpasswd/content",
        "/v1/files/%00",
        "/v1/files/file_%0a/content",
    ] {
        let answer = thief.get(path).await;
        assert!(
            answer.status >= 400 && !answer.body.contains("root:"),
            "{path}: {}",
            answer.body
        );
    }
    // Nothing of the server is in reach of code that came over the API either.
    let port = address.rsplit(':').next().unwrap();
    let reach = format!(
        "(exec 3<>/dev/tcp/127.0.0.1/{port}) && echo REACHED; env | grep -c key-; echo over"
    );
    let answer = thief.run(&reach, None).await;
    assert!(
        answer.body.contains("over") && !answer.body.contains("REACHED\\n"),
        "{}",
        answer.body
    );
    let still = owner.run("cat ~/note", Some(container)).await;
    assert!(still.body.contains("treasure"), "{}", still.body);
    owner.send("POST", "/_sandtable/reset", "{}").await;
    thief.send("POST", "/_sandtable/reset", "{}").await;
    let pid = server.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .arg(pid)
            .status()
            .await
            .unwrap()
            .success()
    );
    server.wait().await.unwrap();
}

/// The message alone: request ids differ.
fn plain(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["error"].to_string()
}

fn find_file(value: &Value) -> Option<String> {
    match value {
        Value::Object(map) => map
            .get("file_id")
            .and_then(|id| id.as_str().map(str::to_owned))
            .or_else(|| map.values().find_map(find_file)),
        Value::Array(list) => list.iter().find_map(find_file),
        _ => None,
    }
}

impl Key<'_> {
    async fn run(self, command: &str, container: Option<&str>) -> Answer {
        let mut body = json!({
            "model": "claude-sonnet-4-5", "max_tokens": 1024,
            "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
            "messages": [{"role": "user", "content": format!("```bash\n{command}\n```")}],
        });
        if let Some(container) = container {
            body["container"] = json!(container);
        }
        self.send("POST", "/v1/messages", &body.to_string()).await
    }

    async fn get(self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    async fn send(self, method: &str, path: &str, body: &str) -> Answer {
        let Key(address, key) = self;
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\n");
        request.push_str("anthropic-version: 2023-06-01\r\nconnection: close\r\n");
        request.push_str("anthropic-beta: code-execution-2025-08-25,files-api-2025-04-14\r\n");
        write!(
            request,
            "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Answer {
            status: status.unwrap_or(0),
            body: body.to_owned(),
        }
    }
}
