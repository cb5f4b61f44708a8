//! The control API: its description, and what it has beside the calls that have files of their own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use control_api::openapi;
use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt, streamed};
use crate::harness::{Processes, Request, Response, TestServer};

async fn get(server: &TestServer, path: &str) -> Response {
    let path = format!("/_sandtable/{path}");
    server.send(&server.request("GET", &path)).await
}

async fn json(server: &TestServer, path: &str) -> Value {
    let answer = get(server, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// The error's message, with its hint.
fn refused(answer: &Response) -> (u16, String) {
    let said = answer.json();
    let word = |name: &str| said["error"][name].as_str().unwrap().to_owned();
    (
        answer.status,
        format!("{} ({})", word("message"), word("hint")),
    )
}

/// Every method and path of the router, as its source has them.
fn routes() -> BTreeSet<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let source = read("crates/server/src/control.rs") + &read("crates/server/src/control/page.rs");
    let mut routes = BTreeSet::new();
    for route in source.split(".route(").skip(1) {
        let route = &route[..route.find("\n        .").unwrap_or(route.len())];
        let path = route.split('"').nth(1).unwrap().replace("{*", "{");
        for method in ["get", "put", "post", "delete"] {
            if route.contains(&format!("{method}(")) {
                routes.insert((method.to_owned(), path.clone()));
            }
        }
    }
    routes.retain(|(_, path)| path.starts_with("/_sandtable/"));
    routes
}

#[test]
fn every_route_is_in_the_description_and_the_other_way_round() {
    let described: BTreeSet<(String, String)> = openapi::calls()
        .iter()
        .map(|call| (call.method.to_owned(), call.path.to_owned()))
        .collect();
    assert!(described.len() > 30);
    assert_eq!(routes(), described);
}

#[tokio::test]
async fn every_described_call_is_answered_by_itself() {
    let server = TestServer::start().await;
    for call in openapi::calls() {
        if call.id == "events" {
            continue;
        }
        let path = call.path.replace("{id}", "none").replace("{path}", "tmp/x");
        let request = server.request(&call.method.to_uppercase(), &path);
        let answer = server.send(&request).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_ne!(answer.status, 405, "{}", call.id);
        assert!(!text.contains("no control call"), "{}: {text}", call.id);
    }
}

#[tokio::test]
async fn a_server_serves_the_description_without_a_key() {
    let server = TestServer::start().await;
    let request = Request::new("GET", "/_sandtable/openapi.json");
    let answer = server.send(&request).await;
    assert_eq!(answer.status, 200);
    let kept = include_str!("../../docs/openapi.json");
    assert!(answer.text() == kept, "docs/openapi.json is stale");
}

#[test]
fn the_types_of_the_packages_are_those_of_the_description() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let check = Command::new("python3")
        .arg(root.join("clients/generate.py"))
        .arg("--check")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "{said}");
}

