//! Answers from a cassette: what matches, which ids they have, and what faults and the clock do to them.

use cassette::{About, Body, Exchange, Writer, import};
use serde_json::{Value, json};

use super::{Studio, ask, container_of, converse, player};
use crate::harness::server::{code_prompt, prompt, streamed};
use crate::harness::sse::events_of;
use crate::harness::{Request, Response, TestServer};

#[tokio::test]
async fn a_replayed_conversation_is_what_was_recorded_byte_for_byte() {
    let studio = Studio::open().await;
    let recorded = converse(&studio.recorder, "fjord").await;
    let player = player(&studio.path()).await;
    let replayed = converse(&player, "fjord").await;
    for (recorded, replayed) in recorded.iter().zip(&replayed) {
        assert_eq!(replayed.status, recorded.status);
        assert_eq!(replayed.text(), recorded.text());
        for name in ["content-type", "request-id", "content-disposition"] {
            assert_eq!(replayed.header(name), recorded.header(name), "{name}");
        }
    }
    let journal = player.journal().await;
    assert_eq!(journal[0]["source"], "cassette run #4");
}

fn ids(answers: &[Response]) -> (String, String, String) {
    let message = answers[1].json();
    (
        answers[0].json()["id"].as_str().unwrap().to_owned(),
        container_of(&message),
        message["content"][1]["content"]["content"][0]["file_id"]
            .as_str()
            .unwrap()
            .to_owned(),
    )
}

#[tokio::test]
async fn a_second_conversation_gets_ids_of_its_own_and_is_matched_by_them() {
    let studio = Studio::open().await;
    converse(&studio.recorder, "fjord").await;
    let player = player(&studio.path()).await;
    let runs = [
        converse(&player, "fjord").await,
        converse(&player, "fjord").await,
        converse(&player, "fjord").await,
    ];
    let given: Vec<_> = runs.iter().map(|answers| ids(answers)).collect();
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        assert_ne!(given[a].0, given[b].0);
        assert_ne!(given[a].1, given[b].1);
        assert_ne!(given[a].2, given[b].2);
    }
    for answers in &runs {
        let end = events_of([answers[3].body.as_slice()]);
        let delta = end
            .iter()
            .find(|(name, _)| name == "message_delta")
            .unwrap();
        assert_eq!(delta.1["delta"]["container"]["id"], json!(ids(answers).1));
        assert_eq!(answers[2].text(), "fjord\n");
    }
}

#[tokio::test]
async fn interleaved_conversations_do_not_mix() {
    let studio = Studio::open().await;
    for word in ["fjord", "lagoon", "estuary"] {
        converse(&studio.recorder, word).await;
    }
    let player = player(&studio.path()).await;
    let words = ["estuary", "fjord", "lagoon", "fjord", "estuary", "fjord"];
    let runs = words.map(|word| converse(&player, word));
    let runs = futures_util::future::join_all(runs).await;
    for (word, answers) in words.iter().zip(&runs) {
        let message = answers[1].json();
        assert_eq!(message["content"][1]["content"]["stdout"], json!(*word));
        assert_eq!(answers[2].text(), format!("{word}\n"));
        assert_eq!(answers[3].status, 200);
    }
}

#[tokio::test]
async fn a_miss_names_the_nearest_recording_and_the_differences() {
    let studio = Studio::open().await;
    studio.recorder.send(&ask(&studio.recorder, "one")).await;
    studio.recorder.send(&ask(&studio.recorder, "three")).await;
    let player = player(&studio.path()).await;
    let mut body = code_prompt("tree");
    body["max_tokens"] = json!(77);
    let missed = player.send(&player.messages(&body)).await;
    assert_eq!(missed.status, 400);
    assert_eq!(missed.header("x-should-retry"), Some("false"));
    insta::assert_snapshot!(missed.message());
    let nothing = player.send(&player.request("GET", "/v1/models")).await;
    insta::assert_snapshot!(nothing.message(), @"no recorded exchange answers this GET /v1/models, and none of the 2 was made with that call (hint: record it: `--record new --upstream URL`)");
}

