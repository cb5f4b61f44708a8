//! The library as somebody else's tests use it: nothing of sandtable but what its front page lists, and
//! an HTTP client.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod client;
#[path = "../shared/require.rs"]
mod require;

use client::Client;
use sandtable::{BackendChoice, ContainerState, JournalQuery, Sandtable, SandtableError, Until};
use serde_json::{Value, json};

const HELLO: &str = "- when: { user: hello }\n  then: [{ text: Hello from a script. }]\n";
const RUN: &str = "```bash\necho $((6 * 7)); echo done > $OUTPUT_DIR/note.txt\n```";

async fn quiet() -> Sandtable {
    let builder = Sandtable::builder().backend(BackendChoice::None);
    builder.script(HELLO).start().await.unwrap()
}

fn text(message: &Value) -> &str {
    message["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_script_answers_and_the_journal_and_the_usage_tell_of_it() {
    let sandtable = quiet().await;
    let workspace = sandtable.workspace("sk-ant-first");
    let client = Client::of(&workspace);
    let (status, message) = client.ask("hello there").await;
    assert_eq!((status, text(&message)), (200, "Hello from a script."));
    let (status, error) = client.ask("good bye").await;
    assert_eq!(status, 400, "{error}");

    let journal = sandtable.journal("sk-ant-first").await.unwrap();
    let statuses: Vec<u16> = journal.iter().map(|exchange| exchange.status).collect();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(journal[0].request_body["messages"][0]["role"], "user");
    assert_eq!(journal[0].response_body["id"], message["id"]);
    let refused = JournalQuery {
        status: Some("4xx".to_owned()),
        path: Some("/v1/messages".to_owned()),
    };
    let refused = workspace.journal().find(&refused).await.unwrap();
    assert_eq!(refused, journal[1..]);

    let rules = workspace.scripts().list().await.unwrap();
    assert_eq!((rules.len(), rules[0].used), (1, 1));
    assert_eq!(workspace.usage().await.unwrap().turns.len(), 1);
    sandtable.stop().await;
}

#[tokio::test]
async fn every_member_that_the_journal_prints_is_read() {
    let sandtable = quiet().await;
    let workspace = sandtable.new_workspace();
    let client = Client::of(&workspace);
    let body = json!({"model": "claude-opus-4-6", "max_tokens": 10, "messages": [{"role": "user", "content": "hello"}]});
    client
        .post("/v1/messages?beta=true", &body, "nobody-knows-2026-01-01")
        .await;
    let items = json!({"requests": [{"custom_id": "one", "params": body}]});
    client
        .post("/v1/messages/batches", &items, "message-batches-2024-09-24")
        .await;
    let entries = loop {
        let entries = workspace.journal().entries().await.unwrap();
        if entries.iter().any(|entry| entry.batch.is_some()) {
            break entries;
        }
    };
    let first = &entries[0];
    assert_eq!(first.lints[0].code, "unknown_beta");
    assert_eq!(first.lints[0].level, "warning");
    assert!(!first.lints[0].message.is_empty() && !first.lints[0].hint.is_empty());
    assert_eq!(first.query.as_deref(), Some("beta=true"));
    assert!(first.source.is_some() && !first.client_left);
    assert!(
        first.workspace.starts_with("wrkspc_"),
        "{}",
        first.workspace
    );
    assert_eq!(first.response_headers["content-type"], "application/json");
    let item = entries
        .iter()
        .find_map(|entry| entry.batch.as_ref())
        .unwrap();
    assert_eq!(item.custom_id, "one");
    assert!(item.id.starts_with("msgbatch_"), "{}", item.id);
}

#[tokio::test]
async fn the_journal_is_read_to_its_end() {
    let sandtable = quiet().await;
    let workspace = sandtable.new_workspace();
    let client = Client::of(&workspace);
    for _ in 0..1005 {
        client.get("/v1/files/file_none").await;
    }
    assert_eq!(workspace.journal().entries().await.unwrap().len(), 1005);
    workspace.journal().clear().await.unwrap();
    assert_eq!(workspace.journal().entries().await.unwrap(), []);
}

#[tokio::test]
async fn workspaces_share_what_the_server_was_given_and_nothing_else() {
    let sandtable = Sandtable::builder()
        .backend(BackendChoice::None)
        .script(HELLO)
        .fault(&json!({"at": "http", "path": "/v1/messages", "status": 529}))
        .start()
        .await
        .unwrap();
    let (one, other) = (sandtable.new_workspace(), sandtable.new_workspace());
    assert_ne!(one.api_key(), other.api_key());
    let (client, stranger) = (Client::of(&one), Client::of(&other));
    for client in [&client, &stranger] {
        assert_eq!(client.ask("hello").await.0, 529);
        assert_eq!(client.ask("hello").await.0, 200);
    }

    let own = "- when: { user: moon }\n  then: [{ text: It is full. }]\n";
    one.scripts().add(own).await.unwrap();
    one.faults()
        .add(&json!({"at": "http", "status": 500, "nth": 2}))
        .await
        .unwrap();
    one.clock().advance("365d").await.unwrap();
    assert_eq!(client.ask("moon").await.0, 200);
    assert_eq!(client.ask("moon").await.0, 500);
    let (status, error) = stranger.ask("moon").await;
    assert_eq!(status, 400, "{error}");
    let faults = one.faults().list().await.unwrap();
    let fired: Vec<_> = faults
        .iter()
        .map(|fault| (fault.layer.as_str(), fault.fired))
        .collect();
    assert_eq!(fired, [("workspace", 1), ("file", 1)]);
    let ahead = one.clock().now().await.unwrap() - other.clock().now().await.unwrap();
    assert_eq!(ahead.num_days(), 364);

    one.reset().await.unwrap();
    assert_eq!(one.scripts().list().await.unwrap().len(), 1);
    assert_eq!(other.journal().entries().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_seed_and_a_frozen_clock_make_two_runs_the_same_to_the_byte() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let sandtable = Sandtable::builder()
            .backend(BackendChoice::None)
            .script(HELLO)
            .seed(7)
            .frozen_at("2026-01-04T20:47:05Z")
            .start()
            .await
            .unwrap();
        let workspace = sandtable.new_workspace();
        let client = Client::of(&workspace);
        runs.push((
            client.ask("hello").await,
            client.upload("a.txt", "one").await,
        ));
        let began = workspace.clock().state().await.unwrap();
        assert!(began.frozen && began.now.to_rfc3339() == "2026-01-04T20:47:05+00:00");
        workspace.clock().advance("30d").await.unwrap();
        workspace.clock().thaw().await.unwrap();
        workspace.reset().await.unwrap();
        assert_eq!(workspace.clock().state().await.unwrap(), began);
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0].1.1["created_at"], "2026-01-04T20:47:05.000000Z");
}

