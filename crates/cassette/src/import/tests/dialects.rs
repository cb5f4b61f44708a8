//! The dialects of cassetter, of langchain's tests, and of aiohttp's objects, as they write them.

use super::*;

fn notes(cassette: &Cassette) -> String {
    cassette.about.notes.join("\n")
}

/// As cassetter 0.16 writes it: structured JSON, hexadecimal digits, and not in the order of the times.
const CASSETTER: &str = r#"version: 1
interactions:
- request:
    method: GET
    uri: https://api.anthropic.com/v1/files/file_011CdeLZvUMYd1CXj9nzwwbU/content
    headers: {accept: ["*/*"]}
    body:
      type: none
  response:
    status: 200
    headers: {content-type: [application/octet-stream]}
    body:
      type: binary
      content: ff0001
  recorded_at: 2026-10-05T19:48:46.172770+00:00
- request:
    method: POST
    uri: https://api.anthropic.com/v1/messages?beta=true
    headers: {content-type: [application/json]}
    body:
      type: json
      content:
        model: claude-sonnet-5-5
        max_tokens: 5
        stream: true
        temperature: 1.0
        system: null
        messages:
        - role: user
          content: "no"
  response:
    status: 200
    headers: {content-type: [text/event-stream; charset=utf-8]}
    body:
      type: text
      content: |+
        event: ping
        data: {"type": "ping"}

        event: message_stop
        data: {"type":"message_stop"         }

  recorded_at: 2026-10-05T19:48:44.351984+00:00
- request:
    method: POST
    uri: https://api.anthropic.com/v1/files
    headers: {content-type: [multipart/form-data; boundary=B]}
    body:
      type: binary
      content: >-
        2d2d420d0a436f6e74656e742d446973706f736974696f6e3a20666f726d2d646174613b206e616d653d2266696c65223b2066696c656e616d653d2261220d0a0d0a
        ff000d0a2d2d422d2d0d0a
  response:
    status: 200
    headers: {content-type: [application/json]}
    body:
      type: json
      content: {type: file, id: file_011CdeLZvUMYd1CXj9nzwwbU}
  recorded_at: 2026-10-05T19:48:45.5+00:00
"#;

#[test]
fn cassetters_bodies_come_in_by_their_types_and_in_the_order_of_their_times() {
    let cassette = taken(CASSETTER);
    let paths: Vec<_> = (0..3)
        .map(|at| request(&cassette, at).path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "/v1/messages",
            "/v1/files",
            "/v1/files/file_011CdeLZvUMYd1CXj9nzwwbU/content"
        ]
    );
    assert_eq!(
        request(&cassette, 0).body.text().unwrap(),
        r#"{"model":"claude-sonnet-5-5","max_tokens":5,"stream":true,"temperature":1.0,"system":null,"messages":[{"role":"user","content":"no"}]}"#
    );
    assert_eq!(
        answer(&cassette, 0),
        "event: ping\ndata: {\"type\": \"ping\"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"         }\n\n"
    );
    assert!(cassette.exchanges[0].response.is_stream());
    let Body::Form(parts) = &request(&cassette, 1).body else {
        panic!("{:?}", request(&cassette, 1).body)
    };
    assert_eq!(parts[0].body, Body::Bytes(vec![0xff, 0].into()));
    assert_eq!(request(&cassette, 2).body, Body::Empty);
    assert_eq!(
        cassette.exchanges[2].response.body,
        Body::Bytes(vec![0xff, 0, 1].into())
    );
    let timing = cassette.exchanges[2].timing.as_ref().unwrap();
    assert_eq!(timing.started_ms, 1820);
    assert_eq!(
        cassette.about.recorded_at.as_deref(),
        Some("2026-10-05T19:48:44Z")
    );
    let notes = notes(&cassette);
    assert!(notes.contains("order of their times"), "{notes}");
    assert!(notes.contains("kept JSON bodies parsed"), "{notes}");
    assert_eq!(hollow(&cassette), Vec::<String>::new());
}

#[test]
fn a_type_that_is_not_known_is_missing_and_toml_is_told_what_to_do() {
    for (from, to, told) in [
        ("type: text", "type: protobuf", "`type: protobuf`"),
        ("content: ff0001", "content: ff000", "hexadecimal"),
    ] {
        let cassette = taken(&CASSETTER.replace(from, to));
        assert!(notes(&cassette).contains(told), "{}", notes(&cassette));
        assert_eq!(hollow(&cassette).len(), 1);
    }
    let toml = "version = 1\n\n[[interactions]]\n[interactions.request]\nbody_type = \"json\"\n";
    assert!(refused(toml.as_bytes()).contains("cassetter convert"));
}

