//! HTTP/1.1 over a plain socket: what is sent is exactly what the test says, and of what comes back
//! every byte and its time of arrival are kept.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take before a test counts as hung.
const PATIENCE: Duration = Duration::from_mins(1);

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes every header of this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Parts of a form: the name of each, its file name, and its content.
    pub(crate) fn multipart(self, parts: &[(&str, Option<&str>, &str)]) -> Self {
        let mut body = String::new();
        for (name, filename, content) in parts {
            let filename = filename.map(|filename| format!("; filename=\"{filename}\""));
            let filename = filename.unwrap_or_default();
            write!(
                body,
                "--b\r\ncontent-disposition: form-data; name=\"{name}\"{filename}\r\n\r\n{content}\r\n"
            )
            .expect("a String takes every write");
        }
        body += "--b--\r\n";
        self.header("content-type", "multipart/form-data; boundary=b")
            .body(body)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// The head, with `host` and, unless one is there, `content-length`.
    pub(crate) fn head(&self, address: SocketAddr) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let has = |wanted: &str| {
            self.headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        if !has("host") {
            write!(head, "host: {address}\r\n").unwrap();
        }
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if !has("content-length")
            && !has("transfer-encoding")
            && (!self.body.is_empty() || self.method != "GET")
        {
            write!(head, "content-length: {}\r\n", self.body.len()).unwrap();
        }
        head.push_str("\r\n");
        head
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Each piece of the body as it was framed, with the time since the request was sent.
    pub(crate) chunks: Vec<(Duration, Vec<u8>)>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// `error.message`.
    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    buffer: Vec<u8>,
    sent: Instant,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            address,
            buffer: Vec::new(),
            sent: Instant::now(),
        }
    }

    pub(crate) async fn send(&mut self, request: &Request) {
        let mut bytes = request.head(self.address).into_bytes();
        bytes.extend_from_slice(&request.body);
        self.write(&bytes).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.sent = Instant::now();
        self.stream
            .write_all(bytes)
            .await
            .expect("the server reads");
    }

    /// One answer; panics if the connection ends before it is complete.
    pub(crate) async fn read(&mut self) -> Response {
        self.try_read().await.expect("a complete answer")
    }

    /// One answer; `None` if the connection ends before it is complete.
    pub(crate) async fn try_read(&mut self) -> Option<Response> {
        tokio::time::timeout(PATIENCE, self.answer())
            .await
            .expect("an answer in time")
    }

    async fn answer(&mut self) -> Option<Response> {
        let mut response = self.read_head().await?;
        let has = |name: &str, value: &str| {
            response
                .header(name)
                .is_some_and(|own| own.eq_ignore_ascii_case(value))
        };
        if matches!(response.status, 204 | 304) {
            return Some(response);
        }
        if has("transfer-encoding", "chunked") {
            loop {
                let line = self.line().await?;
                let size = usize::from_str_radix(line.trim(), 16).expect("a chunk size");
                let piece = self.take(size + 2).await?;
                if size == 0 {
                    break;
                }
                response.piece(self.sent.elapsed(), piece[..size].to_vec());
            }
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a length");
            let piece = self.take(length).await?;
            response.piece(self.sent.elapsed(), piece);
        } else {
            loop {
                let piece = std::mem::take(&mut self.buffer);
                if !piece.is_empty() {
                    response.piece(self.sent.elapsed(), piece);
                }
                if !self.fill().await {
                    break;
                }
            }
        }
        Some(response)
    }

    /// Status line and headers.
    pub(crate) async fn read_head(&mut self) -> Option<Response> {
        let line = self.line().await?;
        let mut parts = line.splitn(3, ' ');
        let version = parts.next()?.to_owned();
        let status = parts.next()?.parse().expect("a status");
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').expect("a header");
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Some(Response {
            version,
            status,
            headers,
            body: Vec::new(),
            chunks: Vec::new(),
        })
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(String::from_utf8(line[..end].to_vec()).expect("a text line"));
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// Reads more; false at the end.
    pub(crate) async fn fill(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..))
    }

    /// The bytes that have come and are not taken yet.
    pub(crate) fn pending(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Whether the server closes the connection now.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let closed = async { while self.fill().await {} };
        tokio::time::timeout(PATIENCE, closed).await.is_ok()
    }
}

impl Response {
    fn piece(&mut self, at: Duration, piece: Vec<u8>) {
        self.body.extend_from_slice(&piece);
        self.chunks.push((at, piece));
    }
}
