//! Transcripts: requests and answers as they went over the wire, byte for byte, for golden files.
//!
//! Ids and times are the server's own: a seed and a frozen clock make them the same in every run. Hidden
//! are only the `date` header, if it is a date, and the request id of an answer to a caller without a
//! workspace, if it is one.

use std::fmt::Write as _;
use std::path::PathBuf;

use sandtable::ids::{Kind, is_well_formed};

use super::http::{Request, Response};
use super::server::TestServer;

/// What was said so far.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    text: String,
    hidden: Option<PathBuf>,
}

impl Transcript {
    /// One in which `root` reads `<sandboxes>`.
    pub(crate) fn hiding(root: PathBuf) -> Self {
        Self {
            hidden: Some(root),
            ..Self::default()
        }
    }

    /// Sends a request and writes down both sides.
    pub(crate) async fn exchange(&mut self, server: &TestServer, request: &Request) -> Response {
        let response = server.send(request).await;
        self.asked(request);
        self.answered(&response);
        response
    }

    fn asked(&mut self, request: &Request) {
        writeln!(self.text, "> {} {}", request.method, request.path).unwrap();
        let usual = [
            ("x-api-key", "sk-ant-test"),
            ("anthropic-version", "2023-06-01"),
            ("content-type", "application/json"),
        ];
        for (name, value) in &request.headers {
            if !usual.contains(&(name.as_str(), value.as_str())) {
                writeln!(self.text, "> {name}: {value}").unwrap();
            }
        }
        for line in String::from_utf8_lossy(&request.body).lines() {
            writeln!(self.text, "> {line}").unwrap();
        }
        self.text.push('\n');
    }

    fn answered(&mut self, response: &Response) {
        let mut text = format!("{} {}\n", response.version, response.status);
        for (name, value) in &response.headers {
            let value = if name == "date" {
                chrono::DateTime::parse_from_rfc2822(value).expect("a date");
                "<a date>"
            } else {
                value
            };
            writeln!(text, "{name}: {value}").unwrap();
        }
        writeln!(text, "\n{}\n", response.text().trim_end()).unwrap();
        if let (Some(id), None) = (
            response.header("request-id"),
            response.header("anthropic-workspace-id"),
        ) {
            assert!(is_well_formed(Kind::Request, id), "{id}");
            text = text.replace(id, "<a request id>");
        }
        self.text.push_str(&text);
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        match self.hidden {
            Some(root) => self
                .text
                .replace(root.to_str().expect("a UTF-8 path"), "<sandboxes>"),
            None => self.text,
        }
    }
}

/// Runs one request against a server and compares the transcript with its golden file.
macro_rules! golden {
    ($server:expr, $($request:expr),+ $(,)?) => {{
        let mut transcript = $crate::harness::transcript::Transcript::default();
        $(transcript.exchange($server, &$request).await;)+
        insta::assert_snapshot!(transcript.finish());
    }};
}
pub(crate) use golden;
