//! Cassettes come back as they were written.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::json;

use super::*;

fn exchange(prompt: &str) -> Exchange {
    Exchange {
        request: Some(Request {
            method: "POST".to_owned(),
            path: "/v1/messages".to_owned(),
            query: Some("beta=true".to_owned()),
            headers: vec![("anthropic-version".to_owned(), "2023-06-01".to_owned())],
            body: Body::Json(json!({
                "model": "claude-sonnet-5", "max_tokens": 4096, "stream": true,
                "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
                "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
            })),
        }),
        response: Response {
            status: 200,
            headers: vec![
                ("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned()),
                ("request-id".to_owned(), "req_011CdeLZvUMYd1CXj9nzwwbU".to_owned()),
            ],
            body: Body::Text(
                "event: ping\ndata: {\"type\": \"ping\"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"    }\n\n"
                    .to_owned(),
            ),
            end: End::Complete,
        },
        timing: Some(Timing { started_ms: 3, head_ms: 40, chunks: vec![(0, 40), (7, 60)], headers: Vec::new() }),
    }
}

#[test]
fn events_of_other_shapes_are_no_reason_and_no_id() {
    let event = |data: &str| format!("event: x\ndata: {data}\n\n");
    let odd = [
        "[1]",
        "7",
        "null",
        r#"{"message":"Overloaded"}"#,
        r#"{"delta":"Hi"}"#,
        "[DONE]",
    ];
    let text: String = odd.iter().map(|data| event(data)).collect();
    let of = |text: String| Response {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
        body: Body::Text(text),
        ..Response::default()
    };
    assert_eq!(
        (of(text.clone()).stop_reason(), of(text.clone()).id()),
        (None, None)
    );
    let more = r#"{"message":{"id":"msg_1"},"delta":{"stop_reason":"end_turn"}}"#;
    let response = of(text + &event(more));
    assert_eq!(response.stop_reason().as_deref(), Some("end_turn"));
    assert_eq!(response.id().as_deref(), Some("msg_1"));
}

#[test]
fn a_cassette_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.yaml");
    let about = About {
        recorded_at: Some("2026-11-20T22:00:00Z".to_owned()),
        upstream: Some("http://127.0.0.1:4010".to_owned()),
        ignore: vec!["$.metadata".to_owned()],
        ..About::default()
    };
    let upload = Exchange {
        request: Some(Request {
            method: "POST".to_owned(),
            path: "/v1/files".to_owned(),
            body: Body::Form(vec![Part {
                name: "file".to_owned(),
                filename: Some("a.bin".to_owned()),
                content_type: Some("application/octet-stream".to_owned()),
                body: Body::Bytes(Bytes::from(vec![0xff; 100_000])),
            }]),
            ..Request::default()
        }),
        response: Response {
            end: End::UpstreamBroke("connection reset".to_owned()),
            ..Response::default()
        },
        timing: None,
    };
    let odd = Exchange {
        request: None,
        response: Response {
            status: 529,
            body: Body::of(Bytes::from_static(b"{\"a\": 1.50, \"b\":\"\\u00e9\"}")),
            ..Response::default()
        },
        timing: None,
    };
    let mut writer = Writer::create(&path, &about).unwrap();
    writer.put(0, &exchange("one")).unwrap();
    writer.put(2, &odd).unwrap();
    writer.put(1, &upload).unwrap();

    let read = load(&path).unwrap();

    assert_eq!(read.about, about);
    assert_eq!(read.name, "run");
    assert_eq!(read.exchanges[0], exchange("one"));
    assert_eq!(read.exchanges[2].response, odd.response);
    let request = read.exchanges[1].request.as_ref().unwrap();
    let Body::Form(parts) = &request.body else {
        panic!("{request:?}")
    };
    assert_eq!(parts[0].body.bytes().unwrap().unwrap(), vec![0xff; 100_000]);
    assert_eq!(
        read.exchanges[1].response.end,
        End::UpstreamBroke("connection reset".to_owned())
    );
    drop(writer);
    // What the service did not answer is asked again by who goes on.
    let again = Writer::open(&path, &About::default()).unwrap();
    assert_eq!(again.next_order(), 2);
}

