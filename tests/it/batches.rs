//! Message batches: received, run, canceled, expired, archived, deleted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::ids::{Kind, is_well_formed};
use serde_json::{Value, json};

use crate::harness::server::{code_prompt, prompt};
use crate::harness::transcript::Transcript;
use crate::harness::{Processes, Request, TestServer};

const PATH: &str = "/v1/messages/batches";

fn item(id: &str, params: &Value) -> Value {
    json!({"custom_id": id, "params": params})
}

fn creation(server: &TestServer, items: &[Value]) -> Request {
    let body = json!({ "requests": items });
    server.request("POST", PATH).json(&body)
}

async fn create(server: &TestServer, items: &[Value]) -> Value {
    let response = server.send(&creation(server, items)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn at(server: &TestServer, method: &str, batch: &Value, rest: &str) -> Request {
    let id = batch["id"].as_str().expect("an id");
    server.request(method, &format!("{PATH}/{id}{rest}"))
}

async fn poll(server: &TestServer, batch: &Value) -> Value {
    server.send(&at(server, "GET", batch, "")).await.json()
}

/// Polls until the batch has ended; on the way every count but one is 0.
async fn ended(server: &TestServer, batch: &Value) -> Value {
    loop {
        let now = poll(server, batch).await;
        if now["processing_status"] == "ended" {
            return now;
        }
        let total = &batch["request_counts"]["processing"];
        let counts =
            json!({"processing": total, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0});
        assert_eq!(now["request_counts"], counts);
        assert_eq!(now["results_url"], Value::Null);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn results(server: &TestServer, batch: &Value) -> Vec<Value> {
    let response = server.send(&at(server, "GET", batch, "/results")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let lines = response
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn outcomes(results: &[Value]) -> Vec<&str> {
    results
        .iter()
        .map(|result| result["result"]["type"].as_str().unwrap())
        .collect()
}

/// A door that commands wait at until it is opened.
struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Self { folder }
    }

    fn command(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "touch {folder}/came-$$; for _ in $(seq 6000); do [ -e {folder}/open ] && break; sleep 0.01; done; echo through"
        )
    }

    fn came(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    async fn wait_for(&self, count: usize) {
        while self.came().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn open(&self) {
        fs::write(self.folder.path().join("open"), "").unwrap();
    }
}

#[tokio::test]
async fn a_batch_is_made_run_and_read() {
    let server = TestServer::start().await;
    server
        .steps(&json!([{"text": "Hello, ${{ request.messages[0].content }}."}]))
        .await;
    let mut transcript = Transcript::default();
    let mut wrong = prompt("c");
    wrong["max_tokens"] = json!("many");
    let mut streamed = prompt("d");
    streamed["stream"] = json!(true);
    let items = [
        item("a", &prompt("a")),
        item("b", &prompt("b")),
        item("c", &wrong),
        item("d", &streamed),
    ];
    let made = transcript
        .exchange(&server, &creation(&server, &items))
        .await
        .json();
    ended(&server, &made).await;
    transcript
        .exchange(&server, &at(&server, "GET", &made, ""))
        .await;
    transcript
        .exchange(&server, &at(&server, "GET", &made, "/results"))
        .await;
    transcript
        .exchange(&server, &at(&server, "DELETE", &made, ""))
        .await;
    transcript
        .exchange(&server, &at(&server, "GET", &made, ""))
        .await;
    // Neither the port nor the number of polls is the same in every run.
    let text = transcript.finish();
    let mut hidden = text.replace(&server.address.to_string(), "<address>");
    for line in text.lines() {
        if let Some(id) = line.strip_prefix("request-id: ") {
            assert!(is_well_formed(Kind::Request, id), "{id}");
            hidden = hidden.replace(id, "<a request id>");
        }
    }
    insta::assert_snapshot!(hidden);
}

#[tokio::test]
async fn the_results_are_where_the_client_reached_the_server() {
    let server = TestServer::with(|config| config.allow_hosts.push("api.test".to_owned())).await;
    let made = create(&server, &[item("a", &prompt("hi"))]).await;
    ended(&server, &made).await;
    let request = at(&server, "GET", &made, "")
        .header("host", "api.test")
        .header("x-forwarded-proto", "https");
    let polled = server.send(&request).await.json();
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        polled["results_url"],
        format!("https://api.test{PATH}/{id}/results")
    );
}

#[tokio::test]
async fn each_item_runs_in_a_container_of_its_own_which_is_asleep_in_the_end() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server
        .steps(&json!([{"bash": "ls; echo here > file"}, {"text": "done"}]))
        .await;
    let items: Vec<_> = (0..10)
        .map(|n| item(&format!("item-{n}"), &code_prompt("go")))
        .collect();
    let made = create(&server, &items).await;
    let end = ended(&server, &made).await;
    assert_eq!(end["request_counts"]["succeeded"], 10);
    let mut seen = Vec::new();
    for (n, result) in results(&server, &made).await.iter().enumerate() {
        assert_eq!(result["custom_id"], format!("item-{n}"));
        let message = &result["result"]["message"];
        assert_eq!(message["content"][1]["content"]["stdout"], "");
        assert_eq!(message["usage"]["service_tier"], "batch");
        let id = message["container"]["id"].as_str().unwrap().to_owned();
        assert!(!seen.contains(&id));
        seen.push(id);
    }
    let containers = server.control("GET", "containers", &Value::Null).await;
    let states: Vec<_> = containers["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["state"].clone())
        .collect();
    assert_eq!(states, vec![json!("asleep"); 10]);
    // They can be used again.
    let mut again = code_prompt("go");
    again["container"] = json!(seen[0]);
    assert_eq!(
        server.message(&again).await["content"][1]["content"]["stdout"],
        "file\n"
    );
}

/// Six items at a closed door; four of them have begun.
async fn at_the_door() -> (TestServer, Gate, Value) {
    let gate = Gate::new();
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"bash": gate.command()}])).await;
    let items: Vec<_> = (0..6)
        .map(|n| item(&format!("i{n}"), &code_prompt("go")))
        .collect();
    let made = create(&server, &items).await;
    gate.wait_for(4).await;
    (server, gate, made)
}

