//! The proxy: the messages that it passes on, and the cassette that it writes.

use cassette::{Body, End, Mode, load};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use super::{Studio, ask, converse, player, recorder};
use crate::harness::TestServer;
use crate::harness::server::{prompt, streamed};

#[tokio::test]
async fn a_recorded_conversation_is_passed_on_byte_for_byte_and_written() {
    let studio = Studio::open().await;
    let seen = converse(&studio.recorder, "fjord").await;

    let cassette = studio.cassette();

    assert_eq!(cassette.exchanges.len(), 4);
    for (exchange, answer) in cassette.exchanges.iter().zip(&seen) {
        assert_eq!(exchange.response.status, answer.status);
        let bytes = exchange.response.body.bytes().unwrap().unwrap();
        assert_eq!(bytes, answer.body, "{}", answer.text());
        assert_eq!(exchange.response.end, End::Complete);
        assert_eq!(
            exchange.response.header("request-id"),
            answer.header("request-id")
        );
    }
    let upstream = format!("http://{}", studio.upstream.address);
    assert_eq!(cassette.about.upstream.as_deref(), Some(upstream.as_str()));
    let Some(Body::Form(parts)) = cassette.exchanges[0].request.as_ref().map(|r| &r.body) else {
        panic!("an upload is a form");
    };
    assert_eq!(parts[0].filename.as_deref(), Some("notes.txt"));
    assert_eq!(parts[0].body, Body::Text("fjord".to_owned()));
}

#[tokio::test]
async fn a_stream_is_passed_on_as_it_comes_and_its_times_are_kept() {
    let upstream = TestServer::start().await;
    upstream.thaw().await;
    upstream
        .steps(&json!([{"text": "now"}, {"delay": "600ms"}, {"text": "later"}]))
        .await;
    let studio = Studio::before(upstream, Mode::All).await;
    let request = studio.recorder.messages(&streamed(prompt("hi")));
    let answer = studio.recorder.send(&request).await;
    let arrived = |text: &str| {
        let mut chunks = answer.chunks.iter();
        let chunk = chunks.find(|(_, piece)| String::from_utf8_lossy(piece).contains(text));
        chunk.expect("it arrived").0.as_millis()
    };
    assert!(arrived("\"later\"") >= arrived("\"now\"") + 400);
    let timing = studio.cassette().exchanges[0].timing.clone().unwrap();
    let (first, last) = (
        timing.chunks.first().unwrap(),
        timing.chunks.last().unwrap(),
    );
    assert!(last.0 >= first.0 + 400, "{timing:?}");
    let bytes: usize = timing.chunks.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(bytes, answer.body.len());
}