#[test]
fn no_second_copy_of_a_shape_is_written_where_calls_are_made_and_answered() {
    // HAR is somebody else's shape, and the state's document has a page of its own.
    const OTHERS: [&str; 2] = [
        "crates/server/src/control/journal/har.rs",
        "crates/server/src/control/snapshot.rs",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for pattern in ["crates/server/src/control/**/*.rs", "src/embed/**/*.rs"] {
        let paths = glob::glob(root.join(pattern).to_str().unwrap()).unwrap();
        for path in paths.flatten() {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let is_test = name.ends_with("tests.rs") || name.contains("/tests/");
            if is_test || OTHERS.iter().any(|other| name.starts_with(other)) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for (at, line) in code.lines().enumerate() {
                let derives = line.contains("Serialize") || line.contains("Deserialize,");
                let writes = line.contains("json!({") && !name.ends_with("control/verify.rs");
                if derives || writes {
                    wrong.push(format!("{name}:{}: {line}", at + 1));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "shapes of control calls belong into crates/control:\n{}",
        wrong.join("\n")
    );
}

#[tokio::test]
async fn the_journal_is_followed_as_it_grows_and_what_was_lost_is_told() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "hi"}])).await;
    let empty = json(&server, "journal?after=0").await;
    assert_eq!(
        empty,
        json!({"data": [], "next_after": 0, "dropped": 0, "open_requests": 0})
    );
    for text in ["one", "two", "three"] {
        server.message(&prompt(text)).await;
    }
    let first = json(&server, "journal?after=0&limit=2").await;
    let asked = |page: &Value| -> Vec<String> {
        let data = page["data"].as_array().unwrap();
        data.iter()
            .map(|entry| {
                let content = &entry["request_body"]["messages"][0]["content"];
                content.as_str().unwrap().to_owned()
            })
            .collect()
    };
    assert_eq!(asked(&first), ["one", "two"]);
    let second = json(&server, &format!("journal?after={}", first["next_after"])).await;
    assert_eq!(asked(&second), ["three"]);
    // Nothing new: the same place again.
    let after = second["next_after"].as_u64().unwrap();
    let none = json(&server, &format!("journal?after={after}")).await;
    assert_eq!(
        none,
        json!({"data": [], "next_after": after, "dropped": 0, "open_requests": 0})
    );
    // A filter passes over what does not fit, and the place goes on.
    let other = json(&server, "journal?after=0&path=/v1/files").await;
    assert_eq!(
        (&other["data"], &other["next_after"]),
        (&json!([]), &json!(after))
    );
    server
        .send(&server.request("DELETE", "/_sandtable/journal"))
        .await;
    server.message(&prompt("four")).await;
    let late = json(&server, "journal?after=1").await;
    assert_eq!(asked(&late), ["four"]);
    assert_eq!(late["dropped"], 2);
    for (query, message) in [
        ("after=x", "`after=x` is no number"),
        ("after=0&cursor=1", "`after` does not go with `cursor`"),
        ("after=0&format=har", "`after` does not go with `format`"),
        ("bodies=no", "`bodies=no` is no filter"),
    ] {
        let (status, said) = refused(&get(&server, &format!("journal?{query}")).await);
        assert_eq!(status, 400);
        assert!(said.starts_with(message), "{said}");
    }
}

#[tokio::test]
async fn one_exchange_is_had_whole_and_a_page_without_bodies() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "hi"}])).await;
    server.message(&prompt("one")).await;
    let page = json(&server, "journal?bodies=false").await;
    let entry = &page["data"][0];
    let size = entry["request_body"]["size_bytes"].as_u64().unwrap();
    assert_eq!(size, prompt("one").to_string().len() as u64);
    let id = entry["id"].as_str().unwrap();
    let whole = json(&server, &format!("journal/{id}")).await;
    assert_eq!(whole["request_body"], prompt("one"));
    assert_eq!(whole["response_body"]["content"][0]["text"], "hi");
    let (status, said) = refused(&get(&server, "journal/req_none").await);
    assert_eq!(status, 404);
    assert!(said.starts_with("no exchange `req_none`"), "{said}");
}