#[tokio::test]
async fn a_canceled_batch_keeps_what_had_begun() {
    let (server, gate, made) = at_the_door().await;
    let early = server.send(&at(&server, "DELETE", &made, "")).await;
    assert_eq!((early.status, early.message()).0, 400);
    let early = server.send(&at(&server, "GET", &made, "/results")).await;
    let id = made["id"].as_str().expect("an id");
    let told = format!("Message Batch {id} has no available results.");
    assert_eq!((early.status, early.message()), (404, told));
    // As the SDKs send it: JSON is announced, and there is none.
    let cancel = at(&server, "POST", &made, "/cancel").header("content-type", "application/json");
    let canceling = server.send(&cancel).await;
    assert_eq!(canceling.status, 200, "{}", canceling.text());
    let canceling = canceling.json();
    assert_eq!(canceling["processing_status"], "canceling");
    assert_eq!(
        canceling["cancel_initiated_at"],
        "2030-01-02T03:04:05.000000+00:00"
    );
    assert_eq!(gate.came().len(), 4, "no more than four at once");
    gate.open();
    let end = ended(&server, &made).await;
    let counts =
        json!({"processing": 0, "succeeded": 4, "errored": 0, "canceled": 2, "expired": 0});
    assert_eq!(end["request_counts"], counts);
    let results = results(&server, &made).await;
    assert_eq!(
        outcomes(&results),
        [
            "succeeded",
            "succeeded",
            "succeeded",
            "succeeded",
            "canceled",
            "canceled"
        ]
    );
    assert_eq!(
        results[5],
        json!({"custom_id": "i5", "result": {"type": "canceled"}})
    );
    let late = server.send(&cancel).await;
    assert_eq!((late.status, late.message()).0, 400);
}

