//! Recordings beside Messages, requests that failed, and requests that belong together; and that no
//! recording is forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ::cassette::{Body, import};
use serde_json::{Value, json};

use super::{KNOWN, PROGRAMMATIC, cassette, folder, script, shape};
use crate::harness::canned::Reply;
use crate::harness::server::code_prompt;
use crate::harness::{Canned, Processes, Request, Response, TestServer};

/// Recordings that are played by the tests named here, not by those over every Messages exchange.
const PLAYED_APART: &[&str] = &[
    // Below.
    "anthropic-count-tokens.yml",
    "anthropic-list-models.yml",
    "anthropic-skill-create.json",
    "anthropic-skill-version-create.json",
    "batch_with_anthropic_claude-haiku-4-5_cancels_a_running_batch.yml",
    "chat_error_handling_with_anthropic_claude-haiku-4-5_raises_appropriate_auth_error.yml",
    "uploadedfile_live_uploads_anthropic_uploads_a_pdf_through_the_files_api.yml",
    // `recorded_refusals_are_worded_like_ours`.
    "anthropic-issue-12504-orphaned-caller-error.1.json",
    "anthropic-issue-17366-error.json",
];

/// Exchanges that are not played, and why.
const LEFT_OUT: &[(&str, &str)] = &[(
    "test_anthropic_container_setting_explicit_dict_form_live.yaml #2",
    "the refusal of `container` as an object, of 2026-04: since skills need no beta it is taken (F054)",
)];

/// One exchange of a cassette with any endpoint.
struct Recorded {
    path: String,
    request: Value,
    status: u64,
    body: Value,
}

fn recorded(folder: &Path, name: &str) -> Vec<Recorded> {
    let cassette = import::import_file(&folder.join(name)).unwrap();
    let json = |body: &Body| {
        body.json()
            .map_or(Value::Null, std::borrow::Cow::into_owned)
    };
    let recorded = cassette.exchanges.iter().map(|it| {
        let request = it.request.as_ref().expect("a request");
        let query = request.query.as_ref();
        Recorded {
            path: query.map_or_else(
                || request.path.clone(),
                |query| format!("{}?{query}", request.path),
            ),
            request: json(&request.body),
            status: u64::from(it.response.status),
            body: json(&it.response.body),
        }
    });
    recorded.collect()
}

/// Asserts that the answers differ only as `known` says.
fn assert_same(what: &str, theirs: &Value, ours: &Response, known: &[&str]) {
    let mut differences = shape::of_messages(theirs, &ours.json(), false);
    let is_known = |difference: &String| known.iter().any(|known| difference.contains(known));
    let unused: Vec<_> = known
        .iter()
        .filter(|known| {
            !differences
                .iter()
                .any(|difference| difference.contains(*known))
        })
        .collect();
    assert!(
        unused.is_empty(),
        "{what}: differences that are gone: {unused:?}"
    );
    differences.retain(|difference| !is_known(difference));
    assert_eq!(differences, Vec::<String>::new(), "{what}");
}

#[test]
fn every_recording_is_played_or_left_out_with_a_reason() {
    let Some(folder) = folder() else { return };
    let mut files = BTreeSet::new();
    for project in fs::read_dir(&folder).unwrap().flatten() {
        for file in fs::read_dir(project.path()).into_iter().flatten().flatten() {
            files.insert(file.file_name().to_str().unwrap().to_owned());
        }
    }
    let exchanges = cassette::read_all(&folder);
    for file in &files {
        let of_file: Vec<_> = exchanges
            .iter()
            .filter(|it| it.name.starts_with(file.as_str()))
            .collect();
        let apart = PLAYED_APART.contains(&file.as_str());
        assert!(apart || !of_file.is_empty(), "no test plays {file}");
        for exchange in of_file {
            let left_out = LEFT_OUT.iter().find(|(name, _)| *name == exchange.name);
            if let Some((_, why)) = left_out {
                eprintln!("not played: {}: {why}", exchange.name);
                continue;
            }
            // Those over every exchange take all that succeeded; of the others a test is named.
            let played = exchange.status == 200 || exchange.name.contains(PROGRAMMATIC) || apart;
            assert!(played, "no test plays {}", exchange.name);
        }
    }
    for name in PLAYED_APART {
        assert!(files.contains(*name), "there is no recording {name}");
    }
    for (name, _) in LEFT_OUT {
        assert!(
            exchanges.iter().any(|it| it.name == *name),
            "there is no exchange {name}"
        );
    }
}