#[tokio::test]
async fn polling_moves_on_and_stays_at_the_last_answer() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = super::path(&folder);
    let mut writer = Writer::create(&path, &About::default()).unwrap();
    let id = "msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d";
    let exchange = |method: &str, route: &str, status: &str| {
        let yaml = format!(
            "cassette: 1\nexchanges:\n- request: {{method: {method}, path: {route}}}\n  response: {{status: 200, body: {{json: {{id: {id}, processing_status: {status}}}}}}}\n"
        );
        cassette::parse("x", &yaml).unwrap().exchanges.remove(0)
    };
    let route = format!("/v1/messages/batches/{id}");
    let all: Vec<Exchange> = vec![
        exchange("POST", "/v1/messages/batches", "in_progress"),
        exchange("GET", &route, "in_progress"),
        exchange("GET", &route, "ended"),
    ];
    for (order, exchange) in (0..).zip(&all) {
        writer.put(order, exchange).unwrap();
    }
    let player = player(&path).await;
    // The second batch is polled from its beginning, whatever was polled before.
    for _ in 0..2 {
        let made = player
            .send(&player.request("POST", "/v1/messages/batches"))
            .await;
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let route = format!("/v1/messages/batches/{id}");
            let answer = player.send(&player.request("GET", &route)).await.json();
            assert_eq!(answer["id"], json!(id));
            seen.push(answer["processing_status"].as_str().unwrap().to_owned());
        }
        assert_eq!(seen, ["in_progress", "ended", "ended"]);
    }
}

#[tokio::test]
async fn answers_without_a_request_are_given_once_to_what_fits() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = super::path(&folder);
    std::fs::write(
        &path,
        "cassette: 1\nexchanges:\n- response: {status: 200, headers: {content-type: application/json}, body: {json: {type: message, id: msg_1, content: []}}}\n",
    )
    .unwrap();
    let player = player(&path).await;
    let wrong = player.send(&player.messages(&streamed(prompt("hi")))).await;
    assert_eq!(wrong.status, 400);
    let right = player.send(&player.messages(&prompt("anything"))).await;
    assert_eq!(right.json()["id"], "msg_1");
    let over = player.send(&player.messages(&prompt("anything"))).await;
    assert_eq!(over.status, 400);
}

async fn recorded() -> (Studio, TestServer) {
    let studio = Studio::open().await;
    converse(&studio.recorder, "fjord").await;
    let player = player(&studio.path()).await;
    (studio, player)
}

fn with(request: Request, fault: &Value) -> Request {
    request.header("x-sandtable-fault", &fault.to_string())
}

async fn last_turn(player: &TestServer) -> Request {
    let answers = converse(player, "fjord").await;
    let mut second = code_prompt("```bash\necho again\n```");
    second["container"] = json!(ids(&answers).1);
    second["stream"] = json!(true);
    player.messages(&second)
}