#[test]
fn half_an_exchange_that_a_killed_recorder_has_left_is_read_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.yaml");
    let note = folder.path().join("run.recording");
    let mut writer = Writer::create(&path, &About::default()).unwrap();
    writer.put(0, &exchange("one")).unwrap();
    let before = std::fs::read(&path).unwrap();
    let mut third = exchange("two");
    third.response.body = Body::Text("event: é\n".repeat(3));
    writer.put(1, &third).unwrap();
    let after = std::fs::read(&path).unwrap();
    drop(writer);
    assert!(!note.exists(), "nobody records any more");

    // Wherever the kernel has stopped writing, within a character and at the end of a line, too.
    for cut in before.len()..after.len() {
        std::fs::write(&path, &after[..cut]).unwrap();
        std::fs::write(&note, format!("{:020}", before.len())).unwrap();
        let read = load(&path).unwrap_or_else(|error| panic!("{cut}: {error}"));
        assert_eq!(read.exchanges.len(), 1, "{cut}");
    }
    let mut writer = Writer::open(&path, &About::default()).unwrap();
    writer.put(1, &third).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), after);
}

#[test]
fn a_cassette_has_one_recorder_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.yaml");
    let about = About::default();
    let mut writer = Writer::create(&path, &about).unwrap();
    writer.put(0, &exchange("one")).unwrap();
    for other in [Writer::create(&path, &about), Writer::open(&path, &about)] {
        let error = other.unwrap_err();
        assert!(matches!(error, CassetteError::Recorded(_)), "{error}");
    }
    drop(writer);
    assert_eq!(Writer::open(&path, &about).unwrap().len(), 1);
    // What is no note of a recorder is left alone.
    std::fs::write(folder.path().join("run.recording"), "my diary").unwrap();
    let error = Writer::open(&path, &about).unwrap_err();
    assert!(matches!(error, CassetteError::Foreign { .. }), "{error}");
}

#[test]
fn a_cassette_that_is_named_again_is_read_once_at_its_first_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["a.yaml", "b.yaml"] {
        let mut writer = Writer::create(&path(name), &About::default()).unwrap();
        writer.put(0, &exchange(name)).unwrap();
    }
    std::os::unix::fs::symlink(path("a.yaml"), path("c.yaml")).unwrap();
    let names = |paths: &[PathBuf]| -> Vec<String> {
        let read = load_all(paths, Indexing::Used).unwrap();
        read.into_iter().map(|it| it.name).collect()
    };
    let all = folder.path().to_owned();
    assert_eq!(names(&[path("a.yaml"), path("a.yaml")]), ["a"]);
    assert_eq!(names(&[path("b.yaml"), all.clone()]), ["b", "a"]);
    assert_eq!(names(&[all.clone(), path("b.yaml"), all]), ["a", "b"]);
}

#[test]
fn who_records_nothing_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.yaml");
    let about = About::default();
    let large = |byte: u8| {
        let mut exchange = exchange("one");
        exchange.response.body = Body::of(Bytes::from(vec![byte; 200_000]));
        exchange
    };
    let bodies = || {
        let entries = std::fs::read_dir(folder.path().join("run.blobs")).unwrap();
        entries.count()
    };
    drop(Writer::create(&path, &about).unwrap());
    assert!(
        !path.exists(),
        "a cassette of nothing keeps `once` from recording"
    );
    let mut writer = Writer::create(&path, &about).unwrap();
    writer.put(0, &large(1)).unwrap();
    writer.put(1, &large(2)).unwrap();
    drop(writer);
    let before = std::fs::read(&path).unwrap();
    let mut writer = Writer::create(&path, &about).unwrap();
    assert_eq!((std::fs::read(&path).unwrap(), bodies()), (before, 2));
    writer.put(0, &large(2)).unwrap();
    assert_eq!((load(&path).unwrap().exchanges.len(), bodies()), (1, 1));
}

#[test]
fn every_number_that_was_sent_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.yaml");
    let bodies = [
        "{\"a\":1e-7,\"b\":1.0,\"c\":18446744073709551615,\"d\":-0.0}",
        "[1,2.5,\"x\\u2028y\"]",
        "{\"a\":\"\\u0000\\u001b[0m\"}",
        "{\"1\":{\"true\":[]}}",
        "\"text\"",
        " {} ",
    ];
    let mut writer = Writer::create(&path, &About::default()).unwrap();
    for (order, body) in (0..).zip(bodies) {
        let mut exchange = exchange("x");
        exchange.response.body = Body::of(Bytes::from_static(body.as_bytes()));
        writer.put(order, &exchange).unwrap();
    }

    let read = load(&path).unwrap();

    for (exchange, body) in read.exchanges.iter().zip(bodies) {
        let bytes = exchange.response.body.bytes().unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), body);
    }
}

