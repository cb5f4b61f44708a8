//! A plain blocking client on one connection: what it costs is known, and small.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

pub(crate) const KEY: &str = "sk-bench";

/// An answer, with its head as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        let body = String::from_utf8_lossy(&self.body);
        assert!(self.status == 200, "{} {body}", self.status);
        serde_json::from_str(&body).unwrap()
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    request_of(KEY, method, path, body)
}

/// The same, of the workspace of a key.
pub(crate) fn request_of(key: &str, method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap()
    }

    pub(crate) fn try_open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(2)))?;
        Ok(Self(stream))
    }

    pub(crate) fn send(&mut self, request: &[u8]) -> Answer {
        self.0.write_all(request).unwrap();
        self.answer()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            if let Some(head_end) = end_of_answer(&bytes) {
                let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
                let status = head[9..12].parse().unwrap();
                let body = bytes.split_off(head_end);
                return Answer { status, head, body };
            }
            let read = self.0.read(&mut piece).unwrap();
            assert!(read > 0, "the server hung up");
            bytes.extend_from_slice(&piece[..read]);
        }
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send(&request("POST", path, &body.to_string()))
    }

    pub(crate) fn control(&mut self, method: &str, name: &str, body: &Value) -> Value {
        let path = format!("/_sandtable/{name}");
        self.send(&request(method, &path, &body.to_string())).json()
    }
}

/// Where an answer's head ends; `None` until the body has ended, too. A chunked body is not taken apart: it is one request at a time.
pub(crate) fn end_of_answer(bytes: &[u8]) -> Option<usize> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    if let Some(length) = header(&bytes[..head], "content-length") {
        let all = head + length.parse::<usize>().unwrap();
        return (bytes.len() >= all).then_some(head);
    }
    bytes.ends_with(b"0\r\n\r\n").then_some(head)
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.lines();
    lines.find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