#[tokio::test]
async fn rules_tell_their_places_their_steps_and_their_texts() {
    let server = TestServer::start().await;
    let yaml = "- name: lunch\n  when: { user: { contains: lunch } }\n  then:\n    - text: soup\n    - if: \"false\"\n      then: [{ text: more }]\n";
    server.script(yaml).await;
    server.message(&prompt("lunch?")).await;
    let list = json(&server, "scripts").await;
    assert_eq!(list["sources"], json!([yaml]));
    let rule = &list["data"][0];
    assert_eq!((&rule["line"], &rule["used"]), (&json!(1), &json!(1)));
    let steps = rule["steps"].as_array().unwrap();
    let told: Vec<(&Value, &Value, &Value, &Value)> = steps
        .iter()
        .map(|step| {
            (
                &step["step"],
                &step["line"],
                &step["ran"],
                &step["conditional"],
            )
        })
        .collect();
    assert!(
        told.contains(&(&json!("text"), &json!(4), &json!(true), &json!(false))),
        "{told:?}"
    );
    assert!(
        told.contains(&(&json!("text"), &json!(6), &json!(false), &json!(true))),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_script_is_checked_and_not_loaded() {
    let server = TestServer::start().await;
    let check = async |yaml: &str| {
        let request = server
            .request("POST", "/_sandtable/scripts/check")
            .body(yaml);
        server.send(&request).await.json()
    };
    let good = check("- then: [{ text: hi }]\n- when: { user: x }\n  then: [{ text: no }]\n").await;
    assert_eq!((&good["ok"], &good["rules"]), (&json!(true), &json!(2)));
    let bad = check("- then: [{ txet: hi }]\n").await;
    assert_eq!((&bad["ok"], &bad["rules"]), (&json!(false), &json!(0)));
    assert_eq!(bad["errors"][0]["line"], 1);
    assert!(bad["errors"][0]["hint"].is_string(), "{bad}");
    assert_eq!(json(&server, "scripts").await["data"], json!([]));
}

#[tokio::test]
async fn a_wait_ends_when_requests_an_event_or_a_container_are_as_wanted() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"bash": "echo hi"}])).await;
    let wait = async |query: &str| json(&server, &format!("wait?{query}")).await;
    let requests = wait("requests=2&path=/v1/messages&status=2xx");
    let events = wait("event=request_ended&count=2");
    let asking = async {
        let message = server.message(&code_prompt("go")).await;
        server.message(&code_prompt("go")).await;
        message
    };
    let (requests, events, message) = tokio::join!(requests, events, asking);
    assert_eq!(
        (&requests["met"], &requests["count"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(
        (&events["met"], &events["count"]),
        (&json!(true), &json!(2))
    );
    // What is so already is not waited for.
    assert_eq!(wait("requests=1").await["met"], true);
    let id = message["container"]["id"].as_str().unwrap();
    let asleep = format!("container={id}&state=asleep");
    let sleep = format!("containers/{id}/sleep");
    let (asleep, _) = tokio::join!(wait(&asleep), server.control("POST", &sleep, &Value::Null));
    assert_eq!(asleep["met"], true);
    let never = wait("event=fault_fired&timeout=20ms").await;
    assert_eq!((&never["met"], &never["count"]), (&json!(false), &json!(0)));
    assert!(never["waited_ms"].as_u64().unwrap() >= 20);
}

#[tokio::test]
async fn a_wait_for_nothing_or_too_much_is_refused_with_a_hint() {
    let server = TestServer::start().await;
    for (query, status, message) in [
        ("", 400, "it is not said what is waited for"),
        (
            "?requests=1&event=clock_moved",
            400,
            "one thing is waited for at a time",
        ),
        ("?requests=0", 400, "`requests=0` is no number from 1"),
        ("?requests=1&status=9xx", 400, "`9xx` is neither a status"),
        ("?event=boom", 400, "no event `boom`"),
        (
            "?event=clock_moved&state=awake",
            400,
            "`state` does not go with `event`",
        ),
        ("?container=x", 400, "`state` must be"),
        ("?container=x&state=awake", 404, "no container `x`"),
        ("?requests=1&timeout=1h", 400, "`timeout=1h` is too long"),
        ("?requests=1&timeout=soon", 400, "`timeout=soon` is no span"),
    ] {
        let (got, said) = refused(&get(&server, &format!("wait{query}")).await);
        assert_eq!(got, status, "{query}");
        assert!(said.starts_with(message), "{query}: {said}");
    }
}

#[tokio::test]
async fn files_of_a_container_are_listed_and_read_and_a_sleeper_is_woken_only_if_asked() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"bash": "printf '\\000\\377' > 'a b.bin'; ln -s a\\ b.bin link; mkdir d; printf x > $'d/\\377<script>'; touch -d 2020-01-02T03:04:05Z d"}]))
        .await;
    let message = server.message(&code_prompt("go")).await;
    let id = message["container"]["id"].as_str().unwrap();
    let list = json(&server, &format!("containers/{id}/files?under=/home/user")).await;
    let files = list["data"].as_array().unwrap();
    let find = |end: &str| {
        let mut files = files.iter();
        let found = files.find(|file| file["path"].as_str().unwrap().ends_with(end));
        found.unwrap_or_else(|| panic!("{end}: {list:#}"))
    };
    assert_eq!(list["more"], false);
    let odd = find("a b.bin");
    assert_eq!(
        (&odd["kind"], &odd["size_bytes"]),
        (&json!("file"), &json!(2))
    );
    assert_eq!(find("/link")["target"], "a b.bin");
    // Only a file has bytes.
    assert!(find("/link")["href"].is_null() && find("/d")["href"].is_null());
    assert_eq!(find("/d")["modified_at"], "2020-01-02T03:04:05.000000Z");
    let href = |file: &Value| file["href"].as_str().unwrap()["/_sandtable/".len()..].to_owned();
    let bytes = get(&server, &href(odd)).await;
    assert_eq!(
        (bytes.status, bytes.body.as_slice()),
        (200, b"\x00\xff".as_slice())
    );
    assert_eq!(bytes.header("x-content-type-options"), Some("nosniff"));
    let hostile = find("<script>");
    assert!(href(hostile).ends_with("%FF%3Cscript%3E"), "{hostile}");
    assert_eq!(get(&server, &href(hostile)).await.body, b"x");
    let page = json(
        &server,
        &format!("containers/{id}/files?under=/home/user&limit=1"),
    )
    .await;
    assert_eq!(
        (page["data"].as_array().unwrap().len(), &page["more"]),
        (1, &json!(true))
    );

    for (path, status) in [
        ("/home/user/none", 404),
        ("/home/user/d", 400),
        ("/etc/passwd", 404),
        ("/tmp/../etc/passwd", 404),
    ] {
        let answer = get(&server, &format!("containers/{id}/files{path}")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    assert_eq!(get(&server, "containers/none/files").await.status, 404);

    server
        .control("POST", &format!("containers/{id}/sleep"), &Value::Null)
        .await;
    let (status, said) = refused(&get(&server, &format!("containers/{id}/files")).await);
    assert_eq!(status, 409);
    assert!(said.contains("?wake=true"), "{said}");
    let containers = json(&server, "containers").await;
    assert_eq!(containers["data"][0]["state"], "asleep");
    // Twice, at once after each other: the second visit meets a container that the first has woken.
    for _ in 0..2 {
        let woken = json(&server, &format!("containers/{id}/files?wake=true")).await;
        assert!(woken["data"].as_array().unwrap().len() >= files.len());
    }
    let asleep = format!("wait?container={id}&state=asleep");
    assert_eq!(json(&server, &asleep).await["met"], true);

    server
        .control("POST", &format!("containers/{id}/expire"), &Value::Null)
        .await;
    let gone = get(&server, &format!("containers/{id}/files")).await;
    assert_eq!(gone.status, 410, "{}", gone.text());
}

#[tokio::test]
async fn a_container_that_is_used_stays_awake_after_looks_that_began_before() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"bash": "echo hi"}])).await;
    let message = server.message(&code_prompt("go")).await;
    let id = message["container"]["id"].as_str().unwrap();
    let mut again = code_prompt("again");
    again["container"] = json!(id);
    let files = format!("containers/{id}/files?wake=true");
    for round in 0..10 {
        server
            .control("POST", &format!("containers/{id}/sleep"), &Value::Null)
            .await;
        let look = || json(&server, &files);
        let later = tokio::time::Duration::from_millis(2 * round);
        tokio::join!(look(), async {
            tokio::time::sleep(later).await;
            server.message(&again).await
        });
        look().await;
        let containers = json(&server, "containers").await;
        assert_eq!(containers["data"][0]["state"], "awake", "{round}");
    }
}

