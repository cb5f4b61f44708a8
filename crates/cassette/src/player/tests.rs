//! Conversations that begin alike, and ids that travel through a player.

use chrono::DateTime;
use serde_json::{Value, json};

use super::*;
use crate::{Blob, Cassette, Exchange};

fn id(kind: &str, n: usize) -> String {
    format!("{kind}_01{n:0>22}")
}

fn post(path: &str, body: Value) -> Request {
    Request {
        method: "POST".to_owned(),
        path: path.to_owned(),
        body: Body::Json(body),
        ..Request::default()
    }
}

/// Round `round` of a conversation about `topic`: the first is the same for all of them, and each names the
/// container and the call of the one before.
fn turn(topic: &str, round: usize, container: Option<&str>, call: Option<&str>) -> Request {
    let prompt = if round <= 1 {
        "start".to_owned()
    } else {
        format!("{topic}, round {round}")
    };
    post(
        "/v1/messages",
        json!({"prompt": prompt, "container": container, "history": call}),
    )
}

fn said(topic: &str, round: usize, container: &str, call: &str) -> Response {
    Response {
        status: 200,
        body: Body::Json(json!({
            "id": "msg_x", "container": {"id": container}, "call": call,
            "text": if round <= 1 { "alike".to_owned() } else { format!("{topic} {round}") },
        })),
        ..Response::default()
    }
}

fn of(request: Request, response: Response) -> Exchange {
    Exchange {
        request: Some(request),
        response,
        timing: None,
    }
}

/// One conversation of each topic; the rounds before `same` are equal in all of them.
fn recorded(topics: &[&str], rounds: usize, same: usize) -> Player {
    let mut exchanges = Vec::new();
    for (n, topic) in topics.iter().enumerate() {
        let container = id("container", n);
        let mut call: Option<String> = None;
        for round in 1..=rounds {
            let topic = if round <= same { "any" } else { topic };
            let next = id("srvtoolu", 10 * n + round);
            let named = (round > 1).then_some(container.as_str());
            exchanges.push(of(
                turn(topic, round, named, call.as_deref()),
                said(topic, round, &container, &next),
            ));
            call = Some(next);
        }
    }
    player(exchanges)
}

fn player(exchanges: Vec<Exchange>) -> Player {
    let cassette = Cassette {
        name: "run".to_owned(),
        exchanges,
        ..Cassette::default()
    };
    Player::new(Tape::of(vec![cassette]).unwrap().into())
}

fn play(player: &Player, request: &Request) -> Result<Value, Miss> {
    let ids = Ids::random();
    let played = player.play(request, DateTime::UNIX_EPOCH, &ids)?;
    Ok(played.response.body.json().unwrap().into_owned())
}

/// A client in a conversation.
struct Talk<'a> {
    topic: &'a str,
    same: usize,
    round: usize,
    container: Option<String>,
    call: Option<String>,
}

impl<'a> Talk<'a> {
    fn about(topic: &'a str, same: usize) -> Self {
        Self {
            topic,
            same,
            round: 0,
            container: None,
            call: None,
        }
    }

    fn goes_on(&mut self, player: &Player) {
        self.round += 1;
        let topic = if self.round <= self.same {
            "any"
        } else {
            self.topic
        };
        let request = turn(
            topic,
            self.round,
            self.container.as_deref(),
            self.call.as_deref(),
        );
        let answer =
            play(player, &request).unwrap_or_else(|miss| panic!("{topic} {}: {miss}", self.round));
        let text = answer["text"].as_str().unwrap();
        if self.round > 1 {
            assert_eq!(text, format!("{topic} {}", self.round));
        }
        let container = answer["container"]["id"].as_str().unwrap();
        assert!(
            self.container
                .as_deref()
                .is_none_or(|known| known == container)
        );
        self.container = Some(container.to_owned());
        self.call = Some(answer["call"].as_str().unwrap().to_owned());
    }
}

const TOPICS: [&str; 3] = ["A", "B", "C"];