#[test]
fn every_difference_from_a_recording_is_in_the_page_about_parity() {
    let page = include_str!("../../../docs/PARITY.md");
    let (_, section) = page.split_once("## Recordings\n").expect("the section");
    for (_, difference, reason) in KNOWN {
        assert!(section.contains(difference), "not in PARITY: {difference}");
        assert!(section.contains(reason), "not in PARITY: {reason}");
    }
}

#[tokio::test]
async fn recorded_counts_have_our_shape() {
    let Some(folder) = folder() else { return };
    let server = TestServer::start().await;
    let mut counts = Vec::new();
    for it in recorded(&folder, "ellmer/anthropic-count-tokens.yml") {
        if !it.path.ends_with("count_tokens") {
            continue;
        }
        let request = server.request("POST", &it.path).json(&it.request);
        let ours = server.send(&request).await;
        assert_eq!(
            (u64::from(ours.status), it.status),
            (200, 200),
            "{}",
            ours.text()
        );
        assert_same("a count", &it.body, &ours, &[]);
        let number = |body: &Value| body["input_tokens"].as_u64().expect("a count");
        counts.push((number(&it.body), number(&ours.json())));
    }
    assert_eq!(counts.len(), 5);
    // Ours is an estimate (PARITY): what is much longer counts more.
    let (short, long) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(short.1 < long.1, "theirs and ours: {counts:?}");
}

