//! The journal over HTTP: filters, pages, and the export as HAR.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::harness::http::Request;
use crate::harness::server::{prompt, streamed};

async fn list(server: &TestServer, query: &str) -> Value {
    server
        .control("GET", &format!("journal?{query}"), &Value::Null)
        .await
}

/// Method and status of each entry.
fn gist(page: &Value) -> Vec<String> {
    let entries = page["data"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| format!("{} {}", entry["method"].as_str().unwrap(), entry["status"]))
        .collect()
}

/// A model list, a message, and a file that is not there, a minute apart.
async fn used() -> TestServer {
    let server = TestServer::start().await;
    server
        .send(&server.request("GET", "/v1/models?limit=1&after_id=a%20b"))
        .await;
    server.advance("1m").await;
    server.message(&prompt("secret? sk-no")).await;
    server.advance("1m").await;
    server
        .send(&server.request("DELETE", "/v1/files/file_1"))
        .await;
    server
}

#[tokio::test]
async fn entries_are_filtered_by_method_status_path_id_and_since() {
    let server = used().await;
    let all = list(&server, "").await;
    assert_eq!(gist(&all), ["DELETE 404", "POST 200", "GET 400"]);
    let id = all["data"][1]["id"].as_str().unwrap();
    for (query, wanted) in [
        ("method=post".to_owned(), vec!["POST 200"]),
        ("status=4xx&path=/v1/files".to_owned(), vec!["DELETE 404"]),
        (format!("id={id}"), vec!["POST 200"]),
        (format!("since={id}"), vec!["DELETE 404"]),
        (
            "since=req_unknown".to_owned(),
            vec!["DELETE 404", "POST 200", "GET 400"],
        ),
        (
            "since=2030-01-02T03:05:05Z".to_owned(),
            vec!["DELETE 404", "POST 200"],
        ),
        ("limit=1".to_owned(), vec!["DELETE 404"]),
    ] {
        assert_eq!(gist(&list(&server, &query).await), wanted, "{query}");
    }
    let first = list(&server, "limit=2").await;
    let rest = list(&server, &format!("cursor={}", first["next_cursor"])).await;
    assert_eq!(gist(&rest), ["GET 400"]);
    for (wrong, said) in [
        ("since=noon", "the filters are"),
        ("format=pcap", "the filters are"),
        ("colour=red", "there are `path`, `method`"),
    ] {
        let path = format!("/_sandtable/journal?{wrong}");
        let response = server.send(&server.request("GET", &path)).await;
        assert_eq!(response.status, 400, "{wrong}");
        assert!(response.text().contains(said), "{}", response.text());
    }
}

