//! Skills: uploaded, versioned, listed, deleted, downloaded, and put into containers.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt};
use crate::harness::transcript::Transcript;
use crate::harness::{Processes, Request, TestServer};

const PATH: &str = "/v1/skills";
const BETA: &str = "skills-2025-10-02";
const MANIFEST: &str =
    "---\nname: my-skill\ndescription: Says hello.\n---\n\nRun scripts/hello.sh.\n";
const SCRIPT: &str = "#!/bin/sh\necho hello\n";

fn multipart(server: &TestServer, path: &str, parts: &[(&str, Option<&str>, &str)]) -> Request {
    server.request("POST", path).multipart(parts)
}

fn upload(server: &TestServer, path: &str) -> Request {
    let parts = [
        ("files[]", Some("my-skill/SKILL.md"), MANIFEST),
        ("files[]", Some("my-skill/scripts/hello.sh"), SCRIPT),
    ];
    multipart(server, path, &parts)
}

async fn create(server: &TestServer) -> String {
    let response = server.send(&upload(server, PATH)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_version_is_deleted_once_however_many_ask_at_once() {
    let server = TestServer::start().await;
    for _ in 0..5 {
        let skill = create(&server).await;
        let versions = format!("{PATH}/{skill}/versions");
        let more = server.send(&upload(&server, &versions)).await.json();
        let path = format!("{versions}/{}", more["id"].as_str().expect("an id"));
        let delete = server.request("DELETE", &path);
        assert_eq!(server.send_thrice(&delete).await, [200, 404, 404]);
        let list = server.send(&server.request("GET", &versions)).await.json();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn a_skill_is_made_versioned_read_and_deleted() {
    let server = TestServer::start().await;
    let mut transcript = Transcript::default();
    let made = transcript
        .exchange(&server, &upload(&server, PATH))
        .await
        .json();
    let at = format!("{PATH}/{}", made["id"].as_str().unwrap());
    server.advance("1h").await;
    let versions = format!("{at}/versions");
    let second = transcript
        .exchange(&server, &upload(&server, &versions))
        .await
        .json();
    for (method, path) in [
        ("GET", at.clone()),
        ("GET", format!("{versions}?limit=1")),
        ("GET", format!("{versions}/latest")),
        (
            "DELETE",
            format!("{versions}/{}", second["id"].as_str().unwrap()),
        ),
        ("DELETE", format!("{versions}/latest")),
        (
            "DELETE",
            format!("{versions}/{}", made["latest_version_id"].as_str().unwrap()),
        ),
        ("GET", format!("{PATH}?limit=2")),
        ("DELETE", at.clone()),
        ("GET", at.clone()),
    ] {
        transcript
            .exchange(&server, &server.request(method, &path))
            .await;
    }
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn the_beta_has_titles_and_epochs() {
    let server = TestServer::start().await;
    let mut transcript = Transcript::default();
    let beta = |request: Request| request.header("anthropic-beta", BETA);
    let parts = [
        ("display_title", None, "My skill"),
        ("files[]", Some("SKILL.md"), MANIFEST),
    ];
    let made = beta(multipart(&server, PATH, &parts));
    let made = transcript.exchange(&server, &made).await.json();
    let at = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let version = format!("{at}/versions/{}", made["latest_version"].as_str().unwrap());
    for (method, path) in [
        ("GET", version.clone()),
        ("GET", format!("{PATH}?limit=1")),
        ("DELETE", at.clone()),
        ("DELETE", version.clone()),
        ("DELETE", at.clone()),
        ("GET", format!("{PATH}?limit=101")),
    ] {
        let request = beta(server.request(method, &path));
        transcript.exchange(&server, &request).await;
    }
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn no_two_skills_of_the_beta_have_one_title() {
    let server = TestServer::start().await;
    let create = async |title: Option<&'static str>, beta: bool| {
        let field = if beta {
            "display_title"
        } else {
            "display_name"
        };
        let mut parts = vec![("files[]", Some("SKILL.md"), MANIFEST)];
        parts.extend(title.map(|title| (field, None, title)));
        let request = multipart(&server, PATH, &parts);
        let request = if beta {
            request.header("anthropic-beta", BETA)
        } else {
            request
        };
        server.send(&request).await
    };
    let taken = |title: &str| format!("Skill cannot reuse an existing display_title: {title}");
    assert_eq!(create(Some("Mine"), true).await.status, 200);
    let again = create(Some("Mine"), true).await;
    assert_eq!((again.status, again.message()), (400, taken("Mine")));
    // One that is not given is the skill's name.
    let unnamed = create(None, true).await;
    assert_eq!(unnamed.json()["display_title"], "my-skill");
    assert_eq!(create(None, true).await.message(), taken("my-skill"));
    // Names of the current shape are not unique.
    assert_eq!(create(Some("Mine"), false).await.status, 200);
    assert_eq!(create(None, false).await.status, 200);
}

#[tokio::test]
async fn lists_are_filtered_by_source_and_walked_by_page() {
    let server = TestServer::start().await;
    let own = [
        create(&server).await,
        create(&server).await,
        create(&server).await,
    ];
    let get = async |query: &str| {
        let path = format!("{PATH}?{query}");
        server.send(&server.request("GET", &path)).await.json()
    };
    let ids = |page: &Value| -> Vec<String> {
        let data = page["data"].as_array().unwrap().iter();
        data.map(|skill| skill["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let newest_first: Vec<String> = own.iter().rev().cloned().collect();
    assert_eq!(ids(&get("source=custom").await), newest_first);
    let vendors = get("source=anthropic").await;
    assert_eq!(ids(&vendors), ["xlsx", "pptx", "pdf", "docx"]);
    assert!(
        vendors["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|skill| { skill["display_name"].as_str().unwrap().contains("stand-in") })
    );
    let mut seen = Vec::new();
    let mut query = "limit=3".to_owned();
    loop {
        let page = get(&query).await;
        seen.extend(ids(&page));
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        query = format!("limit=3&page={next}");
    }
    assert_eq!(seen, [&newest_first[..], &ids(&vendors)].concat());
    assert_eq!(
        get("source=plugin").await["error"]["message"],
        "source must be one of custom, anthropic"
    );
    server.control("POST", "reset", &Value::Null).await;
    assert_eq!(ids(&get("source=custom").await), Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_that_is_no_skill_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let file = |path: &'static str, text: &'static str| ("files[]", Some(path), text);
    let long = "x".repeat(256);
    for (parts, text) in [
        (vec![], "files[]: Field required"),
        // What the SDK of the beta era makes of tuples in a list.
        (
            vec![("files[][]", None, "SKILL.md")],
            "files[]: Field required",
        ),
        (
            vec![file("a/b/SKILL.md", MANIFEST)],
            "SKILL.md file must be exactly in the top-level folder.",
        ),
        (
            vec![file("skills/SKILL.md", MANIFEST)],
            "The folder name 'skills' must match the skill name 'my-skill' in SKILL.md.",
        ),
        (
            vec![("display_name", None, &long), file("SKILL.md", MANIFEST)],
            "display_name must be at most 255 characters long",
        ),
        (
            vec![
                ("display_name", None, "two\nlines"),
                file("SKILL.md", MANIFEST),
            ],
            "display_name: The name of a skill is a single line",
        ),
    ] {
        let answer = server.send(&multipart(&server, PATH, &parts)).await;
        assert_eq!((answer.status, answer.message()), (400, text.to_owned()));
    }
    let id = create(&server).await;
    let other = MANIFEST.replace("my-skill", "other");
    let parts = [("files[]", Some("SKILL.md"), other.as_str())];
    let answer = server
        .send(&multipart(
            &server,
            &format!("{PATH}/{id}/versions"),
            &parts,
        ))
        .await;
    assert_eq!(
        (answer.status, answer.message()),
        (
            400,
            "Skill name 'other' in SKILL.md must be consistent across all versions for a given `skill_id`. Expected 'my-skill'."
                .to_owned()
        )
    );
    let announced = upload(&server, PATH).header("content-length", "99999999");
    assert_eq!(server.send(&announced).await.status, 413);
    let own = server
        .send(&server.request("GET", &format!("{PATH}?source=custom")))
        .await
        .json();
    assert_eq!(own["data"].as_array().unwrap().len(), 1);
}

/// Where the newest version of a skill is downloaded: by its id, as `latest` is refused there.
async fn content_of(server: &TestServer, id: &str) -> String {
    let skill = server.request("GET", &format!("{PATH}/{id}"));
    let skill = server.send(&skill).await.json();
    let version = skill["latest_version_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    format!("{PATH}/{id}/versions/{version}/content")
}

#[tokio::test]
async fn what_is_downloaded_can_be_uploaded_again() {
    let server = TestServer::start().await;
    let id = create(&server).await;
    let path = content_of(&server, &id).await;
    let zip = server.send(&server.request("GET", &path)).await;
    assert_eq!(zip.status, 200);
    assert_eq!(zip.header("content-type"), Some("application/zip"));
    let mut body =
        b"--b\r\ncontent-disposition: form-data; name=\"files[]\"; filename=\"x.zip\"\r\n\r\n"
            .to_vec();
    body.extend_from_slice(&zip.body);
    body.extend_from_slice(b"\r\n--b--\r\n");
    let again = server
        .request("POST", PATH)
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body);
    let again = server.send(&again).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let path = content_of(&server, again.json()["id"].as_str().unwrap()).await;
    let second = server.send(&server.request("GET", &path)).await;
    assert_eq!(zip.body, second.body);
}

#[tokio::test]
async fn another_workspace_knows_nothing_of_a_skill_and_nobody_changes_the_vendor_s() {
    let server = TestServer::start().await;
    let id = create(&server).await;
    let as_other = |request: Request| request.without("x-api-key").header("x-api-key", "another");
    for (method, rest) in [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/versions"),
        ("GET", "/versions/latest"),
        ("DELETE", "/versions/latest"),
        ("GET", "/versions/latest/content"),
    ] {
        let path = format!("{PATH}/{id}{rest}");
        let answer = server.send(&as_other(server.request(method, &path))).await;
        assert_eq!(
            (answer.status, answer.message()),
            (404, format!("Skill not found: {id}"))
        );
    }
    let unknown = server
        .send(&server.request("GET", &format!("{PATH}/{id}/versions/skver_1")))
        .await;
    assert_eq!(
        (unknown.status, unknown.message()),
        (404, "Skill version `skver_1` not found.".to_owned())
    );
    for (method, rest) in [("DELETE", ""), ("DELETE", "/versions/latest")] {
        let path = format!("{PATH}/xlsx{rest}");
        let answer = server.send(&server.request(method, &path)).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}

fn with_skills(mut body: Value, container: Value) -> Value {
    body["container"] = container;
    body
}

#[tokio::test]
async fn skills_lie_in_the_container_and_stay_there() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let own = create(&server).await;
    // The skills of these sandboxes lie beside the working directory.
    let look = "cd ../skills; ls *; my-skill/scripts/hello.sh; head -2 xlsx/SKILL.md; ls -l xlsx/SKILL.md | cut -c1-10";
    server.steps(&json!([{"bash": look}])).await;
    let wanted = json!([
        {"type": "anthropic", "skill_id": "xlsx", "version": "latest"},
        {"type": "custom", "skill_id": own},
    ]);
    let body = with_skills(code_prompt("go"), json!({"skills": wanted}));
    let first = server.message(&body).await;
    let stdout = "my-skill:\nSKILL.md\nscripts\n\nxlsx:\nSKILL.md\nscripts\nhello\n---\nname: xlsx\n-r--r--r--\n";
    assert_eq!(first["content"][1]["content"]["stdout"], stdout);
    let told = first["container"]["skills"].clone();
    assert_eq!(
        told[0],
        json!({"type": "anthropic", "skill_id": "xlsx", "version": "20260803"})
    );
    assert!(told[1]["version"].as_str().unwrap().starts_with("skver_"));
    // A bare id, the same list again, and a sleep in between.
    let id = first["container"]["id"].as_str().unwrap();
    server
        .control("POST", &format!("containers/{id}/sleep"), &Value::Null)
        .await;
    for container in [json!(id), json!({"id": id, "skills": wanted})] {
        let again = server
            .message(&with_skills(code_prompt("again"), container))
            .await;
        assert_eq!(again["content"][1]["content"]["stdout"], stdout);
        assert_eq!(again["container"]["skills"], told);
    }
}

#[tokio::test]
async fn a_newer_version_leaves_no_file_of_the_older_one() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let own = create(&server).await;
    let steps = json!([{"bash": "cd ../skills; find . -mindepth 1 | sort; cat my-skill/SKILL.md; touch my-skill/own; chmod a-w my-skill"}]);
    server.steps(&steps).await;
    let skill = json!({"type": "custom", "skill_id": own, "version": "latest"});
    let body = with_skills(code_prompt("go"), json!({"skills": [skill]}));
    let first = server.message(&body).await;
    let stdout = &first["content"][1]["content"]["stdout"];
    assert!(stdout.as_str().unwrap().contains("hello.sh"), "{stdout}");

    let parts = [("files[]", Some("SKILL.md"), MANIFEST)];
    let versions = format!("{PATH}/{own}/versions");
    let newer = server.send(&multipart(&server, &versions, &parts)).await;
    assert_eq!(newer.status, 200, "{}", newer.text());
    let container = json!({"id": first["container"]["id"], "skills": [skill]});
    let again = server
        .message(&with_skills(code_prompt("go"), container))
        .await;
    assert_eq!(
        again["content"][1]["content"]["stdout"],
        format!("./my-skill\n./my-skill/SKILL.md\n{MANIFEST}")
    );
}

#[tokio::test]
async fn a_version_is_named_by_id_epoch_or_not_at_all() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"bash": "cat ../skills/*/SKILL.md | tail -1"}]))
        .await;
    let id = create(&server).await;
    let text = format!("{MANIFEST}second\n");
    let parts = [("files[]", Some("SKILL.md"), text.as_str())];
    let versions = format!("{PATH}/{id}/versions");
    let newer = server
        .send(&multipart(&server, &versions, &parts))
        .await
        .json();
    let beta = |request: Request| request.header("anthropic-beta", BETA);
    let list = server
        .send(&beta(server.request("GET", &versions)))
        .await
        .json();
    let older = &list["data"][1];
    for (version, last_line) in [
        (json!("latest"), "second\n"),
        (newer["id"].clone(), "second\n"),
        (older["version"].clone(), "Run scripts/hello.sh.\n"),
        (older["id"].clone(), "Run scripts/hello.sh.\n"),
    ] {
        let skill = json!({"type": "custom", "skill_id": id, "version": version});
        let body = with_skills(code_prompt("go"), json!({"skills": [skill]}));
        let answer = server.send(&beta(server.messages(&body))).await.json();
        assert_eq!(answer["content"][1]["content"]["stdout"], last_line);
        let told = answer["container"]["skills"][0]["version"]
            .as_str()
            .unwrap();
        assert!(told.bytes().all(|byte| byte.is_ascii_digit()), "{told}");
    }
}

#[tokio::test]
async fn wrong_skills_of_a_message_are_named_and_change_nothing() {
    let server = TestServer::start().await;
    let before = server.state().await;
    let xlsx = json!({"type": "anthropic", "skill_id": "xlsx"});
    let many = |count: usize| json!({"skills": vec![xlsx.clone(); count]});
    let one = |skill: Value| json!({"skills": [skill]});
    for (container, text) in [
        (
            one(json!({"type": "anthropic", "skill_id": "odt"})),
            "container.skills.0: Skill `odt` not found.",
        ),
        (
            one(json!({"type": "anthropic", "skill_id": "xlsx", "version": "1"})),
            "container.skills.0: Skill `xlsx` version `1` not found.",
        ),
        (
            one(json!({"type": "custom", "skill_id": "skill_1"})),
            "container.skills.0: Skill `skill_1` not found.",
        ),
        (
            one(json!({"type": "plugin", "skill_id": "x"})),
            "container.ContainerParams.skills.0.type: Input should be 'anthropic' or 'custom'",
        ),
        (
            one(json!({"type": "custom"})),
            "container.ContainerParams.skills.0.skill_id: Field required",
        ),
        (
            one(json!({"type": "anthropic", "skill_id": "xlsx", "version": 1})),
            "container.ContainerParams.skills.0.version: Input should be a valid string",
        ),
        (
            many(2),
            "container.skills.1: another skill of the request is called `xlsx` too",
        ),
        (
            many(21),
            "container.ContainerParams.skills: List should have at most 20 items after validation, not 21",
        ),
    ] {
        let body = with_skills(code_prompt("go"), container);
        let answer = server.send(&server.messages(&body)).await;
        assert_eq!((answer.status, answer.message()), (400, text.to_owned()));
    }
    let nine = server
        .messages(&with_skills(code_prompt("go"), many(9)))
        .header("anthropic-beta", BETA);
    assert_eq!(
        server.send(&nine).await.message(),
        "container.ContainerParams.skills: List should have at most 8 items after validation, not 9"
    );
    let toolless = server.messages(&with_skills(prompt("go"), one(xlsx.clone())));
    let refused = server.send(&toolless).await;
    assert_eq!(
        (refused.status, refused.message()),
        (
            400,
            "container: skills can only be used when a code execution tool is enabled".to_owned()
        )
    );
    assert_eq!(server.state().await, before);
}