#[tokio::test]
async fn files_of_a_state_are_read_without_a_sandbox() {
    let server = TestServer::start().await;
    let tree = json!([
        {"path": "/home/user/a.txt", "content": "hello"},
        {"path": "/home/user/d", "type": "directory"},
    ]);
    let state = json!({"containers": [{"id": "box", "files": tree}]});
    server.control("PUT", "state", &state).await;
    let list = json(&server, "containers/box/files").await;
    assert_eq!(list["data"][0]["path"], "/home/user/a.txt");
    let answer = get(&server, "containers/box/files/home/user/a.txt").await;
    assert_eq!(answer.text(), "hello");
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename*=utf-8''a.txt")
    );
}

#[tokio::test]
async fn a_fork_goes_on_from_the_same_place_and_neither_sees_the_other() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let steps = "- then: [{ bash: 'cat n; echo \"${{ request.messages[0].content }}\" >> n' }]\n";
    server.script(steps).await;
    let first = server.message(&code_prompt("first")).await;
    let id = first["container"]["id"].as_str().unwrap();
    let upload = server.upload("a.txt", "text/plain", "file").await;
    let answer = server
        .send(&server.request("POST", "/_sandtable/state/fork"))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let forked = answer.json();
    assert_eq!(
        (&forked["files"], &forked["containers"]),
        (&json!(1), &json!(1))
    );
    let key = forked["key"].as_str().unwrap();
    let go_on = async |key: &str, text: &str| {
        let mut body = code_prompt(text);
        body["container"] = id.into();
        let request = server
            .messages(&body)
            .without("x-api-key")
            .header("x-api-key", key);
        let answer = server.send(&request).await.json();
        assert_eq!(answer["container"]["id"], id, "{answer}");
        let content = answer["content"].as_array().unwrap().clone();
        let result = content
            .iter()
            .find(|block| block["content"]["stdout"].is_string());
        result.unwrap()["content"]["stdout"].clone()
    };
    assert_eq!(go_on("sk-ant-test", "mine").await, "first\n");
    assert_eq!(go_on(key, "theirs").await, "first\n");
    assert_eq!(go_on("sk-ant-test", "x").await, "first\nmine\n");
    assert_eq!(go_on(key, "x").await, "first\ntheirs\n");
    let request = server.request("GET", &format!("/v1/files/{upload}"));
    let theirs = server
        .send(&request.without("x-api-key").header("x-api-key", key))
        .await;
    assert_eq!(theirs.status, 200, "{}", theirs.text());

    let taken = server
        .request("POST", "/_sandtable/state/fork")
        .json(&json!({"key": key}));
    let (status, said) = refused(&server.send(&taken).await);
    assert_eq!(status, 409, "{said}");
    let wrong = server
        .request("POST", "/_sandtable/state/fork")
        .json(&json!({"kay": "x"}));
    assert_eq!(server.send(&wrong).await.status, 400);
}