#[tokio::test]
async fn code_really_runs_and_its_container_expires_with_the_clock() {
    let sandtable = Sandtable::builder()
        .program(env!("CARGO_BIN_EXE_sandtable"))
        .start()
        .await
        .unwrap();
    if sandtable.backend().starts_with("none") {
        require::skip("docker", sandtable.backend());
        return;
    }
    let workspace = sandtable.new_workspace();
    let client = Client::of(&workspace);
    let (status, message) = client.ask(RUN).await;
    assert_eq!(status, 200, "{message}");
    let result = &message["content"][1]["content"];
    assert_eq!(result["stdout"], "42\n", "{message}");
    let file = result["content"][0]["file_id"].as_str().unwrap();
    assert_eq!(
        client.get(&format!("/v1/files/{file}/content")).await,
        (200, Value::from("done\n"))
    );

    let containers = workspace.containers().list().await.unwrap();
    assert_eq!(containers.len(), 1);
    assert_eq!(containers[0].state, "awake");
    assert_eq!(message["container"]["id"], containers[0].id.as_str());
    workspace
        .containers()
        .sleep(&containers[0].id)
        .await
        .unwrap();
    workspace.clock().advance("31d").await.unwrap();
    let states = workspace.containers().list().await.unwrap();
    assert_eq!(states[0].state, "expired");
    sandtable.stop().await;
}