#[tokio::test]
async fn what_has_not_begun_after_a_day_expires() {
    let (server, gate, made) = at_the_door().await;
    server.advance("24h").await;
    gate.open();
    let end = ended(&server, &made).await;
    let counts =
        json!({"processing": 0, "succeeded": 4, "errored": 0, "canceled": 0, "expired": 2});
    assert_eq!(end["request_counts"], counts);
    assert_eq!(end["expires_at"], "2030-01-03T03:04:05.000000+00:00");
    assert_eq!(
        outcomes(&results(&server, &made).await)[4..],
        ["expired", "expired"]
    );
}

#[tokio::test]
async fn what_has_waited_for_a_place_over_its_day_does_not_begin() {
    let (server, gate, first) = at_the_door().await;
    let second = create(&server, &[item("late", &code_prompt("go"))]).await;
    server.advance("24h").await;
    gate.open();
    let end = ended(&server, &second).await;
    assert_eq!(end["request_counts"]["expired"], 1, "{end}");
    assert_eq!(
        ended(&server, &first).await["request_counts"]["succeeded"],
        4
    );
    assert_eq!(gate.came().len(), 5, "four, and the door itself");
}

#[tokio::test]
async fn results_are_kept_for_29_days() {
    let server = TestServer::start().await;
    let made = create(&server, &[item("a", &prompt("hi"))]).await;
    ended(&server, &made).await;
    server.advance("28d").await;
    server.advance("86399s").await;
    assert_eq!(results(&server, &made).await.len(), 1);
    server.advance("1s").await;
    let late = server.send(&at(&server, "GET", &made, "/results")).await;
    assert_eq!(late.status, 404, "{}", late.text());
    let archived = poll(&server, &made).await;
    assert_eq!(archived["archived_at"], "2030-01-31T03:04:05.000000+00:00");
    assert_eq!(archived["results_url"], Value::Null);
    assert_eq!(archived["request_counts"]["succeeded"], 1);
}

#[tokio::test]
async fn a_batch_that_has_not_ended_after_29_days_keeps_its_items() {
    let (server, gate, made) = at_the_door().await;
    server.advance("29d").await;
    let polled = poll(&server, &made).await;
    assert_ne!(polled["processing_status"], "ended");
    assert_eq!(polled["archived_at"], Value::Null);
    gate.open();
    let end = ended(&server, &made).await;
    let counts =
        json!({"processing": 0, "succeeded": 4, "errored": 0, "canceled": 0, "expired": 2});
    assert_eq!(end["request_counts"], counts);
    assert_eq!(end["archived_at"], "2030-01-31T03:04:05.000000+00:00");
    let late = server.send(&at(&server, "GET", &made, "/results")).await;
    assert_eq!(late.status, 404, "{}", late.text());
}

#[tokio::test]
async fn another_workspace_knows_nothing_of_a_batch() {
    let server = TestServer::start().await;
    let made = create(&server, &[item("a", &prompt("hi"))]).await;
    ended(&server, &made).await;
    for (method, rest) in [
        ("GET", ""),
        ("GET", "/results"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ] {
        let other = at(&server, method, &made, rest)
            .without("x-api-key")
            .header("x-api-key", "another");
        let answer = server.send(&other).await;
        let id = made["id"].as_str().unwrap();
        assert_eq!(
            (answer.status, answer.message()),
            (404, format!("Message Batch {id} not found."))
        );
    }
    let list = server
        .request("GET", PATH)
        .without("x-api-key")
        .header("x-api-key", "another");
    assert_eq!(server.send(&list).await.json()["data"], json!([]));
}

#[tokio::test]
async fn batches_are_listed_newest_first_and_forgotten_by_a_reset() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let made = create(&server, &[item("a", &prompt(&n.to_string()))]).await;
        ids.insert(0, made["id"].clone());
    }
    let get = async |query: String| {
        let path = format!("{PATH}?{query}");
        server.send(&server.request("GET", &path)).await.json()
    };
    let of = |page: &Value| -> Vec<Value> {
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].clone())
            .collect()
    };
    let first = get("limit=2".to_owned()).await;
    assert_eq!(
        (of(&first), &first["has_more"]),
        (ids[..2].to_vec(), &json!(true))
    );
    let next = get(format!(
        "limit=9&after_id={}",
        first["last_id"].as_str().unwrap()
    ))
    .await;
    assert_eq!(
        (of(&next), &next["has_more"]),
        (ids[2..].to_vec(), &json!(false))
    );
    let before = get(format!(
        "limit=1&before_id={}",
        next["first_id"].as_str().unwrap()
    ))
    .await;
    assert_eq!(of(&before), ids[1..2]);
    server.control("POST", "reset", &Value::Null).await;
    assert_eq!(get(String::new()).await["data"], json!([]));
}

