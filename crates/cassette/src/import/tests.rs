//! Every dialect comes in, what it lacks is said, and foreign bytes are refused in words.

mod dialects;
mod hollow;

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Body, End, Request};
use common::hinted;

fn taken(text: &str) -> Cassette {
    parse("test", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &[u8]) -> String {
    hinted::told(&parse("test", text).unwrap_err())
}

fn request(cassette: &Cassette, at: usize) -> &Request {
    cassette.exchanges[at].request.as_ref().expect("a request")
}

fn answer(cassette: &Cassette, at: usize) -> String {
    let bytes = cassette.exchanges[at].response.body.bytes().unwrap();
    String::from_utf8(bytes.expect("a body").to_vec()).unwrap()
}

#[test]
fn vcrpy_keeps_text_binary_gzip_and_open_files() {
    let body = r#"{"id":"msg_1", "type": "message"}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(body.as_bytes()).unwrap();
    let gzip = STANDARD.encode(gzip.finish().unwrap());
    let form = STANDARD.encode(
        b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
          Content-Type: application/octet-stream\r\n\r\n\xff\x00\r\n--B--\r\n",
    );
    let cassette = taken(&format!(
        "interactions:
- request:
    method: POST
    uri: https://api.anthropic.com/v1/messages?beta=true
    headers:
      X-API-Key: [secret]
      anthropic-version: ['2023-06-01']
    body: '{{\"model\":\"m\"}}'
  response:
    status: {{code: 200, message: OK}}
    headers:
      Content-Encoding: [gzip]
      Content-Length: ['99']
      Content-Type: [application/json]
      Set-Cookie: [a=b]
    body:
      string: !!binary |
        {gzip}
- request:
    method: POST
    uri: https://api.anthropic.com/v1/files
    headers: {{content-type: [multipart/form-data; boundary=B]}}
    body: !!python/object/new:_io.BytesIO
      state: !!python/tuple
      - !!binary {form}
      - 0
      - null
  response:
    status: {{code: 200, message: OK}}
    headers: {{}}
    body: {{string: ''}}
- request: {{method: GET, uri: 'https://example.com/', headers: {{}}, body: null}}
  response: {{status: {{code: 200}}, headers: {{}}, body: {{string: x}}}}
version: 1
"
    ));
    assert_eq!(cassette.exchanges.len(), 2);
    assert_eq!(answer(&cassette, 0), body);
    let sent = request(&cassette, 0);
    assert_eq!(sent.body, Body::Json(json!({"model": "m"})));
    assert_eq!(
        (sent.path.as_str(), sent.query.as_deref()),
        ("/v1/messages", Some("beta=true"))
    );
    assert_eq!(
        sent.headers,
        [("anthropic-version".to_owned(), "2023-06-01".to_owned())]
    );
    let names: Vec<_> = cassette.exchanges[0]
        .response
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["content-type"]);
    let Body::Form(parts) = &request(&cassette, 1).body else {
        panic!("{:?}", request(&cassette, 1).body)
    };
    assert_eq!(parts[0].filename.as_deref(), Some("a.bin"));
    assert_eq!(parts[0].body.bytes().unwrap().unwrap(), vec![0xff, 0]);
    assert_eq!(
        cassette.about.upstream.as_deref(),
        Some("https://api.anthropic.com")
    );
    assert_eq!(
        cassette.about.notes,
        ["requests to other addresses than the API's /v1/ are left out"]
    );
}