#[test]
fn conversations_that_begin_alike_replay_in_any_order_and_as_often_as_they_like() {
    for (rounds, same) in [(2, 1), (3, 1), (3, 2), (5, 3)] {
        for order in ["ABC", "B", "CBA", "ABAB", "AAA", "CCBBAA"] {
            let player = recorded(&TOPICS, rounds, same);
            let mut containers = HashSet::new();
            for topic in order.chars().map(|topic| topic.to_string()) {
                let mut talk = Talk::about(&topic, same);
                for _ in 0..rounds {
                    talk.goes_on(&player);
                }
                assert!(containers.insert(talk.container.unwrap()), "{order}");
            }
            let unused = player.unused().len();
            let left = TOPICS
                .iter()
                .filter(|topic| !order.contains(**topic))
                .count();
            assert_eq!(
                unused,
                left * rounds,
                "{order}, {rounds} rounds, {same} alike"
            );
        }
    }
}

#[test]
fn conversations_that_begin_alike_replay_interleaved() {
    for (rounds, same) in [(2, 1), (3, 2), (4, 2)] {
        let player = recorded(&TOPICS, rounds, same);
        let mut talks = ["C", "A", "B", "A"].map(|topic| Talk::about(topic, same));
        for round in 0..rounds {
            let turns = talks.len();
            for n in 0..turns {
                talks[(n + round) % turns].goes_on(&player);
            }
        }
        let containers: HashSet<_> = talks.iter().map(|talk| talk.container.clone()).collect();
        assert_eq!(containers.len(), talks.len());
    }
}

#[test]
fn the_same_upload_of_two_conversations_is_the_one_that_is_asked_about() {
    let upload = || post("/v1/files", json!({"bytes": "same"}));
    let ask = |topic: &str, file: &str| post("/v1/messages", json!({"ask": topic, "file": file}));
    let answer = |body| Response {
        status: 200,
        body: Body::Json(body),
        ..Response::default()
    };
    let mut exchanges = Vec::new();
    for (n, topic) in TOPICS.iter().enumerate() {
        let file = id("file", n);
        exchanges.push(of(upload(), answer(json!({ "id": file }))));
        exchanges.push(of(ask(topic, &file), answer(json!({ "topic": topic }))));
    }
    let player = player(exchanges);
    for topic in ["B", "A", "B", "C", "A"] {
        let file = play(&player, &upload()).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let asked = play(&player, &ask(topic, &file)).unwrap();
        assert_eq!(asked["topic"], *topic);
        let missed = play(&player, &ask("D", &file)).unwrap_err();
        assert!(missed.message.contains("body.ask: recorded"), "{missed}");
        assert_eq!(play(&player, &ask(topic, &file)).unwrap()["topic"], *topic);
    }
    // One upload, and two conversations about it.
    let file = play(&player, &upload()).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for topic in ["A", "C", "A"] {
        assert_eq!(play(&player, &ask(topic, &file)).unwrap()["topic"], *topic);
    }
}

#[test]
fn a_request_that_is_passed_on_has_the_recorded_ids_and_its_client_hears_of_its_own() {
    let player = recorded(&["A"], 1, 1);
    let first = turn("A", 1, None, None);
    play(&player, &first).unwrap();
    let again = play(&player, &first).unwrap();
    let container = again["container"]["id"].as_str().unwrap();
    let recorded = id("container", 0);
    assert_ne!(container, recorded);
    let names = player.translation(&turn("A", 2, Some(container), None));
    assert_eq!(names.recorded(container), Some(recorded.clone()));
    assert_eq!(names.given(&recorded).as_deref(), Some(container));
    assert!(player.translation(&first).is_empty());
    assert!(
        player
            .translation(&turn("A", 2, Some(&recorded), None))
            .is_empty()
    );
}

#[test]
fn lines_of_json_beside_a_cassette_have_the_ids_that_their_client_knows() {
    let folder = tempfile::tempdir().unwrap();
    let (batch, container) = (id("msgbatch", 1), id("container", 1));
    let line = json!({"batch": batch, "container": container, "text": "x".repeat(9_000)});
    let lines = format!("{line}\n{line}\n");
    let blob = Blob {
        sha256: "results".to_owned(),
        size_bytes: lines.len() as u64,
        folder: folder.path().to_owned(),
    };
    std::fs::write(blob.path(), lines).unwrap();
    let made = post("/v1/messages/batches", json!({}));
    let results = |batch: &str| post(&format!("/v1/messages/batches/{batch}/results"), json!({}));
    let given = |body| Response {
        status: 200,
        body,
        ..Response::default()
    };
    let player = player(vec![
        of(made.clone(), given(Body::Json(json!({ "id": batch })))),
        of(results(&batch), given(Body::Blob(blob))),
    ]);
    let ids = Ids::random();
    let mut seen = HashSet::new();
    for _ in 0..2 {
        let batch = play(&player, &made).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let played = player
            .play(&results(&batch), DateTime::UNIX_EPOCH, &ids)
            .unwrap();
        let bytes = played.response.body.bytes().unwrap().unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["batch"], batch);
            seen.insert(line["container"].to_string());
        }
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn an_answer_that_was_not_kept_is_no_empty_one() {
    let response = Response {
        status: 200,
        body: Body::Missing("too large".to_owned()),
        ..Response::default()
    };
    let player = player(vec![of(post("/v1/files", json!({"a": 1})), response)]);
    let miss = play(&player, &post("/v1/files", json!({"a": 1}))).unwrap_err();
    assert!(
        miss.message
            .ends_with("has no body of its answer: too large"),
        "{miss}"
    );
    // It was asked for, and the miss says what is wrong.
    assert!(player.unused().is_empty());
}