#[tokio::test]
async fn a_verdict_names_what_was_left_over_and_what_was_not_answered() {
    let sandtable = quiet().await;
    let workspace = sandtable.new_workspace();
    let client = Client::of(&workspace);
    assert_eq!(client.ask("hello").await.0, 200);
    assert!(workspace.verify().await.unwrap().ok);
    let rest = "- when: { user: moon }\n  then: [{ text: It is full. }]\n";
    workspace.scripts().add(rest).await.unwrap();
    let fault = json!({"at": "http", "path": "/v1/files", "status": 500});
    workspace.faults().add(&fault).await.unwrap();
    assert_eq!(client.ask("good bye").await.0, 400);
    let verdict = workspace.verify().await.unwrap();
    assert!(!verdict.ok);
    let found = [
        verdict.unmatched.len(),
        verdict.unused_steps.len(),
        verdict.unused_faults.len(),
        verdict.failed.len(),
    ];
    assert_eq!(found, [1, 1, 1, 0], "{verdict:?}");
}

#[tokio::test]
async fn what_was_kept_in_a_folder_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Sandtable::builder()
            .backend(BackendChoice::None)
            .data_dir(folder.path())
            .start()
    };
    let first = start().await.unwrap();
    let (status, file) = Client::of(&first.workspace("sk-ant-keeper"))
        .upload("kept.txt", "still here")
        .await;
    assert_eq!(status, 200, "{file}");
    let busy = start().await.unwrap_err();
    assert!(matches!(busy, SandtableError::Start(_)), "{busy}");
    first.stop().await;

    let second = start().await.unwrap();
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    let client = Client::of(&second.workspace("sk-ant-keeper"));
    assert_eq!(client.get(&path).await.1["filename"], "kept.txt");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_server_is_gone_though_the_test_s_time_stands_still() {
    let sandtable = quiet().await;
    let workspace = sandtable.new_workspace();
    assert!(workspace.clock().now().await.is_ok());
    drop(sandtable);
    let error = workspace.clock().now().await.unwrap_err();
    assert!(matches!(error, SandtableError::Silent { .. }), "{error}");
}

#[tokio::test]
async fn prices_quirks_and_rate_limits_are_taken() {
    let sandtable = Sandtable::builder()
        .backend(BackendChoice::None)
        .script("- then:\n    - usage: { input_tokens: 1000000 }\n    - text: hi\n")
        .prices(&json!({"claude-opus-4-6": {"input": 3, "output": 0}}))
        .quirk("profile", "observed")
        .rate_limit("requests=1")
        .start()
        .await
        .unwrap();
    let workspace = sandtable.new_workspace();
    let client = Client::of(&workspace);
    assert_eq!(client.ask("hello").await.0, 200);
    assert_eq!(client.ask("hello").await.0, 429);
    let dollars = workspace.usage().await.unwrap().tokens.usd;
    assert!((dollars - 3.0).abs() < 1e-9, "{dollars}");
    let quirks = workspace.call("GET", "quirks", None).await.unwrap();
    assert_eq!(quirks["profile"], "observed");
}

#[tokio::test]
async fn a_mistake_is_told_with_its_place_and_a_hint() {
    let builder = || Sandtable::builder().backend(BackendChoice::None);
    let wrong = [
        (
            builder().script("- than: []"),
            "script-1.yaml:1:3: ",
            "did you mean `then`?",
        ),
        (
            builder().fault(&json!({"at": "http", "status": 500, "tmies": 2})),
            "faults-1.json:1:2: `tmies` is no key",
            "`times`",
        ),
        (
            builder().frozen_at("yesterday"),
            "`yesterday` is no RFC 3339 time",
            "2026-01-04T20:47:05Z",
        ),
        (builder().quirk("earr", "x"), "`earr`", "era"),
        (
            builder().rate_limit("requests"),
            "`requests`",
            "requests=50",
        ),
        (
            builder().script_file("/nowhere/at/all.yaml"),
            "/nowhere/at/all.yaml",
            "",
        ),
        // A copy of this very program would run these tests again.
        (
            Sandtable::builder().backend(BackendChoice::Local),
            "this one does not",
            "`Builder::program`",
        ),
    ];
    for (builder, what, hint) in wrong {
        let error = builder.start().await.unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(hint), "{error}");
        assert!(!error.contains("/tmp/"), "{error}");
    }

    let sandtable = quiet().await;
    let workspace = sandtable.new_workspace();
    let error = workspace.clock().advance("a while").await.unwrap_err();
    let SandtableError::Refused {
        status,
        message,
        hint,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((status, &*message), (400, "`a while` is no span of time"));
    assert!(hint.contains("30d"), "{hint}");
}