#[test]
fn rubys_and_rs_dialects_come_in() {
    let bytes = STANDARD.encode("caf\u{e9}");
    let cassette = taken(&format!(
        "---
http_interactions:
- request:
    method: post
    uri: https://gateway.example/anthropic/v1/files
    body: {{encoding: ASCII-8BIT, string: 'TRIMMED: one part'}}
    headers: {{Content-Type: [multipart/form-data; boundary=B]}}
  response:
    status: {{code: 200, message: OK}}
    headers: {{Content-Type: [application/json]}}
    body: {{encoding: UTF-8, base64_string: {bytes}}}
  recorded_at: Wed, 19 Aug 2026 14:34:11 GMT
- request: {{method: GET, uri: 'https://gateway.example/anthropic/v1/models'}}
  response:
    status: 200
    headers: {{content-type: application/json, content-encoding: gzip}}
    body: {{string: '{{}}'}}
  recorded_at: 2026-08-19 14:34:13
recorded_with: VCR-vcr/2.1.0
"
    ));
    assert_eq!(answer(&cassette, 0), "café");
    assert_eq!(answer(&cassette, 1), "{}");
    assert_eq!(request(&cassette, 0).method, "POST");
    assert_eq!(request(&cassette, 0).path, "/v1/files");
    assert!(
        matches!(&request(&cassette, 0).body, Body::Missing(why) if why.ends_with("TRIMMED: one part"))
    );
    assert_eq!(
        cassette.about.upstream.as_deref(),
        Some("https://gateway.example/anthropic")
    );
    assert_eq!(
        cassette.about.recorded_at.as_deref(),
        Some("2026-08-19T14:34:11Z")
    );
    assert_eq!(
        cassette.exchanges[1].timing.as_ref().unwrap().started_ms,
        2000
    );
    assert_eq!(
        cassette.exchanges[1].response.header("content-encoding"),
        None
    );
    assert_eq!(
        cassette.about.notes,
        [
            "exchange 1: the request's body is missing: the form was not kept, its files neither; in its place: TRIMMED: one part"
        ]
    );
}