fn packed(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// As langchain's tests write it: two lists, bytes, and the values of headers, perhaps the address,
/// crossed out.
fn langchain(uri: &str, key: &str) -> String {
    let asked = STANDARD.encode(
        r#"{"max_tokens":5,"messages":[{"role":"user","content":"REDACTED?"}],"model":"m"}"#,
    );
    let streamed = STANDARD.encode("event: message_start\ndata: {\"type\":\"message_start\"}\n\n");
    let said = STANDARD.encode(r#"{"type":"message","id":"msg_1","content":[]}"#);
    format!(
        "requests:
- body: !!binary |
    {asked}
  headers:
    anthropic-version: ['**REDACTED**']
    content-type: ['**REDACTED**']
    x-api-key: ['{key}']
  method: POST
  uri: '{uri}'
- body: !!binary |
    {asked}
  headers: {{x-api-key: ['{key}']}}
  method: POST
  uri: '{uri}'
responses:
- body: {{string: !!binary {said}}}
  headers: {{Content-Type: ['**REDACTED**'], anthropic-organization-id: ['**REDACTED**'], vary: ['*']}}
  status: {{code: 200, message: OK}}
- body: {{string: !!binary {streamed}}}
  headers: {{Content-Type: ['**REDACTED**']}}
  status: {{code: 200, message: OK}}
"
    )
}

#[test]
fn two_lists_come_in_packed_and_with_the_values_of_their_headers_crossed_out() {
    let uri = "https://api.anthropic.com/v1/messages?beta=true";
    let text = langchain(uri, "**REDACTED**");
    for bytes in [text.clone().into_bytes(), packed(&text)] {
        let cassette = parse("test", &bytes).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(cassette.exchanges.len(), 2);
        assert_eq!(request(&cassette, 0).query.as_deref(), Some("beta=true"));
        assert_eq!(
            request(&cassette, 0).body.json().unwrap()["messages"][0]["content"],
            "REDACTED?"
        );
        assert!(request(&cassette, 0).headers.is_empty());
        let of = |at: usize| &cassette.exchanges[at].response;
        assert_eq!(of(0).header("content-type"), Some("application/json"));
        assert_eq!(of(0).header("vary"), Some("*"));
        assert!(of(1).is_stream());
        let notes = notes(&cassette);
        assert!(
            notes.contains("the request's headers were not kept"),
            "{notes}"
        );
        assert!(notes.contains("only the names were kept"), "{notes}");
        assert!(!notes.contains(REPLACED), "{notes}");
        assert_eq!(hollow(&cassette), Vec::<String>::new());
    }
}

#[test]
fn an_address_that_is_crossed_out_follows_from_the_bodies_or_the_exchange_is_left_out() {
    let text = langchain("**REDACTED**", "PLACEHOLDER");
    let cassette = taken(&text);
    assert_eq!(cassette.exchanges.len(), 2);
    assert_eq!(request(&cassette, 1).path, "/v1/messages");
    assert!(notes(&cassette).contains("the address was not kept; `/v1/messages` follows"));
    let unknown = STANDARD.encode("{\"a\":1}");
    let said = STANDARD.encode(r#"{"type":"message","id":"msg_1","content":[]}"#);
    let cassette = taken(&text.replace(&said, &unknown));
    assert_eq!(cassette.exchanges.len(), 1);
    assert!(notes(&cassette).contains("interaction 1 is left out"));
}

#[test]
fn lists_of_two_lengths_and_other_packings_are_refused_with_a_hint() {
    let text = langchain("https://api.anthropic.com/v1/messages", "x");
    let (head, _) = text.rsplit_once("- body: {string").unwrap();
    let told = refused(head.as_bytes());
    assert!(told.contains("2 `requests` and 1 `responses`"), "{told}");
    let mut torn = packed(&text);
    torn.truncate(torn.len() / 2);
    assert!(refused(&torn).contains("gzip"));
    assert!(refused(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0]).contains("zstd"));
    assert!(refused(b"PK\x03\x04\xff").contains("unpack it first"));
    assert!(refused(&packed("# Notes")).contains("YAML"));
}

#[test]
fn a_packed_file_is_called_like_the_one_in_it() {
    for (name, wanted) in [
        ("a/test_skills.yaml.gz", "test_skills"),
        ("run.har.GZ", "run"),
        ("run.yaml", "run"),
        ("gz", "gz"),
        ("TestX.test_y.yaml.gz", "TestX.test_y"),
    ] {
        assert_eq!(stem(Path::new(name)), wanted);
    }
    let folder = tempfile::tempdir().unwrap();
    let text = langchain("https://api.anthropic.com/v1/messages", "x");
    for name in ["a.yaml.gz", "b.tar.gz", "c.gz"] {
        std::fs::write(folder.path().join(name), packed(&text)).unwrap();
    }
    let found = import(folder.path()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, "a");
}

/// As vcrpy 6 writes what aiohttp 3.11 was given: keys that are objects, a form as its fields, and the
/// arguments themselves.
const AIOHTTP: &str = r#"interactions:
- request:
    body: '{"model":"m"}'
    headers:
      ? !!python/object/apply:multidict._multidict.istr
      - Anthropic-Version
      : - '2023-06-01'
      ? !!python/object/new:multidict._multidict.istr
        args: [X-Api-Key]
        state: null
      : - !!binary c2VjcmV0LWtleS0xMjM0
      Connection:
      - keep-alive
    method: !!python/object/apply:http.HTTPMethod
    - POST
    uri: https://api.anthropic.com/v1/messages
  response:
    body:
      string: '{"type":"message","text":"secret-key-1234"}'
    headers:
      ? !!python/object/apply:multidict._multidict.istr
      - Content-Type
      : - application/json
    status: {code: 200, message: OK}
    url: !!python/object/new:yarl.URL
      state: !!python/tuple
      - !!python/object/new:urllib.parse.SplitResult [https, api.anthropic.com, /v1/messages, '', '']
- request:
    body: !!python/object:aiohttp.formdata.FormData
      _charset: null
      _fields:
      - !!python/tuple
        - !!python/object/apply:multidict._multidict.MultiDict
          - - !!python/tuple [name, file]
            - !!python/tuple [filename, a.bin]
        - ? !!python/object/apply:multidict._multidict.istr
          - Content-Type
          : application/octet-stream
        - !!binary /wBkYXRh
      - !!python/tuple
        - !!python/object/apply:multidict._multidict.MultiDict
          - - !!python/tuple [name, purpose]
        - {}
        - x
      _is_multipart: true
      _writer: !!python/object:aiohttp.multipart.MultipartWriter
        _boundary: !!binary ZGQ0M2YzZA==
        _headers: !!python/object/apply:multidict._multidict.CIMultiDict
        - - !!python/tuple
            - !!python/object/apply:multidict._multidict.istr
              - Content-Type
            - multipart/form-data; boundary=dd43f3d
    headers: {}
    method: POST
    uri: https://api.anthropic.com/v1/files
  response:
    body: {string: '{"type":"file","id":"file_1"}'}
    headers: {Content-Type: [application/json]}
    status: {code: 200, message: OK}
- request:
    body: {file: !!binary /wA=, purpose: x, size: 3}
    headers: {}
    method: POST
    uri: https://api.anthropic.com/v1/files
  response:
    body: {string: '{"type":"file","id":"file_1"}'}
    headers: {Content-Type: [application/json]}
    status: {code: 200, message: OK}
- request:
    body: {model: m, max_tokens: 5, stream: true}
    headers: {}
    method: POST
    uri: https://api.anthropic.com/v1/messages
  response:
    body: {string: "event: ping\ndata: {\"type\": \"ping\"}\n\n"}
    headers: {}
    status: {code: 200, message: OK}
- request:
    body: !!python/object:aiohttp.payload.BytesPayload
      _size: 2
      _value: !!binary e30=
    headers: {}
    method: POST
    uri: https://api.anthropic.com/v1/messages/count_tokens
  response:
    body: {string: '{"input_tokens":1}'}
    headers: {}
    status: {code: 200, message: OK}
version: 1
"#;

#[test]
fn what_aiohttp_was_given_comes_in_and_its_keys_are_texts() {
    let cassette = taken(AIOHTTP);
    let sent = request(&cassette, 0);
    assert_eq!(sent.method, "POST");
    assert_eq!(sent.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(
        cassette.exchanges[0].response.header("content-type"),
        Some("application/json")
    );
    assert_eq!(
        answer(&cassette, 0),
        r#"{"type":"message","text":"[redacted]"}"#
    );
    let form = |at: usize| match &request(&cassette, at).body {
        Body::Form(parts) => parts.clone(),
        other => panic!("{other:?}"),
    };
    let parts = form(1);
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0].name, "file");
    assert_eq!(parts[0].filename.as_deref(), Some("a.bin"));
    assert_eq!(
        parts[0].content_type.as_deref(),
        Some("application/octet-stream")
    );
    assert_eq!(parts[0].body, Body::Bytes(b"\xff\0data".to_vec().into()));
    assert_eq!(parts[1].body, Body::Text("x".to_owned()));
    let bodies: Vec<Body> = form(2).into_iter().map(|part| part.body).collect();
    assert_eq!(
        bodies,
        [
            Body::Bytes(vec![0xff, 0].into()),
            Body::Text("x".to_owned()),
            Body::Text("3".to_owned())
        ]
    );
    assert_eq!(
        request(&cassette, 3).body,
        Body::Json(json!({"model": "m", "max_tokens": 5, "stream": true}))
    );
    assert!(cassette.exchanges[3].response.is_stream());
    assert_eq!(request(&cassette, 4).body, Body::Json(json!({})));
    assert_eq!(hollow(&cassette), Vec::<String>::new());
}

#[test]
fn what_stands_for_a_secret_is_none() {
    for value in [
        "**REDACTED**",
        "PLACEHOLDER",
        "<ANTHROPIC_API_KEY>",
        "***",
        "XXXX",
        "Bearer [FILTERED]",
        "scrubbed",
    ] {
        assert!(http::is_placeholder(value), "{value}");
    }
    for value in [
        "sk-ant-1",
        "*",
        "*/*",
        "application/json",
        "",
        "no-cache",
        "x",
        "gzip, br",
        "2023-06-01",
    ] {
        assert!(!http::is_placeholder(value), "{value}");
    }
}

#[test]
fn what_was_replaced_is_listed_by_its_place() {
    let id = "44ae676c-958f-4d68-9108-eae9de7b366b";
    let with =
        |id: &str, seed: u8| STANDARD.encode([&[0x12, seed], id.as_bytes(), &[seed; 30]].concat());
    let signed = |seed: u8| with(id, seed);
    let zeros = |seed: u8| with(&"0".repeat(36), seed);
    let said = json!({"type": "message", "content": [
        {"type": "thinking", "thinking": "", "signature": signed(1)},
        {"type": "web_search_tool_result", "content": [
            {"url": "u", "encrypted_content": signed(2)},
            {"url": "v", "encrypted_content": signed(3)},
        ]},
        {"type": "text", "text": format!("for {id}")},
    ]});
    let delta = json!({"type": "signature_delta", "signature": signed(4)});
    let delta = json!({"type": "content_block_delta", "index": 0, "delta": delta});
    let stream =
        format!("event: ping\ndata: {{}}\n\nevent: content_block_delta\ndata: {delta}\n\n");
    let interaction = |kind: &str, body: &str| {
        json!({
            "request": {
                "method": "POST", "uri": "https://api.anthropic.com/v1/messages",
                "headers": {"x-api-key": ["my-own-key-1"]}, "body": "{\"a\":\"my-own-key-1\"}",
            },
            "response": {
                "status": 200, "body": {"string": body},
                "headers": {"content-type": [kind], "anthropic-organization-id": [id]},
            },
        })
    };
    let interactions = json!({"interactions": [
        interaction("application/json", &said.to_string()),
        interaction("text/event-stream", &stream),
    ]});
    let cassette = taken(&interactions.to_string());
    let body = cassette.exchanges[0].response.body.json().unwrap();
    assert_eq!(body["content"][0]["signature"], zeros(1));
    assert_eq!(
        body["content"][1]["content"][1]["encrypted_content"],
        zeros(3)
    );
    assert!(answer(&cassette, 1).contains(&zeros(4)));
    assert_eq!(
        cassette.about.notes,
        [
            "replaced: a secret, by `[redacted]`, in the request's `a`",
            "replaced: exchange 1: an id of the organization, by zeros, in the answer's `content[0].signature`",
            "replaced: exchange 1: an id of the organization, by zeros, in the answer's `content[*].content[*].encrypted_content` (2 times)",
            "replaced: exchange 1: a secret, by `[redacted]`, in the answer's `content[2].text`",
            "replaced: exchange 2: an id of the organization, by zeros, in the answer's `event[2].delta.signature`",
        ]
    );
}