#[tokio::test]
async fn secrets_reach_neither_the_disk_nor_an_answer_that_is_replayed() {
    const KEY: &str = "sk-ant-api03-Zm9yYmlkZGVuIHdvcmRz-AA";
    const OTHER: &str = "an-odd-key-of-a-gateway";
    let studio = Studio::open().await;
    for key in [KEY, OTHER] {
        let secret = |request: crate::harness::Request| {
            request
                .without("x-api-key")
                .header("x-api-key", key)
                .header("authorization", &format!("Bearer {key}"))
                .header("cookie", &format!("session={key}"))
                .header("x-whatever", key)
        };
        let mut body = prompt(&format!(
            "my key is {key}, is it?\n```bash\necho {key}\n```"
        ));
        body["metadata"] = json!({"user_id": key});
        body["system"] = json!(key);
        let studio_request = |body: &serde_json::Value| secret(studio.recorder.messages(body));
        let plain = studio.recorder.send(&studio_request(&body)).await;
        assert_eq!(plain.status, 200, "{}", plain.text());
        studio
            .recorder
            .send(&studio_request(&streamed(body.clone())))
            .await;
        let upload = studio
            .recorder
            .request("POST", &format!("/v1/files?x={key}"))
            .multipart(&[("file", Some(&format!("{key}.txt")), &format!("a {key} b"))]);
        studio.recorder.send(&secret(upload)).await;
        let path = format!("/v1/files/{key}");
        studio
            .recorder
            .send(&secret(studio.recorder.request("GET", &path)))
            .await;
        let wrong = studio
            .recorder
            .send(&secret(studio.recorder.messages(&json!({ key: 1 }))))
            .await;
        assert_eq!(wrong.status, 400);
    }
    let written = studio.written();
    for key in [KEY, OTHER] {
        assert!(!written.contains(key), "{key} is on the disk");
    }
    assert_eq!(studio.cassette().exchanges.len(), 10);
    // Another key, another redaction, the same match.
    let player = player(&studio.path()).await;
    let key = "sk-ant-api03-another-key-altogether";
    let body = prompt(&format!(
        "my key is {key}, is it?\n```bash\necho {key}\n```"
    ));
    let mut body = body;
    body["system"] = json!(key);
    let request = player
        .messages(&body)
        .without("x-api-key")
        .header("x-api-key", key);
    let answer = player.send(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn the_ids_of_who_is_served_reach_the_disk_neither_in_answers_nor_in_what_is_sent_back() {
    use base64::Engine as _;
    let studio = Studio::open().await;
    let first = studio.recorder.send(&ask(&studio.recorder, "hi")).await;
    let answer = studio.upstream.send(&ask(&studio.upstream, "hi")).await;
    let id = answer
        .header("anthropic-organization-id")
        .unwrap()
        .to_owned();
    let signature = |id: &str| {
        let bytes = [b"\x12\xba", id.as_bytes(), &[0xe5; 40]].concat();
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let told = format!("you are {id}, signed {}", signature(&id));
    studio.upstream.steps(&json!([{"text": told}])).await;
    for body in [prompt("who?"), streamed(prompt("who?")), prompt(&told)] {
        let answer = studio.recorder.send(&studio.recorder.messages(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(first.status, 200);
    let written = studio.written();
    assert!(!written.contains(&id) && !written.contains(&signature(&id)));
    let zeros = signature(&"0".repeat(id.len()));
    assert!(written.contains(&zeros), "{written}");
    // A client sends back what the replay has told it.
    let player = player(&studio.path()).await;
    let told = format!("you are [redacted], signed {zeros}");
    let answer = player.send(&player.messages(&prompt("who?"))).await;
    assert_eq!(answer.json()["content"][0]["text"], told);
    let answer = player.send(&player.messages(&prompt(&told))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_service_that_dies_is_told_to_the_client_and_in_the_cassette() {
    let upstream = TestServer::start().await;
    upstream.steps(&json!([{"text": "Hello."}])).await;
    let mut studio = Studio::before(upstream, Mode::All).await;
    let answer = studio.recorder.send(&ask(&studio.recorder, "hi")).await;
    assert_eq!(answer.status, 200);
    let idle = TestServer::start().await;
    std::mem::replace(&mut studio.upstream, idle).stop().await;
    let answer = studio.recorder.send(&ask(&studio.recorder, "still?")).await;
    assert_eq!(answer.status, 502);
    assert!(
        answer.message().contains("did not answer"),
        "{}",
        answer.text()
    );

    let cassette = studio.cassette();
    let response = &cassette.exchanges[1].response;
    assert_eq!(response.status, 0);
    assert!(matches!(&response.end, End::UpstreamBroke(why) if why.contains("refused")));

    let player = player(&studio.path()).await;
    assert_eq!(player.send(&ask(&player, "hi")).await.status, 200);
    assert_eq!(player.send(&ask(&player, "still?")).await.status, 502);
}

/// An address where nobody listens: its port was given back.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_service_that_never_answers_takes_no_recording_away_and_makes_none() {
    let upstream = TestServer::start().await;
    upstream.steps(&json!([{"text": "Hello."}])).await;
    let studio = Studio::before(upstream, Mode::All).await;
    assert_eq!(
        studio
            .recorder
            .send(&ask(&studio.recorder, "hi"))
            .await
            .status,
        200
    );
    studio.recorder.stop().await;
    let (path, fresh) = (
        super::path(&studio.folder),
        studio.folder.path().join("fresh.yaml"),
    );
    let kept = std::fs::read(&path).unwrap();
    for (file, mode) in [(&path, Mode::All), (&fresh, Mode::All), (&fresh, Mode::New)] {
        let recorder = recorder(nowhere(), file, mode).await;
        let answer = recorder.send(&ask(&recorder, "hi")).await;
        assert_eq!(answer.status, 502);
        let mounted = recorder.control("GET", "cassettes", &json!(null)).await;
        let missing = &mounted["recording"]["missing"];
        assert_eq!(missing["exchanges"], 1, "{mounted}");
        assert_eq!(missing["reason"], "the service answered nothing");
        recorder.stop().await;
    }
    assert_eq!(std::fs::read(&path).unwrap(), kept);
    assert!(!fresh.exists());
}

#[tokio::test]
async fn what_the_service_did_not_answer_is_asked_anew() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = super::path(&folder);
    // As recorders wrote it once, and as an import of a browser's log has it.
    let unanswered = "cassette: 1\nexchanges:\n- request:\n    method: POST\n    path: /v1/messages\n  response:\n    \
                      ended: \"broke: connection refused\"\n";
    let upstream = TestServer::start().await;
    for mode in [Mode::Once, Mode::New] {
        std::fs::write(&path, unanswered).unwrap();
        assert_eq!(load(&path).unwrap().exchanges[0].response.status, 0);
        let recorder = recorder(upstream.address.to_string(), &path, mode).await;
        let answer = recorder.send(&ask(&recorder, "hi")).await;
        assert_eq!(answer.status, 200, "{mode:?}: {}", answer.text());
        let exchanges = load(&path).unwrap().exchanges;
        let statuses: Vec<_> = exchanges.iter().map(|one| one.response.status).collect();
        assert_eq!(statuses, [200], "{mode:?}");
        recorder.stop().await;
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_recorded_as_far_as_it_came_and_breaks_again() {
    let upstream = TestServer::start().await;
    upstream
        .steps(&json!([{"text": "one two three four five six seven eight nine"}]))
        .await;
    let fault = json!({"at": "stream", "after_events": 4, "do": "cut"});
    upstream.control("POST", "faults", &fault).await;
    let studio = Studio::before(upstream, Mode::All).await;
    let mut connection = studio.recorder.connect().await;
    connection
        .send(&studio.recorder.messages(&streamed(prompt("hi"))))
        .await;
    let mut seen = Vec::new();
    while matches!(connection.stream.read_buf(&mut seen).await, Ok(1..)) {}
    assert!(String::from_utf8_lossy(&seen).contains("message_start"));

    let cassette = studio.cassette();
    let response = &cassette.exchanges[0].response;
    assert!(
        matches!(response.end, End::UpstreamBroke(_)),
        "{:?}",
        response.end
    );
    let kept = response.body.text().unwrap().into_owned();
    assert!(kept.contains("message_start") && !kept.contains("message_stop"));

    let player = player(&studio.path()).await;
    let mut connection = player.connect().await;
    connection
        .send(&player.messages(&streamed(prompt("hi"))))
        .await;
    let mut again = Vec::new();
    while matches!(connection.stream.read_buf(&mut again).await, Ok(1..)) {}
    let again = String::from_utf8_lossy(&again);
    assert!(
        again.contains("message_start") && !again.contains("\r\n0\r\n"),
        "no end: {again}"
    );
}

#[tokio::test]
async fn a_client_that_leaves_is_in_the_cassette() {
    let upstream = TestServer::start().await;
    upstream.thaw().await;
    upstream
        .steps(&json!([{"text": "now"}, {"delay": "60s"}, {"text": "never"}]))
        .await;
    let studio = Studio::before(upstream, Mode::All).await;
    let mut connection = studio.recorder.connect().await;
    connection
        .send(&studio.recorder.messages(&streamed(prompt("hi"))))
        .await;
    connection.read_head().await.unwrap();
    drop(connection);
    let end = loop {
        // There is none until something was recorded.
        if let Ok(cassette) = load(&studio.path()) {
            break cassette.exchanges[0].response.end.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!(end, End::ClientLeft);
}

#[tokio::test]
async fn once_records_the_first_run_alone() {
    let studio = Studio::open().await;
    studio.recorder.send(&ask(&studio.recorder, "one")).await;
    let address = studio.upstream.address.to_string();

    let again = recorder(address, &studio.path(), Mode::Once).await;
    assert_eq!(again.send(&ask(&again, "one")).await.status, 200);
    let missed = again.send(&ask(&again, "two")).await;
    assert_eq!(missed.status, 400);
    assert_eq!(studio.cassette().exchanges.len(), 1);
}

#[tokio::test]
async fn new_records_what_is_not_there_and_keeps_what_is() {
    let mut studio = Studio::open().await;
    let first = studio.recorder.send(&ask(&studio.recorder, "one")).await;

    studio.go_on().await;
    let more = &studio.recorder;
    assert_eq!(more.send(&ask(more, "one")).await.body, first.body);
    assert_eq!(more.send(&ask(more, "two")).await.status, 200);

    let cassette = studio.cassette();
    assert_eq!(cassette.exchanges.len(), 2);
    assert_eq!(
        cassette.exchanges[0]
            .response
            .body
            .bytes()
            .unwrap()
            .unwrap(),
        first.body
    );
}

#[tokio::test]
async fn parallel_requests_stand_in_the_order_they_were_sent() {
    let upstream = TestServer::start().await;
    upstream.thaw().await;
    upstream
        .script("- when: {user: slow}\n  then:\n  - delay: 500ms\n  - text: slow\n- then:\n  - text: quick\n")
        .await;
    let studio = Studio::before(upstream, Mode::All).await;
    let mut slow = studio.recorder.connect().await;
    slow.send(&ask(&studio.recorder, "slow")).await;
    // The slow one is on its way: the upstream's journal has nothing of a request before its end.
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    studio.recorder.send(&ask(&studio.recorder, "quick")).await;
    assert_eq!(
        studio.cassette().exchanges.len(),
        1,
        "the slow one is not over"
    );
    slow.read().await;
    let texts: Vec<String> = studio
        .cassette()
        .exchanges
        .iter()
        .map(|exchange| exchange.response.body.json().unwrap()["content"][0]["text"].to_string())
        .collect();
    assert_eq!(texts, ["\"slow\"", "\"quick\""]);
}
