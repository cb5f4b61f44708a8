//! A client of the wire as small as it can be: one request per connection, over a plain socket.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// An answer that came whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// Whom to ask, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: String,
    pub(crate) key: String,
}

impl Client {
    /// Sends a request and leaves the connection open.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_mins(2)))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nx-api-key: {}\r\n\
             anthropic-version: 2023-06-01\r\n\
             anthropic-beta: code-execution-2025-08-25,files-api-2025-04-14,message-threads-2026-08-12\r\n\
             content-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            self.address,
            self.key,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        Ok(stream)
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut stream = self.send(method, path, content_type, body)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        parse(&bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    pub(crate) fn get(&self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, "application/json", b"")
    }

    pub(crate) fn upload(&self, name: &str, content: &[u8]) -> io::Result<Answer> {
        let mut body = format!(
            "--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--edge--\r\n");
        self.ask(
            "POST",
            "/v1/files",
            "multipart/form-data; boundary=edge",
            &body,
        )
    }

    /// A turn that runs `command` in a container, or a new one.
    pub(crate) fn bash(&self, container: Option<&str>, command: &str) -> io::Result<Answer> {
        let body = message(container, command, &[], false);
        self.ask("POST", "/v1/messages", "application/json", &body)
    }
}

/// The body of a turn that runs `command`.
pub(crate) fn message(
    container: Option<&str>,
    command: &str,
    uploads: &[&str],
    stream: bool,
) -> Vec<u8> {
    let mut content: Vec<Value> = uploads
        .iter()
        .map(|id| json!({"type": "container_upload", "file_id": id}))
        .collect();
    content.push(json!({"type": "text", "text": format!("```bash\n{command}\n```")}));
    let mut body = json!({
        "model": "claude-test",
        "max_tokens": 1000,
        "stream": stream,
        "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
        "messages": [{"role": "user", "content": content}],
    });
    if let Some(container) = container {
        body["container"] = container.into();
    }
    serde_json::to_vec(&body).unwrap()
}

/// The first result of a call in a plain answer.
pub(crate) fn result(answer: &Answer) -> Value {
    let json = answer.json();
    let blocks = json["content"].as_array().cloned().unwrap_or_default();
    let found = blocks
        .into_iter()
        .find(|block| block["type"] == "bash_code_execution_tool_result");
    found.map_or(Value::Null, |block| block["content"].clone())
}

pub(crate) fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = &bytes[end + 4..];
    let body = if header(&head, "transfer-encoding") == Some("chunked") {
        unchunk(body)?
    } else {
        let length: usize = header(&head, "content-length")?.parse().ok()?;
        body.get(..length)?.to_vec()
    };
    Some(Answer { status, head, body })
}

/// `None` if the last chunk is missing: the answer was cut off.
fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        bytes = &bytes[end + 2..];
        whole.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size + 2..)?;
    }
}
