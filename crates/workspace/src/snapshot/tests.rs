//! The members that a document may have, and the messages for its mistakes.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Document, Mistakes};
use common::clock::State;
use common::hinted::Hinted as _;
use store::{BatchState, ContainerState};

fn parse(value: &Value) -> Result<Document, Mistakes> {
    Document::parse(value.to_string().as_bytes(), u64::MAX)
}

fn mistakes(value: &Value) -> Vec<String> {
    let found = parse(value).unwrap_err().to_string();
    found.lines().map(str::to_owned).collect()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn an_empty_document_is_an_empty_workspace() {
    let contents = parse(&json!({})).unwrap().contents("w", State::default());
    assert!(contents.files.is_empty() && contents.containers.is_empty());
    assert_eq!(contents.clock, State::default());
}

#[test]
fn what_is_left_out_has_a_default() {
    let document = parse(&json!({
        "clock": {"now": "2030-01-01T00:00:00Z", "frozen": true},
        "files": [{"id": "file_id", "filename": "a.csv", "content": "x"}, {"id": "b"}],
        "containers": [{"id": "container_id"}],
        "batches": [
            {"id": "over"},
            {"id": "open", "items": [{"custom_id": "1", "params": {}}]},
        ],
    }));
    let contents = document.unwrap().contents("w", State::default());
    let now = at("2030-01-01T00:00:00Z");
    let file = &contents.files[0].file;
    assert_eq!(
        (file.mime_type.as_str(), file.created_at),
        ("text/csv", now)
    );
    assert!(file.downloadable && file.expires_at.is_none());
    let file = &contents.files[1];
    assert_eq!(file.file.filename, "b");
    assert_eq!(file.file.mime_type, "application/octet-stream");
    assert!(file.content.is_empty());
    let row = &contents.containers[0].row;
    assert_eq!((row.state, row.created_at), (ContainerState::Asleep, now));
    assert_eq!(row.expires_at, at("2030-01-01T01:00:00Z"));
    assert_eq!(row.input_dir.len(), 16);
    let states: Vec<_> = contents
        .batches
        .iter()
        .map(|batch| batch.row.state)
        .collect();
    assert_eq!(states, [BatchState::Ended, BatchState::InProgress]);
}

#[test]
fn a_container_of_any_id_gets_a_sandbox_of_its_own() {
    let document = parse(&json!({"containers": [{"id": "same"}]})).unwrap();
    let sandbox = |workspace| {
        document.contents(workspace, State::default()).containers[0]
            .row
            .sandbox
            .clone()
    };
    assert_ne!(sandbox("a"), sandbox("b"));
    assert_ne!(sandbox("a"), sandbox("a"));
}

#[test]
fn every_mistake_is_told_with_its_path_and_a_hint() {
    let found = mistakes(&json!({
        "fils": [],
        "clock": {"now": "tomorrow"},
        "files": [
            {"id": "x/y", "filname": "a", "content": 1},
            {"filename": "../a"},
            {"id": "a", "content": "x", "content_base64": "eA=="},
            {"id": "a", "content_base64": "?", "mime_type": "csv"},
        ],
        "containers": [{
            "id": "c",
            "input_dir": "1",
            "uploads": [{"file_id": "no"}],
            "skills": [{"skill_id": "pptx", "version": "1"}, {"skill_id": "own"}],
            "files": [
                {"path": "/etc/passwd"},
                {"path": "a/../../b"},
                {"path": "a", "mode": "999"},
                {"path": "a", "type": "symlink"},
                {"path": "d", "type": "directory", "content": ""},
            ],
        }],
        "batches": [{
            "id": "b",
            "state": "ended",
            "items": [{"custom_id": "1", "params": {}}, {"custom_id": "1", "result": {"type": "succeeded"}}],
        }],
        "skills": [
            {"id": "xlsx"},
            {"id": "s", "versions": [{"files": [{"path": "a.md", "content": ""}]}]},
        ],
        "scripts": ["- when: 1"],
        "faults": [{"at": "http", "stauts": 500}],
        "quirks": {"nothing": "x"},
        "rate_limits": [{"requests": 0}],
    }));
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn a_place_that_no_container_can_have_is_refused() {
    let files = |files: Value| mistakes(&json!({"containers": [{"id": "c", "files": files}]}));
    let below = |above: Value| {
        let at = |path: &str| json!({"path": path, "content": ""});
        files(json!([
            at("a/b/c"),
            above,
            at("a/d"),
            at("a.x"),
            at("ab/c")
        ]))
    };
    let wrong = |at: usize, kind: &str| {
        format!(
            "containers[0].files[{at}].path: `/home/user/a` is a {kind}, and nothing lies below it"
        )
    };
    for (above, kind) in [
        (json!({"path": "a", "content": ""}), "file"),
        (
            json!({"path": "a", "type": "symlink", "target": "ab"}),
            "symlink",
        ),
    ] {
        let found = below(above).join("\n");
        for at in [0, 2] {
            assert!(found.contains(&wrong(at, kind)), "{found}");
        }
        assert_eq!(found.matches("nothing lies below").count(), 2, "{found}");
    }
    assert!(parse(&json!({"containers": [{"id": "c", "files": [
        {"path": "a/b", "content": ""}, {"path": "a", "type": "directory"}, {"path": "x".repeat(255), "content": ""},
        {"path": "l", "type": "symlink", "target": "a".repeat(4095)},
    ]}]})).is_ok());
    for (file, part) in [
        (
            json!({"path": "x".repeat(256), "content": ""}),
            "a name in the path has 256 bytes",
        ),
        (
            json!({"path": "x/".repeat(2100) + "x", "content": ""}),
            "the path has 4212 bytes",
        ),
        (
            json!({"path": "l", "type": "symlink", "target": "a".repeat(4096)}),
            "target: it has 4096 bytes",
        ),
    ] {
        let found = files(json!([file])).join("\n");
        assert!(found.contains(part), "{found}");
    }
    let own = |files: Value| json!({"containers": [{"id": "c", "input_dir": "0123456789abcdef", "files": files}]});
    let every = [
        "/files/input",
        "/files/output",
        "/files/input/0123456789abcdef",
    ];
    for path in every {
        let wanted = format!(
            "containers[0].files[0].path: `{path}` is a directory of every container (leave it out, or add \"type\": \"directory\")"
        );
        let link = json!([{"path": path, "type": "symlink", "target": "/etc"}]);
        let file = json!([{"path": path, "content": "x"}]);
        for files in [link, file] {
            let found = mistakes(&own(files));
            assert!(found.contains(&wanted), "{found:?}");
        }
    }
    for path in [
        "/files/input/1",
        "/files/output/1",
        "/files/inputs",
        "/tmp/input",
    ] {
        let link = json!([{"path": path, "type": "symlink", "target": "/etc"}]);
        assert!(parse(&own(link)).is_ok(), "{path}");
    }
    for path in every {
        let directory = json!([{"path": path, "type": "directory"}]);
        assert!(parse(&own(directory)).is_ok(), "{path}");
    }
}

#[test]
fn what_is_no_document_at_all_is_refused() {
    for (text, part) in [
        ("", "expected an object, found null"),
        ("[]", "expected an object, found a list"),
        ("{", "the state is not JSON: "),
        ("a: b: c", "neither JSON nor YAML"),
        (
            r#"{"files": [{"id": "a"}], "files": []}"#,
            "the state has the key `files` twice at line 1 column 32",
        ),
        (
            r#"{"containers": [{"id": "a", "state": "awake"}]}"#,
            "containers[0].state: `awake` is unknown (it is one of `asleep`, `expired`)",
        ),
        (
            r#"{"files": [{"id": "a", "created_at": "2026-02-01T00:00:00Z", "expires_at": "2026-01-01T00:00:00Z"}]}"#,
            "files[0].expires_at: the file would expire before it is made",
        ),
        (
            "version: 2",
            "version: this sandtable reads version 1, not 2",
        ),
    ] {
        let error = Document::parse(text.as_bytes(), u64::MAX).unwrap_err();
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
    let large = vec![b' '; common::limits::MAX_STATE_BYTES + 1];
    let error = Document::parse(&large, u64::MAX).unwrap_err();
    assert!(error.to_string().contains("larger than 64 MiB"), "{error}");
    let two = json!({"files": [{"id": "a", "content": "12"}, {"id": "b", "content": "3"}]});
    let error = Document::parse(two.to_string().as_bytes(), 2).unwrap_err();
    assert!(error.to_string().contains("they hold 3 bytes"), "{error}");
}

#[test]
fn yaml_says_the_same_and_a_file_names_itself_in_its_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.yaml");
    std::fs::write(&path, "files:\n- {id: file_id, content: \"a\\n\"}\n").unwrap();
    let document = Document::load(&path, u64::MAX).unwrap();
    assert_eq!(
        document.contents("w", State::default()).files[0].content,
        "a\n"
    );
    std::fs::write(&path, "files:\n- {id: file_id, contents: a}\n").unwrap();
    let error = Document::load(&path, u64::MAX).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("state.yaml: files[0]: `contents` is no member (did you mean `content`?)"),
        "{error}"
    );
    let error = Document::load(&folder.path().join("none"), u64::MAX).unwrap_err();
    assert_eq!(
        error.hint().as_deref(),
        Some("`--state` takes a JSON or YAML file")
    );
}
