//! The verdict on recordings that nobody asked for, and on clients that go on from recorded answers.

use cassette::Plan;
use serde_json::{Value, json};

use super::{Studio, ask, container_of, converse, player};
use crate::harness::server::{code_prompt, prompt};
use crate::harness::{Request, TestServer};

async fn verdict(server: &TestServer, query: &str) -> Value {
    let path = format!("verify{query}");
    server.control("GET", &path, &Value::Null).await
}

fn unused(verdict: &Value) -> Vec<String> {
    let list = verdict["unused_recordings"].as_array().unwrap().iter();
    list.map(|item| {
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        format!("{}: {}", text("recording"), text("request"))
    })
    .collect()
}

fn codes(verdict: &Value) -> Vec<&str> {
    let lints = verdict["lints"].as_array().unwrap().iter();
    lints.map(|lint| lint["code"].as_str().unwrap()).collect()
}

fn of_another(request: Request) -> Request {
    request
        .without("x-api-key")
        .header("x-api-key", "sk-ant-another")
}

#[tokio::test]
async fn recordings_that_nobody_asked_for_make_the_verdict_bad_unless_that_is_allowed() {
    let studio = Studio::open().await;
    for text in ["one", "two"] {
        studio.recorder.send(&ask(&studio.recorder, text)).await;
    }
    // How often a client polls is a matter of time.
    let models = |server: &TestServer| server.request("GET", "/v1/models");
    for _ in 0..3 {
        studio.recorder.send(&models(&studio.recorder)).await;
    }
    let player = player(&studio.path()).await;
    player.send(&ask(&player, "one")).await;
    player.send(&models(&player)).await;
    let found = verdict(&player, "").await;
    assert_eq!(
        unused(&found),
        ["run #2: POST /v1/messages"],
        "the only workspace answers for what the server has mounted"
    );
    assert_eq!(found["ok"], false);
    let allowed = verdict(&player, "?recordings=ok").await;
    assert_eq!(
        (&allowed["ok"], unused(&allowed).len()),
        (&json!(true), 0),
        "{allowed}"
    );

    // Over resets and over workspaces, all of it is used in the end.
    player.control("POST", "reset", &Value::Null).await;
    assert_eq!(
        unused(&verdict(&player, "?workspace=*").await),
        ["run #2: POST /v1/messages"]
    );
    player.send(&of_another(ask(&player, "two"))).await;
    let all = verdict(&player, "?workspace=*").await;
    assert_eq!((&all["ok"], unused(&all).len()), (&json!(true), 0), "{all}");
}

#[tokio::test]
async fn a_workspace_answers_for_the_cassettes_that_it_mounted_itself() {
    let studio = Studio::open().await;
    for text in ["one", "two"] {
        studio.recorder.send(&ask(&studio.recorder, text)).await;
    }
    let yaml = std::fs::read_to_string(studio.path()).unwrap();
    let server = TestServer::start().await;
    let mount = server.request("PUT", "/_sandtable/cassettes").body(yaml);
    assert_eq!(server.send(&mount).await.status, 200);
    server.send(&ask(&server, "two")).await;
    let left = ["request body #1: POST /v1/messages"];
    assert_eq!(unused(&verdict(&server, "").await), left);
    let out = server.request("DELETE", "/_sandtable/cassettes");
    assert_eq!(server.send(&out).await.status, 200);
    assert_eq!(
        unused(&verdict(&server, "").await),
        left,
        "taking it out does not hide it"
    );
    let label = json!({"label": "tests/test_a.py::test_b"});
    server.control("PUT", "label", &label).await;
    server.control("POST", "reset", &Value::Null).await;
    assert!(unused(&verdict(&server, "").await).is_empty());
    let all = verdict(&server, "?workspace=*").await;
    assert_eq!(unused(&all), left);
    assert_eq!(
        all["unused_recordings"][0]["label"],
        "tests/test_a.py::test_b"
    );
}