#[tokio::test]
async fn a_list_goes_on_from_a_batch_that_was_deleted_meanwhile() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let made = create(&server, &[item("a", &prompt(&n.to_string()))]).await;
        ended(&server, &made).await;
        ids.insert(0, made["id"].as_str().unwrap().to_owned());
    }
    let get = async |query: String| {
        let path = format!("{PATH}?{query}");
        server.send(&server.request("GET", &path)).await
    };
    let mut seen = Vec::new();
    let mut query = "limit=3".to_owned();
    let last = loop {
        let page = get(query).await.json();
        for row in page["data"].as_array().unwrap() {
            seen.push(row["id"].as_str().unwrap().to_owned());
            let deleted = server.send(&at(&server, "DELETE", row, "")).await;
            assert_eq!(deleted.status, 200, "{}", deleted.text());
        }
        let last = page["last_id"].as_str().unwrap().to_owned();
        if page["has_more"] == false {
            break last;
        }
        query = format!("limit=3&after_id={last}");
    };
    assert_eq!(seen, ids);
    // Its place is known from both sides, and to nobody else.
    let newer = create(&server, &[item("a", &prompt("newer"))]).await;
    let before = get(format!("before_id={last}")).await.json();
    assert_eq!(before["data"][0]["id"], newer["id"]);
    let path = format!("{PATH}?before_id={last}");
    let other = server
        .request("GET", &path)
        .without("x-api-key")
        .header("x-api-key", "another");
    let told = server.send(&other).await;
    assert_eq!(
        (told.status, told.message()),
        (400, format!("before_id: Message Batch `{last}` not found."))
    );
    server.control("POST", "reset", &Value::Null).await;
    assert_eq!(get(format!("after_id={last}")).await.status, 400);
}

#[tokio::test]
async fn a_batch_is_deleted_once_however_many_ask_at_once() {
    let server = TestServer::start().await;
    for n in 0..5 {
        let made = create(&server, &[item("a", &prompt(&n.to_string()))]).await;
        ended(&server, &made).await;
        let delete = at(&server, "DELETE", &made, "");
        assert_eq!(server.send_thrice(&delete).await, [200, 404, 404]);
    }
}

#[tokio::test]
async fn a_reset_ends_what_a_batch_is_running() {
    let (server, gate, made) = at_the_door().await;
    server.control("POST", "reset", &Value::Null).await;
    let gone = server.send(&at(&server, "GET", &made, "")).await;
    assert_eq!(gone.status, 404);
    // The pool is free again.
    let next = create(&server, &[item("a", &prompt("hi"))]).await;
    assert_eq!(
        ended(&server, &next).await["request_counts"]["succeeded"],
        1
    );
    drop(gate);
}

#[tokio::test]
async fn what_is_no_batch_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let json = |body: &str| {
        server
            .request("POST", PATH)
            .header("content-type", "application/json")
            .body(body)
    };
    for (request, status, text) in [
        (
            json("{\"requests\": [}"),
            400,
            "The request body is not valid JSON: unexpected character: line 1 column 15 (char 14)",
        ),
        (
            json(""),
            400,
            "The request body is not valid JSON: Input is a zero-length, empty document: line 1 column 1 (char 0)",
        ),
        (json("{}"), 400, "requests: Field required"),
        (
            creation(&server, &[]),
            400,
            "requests: List should have at least 1 item after validation, not 0",
        ),
        (
            creation(&server, &[item("a", &json!({})), item("a", &json!({}))]),
            400,
            "requests: custom_id's must be unique within a batch. Duplicate custom_id found: a",
        ),
        (
            json("{}").without("content-type"),
            400,
            "content-type: Expected `application/json`, got none",
        ),
        (
            json("{}").header("content-length", "268435457"),
            413,
            "Request exceeds the maximum size",
        ),
    ] {
        let answer = server.send(&request).await;
        assert_eq!((answer.status, answer.message()), (status, text.to_owned()));
    }
    let list = server.send(&server.request("GET", PATH)).await.json();
    assert_eq!(list["data"], json!([]));
}

