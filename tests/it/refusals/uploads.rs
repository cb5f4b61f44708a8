//! Multipart bodies: every part of an upload missing, of a wrong kind, out of range, and twice.

use std::fmt::Write as _;

use super::refused;
use crate::harness::{Request, TestServer};

const MANIFEST: &str = "---\nname: my-skill\ndescription: Says hello.\n---\n\nHello.\n";

/// A part: its name, its file name, its content.
type Part<'a> = (&'a str, Option<&'a str>, &'a str);

fn multipart(server: &TestServer, path: &str, parts: &[Part<'_>]) -> Request {
    server.request("POST", path).multipart(parts)
}

fn raw(server: &TestServer, path: &str, body: &str) -> Request {
    server
        .request("POST", path)
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body)
}

/// Uploads a skill and returns its id.
pub(super) async fn skill(server: &TestServer) -> String {
    let parts = [("files[]", Some("SKILL.md"), MANIFEST)];
    let answer = server.send(&multipart(server, "/v1/skills", &parts)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// Requests that no multipart endpoint can read.
fn unreadable(server: &TestServer, path: &str) -> Vec<Request> {
    let bare = server.request("POST", path);
    let part = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\na\r\n";
    vec![
        bare.clone(),
        bare.clone()
            .header("content-type", "application/json")
            .body("{}"),
        bare.clone()
            .header("content-type", "multipart/form-data")
            .body(part),
        bare.header("content-type", "multipart/form-data; boundary=")
            .body(part),
        raw(server, path, ""),
        raw(server, path, "no multipart at all"),
        raw(server, path, part),
        raw(
            server,
            path,
            "--b\r\ncontent-disposition: form-data\r\n\r\na\r\n--b--\r\n",
        ),
        raw(server, path, "--b\r\nno header\r\n\r\na\r\n--b--\r\n"),
        raw(server, path, "--b\r\n\r\na\r\n--b--\r\n"),
        raw(server, path, "--b--\r\n"),
    ]
}

#[tokio::test]
async fn every_wrong_upload_of_a_file_is_refused_by_its_part_and_changes_nothing() {
    let server = TestServer::start().await;
    let before = server.state().await;
    let long = "x".repeat(256);
    let file = ("file", Some("a.txt"), "a");
    let life = |seconds| ("expires_in_seconds", None, seconds);
    let mut wrong: Vec<(String, Vec<Part<'_>>)> = vec![
        ("nothing".to_owned(), vec![]),
        (
            "another part".to_owned(),
            vec![("data", Some("a.txt"), "a")],
        ),
        ("two files".to_owned(), vec![file, file]),
        (
            "two lives".to_owned(),
            vec![life("3600"), life("7200"), file],
        ),
        (
            "256 characters".to_owned(),
            vec![("file", Some(&long), "a")],
        ),
    ];
    for name in ["a<b", "a>b", "a:b", "a|b", "a?b", "a*b", "a\u{1}b", "a\tb"] {
        wrong.push((format!("named {name:?}"), vec![("file", Some(name), "a")]));
    }
    for seconds in [
        "",
        "x",
        "1.5",
        "1e4",
        "3599",
        "0",
        "-3600",
        "7776001",
        "99999999999999999999",
        "[3600]",
        &long,
    ] {
        wrong.push((
            format!("expires_in_seconds = {seconds:.24}"),
            vec![life(seconds), file],
        ));
        wrong.push((
            format!("after the file {seconds:.24}"),
            vec![file, life(seconds)],
        ));
    }
    let mut texts = String::new();
    for (what, parts) in &wrong {
        let request = multipart(&server, "/v1/files", parts);
        let (status, kind, message) = refused(&server, &request).await;
        assert_eq!(
            (status, kind.as_str()),
            (400, "invalid_request_error"),
            "{what}"
        );
        let path = if what.contains("expires") || what.contains("after") || what.contains("lives") {
            "expires_in_seconds: "
        } else if what.contains("named") || what.contains("characters") {
            "file"
        } else {
            "file: "
        };
        assert!(message.starts_with(path), "{what}: {message}");
        writeln!(texts, "{what}\n  {message}").unwrap();
    }
    for request in unreadable(&server, "/v1/files") {
        let (status, _, message) = refused(&server, &request).await;
        assert_eq!(status, 400, "{message}");
        writeln!(
            texts,
            "{:?}\n  {message}",
            String::from_utf8_lossy(&request.body)
        )
        .unwrap();
    }
    assert_eq!(server.state().await, before);
    insta::assert_snapshot!(texts);
}

#[tokio::test]
async fn every_wrong_upload_of_a_skill_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let id = skill(&server).await;
    let versions = format!("/v1/skills/{id}/versions");
    let before = server.state().await;
    let long = "x".repeat(256);
    let manifest = |front: &str| format!("---\n{front}\n---\n\nHello.\n");
    let fronts = [
        manifest("description: d"),
        manifest("name: my-skill"),
        manifest("name: 7\ndescription: d"),
        manifest("name: [a]\ndescription: d"),
        manifest("name: my-skill\ndescription: [a]"),
        manifest("name: My_Skill\ndescription: d"),
        manifest("name: \"\"\ndescription: d"),
        manifest(&format!("name: {}\ndescription: d", "x".repeat(65))),
        manifest("name: claude-skill\ndescription: d"),
        manifest("name: anthropic\ndescription: d"),
        manifest("name: my-skill\ndescription: \"\""),
        manifest(&format!(
            "name: my-skill\ndescription: {}",
            "x".repeat(1025)
        )),
        manifest("name: my-skill\ndescription: has <b>tags</b>"),
        manifest("name: [\ndescription: d"),
        manifest("just words"),
        "no front matter".to_owned(),
        String::new(),
    ];
    let good = |path| ("files[]", Some(path), MANIFEST);
    let mut wrong: Vec<(String, Vec<Part<'_>>)> = vec![
        ("nothing".to_owned(), vec![]),
        (
            "another part".to_owned(),
            vec![("data", Some("SKILL.md"), MANIFEST)],
        ),
        ("no SKILL.md".to_owned(), vec![good("README.md")]),
        ("too deep".to_owned(), vec![good("a/b/SKILL.md")]),
        (
            "another folder's name".to_owned(),
            vec![good("other/SKILL.md")],
        ),
        (
            "two folders".to_owned(),
            vec![good("my-skill/SKILL.md"), good("other/a.txt")],
        ),
        (
            "outside".to_owned(),
            vec![good("my-skill/SKILL.md"), good("my-skill/../../a.txt")],
        ),
        (
            "absolute".to_owned(),
            vec![good("SKILL.md"), good("/etc/passwd")],
        ),
        ("twice".to_owned(), vec![good("SKILL.md"), good("SKILL.md")]),
        (
            "a broken zip".to_owned(),
            vec![("files[]", Some("a.zip"), "PK\u{3}\u{4}broken")],
        ),
        (
            "display_name too long".to_owned(),
            vec![("display_name", None, &long), good("SKILL.md")],
        ),
        (
            "display_name of two lines".to_owned(),
            vec![("display_name", None, "a\nb"), good("SKILL.md")],
        ),
    ];
    for front in &fronts {
        let what = format!("{:.60}", front.replace('\n', "|"));
        wrong.push((what, vec![("files[]", Some("SKILL.md"), front)]));
    }
    let mut texts = String::new();
    for (what, parts) in &wrong {
        let mut answers = Vec::new();
        for path in ["/v1/skills", &versions] {
            let (status, kind, message) = refused(&server, &multipart(&server, path, parts)).await;
            assert_eq!(
                (status, kind.as_str()),
                (400, "invalid_request_error"),
                "{what}"
            );
            answers.push(message);
        }
        assert_eq!(answers[0], answers[1], "{what}");
        let lower = answers[0].to_lowercase();
        let named = lower.contains("skill")
            || lower.starts_with("files[]: ")
            || lower.starts_with("display_name ");
        assert!(named, "{what}: {}", answers[0]);
        writeln!(texts, "{what}\n  {}", answers[0]).unwrap();
    }
    let other = [(
        "files[]",
        Some("SKILL.md"),
        &*MANIFEST.replace("my-skill", "other"),
    )];
    let (_, _, message) = refused(&server, &multipart(&server, &versions, &other)).await;
    writeln!(texts, "a version of another name\n  {message}").unwrap();
    for path in ["/v1/skills", &versions] {
        for request in unreadable(&server, path) {
            let (status, _, message) = refused(&server, &request).await;
            assert_eq!(status, 400, "{message}");
        }
    }
    assert_eq!(server.state().await, before);
    insta::assert_snapshot!(texts);
}
