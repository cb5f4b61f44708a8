//! Transcripts: requests and answers as they went over the wire, byte for byte, for golden files.
//!
//! Ids and times are the server's own: a seed and a frozen clock make them the same in every run. Hidden
//! are only the `date` header, if it is a date, the `content-length`, if it is the body's, and the request id
//! of an answer to a caller without a workspace, if it is one. The headers that every answer has are one line
//! that holds all their values; they are told one by one where they are not as usual. Elements of the lists
//! that differ stand on lines of their own: the breaks are not of the body.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use common::ids::{Kind, is_well_formed};

use super::http::{Request, Response};
use super::server::TestServer;

/// The transcript so far.
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
        for line in an_element_a_line(&String::from_utf8_lossy(&request.body)).lines() {
            writeln!(self.text, "> {line}").unwrap();
        }
        self.text.push('\n');
    }

    fn answered(&mut self, response: &Response) {
        let mut text = format!("{} {}\n", response.version, response.status);
        let mut headers = &response.headers[..];
        while let [(name, value), rest @ ..] = headers {
            if let Some((usual, rest)) = usual(headers) {
                writeln!(text, "({usual})").unwrap();
                headers = rest;
                continue;
            }
            headers = rest;
            match name.as_str() {
                "date" => {
                    chrono::DateTime::parse_from_rfc2822(value).expect("a date");
                }
                "content-length" => assert_eq!(*value, response.body.len().to_string()),
                _ => writeln!(text, "{name}: {value}").unwrap(),
            }
        }
        let body = an_element_a_line(response.text().trim_end());
        writeln!(text, "\n{body}\n").unwrap();
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

/// The limits, by the words in the headers' names, in the order in which they come.
const LIMITS: [&str; 4] = ["requests", "input-tokens", "output-tokens", "tokens"];

/// The headers of every answer in one line, if they come next and in their order, and what follows them.
fn usual(headers: &[(String, String)]) -> Option<(String, &[(String, String)])> {
    let mut headers = headers;
    let mut next = |name: &str| {
        let ((found, value), rest) = headers.split_first()?;
        (found == name).then(|| headers = rest)?;
        Some(value.as_str())
    };
    let mut line = String::new();
    let mut resets = BTreeSet::new();
    for limit in LIMITS {
        let mut of = |what: &str| next(&format!("anthropic-ratelimit-{limit}-{what}"));
        let (most, left) = (of("limit")?, of("remaining")?);
        resets.insert(of("reset")?);
        write!(line, "{limit} {left} of {most}, ").unwrap();
    }
    let mut resets = resets.into_iter();
    let (reset, None) = (resets.next()?, resets.next()) else {
        return None;
    };
    let request = next("request-id")?;
    let workspace = next("anthropic-workspace-id")?;
    let organization = next("anthropic-organization-id")?;
    write!(line, "until {reset}; {request} {workspace} {organization}").unwrap();
    Some((line, headers))
}

/// JSON with each element of its lists of blocks, messages, and the like on a line of its own.
fn an_element_a_line(text: &str) -> String {
    const LISTS: [&str; 4] = [
        "\"content\":[",
        "\"data\":[",
        "\"messages\":[",
        "\"tools\":[",
    ];
    let is_json = serde_json::from_str::<serde_json::Value>(text).is_ok();
    if !is_json || text.contains('\n') || !text.starts_with('{') {
        return text.to_owned();
    }
    let (mut out, mut depth, mut is_text, mut is_list) = (String::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        let was_list = is_list;
        if is_text {
            is_text =
                c != '"' || text[..at].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1;
        } else {
            is_text = c == '"';
            depth += i32::from("[{".contains(c)) - i32::from("]}".contains(c));
            is_list &= depth > 1;
        }
        if was_list && !is_list {
            out.push('\n');
        }
        out.push(c);
        let begins = c == '[' && !is_text && depth == 2 && text[at + 1..].starts_with('{');
        if begins && LISTS.iter().any(|list| text[..=at].ends_with(list)) {
            is_list = true;
            out.push_str("\n  ");
        } else if c == ',' && !is_text && depth == 2 && is_list {
            out.push_str("\n  ");
        }
    }
    assert_eq!(out.replace("\n  ", "").replace('\n', ""), text);
    out
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