#[tokio::test]
async fn a_batch_larger_than_a_message_may_be_is_taken() {
    let server = TestServer::start().await;
    let long = "x".repeat(3 * 1024 * 1024);
    let items: Vec<_> = (0..12)
        .map(|n| item(&format!("i{n}"), &prompt(&long)))
        .collect();
    let made = create(&server, &items).await;
    assert_eq!(
        ended(&server, &made).await["request_counts"]["succeeded"],
        12
    );
}

#[tokio::test]
async fn a_later_version_makes_its_items_strict() {
    let server = TestServer::start().await;
    let mut warm = prompt("hi");
    warm["temperature"] = json!(1);
    let items = [item("a", &warm)];
    for (version, outcome) in [("2023-06-01", "succeeded"), ("2026-10-21", "errored")] {
        let request = creation(&server, &items)
            .without("anthropic-version")
            .header("anthropic-version", version);
        let made = server.send(&request).await.json();
        ended(&server, &made).await;
        assert_eq!(outcomes(&results(&server, &made).await), [outcome]);
    }
}

#[tokio::test]
async fn every_item_is_in_the_journal_as_a_request_of_its_batch() {
    let server = TestServer::start().await;
    server.steps(&json!([{"text": "ok"}])).await;
    let mut wrong = prompt("b");
    wrong["max_tokens"] = json!("many");
    let items = [item("a", &prompt("a")), item("b", &wrong)];
    let request = creation(&server, &items).header("anthropic-beta", "output-300k-2026-03-24");
    let made = server.send(&request).await.json();
    ended(&server, &made).await;
    let journal = server.journal().await;
    let mut noted: Vec<_> = journal
        .iter()
        .filter(|entry| entry["path"] == "/v1/messages")
        .collect();
    noted.sort_by_key(|entry| entry["batch"]["custom_id"].to_string());
    let [first, second] = noted[..] else {
        panic!("{} items are noted", noted.len());
    };
    assert_eq!(
        first["batch"],
        json!({"id": made["id"], "custom_id": "a"}),
        "{first}"
    );
    assert_eq!(
        (&first["method"], &first["status"]),
        (&json!("POST"), &json!(200))
    );
    assert_eq!(first["source"], "test");
    assert_eq!(first["request_body"]["messages"][0]["content"], "a");
    assert_eq!(first["response_body"]["content"][0]["text"], "ok");
    assert_eq!(
        first["request_headers"],
        json!({"anthropic-version": "2023-06-01", "anthropic-beta": "output-300k-2026-03-24"})
    );
    assert!(is_well_formed(Kind::Request, first["id"].as_str().unwrap()));
    assert_eq!(
        (&second["status"], &second["batch"]["custom_id"]),
        (&json!(400), &json!("b"))
    );
    let error = &second["response_body"]["error"]["message"];
    assert_eq!(error, "max_tokens: Input should be a valid integer");
}

#[tokio::test]
async fn items_run_under_the_betas_and_quirks_of_the_request_that_made_their_batch() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&json!([{"bash": "true"}])).await;
    let mut unknown = code_prompt("go");
    unknown["mcp_servers"] = json!([]);
    let items = [item("a", &unknown)];
    let request = creation(&server, &items)
        .header("anthropic-beta", "mcp-client-2025-11-20")
        .header("x-sandtable-quirk", "code-execution-counter=absent");
    let made = server.send(&request).await.json();
    ended(&server, &made).await;
    let results = results(&server, &made).await;
    assert_eq!(outcomes(&results), ["succeeded"], "{results:?}");
    let used = &results[0]["result"]["message"]["usage"]["server_tool_use"];
    assert_eq!(used.get("code_execution_requests"), None, "{used}");
}