#[test]
fn parsed_bodies_come_in_with_the_word_that_their_order_is_lost() {
    let cassette = taken(
        "interactions:
- request: {method: POST, uri: 'https://api.anthropic.com/v1/messages', headers: {}, parsed_body: {max_tokens: 5, model: m}}
  response: {status: {code: 200}, headers: {content-length: ['7']}, parsed_body: {b: 1, a: [1.5, null, 'no']}}
",
    );
    assert_eq!(answer(&cassette, 0), r#"{"b":1,"a":[1.5,null,"no"]}"#);
    assert_eq!(cassette.about.notes.len(), 1);
    assert!(cassette.about.notes[0].contains("order of their keys"));
}

#[test]
fn damaged_uploads_are_missing_and_not_guessed() {
    let cassette = taken(
        "interactions:
- request:
    method: POST
    uri: https://api.anthropic.com/v1/files
    headers: {content-type: [multipart/form-data; boundary=B]}
    body: \"--B\\r\\nContent-Disposition: form-data; name=\\\"file\\\"; filename=\\\"a.png\\\"\\r\\n\\r\\n\\uFFFDPNG\\r\\n--B--\\r\\n\"
  response: {status: {code: 200}, headers: {}, body: {string: '{}'}}
",
    );
    let Body::Form(parts) = &request(&cassette, 0).body else {
        panic!("{:?}", request(&cassette, 0).body)
    };
    assert!(matches!(parts[0].body, Body::Missing(_)));
    assert!(cassette.about.notes[0].contains("the form's `file` is missing"));
}

#[test]
fn bare_answers_come_in_without_a_request() {
    let cassette = taken(
        "{\n  \"type\": \"error\",\n  \"error\": {\"type\": \"overloaded_error\", \"message\": \"a  b \\u00e9 \\\" \"},\n  \"n\": 1.50\n}\n",
    );
    assert_eq!(
        answer(&cassette, 0),
        r#"{"type":"error","error":{"type":"overloaded_error","message":"a  b \u00e9 \" "},"n":1.50}"#
    );
    let exchange = &cassette.exchanges[0];
    assert_eq!((exchange.response.status, &exchange.request), (529, &None));
    assert!(cassette.about.notes[0].contains("there is no request"));
    assert!(cassette.about.notes[2].contains("status was not recorded"));
    for text in [
        "{\"type\":\"message\",\"id\":\"msg_1\"}",
        "{\"data\":[],\"has_more\":false}",
    ] {
        assert_eq!(answer(&taken(text), 0), text);
    }
}

#[test]
fn event_lines_are_put_back_and_streams_stay_as_they_came() {
    let stream = "event: message_start\ndata: {\"type\":\"message_start\"   }\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n";
    assert_eq!(answer(&taken(stream), 0), stream);
    for bare in [
        "{\"type\":\"message_start\"   }\n{\"type\": \"ping\"}\n",
        "data: {\"type\":\"message_start\"   }\n\ndata: {\"type\": \"ping\"}\n\n",
    ] {
        let cassette = taken(bare);
        assert_eq!(answer(&cassette, 0), stream);
        assert!(cassette.exchanges[0].response.is_stream());
        assert!(
            cassette
                .about
                .notes
                .iter()
                .any(|note| note.contains("put back"))
        );
    }
    let result = "{\"custom_id\":\"a\",\"result\":{}}";
    for results in [result.to_owned(), format!("{result}\n{result}\n")] {
        let cassette = taken(&results);
        assert_eq!(answer(&cassette, 0), results);
        let kind = cassette.exchanges[0].response.header("content-type");
        assert_eq!(kind, Some("application/x-jsonl"));
    }
}

#[test]
fn archives_come_in_with_base64_and_forms() {
    let har = json!({"log": {"version": "1.2", "entries": [
        {
            "startedDateTime": "2026-08-19T14:34:11.500Z",
            "timings": {"blocked": -1, "send": 1, "wait": 41.6, "receive": 3},
            "request": {"method": "POST", "url": "https://api.anthropic.com/v1/messages?beta=true",
                "headers": [{"name": ":method", "value": "POST"}, {"name": "Anthropic-Version", "value": "2023-06-01"}],
                "postData": {"mimeType": "application/json", "text": "{\"model\":\"m\"}"}},
            "response": {"status": 200, "headers": [{"name": "Content-Encoding", "value": "br"}, {"name": "Content-Type", "value": "application/json"}],
                "content": {"size": 2, "mimeType": "application/json", "text": STANDARD.encode("{}"), "encoding": "base64"}},
        },
        {
            "startedDateTime": "2026-08-19T14:34:12.500Z",
            "request": {"method": "POST", "url": "https://api.anthropic.com/v1/files", "headers": [],
                "postData": {"mimeType": "multipart/form-data; boundary=B", "params": [
                    {"name": "file", "fileName": "a.csv", "contentType": "text/csv"}, {"name": "x", "value": "y"}]}},
            "response": {"status": 0, "_error": "net::ERR_FAILED", "headers": [], "content": {"size": 0}},
        },
        {"request": {"method": "GET", "url": "https://example.com/style.css", "headers": []}, "response": {"status": 200}},
        {"request": {"method": "POST", "url": "http://localhost/v1/messages"}, "response": {"status": 200, "content": {"text": "{}"}},
            "_batch": {"id": "msgbatch_1", "custom_id": "a"}},
    ]}});
    let cassette = taken(&har.to_string());
    assert_eq!(cassette.exchanges.len(), 2);
    assert_eq!(answer(&cassette, 0), "{}");
    assert_eq!(
        request(&cassette, 0).header("anthropic-version"),
        Some("2023-06-01")
    );
    let timing = cassette.exchanges[0].timing.as_ref().unwrap();
    assert_eq!((timing.started_ms, timing.head_ms), (0, 43));
    assert_eq!(
        cassette.exchanges[1].response.end,
        End::UpstreamBroke("net::ERR_FAILED".to_owned())
    );
    let Body::Form(parts) = &request(&cassette, 1).body else {
        panic!("{:?}", request(&cassette, 1).body)
    };
    assert!(matches!(parts[0].body, Body::Missing(_)));
    assert_eq!(parts[1].body, Body::Text("y".to_owned()));
}

#[test]
fn fixtures_of_aimock_come_in_where_they_map() {
    let cassette = taken(
        &json!({"fixtures": [
            {"match": {"userMessage": "weather", "model": "claude-x", "sequenceIndex": 0},
             "response": {"content": "Let me see.", "toolCalls": [{"name": "get_weather", "arguments": "{\"city\":\"B\"}"}]}},
            {"match": {"toolCallId": "t1"}, "response": {"blocks": [{"type": "text", "text": "Sunny."}], "finishReason": "length"}},
            {"match": {}, "response": {"error": {"message": "Slow down", "type": "rate_limit_error"}, "status": 429, "retryAfter": 2}},
            {"match": {"inputText": "x"}, "response": {"embedding": [0.1]}},
        ]})
        .to_string(),
    );
    let body = |at: usize| {
        cassette.exchanges[at]
            .response
            .body
            .json()
            .unwrap()
            .into_owned()
    };
    assert_eq!(cassette.exchanges.len(), 3);
    assert_eq!(body(0)["stop_reason"], "tool_use");
    assert_eq!(body(0)["content"][1]["input"], json!({"city": "B"}));
    assert_eq!(
        request(&cassette, 0).body,
        Body::Json(
            json!({"model": "claude-x", "messages": [{"role": "user", "content": [{"type": "text", "text": "weather"}]}]})
        )
    );
    assert_eq!(body(1)["stop_reason"], "max_tokens");
    assert_eq!(cassette.exchanges[2].request, None);
    assert_eq!(cassette.exchanges[2].response.status, 429);
    assert_eq!(
        cassette.exchanges[2].response.header("retry-after"),
        Some("2")
    );
    assert!(
        cassette
            .about
            .notes
            .iter()
            .any(|note| note.contains("fixture 4 is left out"))
    );
}

#[test]
fn no_secret_of_a_recording_comes_in() {
    let cassette = taken(
        r#"interactions:
- request:
    method: POST
    uri: https://api.anthropic.com/v1/messages
    headers: {X-Api-Key: [my-own-key-1234], Authorization: [Bearer token-abcdef], Cookie: [a=session-42]}
    body: '{"a":"my-own-key-1234","b":"sk-ant-api03-abcdef"}'
  response:
    status: {code: 200}
    headers: {anthropic-organization-id: [org-secret-id], set-cookie: [x=y12345]}
    body: {string: '{"org":"org-secret-id","t":"token-abcdef"}'}
"#,
    );
    let said = format!("{cassette:?}");
    for secret in [
        "my-own-key",
        "token-abcdef",
        "session-42",
        "sk-ant-api03",
        "org-secret-id",
        "y12345",
    ] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[test]
fn what_connectors_are_called_with_does_not_come_in() {
    let sent = json!({"mcp_servers": [
        {"url": "https://user:pw123456@example.org/mcp", "authorization_token": "mcp-token-9f8e"},
    ]});
    let entry = |method: &str, sent: Option<String>, said: &str| {
        json!({
            "request": {"method": method, "url": "https://api.anthropic.com/v1/messages", "postData": {"text": sent}},
            "response": {"status": 200, "content": {"text": json!({"text": said}).to_string()}},
        })
    };
    let archive = json!({"log": {"entries": [
        entry("GET", None, "pw123456"),
        entry("POST", Some(sent.to_string()), "it was mcp-token-9f8e"),
    ]}});
    let said = format!("{:?}", taken(&archive.to_string()));
    for secret in ["pw123456", "mcp-token-9f8e"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(
        said.contains("https://user:[redacted]@example.org/mcp"),
        "{said}"
    );
}

#[test]
fn of_a_cookie_the_value_goes_and_the_words_beside_it_stay() {
    let words = "Secure HttpOnly path=/ theme=dark-mode";
    let both = format!("abcdef123456 cookieSecretValue123 passw0rd@99 passw0rd%4099 {words}");
    let pair = |name: &str, value: &str| json!({"name": name, "value": value});
    let archive = json!({"log": {"entries": [{
        "request": {
            "method": "POST", "url": "https://user:passw0rd%4099@gw.example.com:8443/proxy/v1/messages",
            "headers": [pair("Cookie", "session=abcdef123456; theme=dark-mode")],
            "postData": {"text": json!({"system": both}).to_string()},
        },
        "response": {
            "status": 200,
            "headers": [pair("Set-Cookie", "__cf_bm=cookieSecretValue123; path=/; HttpOnly; Secure")],
            "content": {"text": json!({"text": both}).to_string()},
        },
    }]}});
    let cassette = taken(&archive.to_string());
    let place = cassette.about.upstream.as_deref();
    assert_eq!(place, Some("https://gw.example.com:8443/proxy"));
    let clean = format!("{0} {0} {0} {0} {words}", crate::redact::REDACTED);
    let exchange = &cassette.exchanges[0];
    let sent = &exchange.request.as_ref().unwrap().body;
    assert_eq!(*sent, Body::Json(json!({"system": clean})));
    assert_eq!(exchange.response.body, Body::Json(json!({"text": clean})));
}

#[test]
fn entries_of_an_archive_are_put_in_the_order_of_their_times() {
    let entry = |time: Option<&str>, text: &str| {
        json!({
            "startedDateTime": time,
            "request": {"method": "GET", "url": format!("https://api.anthropic.com/v1/{text}")},
            "response": {"status": 200, "content": {"text": "{}"}},
        })
    };
    let paths = |entries: &[serde_json::Value]| {
        let cassette = taken(&json!({"log": {"entries": entries}}).to_string());
        let told = cassette.exchanges.iter().map(|it| {
            let path = it.request.as_ref().unwrap().path.clone();
            (path, it.timing.as_ref().map(|timing| timing.started_ms))
        });
        (told.collect::<Vec<_>>(), cassette.about.notes.len())
    };
    let [early, late] = ["2026-01-01T00:00:01Z", "2026-01-01T00:00:05Z"];
    let (found, notes) = paths(&[entry(Some(late), "b"), entry(Some(early), "a")]);
    assert_eq!(
        found,
        [
            ("/v1/a".to_owned(), Some(0)),
            ("/v1/b".to_owned(), Some(4000))
        ]
    );
    assert_eq!(notes, 1);
    // Without all times the file's order is all there is.
    let (found, notes) = paths(&[entry(Some(late), "b"), entry(None, "a")]);
    assert_eq!(
        found,
        [("/v1/b".to_owned(), Some(0)), ("/v1/a".to_owned(), None)]
    );
    assert_eq!(notes, 0);
}

#[test]
fn a_status_that_no_answer_can_have_is_refused() {
    let vcr = |status: &str| {
        format!(
            "interactions:\n- request: {{method: POST, uri: 'https://api.anthropic.com/v1/messages', body: '{{}}'}}\n  \
             response: {{status: {{code: {status}}}, headers: {{}}, body: {{string: '{{}}'}}}}\nversion: 1\n"
        )
    };
    assert_eq!(
        parse("test", vcr("529").as_bytes()).unwrap().exchanges[0]
            .response
            .status,
        529
    );
    for status in ["20", "99", "1000"] {
        let told = refused(vcr(status).as_bytes());
        let wanted = format!("exchange 1 has `{status}`, which is no HTTP status");
        assert!(told.contains(&wanted), "{told}");
    }
    assert!(parse("test", vcr("0").as_bytes()).is_err());
}

#[test]
fn of_an_archive_only_a_status_of_0_is_no_answer() {
    let har = |response: &serde_json::Value| {
        let request = json!({"method": "GET", "url": "https://api.anthropic.com/v1/models"});
        json!({"log": {"entries": [{"request": request, "response": response}]}}).to_string()
    };
    let content = json!({"text": "{}"});
    for (status, taken_as) in [(json!(200), 200), (json!(200.0), 200), (json!(0), 0)] {
        let cassette = taken(&har(&json!({"status": status, "content": content})));
        let response = &cassette.exchanges[0].response;
        assert_eq!(response.status, taken_as);
        assert_eq!(response.end == End::Complete, taken_as != 0);
    }
    let cassette = taken(&har(&json!(null)));
    assert_eq!(cassette.exchanges[0].response.status, 0);
    for status in [
        json!(70000),
        json!(-1),
        json!(null),
        json!("200"),
        json!(200.5),
        json!(100),
        json!(101),
    ] {
        let told = refused(har(&json!({"status": status, "content": content})).as_bytes());
        let wanted = format!("exchange 1 has `{status}`, which is no HTTP status");
        assert!(told.contains(&wanted), "{told}");
    }
}

#[test]
fn a_body_that_an_archive_has_left_out_is_missing_and_not_empty() {
    let left_out = "the archive does not have it; save it with contents";
    for (method, status, content, why) in [
        ("GET", 200, json!(null), Some(left_out)),
        ("GET", 200, json!({}), Some(left_out)),
        ("GET", 200, json!({"size": -1}), Some(left_out)),
        ("GET", 200, json!({"size": 9, "text": ""}), Some(left_out)),
        (
            "GET",
            200,
            json!({"size": 0, "text": "", "comment": "too large"}),
            Some("too large"),
        ),
        ("GET", 200, json!({"size": 0}), None),
        ("GET", 200, json!({"size": 0, "text": ""}), None),
        ("GET", 0, json!(null), None),
        ("GET", 204, json!(null), None),
        ("HEAD", 200, json!({"size": 9}), None),
    ] {
        let cassette = taken(
            &json!({"log": {"entries": [{
                "request": {"method": method, "url": "https://api.anthropic.com/v1/models"},
                "response": {"status": status, "content": content},
            }]}})
            .to_string(),
        );
        let wanted = why.map_or(Body::Empty, |why| Body::Missing(why.to_owned()));
        let body = &cassette.exchanges[0].response.body;
        assert_eq!(*body, wanted, "{method} {status} {content}");
        let noted = cassette
            .about
            .notes
            .iter()
            .any(|note| note.contains("body is missing"));
        assert_eq!(noted, why.is_some(), "{:?}", cassette.about.notes);
    }
}

#[test]
fn what_is_unknown_is_refused_with_a_hint() {
    for (text, told) in [
        ("", "it is empty"),
        ("# Notes\n\nOnly words: here\n", "YAML"),
        ("a: 1\n", "neither `interactions`"),
        ("cassette: 1\nexchanges: []\n", "a cassette already"),
        ("{\"a\": 1}", "neither an answer of the API"),
        ("{\"type\": \"completion\"}", "neither an answer of the API"),
        ("[1, 2]", "list of JSON"),
        ("{\"a\": ", "neither JSON"),
        ("interactions: []\n", "no exchange"),
        ("interactions: [{request: 1}]\n", "interaction 1"),
        ("a: [\n", "line"),
        ("event: x\n", "no `data:`"),
    ] {
        let told_us = refused(text.as_bytes());
        assert!(told_us.contains(told), "{text:?}: {told_us}");
        assert!(told_us.contains("hint: "), "{told_us}");
    }
    assert!(refused(b"\xff\xfe").contains("no text"));
    let deep = format!("interactions: {}1{}", "[".repeat(5000), "]".repeat(5000));
    refused(deep.as_bytes());
    refused("[".repeat(100_000).as_bytes());
    refused("a:\n ".repeat(1000).as_bytes());
}

/// Pieces of all dialects, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "interactions:\n",
        "http_interactions:\n",
        "- request:\n",
        "    method: POST\n",
        "    uri: https://x/v1/files\n",
        "    headers: {content-type: [multipart/form-data; boundary=B]}\n",
        "    body: \"--B\\r\\n\\r\\n--B--\"\n",
        "    body: {string: !!binary AAA=}\n",
        "  response:\n",
        "    status: {code: 99999}\n",
        "    status: 200\n",
        "    headers: {content-encoding: [gzip]}\n",
        "    parsed_body: [1, {a: b}]\n",
        "&a [*a]",
        "!!binary ====",
        "{\"log\":{\"entries\":[",
        "{\"request\":{\"url\":\"https://x/v1/m\"},\"response\":{\"status\":-5}}",
        "]}}",
        "{\"type\":\"ping\"}\n",
        "data: ",
        "event: ping\n",
        "{\"fixtures\":[",
        "{\"match\":{},\"response\":{\"content\":[]}}",
        ",",
        "]",
        "}",
        "\u{fffd}",
        "\n",
        " ",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        parse("test", &bytes).ok();
    }

    #[test]
    fn mixed_dialects_never_panic(text in pieces()) {
        parse("test", text.as_bytes()).ok();
    }

    #[test]
    fn forms_in_any_state_never_panic(body in "(--B|\r\n|\n|:|;|=|\"|name|Content-Disposition: form-data; name=\"a\"|[a-z]){0,20}", kind in "multipart/form-data(; ?[a-z\"=;B]{0,12})?") {
        form::of(&kind, Body::Text(body));
    }

    #[test]
    fn encoded_bodies_in_any_state_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), encoding in "(gzip|deflate|br|, ){0,3}", magic in any::<bool>()) {
        let mut body = if magic { vec![0x1f, 0x8b, 8, 0] } else { Vec::new() };
        body.extend(bytes);
        http::decoded(&[("content-encoding".to_owned(), encoding)], body.into());
    }

    #[test]
    fn a_form_comes_back(content in prop::collection::vec(any::<u8>(), 0..80)) {
        prop_assume!(!content.windows(4).any(|w| w == b"\r\n--"));
        prop_assume!(std::str::from_utf8(&content).is_err() || !String::from_utf8_lossy(&content).contains('\u{fffd}'));
        let mut body = b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n".to_vec();
        body.extend(&content);
        body.extend(b"\r\n--B--\r\n");
        let Body::Form(parts) = form::of("multipart/form-data; boundary=B", Body::Bytes(body.into())) else {
            panic!("no form")
        };
        prop_assume!(!matches!(parts[0].body, Body::Missing(_)));
        prop_assert_eq!(parts[0].body.bytes().unwrap().unwrap().to_vec(), content);
    }
}