#[test]
fn threads_that_begin_alike_replay_in_any_order_and_as_often_as_they_like() {
    let ask = |thread: Value| post("/v1/messages", json!({ "prompt": "any", "thread": thread }));
    let go_on = |topic: &str, message: &str| {
        let thread = json!({"type": "continue", "previous_message_id": message});
        post("/v1/messages", json!({"prompt": topic, "thread": thread}))
    };
    let answer = |topic: &str, n: usize| Response {
        status: 200,
        body: Body::Json(json!({"id": id("msg", n), "topic": topic})),
        ..Response::default()
    };
    let mut exchanges = Vec::new();
    for (n, topic) in TOPICS.iter().enumerate() {
        let (first, second) = (id("msg", 10 * n), id("msg", 10 * n + 1));
        exchanges.push(of(ask(json!({"type": "create"})), answer("any", 10 * n)));
        exchanges.push(of(go_on(topic, &first), answer(topic, 10 * n + 1)));
        exchanges.push(of(go_on(topic, &second), answer(topic, 10 * n + 2)));
    }
    let player = player(exchanges);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for topic in ["B", "A", "B", "C", "A", "A"] {
        let begun = play(&player, &ask(json!({"type": "create"}))).unwrap();
        let mut last = text(&begun["id"]);
        for _ in 0..2 {
            let answer = play(&player, &go_on(topic, &last)).unwrap();
            assert_eq!(answer["topic"], topic);
            last = text(&answer["id"]);
        }
    }
}

#[test]
fn several_ids_in_a_query_and_in_keys_are_found_whatever_order_their_names_have() {
    const UPLOADS: usize = 5;
    let upload = |n: usize| post("/v1/files", json!({ "name": n }));
    let list = |files: &[String]| Request {
        method: "GET".to_owned(),
        path: "/v1/files".to_owned(),
        query: Some(format!("ids[]={}", files.join("&ids[]="))),
        ..Request::default()
    };
    let keyed = |files: &[String]| {
        let notes = files.iter().map(|file| (file.clone(), json!(file)));
        let notes: serde_json::Map<_, _> = notes.chain([("file".to_owned(), json!(1.0))]).collect();
        post(
            "/v1/messages",
            json!({ "z": 1, "notes": notes, "history": files }),
        )
    };
    let answer = |body| Response {
        status: 200,
        body: Body::Json(body),
        ..Response::default()
    };
    let files: Vec<String> = (0..UPLOADS).map(|n| id("file", n)).collect();
    let uploads = files.iter().enumerate();
    let mut exchanges: Vec<Exchange> = uploads
        .map(|(n, file)| of(upload(n), answer(json!({ "id": file }))))
        .collect();
    exchanges.push(of(list(&files), answer(json!({"listed": true}))));
    exchanges.push(of(keyed(&files), answer(json!({"read": true}))));
    let player = player(exchanges);
    for _ in 0..8 {
        let uploaded = (0..UPLOADS).map(|n| play(&player, &upload(n)).unwrap()["id"].clone());
        let files: Vec<String> = uploaded.map(|id| id.as_str().unwrap().to_owned()).collect();
        assert_eq!(play(&player, &list(&files)).unwrap()["listed"], true);
        assert_eq!(play(&player, &keyed(&files)).unwrap()["read"], true);
        let missed = play(&player, &list(&files[1..])).unwrap_err();
        assert!(missed.message.contains("query.ids[]"), "{missed}");
    }
}