#[test]
fn a_wrong_cassette_is_refused_with_the_place() {
    for (text, told) in [
        (
            "cassette: 1\nexchanges:\n- respones: {}\n",
            "line 3, column 3",
        ),
        ("cassette: 9\n", "version 9"),
        ("interactions: []\n", "interactions"),
        (
            "cassette: 1\nexchanges:\n- response: {status: 200, body: {text: a, json: 1}}\n",
            "exchanges[0].response.body: one of",
        ),
        (
            "cassette: 1\nexchanges:\n- response: {status: 200, body: {blob: {sha256: ../../etc/passwd, size_bytes: 1}}}\n",
            "64 hexadecimal digits",
        ),
        (
            "cassette: 1\nexchanges:\n- response: {}\n",
            "response.status",
        ),
    ] {
        let error = parse("x.yaml", text).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn an_id_at_the_beginning_of_a_line_is_the_one_that_its_client_was_given() {
    const RECORDED: &str = "file_011CdeLZvUMYd1CXj9nzwwbU";
    let upload = Request {
        method: "POST".to_owned(),
        path: "/v1/files".to_owned(),
        ..Request::default()
    };
    let told = |id: &str| Request {
        method: "POST".to_owned(),
        path: "/v1/messages".to_owned(),
        body: Body::Json(
            json!({"messages": [{"role": "user", "content": format!("Look at\n{id}\tnow")}]}),
        ),
        ..Request::default()
    };
    let answer = |body| Response {
        status: 200,
        body: Body::Json(body),
        ..Response::default()
    };
    let of = |request: &Request, response| Exchange {
        request: Some(request.clone()),
        response,
        timing: None,
    };
    let cassette = Cassette {
        exchanges: vec![
            of(&upload, answer(json!({ "id": RECORDED, "type": "file" }))),
            of(
                &told(RECORDED),
                answer(json!({ "text": format!("read:\n{RECORDED}") })),
            ),
        ],
        ..Cassette::default()
    };
    let player = Player::new(Tape::of(vec![cassette]).unwrap().into());
    let ids = common::ids::Ids::seeded(1, &[]);
    let play = |request: &Request| {
        let played = player.play(request, chrono::DateTime::UNIX_EPOCH, &ids);
        played.unwrap().response.body.json().unwrap().into_owned()
    };
    let mut given = Vec::new();
    for _ in 0..2 {
        let id = play(&upload)["id"].as_str().unwrap().to_owned();
        assert_eq!(play(&told(&id))["text"], format!("read:\n{id}"));
        given.push(id);
    }
    assert_ne!(given[0], given[1]);
}

/// A cassette of one request, with JSON that is `levels` deep.
fn deep(levels: usize) -> String {
    let json = "{a: ".repeat(levels - 1) + "{}" + &"}".repeat(levels - 1);
    format!(
        "cassette: 1\nexchanges:\n- request: {{method: POST, path: /v1/messages, body: {{json: {json}}}}}\n  response: {{status: 200, body: {{json: {json}}}}}\n"
    )
}

#[test]
fn requests_are_compared_however_deep_and_files_are_read_so_deep_and_no_deeper() {
    use common::limits::{JSON_DEPTH, WRAPPED_JSON_DEPTH};
    // The levels that a cassette has around a body.
    const AROUND: usize = 5;
    for levels in [JSON_DEPTH, WRAPPED_JSON_DEPTH - AROUND] {
        let cassette = parse("x", &deep(levels)).unwrap();
        let request = cassette.exchanges[0].request.as_ref().unwrap();
        let canonical = canon::text(request, &[]);
        assert_eq!(
            canon::read(&canonical)["body"].to_string(),
            request.body.text().unwrap()
        );
    }
    for levels in [WRAPPED_JSON_DEPTH - AROUND + 1, 100_000] {
        let error = parse("x", &deep(levels)).unwrap_err().to_string();
        assert!(error.contains("too deep"), "{error}");
    }
    assert_eq!(canon::read("no JSON"), json!("no JSON"));
}
