//! The effects of a run and the answers to it, by content: ids and times do not matter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use control_api::{Exchange, KeptFile};
use regex::Regex;
use serde_json::{Value, json};
use wire::sse::Decoder;

use super::secrets::Secrets;

use cassette::message::Fold;

/// A turn's answer, read back from what left the server.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Message {
    pub(super) blocks: Vec<Value>,
    pub(super) stop_reason: Option<String>,
    pub(super) container: Option<String>,
    /// Events of the stream; 0 of a plain answer.
    pub(super) events: u64,
    /// Events that are out when the first call of the model's begins.
    pub(super) first_call: Option<u64>,
    /// The stream ended with an error.
    pub(super) is_broken: bool,
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Download {
    pub(super) name: String,
    /// Its digest, or what there is of it; `None` of one that is another each time.
    pub(super) content: Option<String>,
}

impl Download {
    /// Whether this is what is wanted.
    fn is(&self, wanted: &Self) -> bool {
        self.name == wanted.name && (wanted.content.is_none() || self.content == wanted.content)
    }
}

/// A file that the client has sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Empty where nobody has seen it, or it is another each time.
    pub(super) sha256: String,
}

/// All that counts of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Effects {
    /// Complete answers, each with the place of its request in the run, from 0.
    pub(super) answers: Vec<(usize, String)>,
    pub(super) downloads: Vec<Download>,
    /// Uploads that are there at the end, and how often.
    pub(super) uploads: BTreeMap<Upload, usize>,
    /// Uploads that were carried out, whether the client heard of it or not.
    pub(super) uploaded: usize,
    pub(super) batches: usize,
    pub(super) containers: usize,
}

impl Effects {
    /// `unheard` tells of which exchanges the client cannot have heard the answer.
    pub(super) fn of(
        exchanges: &[Exchange],
        files: &[KeptFile],
        unheard: impl Fn(&Exchange) -> bool,
    ) -> Self {
        let mut effects = Self::default();
        let mut containers = BTreeSet::new();
        let mut paused: Vec<Value> = Vec::new();
        let names = names(exchanges, files);
        for (at, exchange) in exchanges.iter().enumerate() {
            let heard = exchange.status < 400 && !exchange.client_left && !unheard(exchange);
            let (method, path) = (exchange.method.as_str(), exchange.path.as_str());
            match (method, path) {
                ("POST", "/v1/messages") => {
                    let Some(message) = message(&exchange.response_body) else {
                        continue;
                    };
                    containers.extend(message.container.clone());
                    if !heard || message.is_broken {
                        continue;
                    }
                    let mut blocks = std::mem::take(&mut paused);
                    blocks.extend(message.blocks);
                    if message.stop_reason.as_deref() == Some("pause_turn") {
                        paused = blocks;
                    } else {
                        let stop = message.stop_reason.unwrap_or_default();
                        effects.answers.push((at, canonical(&blocks, &stop)));
                    }
                }
                ("POST", "/v1/files") if exchange.status < 400 || exchange.client_left => {
                    effects.uploaded += 1;
                }
                ("POST", "/v1/messages/batches") if exchange.status < 400 => effects.batches += 1,
                ("GET", _) if heard => {
                    let id = path.strip_prefix("/v1/files/");
                    if let Some(id) = id.and_then(|rest| rest.strip_suffix("/content")) {
                        let name = names
                            .get(id)
                            .cloned()
                            .unwrap_or_else(|| "a file".to_owned());
                        // The journal keeps no file's bytes; of a recorded one it may have no digest either.
                        let length = exchange.response_headers.get("content-length");
                        let content = match &exchange.response_body {
                            Value::Null => json!(length).to_string(),
                            body => body.to_string(),
                        };
                        let content = Some(content);
                        effects.downloads.push(Download { name, content });
                    }
                }
                _ => {}
            }
        }
        effects.containers = containers.len();
        let digests = digests(exchanges);
        for file in files.iter().filter(|file| !file.downloadable) {
            let upload = Upload {
                name: file.filename.clone(),
                bytes: file.size_bytes,
                sha256: digests.get(&file.id).cloned().unwrap_or_default(),
            };
            *effects.uploads.entry(upload).or_default() += 1;
        }
        effects
    }

