//! Every recording comes in as a cassette, and its bodies are the bytes that its recorder kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cassette::{self, Body, Cassette, Writer, import};
use serde_json::Value;

use super::folder;

/// The bodies that the recorder kept of each exchange: the request's and the answer's.
fn kept(path: &Path) -> Vec<(Option<Kept>, Kept)> {
    let text = fs::read_to_string(path).unwrap();
    let name = path.to_str().unwrap().to_owned();
    let ends = |end: &str| name.ends_with(end);
    let body = |text: &Value| Kept::Bytes(text.as_str().unwrap_or_default().to_owned());
    if ends(".decoded.json") {
        let list: Vec<Value> = serde_json::from_str(&text).unwrap();
        let pair = |it: &Value| (Some(body(&it["request_body"])), body(&it["response_body"]));
        return list.iter().map(pair).collect();
    }
    if ends(".json") {
        return vec![(None, Kept::Json(serde_json::from_str(&text).unwrap()))];
    }
    if ends(".txt") {
        return vec![(None, Kept::Lines(text))];
    }
    let value: Value = serde_saphyr::from_str(&text).unwrap();
    let list = value.get("interactions").or(value.get("http_interactions"));
    let of = |side: &Value| match side.get("parsed_body") {
        Some(parsed) => Kept::Json(parsed.clone()),
        None => body(&side["body"]["string"]),
    };
    let list = list.unwrap().as_array().unwrap().iter();
    list.map(|it| (Some(of(&it["request"])), of(&it["response"])))
        .collect()
}

#[derive(Debug)]
enum Kept {
    Bytes(String),
    Json(Value),
    /// Payloads of a stream.
    Lines(String),
}

fn assert_kept(what: &str, kept: &Kept, body: &Body) {
    if let Body::Missing(why) = body {
        assert!(why.contains("TRIMMED"), "{what}: {why}");
        return;
    }
    let bytes = body.bytes().unwrap().expect("bytes");
    let text = std::str::from_utf8(&bytes).unwrap();
    match kept {
        Kept::Bytes(kept) => assert!(kept == text, "{what}: other bytes"),
        Kept::Json(kept) => {
            let value: Value = serde_json::from_str(text).unwrap();
            assert!(*kept == value, "{what}: other JSON");
            let order = |value: &Value| value.to_string();
            assert!(order(kept) == order(&value), "{what}: another order");
        }
        Kept::Lines(lines) => {
            let payloads: Vec<&str> = text
                .lines()
                .filter_map(|it| it.strip_prefix("data: "))
                .collect();
            assert!(lines.lines().eq(payloads), "{what}: other payloads");
        }
    }
}

fn assert_all_kept(path: &Path, cassette: &Cassette) {
    let kept = kept(path);
    assert_eq!(kept.len(), cassette.exchanges.len(), "{}", path.display());
    for (at, ((sent, answered), exchange)) in kept.iter().zip(&cassette.exchanges).enumerate() {
        let what = format!("{} #{}", path.display(), at + 1);
        assert_kept(&what, answered, &exchange.response.body);
        match (sent, &exchange.request) {
            (Some(sent), Some(request)) => assert_kept(&what, sent, &request.body),
            (None, None) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn every_recording_comes_in_with_the_bodies_its_recorder_kept() {
    let Some(folder) = folder() else { return };
    let out = tempfile::tempdir().unwrap();
    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    for project in fs::read_dir(&folder).unwrap().flatten() {
        for file in fs::read_dir(project.path()).into_iter().flatten().flatten() {
            files.insert(file.path());
        }
    }
    assert_eq!(
        import::find(&folder).unwrap(),
        Vec::from_iter(files.clone())
    );
    for path in &files {
        let cassette = import::import_file(path).unwrap_or_else(|error| panic!("{error}"));
        assert_all_kept(path, &cassette);
        // A recording without a request, or with parsed bodies, says so.
        let lacks = cassette.exchanges.iter().any(|it| it.request.is_none());
        assert!(
            !lacks || !cassette.about.notes.is_empty(),
            "{}",
            path.display()
        );
        // On the disk nothing changes.
        let target = out.path().join("cassette.yaml");
        let mut writer = Writer::create(&target, &cassette.about).unwrap();
        for (order, exchange) in (0..).zip(&cassette.exchanges) {
            writer.put(order, exchange).unwrap();
        }
        let again = cassette::load(&target).unwrap();
        assert_eq!(again.about, cassette.about);
        assert_all_kept(path, &again);
    }
    assert!(files.len() >= 30, "{}", files.len());
}
