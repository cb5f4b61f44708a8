//! What a client gets while its requests are passed on: results of batches from the recorder, ids that it knows, and
//! answers that the journal has.

use cassette::parse;
use serde_json::{Value, json};

use super::{Studio, container_of, player};
use crate::harness::TestServer;
use crate::harness::server::{code_prompt, prompt, streamed};

/// A batch from its creation to its results, fetched where the batch says.
async fn batch(server: &TestServer) -> String {
    let body = json!({"requests": [{"custom_id": "a", "params": prompt("hello")}]});
    let create = server.request("POST", "/v1/messages/batches").json(&body);
    let made = server.send(&create).await.json();
    let path = format!("/v1/messages/batches/{}", made["id"].as_str().unwrap());
    let url = loop {
        let batch = server.send(&server.request("GET", &path)).await;
        assert_eq!(batch.status, 200, "{}", batch.text());
        if let Some(url) = batch.json()["results_url"].as_str() {
            break url.to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let list = server.request("GET", "/v1/messages/batches");
    let list = server.send(&list).await.json();
    assert_eq!(list["data"][0]["results_url"], json!(url), "{list}");
    let here = format!("http://{}", server.address);
    let rest = url
        .strip_prefix(&here)
        .unwrap_or_else(|| panic!("{url} is not at {here}"));
    assert_eq!(rest, format!("{path}/results"));
    let results = server.send(&server.request("GET", rest)).await;
    assert_eq!(results.status, 200, "{}", results.text());
    assert!(results.text().contains("succeeded"), "{}", results.text());
    results.text().to_owned()
}

#[tokio::test]
async fn results_of_a_batch_are_to_be_had_from_the_recorder_and_from_the_replay() {
    let studio = Studio::open().await;
    let recorded = batch(&studio.recorder).await;
    // By another name, which is nothing to whom is recorded.
    let list = studio.recorder.request("GET", "/v1/messages/batches");
    let list = list.header("x-forwarded-host", "relay.test:1");
    let list = studio.recorder.send(&list).await.json();
    let url = list["data"][0]["results_url"].as_str().unwrap();
    assert!(url.starts_with("http://relay.test:1/v1/"), "{url}");
    let written = studio.written();
    for here in [&studio.recorder.address.to_string(), "relay.test"] {
        assert!(!written.contains(here), "{here}: {written}");
    }
    let there = format!("http://{}/v1/messages/batches/", studio.upstream.address);
    assert!(written.contains(&there), "{written}");
    let player = player(&studio.path()).await;
    assert_eq!(batch(&player).await, recorded);
    batch(&player).await;
}

#[tokio::test]
async fn what_is_recorded_anew_goes_on_with_the_recorded_ids_and_comes_back_with_the_clients() {
    let mut studio = Studio::open().await;
    let first = code_prompt("```bash\necho one > kept.txt\n```");
    let recorder_ = &studio.recorder;
    let recorded = container_of(&recorder_.send(&recorder_.messages(&first)).await.json());
    studio.go_on().await;
    let more = &studio.recorder;
    let mut containers = Vec::new();
    for _ in 0..2 {
        containers.push(container_of(
            &more.send(&more.messages(&first)).await.json(),
        ));
    }
    assert_eq!(containers[0], recorded);
    assert_ne!(containers[1], recorded);
    for stream in [false, true] {
        let mut second = code_prompt("```bash\ncat kept.txt\n```");
        second["container"] = json!(containers[1]);
        let second = if stream { streamed(second) } else { second };
        let answer = more.send(&more.messages(&second)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer.text().contains(r#""stdout":"one\n""#),
            "{}",
            answer.text()
        );
        assert!(answer.text().contains(&containers[1]), "{}", answer.text());
        assert!(!answer.text().contains(&recorded), "{}", answer.text());
    }
    let cassette = studio.cassette();
    assert_eq!(cassette.exchanges.len(), 3);
    for exchange in &cassette.exchanges[1..] {
        let body = exchange
            .request
            .as_ref()
            .unwrap()
            .body
            .json()
            .unwrap()
            .into_owned();
        assert_eq!(body["container"], json!(recorded));
        assert_eq!(exchange.response.container(), Some(recorded.clone()));
    }
}

#[tokio::test]
async fn the_journal_has_the_answers_that_were_passed_on() {
    let studio = Studio::open().await;
    let recorder = &studio.recorder;
    let body = code_prompt("```bash\necho one\n```");
    let answer = recorder.send(&recorder.messages(&body)).await;
    let journal = recorder.journal().await;
    assert_eq!(journal[0]["response_body"], answer.json(), "{}", journal[0]);
    assert_eq!(journal[0].get("client_left"), None::<&Value>);
    let export = recorder.request("GET", "/_sandtable/journal?format=cassette");
    let text = recorder.send(&export).await.text().to_owned();
    let exported = parse("journal", &text).unwrap();
    let kept = exported.exchanges[0]
        .response
        .body
        .bytes()
        .unwrap()
        .unwrap();
    assert_eq!(kept, answer.body);
}