    /// Takes away what tells files of another run apart that are another each time: `other` is the same client's.
    pub(super) fn without_what_varies(&mut self, other: &Self) {
        let mut there = other.downloads.clone();
        for download in &mut self.downloads {
            match there.iter().position(|other| other == download) {
                Some(at) => drop(there.swap_remove(at)),
                None => download.content = None,
            }
        }
        if !self.uploads.keys().eq(other.uploads.keys()) {
            self.forget_upload_digests();
        }
    }

    /// Uploads are told apart by name and length alone.
    pub(super) fn forget_upload_digests(&mut self) {
        let uploads = std::mem::take(&mut self.uploads);
        for (upload, times) in uploads {
            let sha256 = String::new();
            *self.uploads.entry(Upload { sha256, ..upload }).or_default() += times;
        }
    }

    /// Takes an upload whose bytes nobody has seen for the one of the same name and length in `other`.
    pub(super) fn assume(&mut self, other: &Self) {
        let uploads = std::mem::take(&mut self.uploads);
        for (mut upload, times) in uploads {
            let like = |it: &&Upload| (&it.name, it.bytes) == (&upload.name, upload.bytes);
            if upload.sha256.is_empty()
                && let Some(known) = other.uploads.keys().find(like)
            {
                upload.sha256.clone_from(&known.sha256);
            }
            *self.uploads.entry(upload).or_default() += times;
        }
    }

    /// Whether uploads are told apart by their bytes.
    pub(super) fn knows_uploads(&self) -> bool {
        self.uploads.keys().all(|upload| !upload.sha256.is_empty())
    }

    /// The differences from `other`, a sentence each.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut told = Vec::new();
        let texts = |effects: &Self| -> Vec<String> {
            let mut texts: Vec<_> = effects
                .answers
                .iter()
                .map(|(_, text)| text.clone())
                .collect();
            texts.sort();
            texts
        };
        for (one, two) in texts(self).iter().zip(&texts(other)) {
            if one != two {
                told.push(format!(
                    "an answer says `{}` and then `{}`",
                    short(one, two),
                    short(two, one)
                ));
            }
        }
        let counts = [
            ("answers", self.answers.len(), other.answers.len()),
            ("downloads", self.downloads.len(), other.downloads.len()),
            ("batches", self.batches, other.batches),
            ("containers", self.containers, other.containers),
            ("files left", self.uploads.len(), other.uploads.len()),
        ];
        for (what, one, two) in counts {
            if one != two {
                told.push(format!("{what}: {one} and then {two}"));
            }
        }
        if self.downloads.len() == other.downloads.len() {
            for Download { name, .. } in not_fetched(&self.downloads, &other.downloads) {
                told.push(format!("`{name}` has another content"));
            }
        }
        for upload in self.uploads.keys() {
            let same = |other: &&Upload| (&other.name, other.bytes) == (&upload.name, upload.bytes);
            if !other.uploads.contains_key(upload) && other.uploads.keys().any(|it| same(&it)) {
                told.push(format!("the upload `{}` has another content", upload.name));
            }
        }
        told
    }
}