/// A server whose code really runs there, or `None`, said aloud, where nothing does.
async fn running(backend: BackendChoice, what: &str) -> Option<Sandtable> {
    let builder = Sandtable::builder()
        .backend(backend)
        .program(env!("CARGO_BIN_EXE_sandtable"))
        .image("sandtable-sandbox:slim");
    match builder.start().await {
        Ok(sandtable) => Some(sandtable),
        Err(error) => {
            require::skip(what, &error.to_string());
            None
        }
    }
}

/// Files of a real container are seen, and two forks of it go their own ways.
async fn containers_are_looked_into_and_forked(sandtable: &Sandtable) {
    let first = sandtable.new_workspace();
    let client = Client::of(&first);
    let (status, message) = client
        .ask("```bash\necho one > n; seq 1 300000 > big\n```")
        .await;
    assert_eq!(status, 200, "{message}");
    let id = message["container"]["id"].as_str().unwrap();
    let files = first.containers().files(id).await.unwrap();
    let find = |name: &str| files.iter().find(|file| file.path.ends_with(name)).unwrap();
    assert_eq!(find("/n").size_bytes, 4, "{files:?}");
    assert!(find("/n").modified_at.is_some());
    let bytes = first.containers().read(find("/n")).await.unwrap();
    assert_eq!(&bytes[..], b"one\n");
    let big = first.containers().read(find("/big")).await.unwrap();
    assert_eq!(big.len() as u64, find("/big").size_bytes);
    assert!(big.ends_with(b"\n300000\n"));

    let second = first.fork().await.unwrap();
    let other = Client::of(&second);
    let add = async |client: &Client, word: &str| {
        let prompt = format!("```bash\necho {word} >> n; cat n\n```");
        let (status, message) = client.ask_in(id, &prompt).await;
        assert_eq!(status, 200, "{message}");
        let content = message["content"].as_array().unwrap().clone();
        let block = content
            .iter()
            .find(|block| block["content"]["stdout"].is_string());
        block.unwrap()["content"]["stdout"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(add(&client, "mine").await, "one\nmine\n");
    assert_eq!(add(&other, "theirs").await, "one\ntheirs\n");

    // Files of a sleeping container are read through its sandbox, which sleeps again.
    first.containers().sleep(id).await.unwrap();
    let file = first.containers().files(id).await.unwrap();
    let file = file.iter().find(|file| file.path.ends_with("/n")).unwrap();
    let bytes = first.containers().read(file).await.unwrap();
    assert_eq!(&bytes[..], b"one\nmine\n");
    let until = Until::Container(id, ContainerState::Asleep);
    assert!(first.wait(until).await.unwrap().met);
    assert!(first.wait(Until::Requests(2)).await.unwrap().met);
}

#[tokio::test]
async fn containers_of_docker_are_looked_into_and_forked() {
    if let Some(sandtable) = running(BackendChoice::Docker, "docker").await {
        containers_are_looked_into_and_forked(&sandtable).await;
        sandtable.stop().await;
    }
}

#[tokio::test]
async fn containers_of_local_are_looked_into_and_forked() {
    if let Some(sandtable) = running(BackendChoice::Local, "local").await {
        containers_are_looked_into_and_forked(&sandtable).await;
        sandtable.stop().await;
    }
}
