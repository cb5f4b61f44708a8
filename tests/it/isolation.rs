//! Many tests on one server: each has its key, and with it its own faults, clock, scripts, files, journal,
//! and resets.

use serde_json::{Value, json};

use crate::harness::server::prompt;
use crate::harness::{Request, TestServer};

const TESTS: usize = 200;

/// One of the tests, by its key.
struct Own<'a> {
    server: &'a TestServer,
    key: String,
    number: usize,
}

impl Own<'_> {
    fn request(&self, method: &str, path: &str) -> Request {
        let request = self.server.request(method, path);
        request.without("x-api-key").header("x-api-key", &self.key)
    }

    async fn json(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let answer = self
            .server
            .send(&self.request(method, path).json(body))
            .await;
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status, body)
    }

    async fn ask(&self) -> (u16, Value) {
        self.json("POST", "/v1/messages", &prompt("hi")).await
    }

    async fn script(&self, text: &str) {
        let rule = json!([{"then": [{ "text": text }]}]);
        let (status, _) = self.json("PUT", "/_sandtable/scripts", &rule).await;
        assert_eq!(status, 200);
    }

    async fn run(&self) {
        let n = self.number;
        self.script(&format!("I am {n}.")).await;
        let days = format!("{}d", n % 40);
        self.json("POST", "/_sandtable/clock", &json!({"freeze": true}))
            .await;
        let (_, before) = self.json("GET", "/_sandtable/clock", &Value::Null).await;
        self.json("POST", "/_sandtable/clock", &json!({ "advance": days }))
            .await;
        let status = [429, 500, 529][n % 3];
        let fault = json!({"at": "http", "path": "/v1/messages", "status": status, "times": n % 3});
        if !n.is_multiple_of(3) {
            self.json("POST", "/_sandtable/faults", &fault).await;
        }
        for _ in 0..n % 3 {
            assert_eq!(self.ask().await.0, status);
        }
        let (fine, message) = self.ask().await;
        assert_eq!(fine, 200);
        assert_eq!(message["content"][0]["text"], format!("I am {n}."));
        let name = format!("{n}.txt");
        let upload = self
            .request("POST", "/v1/files")
            .multipart(&[("file", Some(&name), "x")]);
        assert_eq!(self.server.send(&upload).await.status, 200);
        let (_, files) = self.json("GET", "/v1/files", &Value::Null).await;
        let names: Vec<&Value> = files["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| &file["filename"])
            .collect();
        assert_eq!(names, [&json!(name)]);
        let (_, after) = self.json("GET", "/_sandtable/clock", &Value::Null).await;
        let time = |clock: &Value| {
            chrono::DateTime::parse_from_rfc3339(clock["now"].as_str().unwrap()).unwrap()
        };
        let passed = (time(&after) - time(&before)).num_days();
        assert_eq!(usize::try_from(passed), Ok(n % 40));
        let (_, journal) = self
            .json("GET", "/_sandtable/journal?limit=100", &Value::Null)
            .await;
        // Faults, the answer, the upload, the list.
        assert_eq!(journal["data"].as_array().unwrap().len(), n % 3 + 3);
        if n.is_multiple_of(5) {
            self.json("POST", "/_sandtable/reset", &json!({})).await;
            let (_, files) = self.json("GET", "/v1/files", &Value::Null).await;
            assert_eq!(files["data"], json!([]));
            self.script("After the reset.").await;
            assert_eq!(self.ask().await.1["content"][0]["text"], "After the reset.");
        }
    }
}

#[tokio::test]
async fn two_hundred_tests_at_once_know_nothing_of_each_other() {
    let server = TestServer::start().await;
    let tests = (0..TESTS).map(|number| {
        let own = Own {
            server: &server,
            key: format!("sk-test-{number}"),
            number,
        };
        async move { own.run().await }
    });
    futures_util::future::join_all(tests).await;
    let verdict = server
        .control("GET", "verify?workspace=*", &Value::Null)
        .await;
    assert_eq!(
        verdict["unmatched"],
        json!([]),
        "every script was its own test's"
    );
    assert_eq!(verdict["unused_faults"], json!([]));
}