#[tokio::test]
async fn workspaces_are_listed_with_their_clocks_and_counts() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "hi"}])).await;
    server.message(&prompt("one")).await;
    server
        .control("PUT", "label", &json!({"label": "a test"}))
        .await;
    let list = json(&server, "workspaces").await;
    let own = &list["data"][0];
    assert_eq!(own["label"], "a test");
    assert_eq!(own["frozen"], true);
    assert_eq!(own["requests"], json!({"answered": 1, "refused": 0}));
}

#[tokio::test]
async fn metrics_count_requests_turns_calls_containers_and_starts() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"bash": "echo hi"}])).await;
    let message = server.message(&code_prompt("go")).await;
    assert!(message["container"]["id"].is_string());
    server.send(&server.request("GET", "/v1/files/none")).await;
    let request = Request::new("GET", "/_sandtable/metrics");
    let answer = server.send(&request).await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = answer.text();
    for line in [
        "sandtable_requests_total{method=\"POST\",route=\"/v1/messages\",status=\"2xx\"} 1",
        "sandtable_requests_total{method=\"GET\",route=\"/v1/files\",status=\"4xx\"} 1",
        "sandtable_turns_total{source=\"script\",status=\"2xx\"} 1",
        "sandtable_calls_total{tool=\"bash_code_execution\",outcome=\"ok\"} 1",
        "sandtable_containers{state=\"awake\"} 1",
        "sandtable_sandbox_start_seconds_count{how=\"started\"} 1",
        "# TYPE sandtable_sandbox_start_seconds histogram",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let bytes = text
        .lines()
        .find_map(|line| line.strip_prefix("sandtable_journal_bytes "));
    assert!(bytes.unwrap().parse::<u64>().unwrap() > 500, "{text}");
}

#[tokio::test]
async fn a_turn_that_no_rule_matched_is_a_turn_and_no_refusal() {
    let server = TestServer::start().await;
    let rule = "- name: tour\n  when: { user: hello }\n  then: [{ text: Hi. }]";
    server.script(rule).await;
    server.message(&prompt("hello")).await;
    let mut wrong = prompt("hello");
    wrong["xx"] = json!(1);
    for body in [prompt("something else"), wrong] {
        assert_eq!(server.send(&server.messages(&body)).await.status, 400);
    }
    let text = get(&server, "metrics").await.text().to_owned();
    let turns = text
        .lines()
        .filter(|line| line.starts_with("sandtable_turns_total{"));
    let turns: Vec<_> = turns.collect();
    assert_eq!(
        turns,
        [
            "sandtable_turns_total{source=\"script\",status=\"2xx\"} 1",
            "sandtable_turns_total{source=\"unmatched\",status=\"4xx\"} 1",
        ]
    );
    let rows = get(&server, "page/timeline").await.json();
    let rows = rows["data"].as_array().unwrap();
    let missed: Vec<_> = rows.iter().map(|row| &row["missed"]).collect();
    assert_eq!(missed, [false, true, false]);
}