#[tokio::test]
async fn the_export_is_valid_har_oldest_first_and_has_no_key() {
    let server = used().await;
    server
        .send(&server.messages(&streamed(prompt("stream"))))
        .await;
    server
        .upload("a.bin", "application/octet-stream", "bytes")
        .await;
    let other = server.messages(&prompt("other")).without("x-api-key");
    let other = other.header("authorization", "Bearer sk-ant-other");
    server.send(&other).await;
    let har = list(&server, "format=har&workspace=*").await;
    let schema: Value = serde_json::from_str(include_str!("har.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = validator
        .iter_errors(&har)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(faults, [""; 0]);
    let entries = har["log"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 6);
    let first = &entries[0]["request"];
    assert_eq!(
        first["url"],
        format!("http://{}/v1/models?limit=1&after_id=a%20b", server.address)
    );
    assert_eq!(
        first["queryString"][1],
        json!({"name": "after_id", "value": "a b"})
    );
    let message = &entries[1];
    assert!(
        message["request"]["postData"]["text"]
            .as_str()
            .unwrap()
            .contains("secret? sk-no")
    );
    assert_eq!(
        message["response"]["content"]["mimeType"],
        "application/json"
    );
    let headers = message["response"]["headers"].as_array().unwrap();
    for name in [
        "request-id",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-organization-id",
    ] {
        assert!(
            headers.iter().any(|header| header["name"] == name),
            "{name}"
        );
    }
    let stream = &entries[3]["response"]["content"];
    assert!(
        stream["text"]
            .as_str()
            .unwrap()
            .contains("event: message_stop")
    );
    let text = har.to_string();
    assert!(!text.contains("sk-ant-"), "a key is in the export");
    let one = list(&server, "format=har&method=DELETE").await;
    assert_eq!(one["log"]["entries"].as_array().unwrap().len(), 1);
}

/// Every spelling in which a client may put its key where it does not belong.
fn spellings(key: &str) -> Vec<String> {
    let spelled = |spell: fn(u8) -> String| key.bytes().map(spell).collect::<String>();
    let upper = spelled(|byte| format!("%{byte:02X}"));
    let lower = spelled(|byte| format!("%{byte:02x}"));
    let twice = upper.replace('%', "%25");
    let coded = STANDARD.encode(format!("user:{key}"));
    vec![key.to_owned(), upper, lower, twice, coded]
}

#[tokio::test]
async fn a_key_that_a_request_carries_anywhere_is_noted_nowhere() {
    // The key itself, and one that only looks like one.
    for (key, sent) in [
        ("a-key-of-a-test-0815", "a-key-of-a-test-0815"),
        ("a-key-of-a-test-0816", "sk-ant-api03-somebody-elses-key"),
    ] {
        let server = TestServer::start().await;
        let request = |method: &str, path: &str| {
            Request::new(method, path)
                .header("x-api-key", key)
                .header("anthropic-version", "2023-06-01")
        };
        let mut reader = server.connect().await;
        reader
            .send(&request("GET", "/_sandtable/events?workspace=*"))
            .await;
        while !reader.pending().contains(": listening") {
            assert!(reader.fill().await);
        }
        let of_model = |model: &str| {
            let mut body = prompt(model);
            body["model"] = model.into();
            body
        };
        let fault = json!({"at": "http", "status": 529, "message": format!("no {sent}")});
        let mut count = 0;
        for spelled in spellings(sent) {
            let all = [
                request("GET", &format!("/v1/files/{spelled}")),
                request("GET", &format!("/v1/models?api_key={spelled}&a={spelled}")),
                request("GET", &format!("/v1/{spelled}"))
                    .header("referer", &format!("http://host/?k={spelled}"))
                    .header("x-mine", &format!("Bearer {spelled}")),
                request("POST", "/v1/messages").json(&json!({"model": spelled, "max": spelled})),
                request("POST", "/v1/messages")
                    .header("x-sandtable-fault", &fault.to_string())
                    .json(&prompt(&spelled)),
                request("POST", "/v1/messages").json(&streamed(prompt(&spelled))),
                request("POST", "/v1/messages")
                    .header("anthropic-version", &spelled)
                    .header("anthropic-beta", &spelled)
                    .json(&of_model(&spelled)),
                request("POST", "/v1/messages/batches").json(&json!({"requests": [
                    {"custom_id": "one", "params": of_model(&spelled)},
                    {"custom_id": "two", "params": prompt(&spelled)},
                ]})),
            ];
            count += all.len() + 2;
            for one in all {
                server.send(&one).await;
            }
        }
        while reader.pending().matches("request_ended").count() < count {
            assert!(reader.fill().await);
        }
        let mut told = Vec::new();
        for path in [
            "journal?limit=1000",
            "journal?format=har",
            "journal?format=cassette",
            "journal?format=script",
            "page/timeline",
            "usage",
            "verify",
        ] {
            let answer = server
                .send(&request("GET", &format!("/_sandtable/{path}")))
                .await;
            assert_eq!(answer.status, 200, "{path}");
            told.push((path, answer.text().to_owned()));
        }
        told.push(("events", reader.pending()));
        for (path, text) in told {
            for spelled in spellings(sent) {
                let at = text.find(&spelled);
                let around = at.map(|at| &text[at.saturating_sub(200)..(at + 60).min(text.len())]);
                assert_eq!(around, None, "{path}");
            }
            let has_paths = ["journal?limit=1000", "journal?format=har", "events"];
            let noted = !has_paths.contains(&path) || text.contains("/v1/files/[redacted]");
            assert!(noted, "{path}: {text}");
        }
    }
}

#[tokio::test]
async fn none_of_several_keys_is_noted_and_no_password_or_cookie() {
    let server = TestServer::start().await;
    let secrets = [
        "first-key-abcdef123",
        "second-key-abcdef123456",
        "third-abcdef12345",
        "fourth-abcdef12345",
        "passw0rd-of-basic",
        "cookie-abcdef123",
    ];
    let basic = STANDARD.encode(format!("user:{}", secrets[4]));
    let request = Request::new("POST", "/v1/messages")
        .header("anthropic-version", "2023-06-01")
        .header("x-api-key", secrets[0])
        .header("x-api-key", secrets[1])
        .header("authorization", &format!("Bearer {}", secrets[2]))
        .header("authorization", &format!("Bearer {}", secrets[3]))
        .header("authorization", &format!("Basic {basic}"))
        .header("cookie", &format!("session={}", secrets[5]))
        .json(&prompt(&secrets.join(", ")));
    server.send(&request).await;
    let own = Request::new("GET", "/_sandtable/journal").header("x-api-key", secrets[0]);
    let journal = server.send(&own).await;
    let told = journal.json()["data"][0]["request_body"]["messages"].to_string();
    assert!(told.contains(&["[redacted]"; 6].join(", ")), "{told}");
    for secret in secrets {
        assert!(!journal.text().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_has_come_since_says_how_many_requests_are_open_and_those_that_are_not_are_in_it() {
    let server = TestServer::start().await;
    let stall = json!({"at": "http", "do": "stall", "path": "/v1/messages"});
    server.control("POST", "faults", &stall).await;
    let growth = async || server.control("GET", "journal?after=0", &Value::Null).await;
    let until = async |open: u64| {
        loop {
            let growth = growth().await;
            if growth["open_requests"] == open {
                return growth;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut connection = server.connect().await;
    connection.send(&server.messages(&prompt("hello"))).await;
    assert_eq!(until(1).await["data"], json!([]));
    drop(connection);
    let data = &until(0).await["data"];
    assert_eq!(data[0]["client_left"], true, "{data}");
}