#[tokio::test]
async fn recorded_models_have_our_shape() {
    let Some(folder) = folder() else { return };
    let server = TestServer::start().await;
    let [it] = &recorded(&folder, "ellmer/anthropic-list-models.yml")[..] else {
        panic!("one exchange");
    };
    let ours = server.send(&server.request("GET", &it.path)).await.json();
    let page =
        |body: &Value| -> Vec<String> { body.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(page(&it.body), page(&ours));
    // `lifecycle` and its companions came after the recording (SDK 2.11); our numbers are of 2026-10.
    let newer = [
        "lifecycle",
        "line",
        "deprecated_at",
        "retires_at",
        "server_tools",
        "types.disabled",
        "types.between_tools",
    ];
    let mut compared = 0;
    for theirs in it.body["data"].as_array().unwrap() {
        let mut models = ours["data"].as_array().unwrap().iter();
        let Some(model) = models.find(|model| model["id"] == theirs["id"]) else {
            continue;
        };
        let mut differences = shape::of_messages(theirs, model, false);
        differences.retain(|difference| {
            !newer
                .iter()
                .any(|key| difference.contains(&format!("{key}: ours alone")))
        });
        assert_eq!(differences, Vec::<String>::new(), "{}", theirs["id"]);
        compared += 1;
    }
    assert!(compared >= 5, "{compared} models in common");
}

#[tokio::test]
async fn a_recorded_batch_is_made_and_canceled_as_ours_is() {
    let Some(folder) = folder() else { return };
    // All who carry out items are busy, so that it still waits when it is canceled.
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let rules = json!([
        {"name": "busy", "when": {"user": "busy"}, "then": [{"bash": "sleep 30"}]},
        {"name": "other", "then": [{"text": "10"}]},
    ]);
    server.script(&rules.to_string()).await;
    let item = |n: usize| json!({"custom_id": n.to_string(), "params": code_prompt("busy")});
    let busy = json!({"requests": (0..8).map(item).collect::<Vec<_>>()});
    let path = "/v1/messages/batches";
    server.send(&server.request("POST", path).json(&busy)).await;
    while server.state().await["containers"]
        .as_array()
        .map_or(0, Vec::len)
        < 4
    {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let name = "ruby_llm/batch_with_anthropic_claude-haiku-4-5_cancels_a_running_batch.yml";
    let [made, canceled] = &recorded(&folder, name)[..] else {
        panic!("two exchanges");
    };
    let ours = server
        .send(&server.request("POST", &made.path).json(&made.request))
        .await;
    assert_same("made", &made.body, &ours, &[]);
    let batch = ours.json();
    let id = batch["id"].as_str().unwrap();
    let path = format!("/v1/messages/batches/{id}/cancel");
    let ours = server
        .send(&server.request("POST", &path).json(&canceled.request))
        .await;
    assert_same("canceled", &canceled.body, &ours, &[]);
}

#[tokio::test]
async fn a_recorded_refusal_of_a_key_is_ours() {
    let Some(folder) = folder() else { return };
    let server = TestServer::start().await;
    let name = "ruby_llm/chat_error_handling_with_anthropic_claude-haiku-4-5_raises_appropriate_auth_error.yml";
    let [it] = &recorded(&folder, name)[..] else {
        panic!("one exchange");
    };
    let request = server.messages(&it.request).without("x-api-key");
    let ours = server
        .send(&request.header("x-api-key", "sk-ant-invalid"))
        .await;
    assert_eq!(u64::from(ours.status), it.status);
    assert_same("refused", &it.body, &ours, &[]);
}

fn multipart(server: &TestServer, path: &str, beta: &str, part: &str, content: &str) -> Request {
    let body =
        format!("--b\r\ncontent-disposition: form-data; {part}\r\n\r\n{content}\r\n--b--\r\n");
    server
        .request("POST", path)
        .header("anthropic-beta", beta)
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body)
}

#[tokio::test]
async fn a_recorded_upload_is_answered_as_ours_is() {
    let Some(folder) = folder() else { return };
    let server = TestServer::start().await;
    let name =
        "ruby_llm/uploadedfile_live_uploads_anthropic_uploads_a_pdf_through_the_files_api.yml";
    let [it] = &recorded(&folder, name)[..] else {
        panic!("one exchange");
    };
    let part = "name=\"file\"; filename=\"sample.pdf\"\r\ncontent-type: application/pdf";
    let content = "x".repeat(18810);
    let request = multipart(&server, &it.path, "files-api-2025-04-14", part, &content);
    assert_same("uploaded", &it.body, &server.send(&request).await, &[]);
}

#[tokio::test]
async fn recorded_skills_are_made_as_ours_are() {
    let Some(folder) = folder() else { return };
    let server = TestServer::start().await;
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(folder.join("vercel-ai").join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let beta = "skills-2025-10-02";
    let upload = |path: &str, parts: &str| {
        multipart(
            &server,
            path,
            beta,
            "name=\"files[]\"; filename=\"SKILL.md\"",
            parts,
        )
    };
    let manifest = "---\nname: test-capture-skill\ndescription: An updated test skill for fixture capture\n---\n\nx";
    let titled = format!(
        "{manifest}\r\n--b\r\ncontent-disposition: form-data; name=\"display_title\"\r\n\r\nTest Capture Skill"
    );
    let ours = server.send(&upload("/v1/skills", &titled)).await;
    // A client's own fixture: it leaves `type` out.
    assert_same(
        "a skill",
        &read("anthropic-skill-create.json"),
        &ours,
        &["type: ours alone"],
    );
    let skill = ours.json();
    let path = format!("/v1/skills/{}/versions", skill["id"].as_str().unwrap());
    let ours = server.send(&upload(&path, manifest)).await;
    assert_same(
        "a version",
        &read("anthropic-skill-version-create.json"),
        &ours,
        &[],
    );
}

#[tokio::test]
async fn a_recorded_file_of_a_call_is_read_and_downloaded_as_ours_is() {
    let Some(folder) = folder() else { return };
    let name = "test_anthropic_code_execution_download_file.yaml";
    let all = cassette::read_all(&folder);
    let exchange = all
        .iter()
        .find(|it| it.name.starts_with(name))
        .expect("the exchange");
    let [_, content, metadata] = &recorded(&folder, &format!("pydantic-ai/{name}"))[..] else {
        panic!("three exchanges");
    };
    let mut played = script::of(&exchange.answer.message());
    let csv = "Number,Square\n1,1\n2,4\n3,9\n4,16\n5,25\n";
    for reply in &mut played.replies {
        if let Reply::Ran { files, .. } = reply
            && !files.is_empty()
        {
            *files = vec![("squares.csv".to_owned(), csv.to_owned())];
        }
    }
    let script = played.script();
    let server = TestServer::on(Arc::new(Canned::new(played.replies))).await;
    server.rules(&script).await;
    let message = server.message(&exchange.request_body()).await;
    let ours = message.to_string();
    let (_, id) = ours.split_once("\"file_id\":\"").expect("a file");
    let id = id.split('"').next().expect("an id");
    let get = |path: &str| {
        let request = server.request("GET", &format!("/v1/files/{id}{path}?beta=true"));
        request.header("anthropic-beta", "files-api-2025-04-14")
    };
    let ours = server.send(&get("/content")).await;
    assert_eq!(
        (u64::from(ours.status), ours.text().len()),
        (content.status, 36)
    );
    assert_eq!(ours.header("content-type"), Some("text/csv"));
    assert_eq!(
        ours.header("content-disposition"),
        Some("attachment; filename*=utf-8''squares.csv")
    );
    // The recorder has sorted the keys.
    let ours = server.send(&get("")).await.json();
    let differences = shape::of_messages(&metadata.body, &ours, true);
    assert_eq!(differences, Vec::<String>::new());
}