#[tokio::test]
async fn faults_strike_recorded_answers_too() {
    let (_studio, player) = recorded().await;
    let turn = last_turn(&player).await;

    let http = json!({"at": "http", "status": 529, "type": "overloaded_error"});
    let answer = player.send(&with(turn.clone(), &http)).await;
    assert_eq!(answer.status, 529);

    let stream = json!({"at": "stream", "after_events": 3, "type": "overloaded_error"});
    let answer = player.send(&with(turn.clone(), &stream)).await;
    let events = events_of([answer.body.as_slice()]);
    assert_eq!(events.len(), 4);
    assert_eq!(events[3].1["error"]["type"], "overloaded_error");

    let at_once = json!({"at": "stream", "after_events": 0, "type": "overloaded_error"});
    let answer = player.send(&with(turn.clone(), &at_once)).await;
    assert_eq!(answer.status, 529);

    let late = json!({"at": "stream", "after_events": 300, "type": "overloaded_error"});
    let answer = player.send(&with(turn.clone(), &late)).await;
    let events = events_of([answer.body.as_slice()]);
    assert_eq!(events.last().unwrap().0, "error");
    assert!(events.iter().all(|(name, _)| name != "message_delta"));

    let tool = json!({"at": "tool", "tool": "bash_code_execution", "error_code": "unavailable"});
    let answer = player.send(&with(turn.clone(), &tool)).await;
    assert!(
        answer.text().contains(
            r#""type":"bash_code_execution_tool_result_error","error_code":"unavailable""#
        )
    );

    let calm = player.send(&turn).await;
    assert!(calm.text().contains(r#""stdout":"again\n""#));
}

#[tokio::test]
async fn a_container_is_over_after_thirty_days_on_the_clock() {
    let (_studio, player) = recorded().await;
    let turn = last_turn(&player).await;
    player.advance("29d").await;
    let fine = player.send(&turn).await;
    assert!(fine.text().contains(r#""stdout":"again\n""#));
    player.advance("1d").await;
    let over = player.send(&turn).await;
    assert!(
        over.text().contains(r#""error_code":"container_expired""#),
        "{}",
        over.text()
    );
}

#[tokio::test]
async fn recorded_times_are_kept_on_a_running_clock_and_cost_nothing_on_a_frozen_one() {
    let upstream = TestServer::start().await;
    upstream.thaw().await;
    upstream
        .steps(&json!([{"text": "now"}, {"delay": "700ms"}, {"text": "later"}]))
        .await;
    let studio = Studio::before(upstream, cassette::Mode::All).await;
    let request = |server: &TestServer| server.messages(&streamed(prompt("hi")));
    studio.recorder.send(&request(&studio.recorder)).await;
    let plan = cassette::Plan {
        paths: vec![studio.path()],
        pace: cassette::Pace::Scaled(1.0),
        ..Default::default()
    };
    let player = TestServer::with(|config| config.cassettes = Some(plan)).await;
    let spans = |answer: &Response| {
        let at = |text: &str| {
            let mut chunks = answer.chunks.iter();
            chunks
                .find(|(_, piece)| String::from_utf8_lossy(piece).contains(text))
                .unwrap()
                .0
        };
        at("\"later\"").saturating_sub(at("\"now\"")).as_millis()
    };
    assert!(spans(&player.send(&request(&player)).await) < 500);
    player.thaw().await;
    assert!(spans(&player.send(&request(&player)).await) >= 500);
}

#[tokio::test]
async fn fifty_conversations_at_once_are_the_same_bytes_in_two_runs() {
    let studio = Studio::open().await;
    let words: Vec<String> = (0..10).map(|n| format!("word{n}")).collect();
    for word in &words {
        converse(&studio.recorder, word).await;
    }
    let mut runs = Vec::new();
    for _ in 0..2 {
        let player = player(&studio.path()).await;
        let all = (0..50).map(|n| converse(&player, &words[n % 10]));
        let all = futures_util::future::join_all(all).await;
        // Which of five equal conversations came first is nobody's to say.
        let mut bodies: Vec<String> = all
            .iter()
            .map(|answers| {
                answers
                    .iter()
                    .map(Response::text)
                    .collect::<Vec<_>>()
                    .join("\n")
            })
            .collect();
        bodies.sort();
        runs.push(bodies);
    }
    assert_eq!(runs[0], runs[1]);
    let distinct: std::collections::HashSet<_> = runs[0].iter().collect();
    assert_eq!(distinct.len(), 50);
}

#[tokio::test]
async fn a_large_download_lies_beside_the_cassette() {
    let studio = Studio::open().await;
    let body = code_prompt(
        "```bash\nhead -c 3000000 /dev/zero | tr '\\0' 'x' > \"$OUTPUT_DIR/big.bin\"\n```",
    );
    let answer = studio
        .recorder
        .send(&studio.recorder.messages(&body))
        .await
        .json();
    let file = answer["content"][1]["content"]["content"][0]["file_id"]
        .as_str()
        .unwrap();
    let route = format!("/v1/files/{file}/content");
    let recorded = studio
        .recorder
        .send(&studio.recorder.request("GET", &route))
        .await;
    assert_eq!(recorded.body.len(), 3_000_000);
    assert!(
        matches!(&studio.cassette().exchanges[1].response.body, Body::Blob(blob) if blob.size_bytes == 3_000_000)
    );
    assert!(std::fs::metadata(studio.path()).unwrap().len() < 10_000);
    let player = player(&studio.path()).await;
    player.send(&player.messages(&body)).await;
    let again = player.send(&player.request("GET", &route)).await;
    assert_eq!(again.body, recorded.body);

    std::fs::remove_dir_all(studio.path().with_extension("blobs")).unwrap();
    let gone = player.send(&player.request("GET", &route)).await;
    assert_eq!(gone.status, 400, "{}", gone.text());
    assert_eq!(gone.header("x-should-retry"), Some("false"));
    let message = gone.message();
    assert!(
        message.starts_with("run #2 has its answer in "),
        "{message}"
    );
    assert!(message.contains("put the file back"), "{message}");
    let verdict = player.control("GET", "verify", &Value::Null).await;
    assert_eq!(
        verdict["unmatched"].as_array().unwrap().len(),
        1,
        "{verdict}"
    );
    assert_eq!(verdict["ok"], false);
}

#[tokio::test]
async fn conversations_with_the_same_upload_replay_alone_and_in_any_order() {
    let studio = Studio::open().await;
    let asks = async |server: &TestServer, word: &str| {
        let upload = server.request("POST", "/v1/files");
        let upload = upload.multipart(&[("file", Some("notes.txt"), "same")]);
        let file = server.send(&upload).await.json()["id"].clone();
        let text = format!("```bash\ncat \"$INPUT_DIR/notes.txt\"; echo {word}\n```");
        let mut body = code_prompt(&text);
        body["messages"][0]["content"] = json!([
            {"type": "text", "text": text},
            {"type": "container_upload", "file_id": file},
        ]);
        let answer = server.send(&server.messages(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains(word), "{}", answer.text());
    };
    for word in ["fjord", "lagoon"] {
        asks(&studio.recorder, word).await;
    }
    for order in [
        &["lagoon", "fjord"][..],
        &["lagoon"],
        &["fjord", "lagoon", "fjord", "lagoon"],
    ] {
        let player = player(&studio.path()).await;
        for word in order {
            asks(&player, word).await;
        }
    }
}

#[tokio::test]
async fn a_history_with_the_id_that_was_replaced_in_a_signature_is_matched() {
    let id = "44ae676c-958f-4d68-9108-eae9de7b366b";
    // Two bytes, the id, and what was signed, in base64.
    let signature = "EiQ0NGFlNjc2Yy05NThmLTRkNjgtOTEwOC1lYWU5ZGU3YjM2NmLl5eXl5eXl5eXl";
    let asked = |signature: &str| {
        let thinking = json!({"type": "thinking", "thinking": "", "signature": signature});
        json!({"model": "m", "max_tokens": 5, "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [thinking]},
            {"role": "user", "content": "and?"},
        ]})
    };
    let said = json!({"type": "message", "id": "msg_1", "content": [
        {"type": "thinking", "thinking": "", "signature": signature}]});
    let recording = json!({"interactions": [{
        "request": {
            "method": "POST", "uri": "https://api.anthropic.com/v1/messages",
            "headers": {}, "body": asked(signature).to_string(),
        },
        "response": {
            "status": 200, "body": {"string": said.to_string()},
            "headers": {"content-type": "application/json", "anthropic-organization-id": id},
        },
    }]});
    let cassette = import::parse("vcr", recording.to_string().as_bytes()).unwrap();
    let text = cassette::text(&cassette.about, &cassette.exchanges).unwrap();
    let server = TestServer::start().await;
    let mount = server.request("PUT", "/_sandtable/cassettes").body(text);
    assert_eq!(server.send(&mount).await.status, 200);
    let send = async |signature: &str| server.send(&server.messages(&asked(signature))).await;
    let given = send(signature).await.json()["content"][0]["signature"].clone();
    let given = given.as_str().unwrap();
    assert_ne!(given, signature);
    assert_eq!(given.len(), signature.len());
    assert!(given.ends_with("l5eXl5eXl5eXl"), "{given}");
    for again in [given, signature] {
        assert_eq!(send(again).await.status, 200, "{again}");
    }
    let changed = format!("{}m", &signature[..signature.len() - 1]);
    assert_eq!(send(&changed).await.status, 400);
}

#[tokio::test]
async fn a_path_that_is_ignored_for_one_replay_may_differ_and_no_other() {
    let studio = Studio::open().await;
    let mut asked = code_prompt("```bash\necho one\n```");
    asked["system"] = json!("today");
    let recorded = studio
        .recorder
        .send(&studio.recorder.messages(&asked))
        .await;
    let plan = cassette::Plan {
        paths: vec![studio.path()],
        ignore: vec!["$.system".to_owned()],
        ..Default::default()
    };
    let player = TestServer::with(|config| config.cassettes = Some(plan)).await;
    asked["system"] = json!("tomorrow");
    let played = player.send(&player.messages(&asked)).await;
    assert_eq!(played.text(), recorded.text());
    asked["max_tokens"] = json!(77);
    let miss = player.send(&player.messages(&asked)).await;
    assert_eq!(miss.status, 400);
    assert!(miss.text().contains("body.max_tokens"), "{}", miss.text());
    assert!(miss.text().contains("--ignore PATH"), "{}", miss.text());
    assert!(!miss.text().contains("body.system"), "{}", miss.text());
}