/// Where two texts begin to differ, of the first.
fn short(one: &str, two: &str) -> String {
    let same = one
        .chars()
        .zip(two.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let begin = same.saturating_sub(20);
    one.chars().skip(begin).take(60).collect()
}

/// Those of `wanted` that `there` lacks, each as often as it does.
pub(super) fn missing<T: PartialEq + Clone>(wanted: &[T], there: &[T]) -> Vec<T> {
    let mut left = there.to_vec();
    let mut missing = Vec::new();
    for item in wanted {
        match left.iter().position(|other| other == item) {
            Some(at) => drop(left.swap_remove(at)),
            None => missing.push(item.clone()),
        }
    }
    missing
}

/// Those of `wanted` that `there` lacks; what is another each time is known by its name.
pub(super) fn not_fetched(wanted: &[Download], there: &[Download]) -> Vec<Download> {
    let mut left = there.to_vec();
    let (known, varying): (Vec<&Download>, Vec<_>) = wanted
        .iter()
        .partition(|download| download.content.is_some());
    let all = known.into_iter().chain(varying);
    let lacking = all.filter(
        |wanted| match left.iter().position(|other| other.is(wanted)) {
            Some(at) => {
                left.swap_remove(at);
                false
            }
            None => true,
        },
    );
    lacking.cloned().collect()
}

/// SHA-256 of what was uploaded, by the id that it got.
fn digests(exchanges: &[Exchange]) -> HashMap<String, String> {
    let uploads = exchanges
        .iter()
        .filter(|exchange| exchange.method == "POST");
    uploads
        .filter_map(|exchange| {
            let id = exchange.response_body["id"].as_str()?;
            let digest = exchange.request_body["sha256"].as_str()?;
            Some((id.to_owned(), digest.to_owned()))
        })
        .collect()
}

/// The names of files by their ids, from all that was said of them.
fn names(exchanges: &[Exchange], files: &[KeptFile]) -> HashMap<String, String> {
    let mut names = HashMap::new();
    for exchange in exchanges {
        let body = &exchange.response_body;
        let many = body["data"].as_array().map_or(&[][..], Vec::as_slice);
        for item in many.iter().chain([body]) {
            if let (Some(id), Some(name)) = (item["id"].as_str(), item["filename"].as_str()) {
                names.insert(id.to_owned(), name.to_owned());
            }
        }
        let name = disposition(exchange);
        let id = exchange.path.strip_prefix("/v1/files/");
        if let (Some(name), Some(id)) = (name, id.and_then(|rest| rest.strip_suffix("/content"))) {
            names.insert(id.to_owned(), name);
        }
    }
    for file in files {
        names.insert(file.id.clone(), file.filename.clone());
    }
    names
}

/// The name that a download came with.
fn disposition(exchange: &Exchange) -> Option<String> {
    let header = exchange
        .response_headers
        .get("content-disposition")?
        .as_str()?;
    if let Some((_, encoded)) = header.split_once("filename*=") {
        let encoded = encoded.split(';').next()?.rsplit('\'').next()?;
        let name = percent_encoding::percent_decode_str(encoded.trim());
        return Some(name.decode_utf8_lossy().into_owned());
    }
    let quoted = header.split("filename=\"").nth(1)?;
    Some(quoted.split('"').next()?.to_owned())
}

/// An answer's blocks without what is different each time.
fn canonical(blocks: &[Value], stop: &str) -> String {
    let mut text = String::new();
    for block in blocks {
        let kind = block["type"].as_str().unwrap_or_default();
        let said = match kind {
            "text" => block["text"].as_str().unwrap_or_default().to_owned(),
            "server_tool_use" | "tool_use" => block["name"].to_string(),
            "thinking" | "redacted_thinking" => String::new(),
            _ => json!(block["content"]).to_string(),
        };
        text.push_str(kind);
        text.push(' ');
        text.push_str(&said);
        text.push('\n');
    }
    text.push_str(stop);
    // Before a part of it is shown: half a secret is found no more.
    scrubbed(&Secrets::known().hidden(&text))
}

/// The text with ids as `file_*`.
pub(super) fn scrubbed(text: &str) -> String {
    static ID: LazyLock<Regex> = LazyLock::new(|| {
        let prefixes = common::ids::Kind::ALL
            .map(common::ids::Kind::prefix)
            .join("|");
        Regex::new(&format!(r"\b({prefixes})_[0-9A-Za-z]{{8,}}")).expect("the prefixes are words")
    });
    ID.replace_all(text, "${1}_*").into_owned()
}

/// An answer of `/v1/messages`, plain or as the text of its events.
pub(super) fn message(body: &Value) -> Option<Message> {
    if body["type"] == "message" {
        return Some(Message::of(body));
    }
    let text = body.as_str()?;
    let mut fold = Fold::default();
    let (mut events, mut first_call, mut is_broken) = (0, None, false);
    for frame in Decoder::default().push(text.as_bytes()) {
        // One that is no JSON is an event all the same.
        let event: Value = serde_json::from_str(&frame.data).unwrap_or_default();
        let is_call = event["content_block"]["type"] == "server_tool_use";
        if is_call && first_call.is_none() {
            first_call = Some(events);
        }
        is_broken |= event["type"] == "error";
        fold.take(&event);
        events += 1;
    }
    (events > 0).then(|| Message {
        events,
        first_call,
        is_broken,
        ..Message::of(&fold.end())
    })
}

impl Message {
    fn of(message: &Value) -> Self {
        Self {
            blocks: message["content"].as_array().cloned().unwrap_or_default(),
            stop_reason: message["stop_reason"].as_str().map(str::to_owned),
            container: message["container"]["id"].as_str().map(str::to_owned),
            ..Self::default()
        }
    }

    /// The model's calls of the service's tools, in their order.
    pub(super) fn calls(&self) -> impl Iterator<Item = &str> {
        let calls = self
            .blocks
            .iter()
            .filter(|block| block["type"] == "server_tool_use");
        calls.filter_map(|block| block["name"].as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_and_a_plain_answer_of_the_same_content_are_the_same() {
        let stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"container\":null,\"content\":[]}}\n\n\
            event: ping\ndata: {\"type\": \"ping\"}\n\n\
            event: content_block_start\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
            event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"in file_\"}}\n\n\
            event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"011CPabcdefgh\"}}\n\n\
            event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
        let streamed = message(&json!(stream)).unwrap();
        let plain = message(&json!({"type": "message", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "in file_011CPzzzzzzzz"}]}))
        .unwrap();
        assert_eq!((streamed.events, plain.events), (6, 0));
        let text =
            |message: &Message| canonical(&message.blocks, message.stop_reason.as_deref().unwrap());
        assert_eq!(text(&streamed), text(&plain));
        assert_eq!(text(&plain), "text in file_*\nend_turn");
    }

    #[test]
    fn a_download_has_the_name_that_it_came_with() {
        let named = |header: &str| -> Option<String> {
            let exchange: Exchange = serde_json::from_value(json!({
                "id": "req_1", "at": "2026-01-04T20:47:05Z", "method": "GET", "path": "/v1/files/file_1/content",
                "status": 200, "duration_ms": 1.0, "workspace": "wrkspc_1", "request_headers": {}, "request_body": null,
                "response_headers": {"content-disposition": header}, "response_body": null, "lints": [],
            }))
            .unwrap();
            disposition(&exchange)
        };
        assert_eq!(
            named("attachment; filename*=utf-8''a%20b.txt").unwrap(),
            "a b.txt"
        );
        assert_eq!(
            named("attachment; filename=\"c.csv\"; size=3").unwrap(),
            "c.csv"
        );
        assert_eq!(named("attachment"), None);
    }

    #[test]
    fn files_are_told_apart_by_their_bytes_and_what_varies_by_its_name() {
        let download = |name: &str, content: Option<&str>| Download {
            name: name.to_owned(),
            content: content.map(str::to_owned),
        };
        let one = vec![download("a.csv", Some("1")), download("b.csv", Some("2"))];
        let other = vec![download("a.csv", Some("1")), download("b.csv", Some("3"))];
        assert_eq!(not_fetched(&one, &other), [download("b.csv", Some("2"))]);
        let run = |downloads: &[Download]| Effects {
            downloads: downloads.to_vec(),
            ..Effects::default()
        };
        let mut first = run(&one);
        assert_eq!(
            first.differences(&run(&other)),
            ["`b.csv` has another content"]
        );
        first.without_what_varies(&run(&other));
        let third = [download("b.csv", Some("4")), download("a.csv", Some("1"))];
        assert!(not_fetched(&first.downloads, &third).is_empty());
        assert_eq!(not_fetched(&first.downloads, &third[1..]).len(), 1);
    }

    #[test]
    fn an_upload_of_the_same_length_and_another_content_is_another() {
        let run = |sha256: &str| {
            let exchange: Exchange = serde_json::from_value(json!({
                "id": "req_1", "at": "2026-01-04T20:47:05Z", "method": "POST", "path": "/v1/files", "status": 200,
                "duration_ms": 1.0, "workspace": "wrkspc_1", "request_headers": {}, "request_body": {"size_bytes": 3, "sha256": sha256},
                "response_headers": {}, "response_body": {"id": "file_1", "filename": "a.csv"}, "lints": [],
            }))
            .unwrap();
            let file = serde_json::from_value(json!({
                "id": "file_1", "filename": "a.csv", "mime_type": "text/csv", "size_bytes": 3,
                "created_at": "2026-01-04T20:47:05Z", "downloadable": false,
            }))
            .unwrap();
            Effects::of(&[exchange], &[file], |_| false)
        };
        assert!(run("aa").differences(&run("aa")).is_empty());
        let told = run("aa").differences(&run("bb"));
        assert_eq!(told, ["the upload `a.csv` has another content"]);
        let mut varies = run("aa");
        varies.without_what_varies(&run("bb"));
        assert!(run("aa").knows_uploads() && !varies.knows_uploads());
    }

    #[test]
    fn what_is_missing_is_counted() {
        assert_eq!(missing(&[1, 1, 2], &[2, 1, 3]), [1]);
        assert!(missing::<u8>(&[], &[1]).is_empty());
    }
}