#[tokio::test]
async fn turns_are_drafted_as_rules_that_answer_them_again() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "It is soup."}])).await;
    server.message(&prompt("What is for lunch?")).await;
    let request = server.messages(&streamed(prompt("What is for dinner?")));
    server.send(&request).await;
    let answer = get(&server, "journal?format=script").await;
    let draft = answer.text().to_owned();
    assert_eq!(answer.status, 200, "{draft}");
    for wanted in ["What is for lunch?", "What is for dinner?"] {
        assert_eq!(draft.matches(wanted).count(), 2, "{draft}");
    }
    assert_eq!(draft.matches("It is soup.").count(), 2, "{draft}");
    let again = TestServer::start().await;
    again.script(&draft).await;
    let message = again.message(&prompt("What is for dinner?")).await;
    assert_eq!(message["content"][0]["text"], "It is soup.");
    // Nothing to draft from.
    get(&again, "journal?path=/v1/files").await;
    let none = get(&again, "journal?format=script&path=/v1/files").await;
    let (status, said) = refused(&none);
    assert_eq!(status, 400);
    assert!(said.contains("no request for a message"), "{said}");
}

#[tokio::test]
async fn a_body_in_which_a_value_would_be_lost_is_refused() {
    let server = TestServer::start().await;
    for (method, call, body, said) in [
        (
            "POST",
            "faults",
            r#"{"at": "http", "status": 529, "status": 500}"#,
            "the body has the key `status` twice at line 1 column 38",
        ),
        (
            "PUT",
            "state",
            r#"{"files": [], "files": []}"#,
            "the state has the key `files` twice at line 1 column 21",
        ),
        (
            "PUT",
            "quirks",
            r#"{"turn-iterations": 5, "turn-iterations": 6}"#,
            "the body has the key `turn-iterations` twice",
        ),
        ("POST", "state/fork", "[]", "the body is no order to fork"),
        ("PUT", "label", r#"["a"]"#, "the body is no label"),
        (
            "PUT",
            "cassettes",
            r#"{"path": "a.yaml", "pace": 2}"#,
            "the body is no order to mount a cassette: `pace`: invalid type",
        ),
        (
            "POST",
            "state/fork",
            r#"{"key": "a\nb"}"#,
            "no client can send the key `a\\nb`",
        ),
    ] {
        let request = server.request(method, &format!("/_sandtable/{call}"));
        let (status, message) = refused(&server.send(&request.body(body)).await);
        assert_eq!(status, 400, "{call}");
        assert!(message.starts_with(said), "{call}: {message}");
    }
    let limit = refused(&get(&server, "journal?limit=0").await);
    assert!(limit.1.contains("a number from 1 to "), "{}", limit.1);
}

#[tokio::test]
async fn who_only_looks_makes_no_workspace() {
    let server = TestServer::start().await;
    let of_nobody = |call: &str| {
        let request = server.request("GET", &format!("/_sandtable/{call}"));
        request.without("x-api-key").header("x-api-key", "typo")
    };
    let before = json(&server, "workspaces").await["data"].clone();
    for call in [
        "verify",
        "usage",
        "clock",
        "journal",
        "state",
        "faults",
        "scripts",
        "containers",
        "quirks",
        "cassettes",
        "rate-limits",
    ] {
        let answer = server.send(&of_nobody(call)).await;
        assert_eq!(answer.status, 200, "{call}: {}", answer.text());
    }
    assert_eq!(json(&server, "workspaces").await["data"], before);
    server.message(&prompt("hi")).await;
    assert_eq!(server.send(&of_nobody("usage")).await.status, 200);
    let keyless = server
        .request("GET", "/_sandtable/usage")
        .without("x-api-key");
    let answer = server.send(&keyless).await;
    assert_eq!(answer.status, 200, "there is one alone: {}", answer.text());
}

#[tokio::test]
async fn a_key_without_a_workspace_is_not_taken_for_none_and_acts_on_nobodys() {
    let server = TestServer::start().await;
    // The one that there is.
    server.send(&server.request("GET", "/v1/files")).await;
    for key in ["\u{e4}x", "sk-ant-invalid"] {
        for (method, path) in [("PUT", "label"), ("GET", "journal")] {
            let request = Request::new(method, &format!("/_sandtable/{path}"));
            let request = request.header("x-api-key", key);
            let answer = server
                .send(&request.json(&json!({"label": "somebody"})))
                .await;
            assert_eq!(answer.status, 400, "{key}: {}", answer.text());
            assert!(answer.text().contains("x-api-key"), "{}", answer.text());
        }
    }
    let all = server.control("GET", "workspaces", &Value::Null).await;
    assert_eq!(all["data"].as_array().unwrap().len(), 1, "{all}");
    assert_eq!(all["data"][0]["label"], Value::Null, "{all}");
}