#[tokio::test]
async fn a_client_that_goes_on_from_a_recorded_pause_and_hands_on_a_recorded_file_is_not_accused() {
    let studio = Studio::open().await;
    let echo = json!({"mcp_tool_use": {"server": "echo", "name": "echo", "text": "hi"}});
    studio
        .upstream
        .rules(&json!([
            {"when": {"user": "pauses"}, "then": [{"text": "Half."}, "pause_turn", {"text": "Whole."}]},
            {"when": {"user": "echoes"}, "then": [echo, "pause_turn", {"text": "Whole."}]},
        ]))
        .await;
    let goes_on = async |server: &TestServer| {
        for first in ["pauses", "echoes"] {
            let mut body = code_prompt(first);
            body["mcp_servers"] =
                json!([{"type": "url", "url": "https://echo.example/mcp", "name": "echo"}]);
            let tools = body["tools"].as_array_mut().unwrap();
            tools.push(json!({"type": "mcp_toolset", "mcp_server_name": "echo"}));
            let beta = ("anthropic-beta", "mcp-client-2025-11-20");
            let send = async |body: &Value| {
                let request = server.messages(body).header(beta.0, beta.1);
                server.send(&request).await
            };
            let half = send(&body).await.json();
            assert_eq!(half["stop_reason"], "pause_turn", "{half}");
            let said = json!({"role": "assistant", "content": half["content"]});
            body["messages"].as_array_mut().unwrap().push(said);
            let whole = send(&body).await;
            assert_eq!(
                whole.json()["content"][0]["text"],
                "Whole.",
                "{}",
                whole.text()
            );
        }
    };
    goes_on(&studio.recorder).await;
    studio.upstream.control("POST", "reset", &Value::Null).await;
    let hands_on = async |server: &TestServer| {
        let text = "```bash\necho fjord > \"$OUTPUT_DIR/out.txt\"\n```";
        let message = server.send(&ask(server, text)).await.json();
        let made = &message["content"][1]["content"]["content"][0]["file_id"];
        assert!(made.is_string(), "{message}");
        let mut body = code_prompt("what is in it?");
        body["container"] = json!(container_of(&message));
        body["messages"][0]["content"] = json!([
            {"type": "text", "text": "what is in it?"},
            {"type": "container_upload", "file_id": made},
        ]);
        let read = server.send(&server.messages(&body)).await;
        assert_eq!(read.status, 200, "{}", read.text());
    };
    hands_on(&studio.recorder).await;

    let player = player(&studio.path()).await;
    goes_on(&player).await;
    hands_on(&player).await;
    let found = verdict(&player, "?lints=warning").await;
    assert_eq!(codes(&found), Vec::<&str>::new(), "{found}");
    assert_eq!(found["ok"], true, "{found}");
}

#[tokio::test]
async fn a_client_that_passes_over_a_container_s_end_is_told_in_replay_too() {
    let studio = Studio::open().await;
    converse(&studio.recorder, "fjord").await;
    let fresh = code_prompt("```bash\necho again\n```");
    studio
        .recorder
        .send(&studio.recorder.messages(&fresh))
        .await;

    let player = player(&studio.path()).await;
    let first = converse(&player, "fjord").await;
    player.advance("30d").await;
    let mut again = fresh.clone();
    again["container"] = json!(container_of(&first[1].json()));
    again["stream"] = json!(true);
    let over = player.send(&player.messages(&again)).await;
    assert!(over.text().contains("container_expired"), "{}", over.text());
    assert_eq!(
        codes(&verdict(&player, "").await),
        ["ignored_container_expired"]
    );
    // Asked again without the container.
    assert_eq!(player.send(&player.messages(&fresh)).await.status, 200);
    let found = verdict(&player, "").await;
    assert_eq!(codes(&found), Vec::<&str>::new(), "{found}");
}

#[tokio::test]
async fn a_run_that_records_has_nothing_unused() {
    let studio = Studio::open().await;
    studio
        .recorder
        .send(&studio.recorder.messages(&prompt("hello")))
        .await;
    let found = verdict(&studio.recorder, "").await;
    assert_eq!(
        (&found["ok"], unused(&found).len()),
        (&json!(true), 0),
        "{found}"
    );
}

#[tokio::test]
async fn scripts_that_nothing_asks_beside_recordings_are_not_judged() {
    let studio = Studio::open().await;
    studio.recorder.send(&ask(&studio.recorder, "one")).await;
    let yaml = std::fs::read_to_string(studio.path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        vec![path]
    };
    let own = "- { name: own, when: { user: other }, then: [{ text: own }] }";

    // Everywhere: those of files are passed over, whatever is wrong with them.
    let plan = Plan {
        paths: vec![studio.path()],
        ..Plan::default()
    };
    let bad = file("bad.yaml", "- nonsense: 1\n");
    let player = TestServer::with(|config| {
        config.scripts = bad;
        config.cassettes = Some(plan);
    })
    .await;
    player.script(own).await;
    player.send(&ask(&player, "one")).await;
    for query in ["", "?workspace=*"] {
        let found = verdict(&player, query).await;
        assert_eq!(found["ok"], true, "{found}");
    }
    player.control("POST", "reset", &Value::Null).await;
    let found = verdict(&player, "?workspace=*").await;
    assert_eq!(found["ok"], true, "{found}");

    // In a workspace of its own, as long as no turn has asked.
    let base = file(
        "base.yaml",
        "- { name: base, when: { user: no }, then: [{ text: no }] }\n",
    );
    let server = TestServer::with(|config| config.scripts = base).await;
    let mount = server.request("PUT", "/_sandtable/cassettes").body(yaml);
    assert_eq!(server.send(&mount).await.status, 200);
    server.script(own).await;
    server.send(&ask(&server, "one")).await;
    for out in [false, true] {
        if out {
            let out = server.request("DELETE", "/_sandtable/cassettes");
            assert_eq!(server.send(&out).await.status, 200);
        }
        for query in ["", "?workspace=*"] {
            let found = verdict(&server, query).await;
            assert_eq!(found["ok"], true, "{out} {found}");
        }
    }
    server.send(&ask(&server, "two")).await;
    let found = verdict(&server, "").await;
    let steps = found["unused_steps"].as_array().unwrap().iter();
    let rules: Vec<_> = steps.map(|step| step["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["own", "base"]);
}
