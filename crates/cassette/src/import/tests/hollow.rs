//! Exchanges without what was said are told from those in which nothing was said.

use super::*;

/// The bodies that an exchange of this request and this answer lacks, in words.
fn lacks(method: &str, path: &str, sent: &str, status: u16, said: &str) -> String {
    let cassette = taken(&format!(
        "interactions:
- request: {{method: {method}, uri: 'https://api.anthropic.com{path}', headers: {{}}, body: {sent}}}
  response: {{status: {status}, headers: {{content-type: [application/json]}}, body: {said}}}
"
    ));
    hollow(&cassette).join("; ")
}

#[test]
fn answers_and_requests_without_a_body_are_told() {
    let (sent, said) = ("'{}'", "{string: '{}'}");
    let no_request = "exchange 1 has no body of its request";
    let no_answer = "exchange 1 has no body of its answer";
    for (call, sent, status, said, told) in [
        ("POST /v1/messages", sent, 200, said, ""),
        ("POST /v1/messages", "null", 200, said, no_request),
        ("POST /v1/messages", "''", 400, said, no_request),
        ("POST /v1/messages", "5", 200, said, no_request),
        ("POST /v1/messages", sent, 200, "{string: ''}", no_answer),
        ("POST /v1/messages", sent, 200, "null", no_answer),
        ("POST /v1/messages", sent, 200, "{}", no_answer),
        ("POST /v1/messages", sent, 200, "{what: 1}", no_answer),
        ("POST /v1/messages", sent, 200, "{file: true}", no_answer),
        ("POST /v1/messages", sent, 200, "{type: json}", no_answer),
        ("POST /v1/messages", sent, 502, "{string: ''}", ""),
        ("POST /v1/messages/batches/b/cancel", "null", 200, said, ""),
        ("GET /v1/models", "null", 200, said, ""),
        ("DELETE /v1/files/f", "null", 204, "null", ""),
        ("HEAD /v1/files/f", "null", 200, "null", ""),
        ("GET /v1/files/f/content", "null", 200, "{string: ''}", ""),
    ] {
        let (method, path) = call.split_once(' ').unwrap();
        assert_eq!(
            lacks(method, path, sent, status, said),
            told,
            "{call} {sent} {status} {said}"
        );
    }
}

#[test]
fn files_that_recorders_never_keep_and_broken_answers_are_no_such_lack() {
    let cassette = taken(
        "interactions:
- request: {method: POST, uri: 'https://api.anthropic.com/v1/files', headers: {content-type: [multipart/form-data; boundary=B]}, body: 'TRIMMED'}
  response: {status: 200, headers: {}, body: {string: '{}'}}
",
    );
    assert!(matches!(request(&cassette, 0).body, Body::Missing(_)));
    assert_eq!(hollow(&cassette), Vec::<String>::new());
    let models = json!({"method": "GET", "url": "https://api.anthropic.com/v1/models"});
    let har = json!({"log": {"entries": [
        {"request": models, "response": {"status": 0, "_error": "gone"}},
        {"request": models, "response": {"status": 200, "content": {"size": 9}}},
    ]}});
    assert_eq!(
        hollow(&taken(&har.to_string())),
        ["exchange 2 has no body of its answer"]
    );
}

#[test]
fn our_own_archives_say_how_an_answer_ended() {
    let asked = json!({"method": "POST", "url": "https://api.anthropic.com/v1/messages", "postData": {"text": "{}"}});
    let nothing = json!({"status": 200, "content": {"size": 0, "text": ""}});
    let har = json!({"log": {"entries": [
        {"request": asked, "response": nothing, "_broke": true},
        {"request": asked, "response": nothing, "_client_left": true},
        {"request": asked, "response": nothing},
    ]}});
    let cassette = taken(&har.to_string());
    let ends = cassette.exchanges.iter().map(|it| &it.response.end);
    let ends: Vec<_> = ends.collect();
    assert!(matches!(ends[0], End::UpstreamBroke(_)), "{ends:?}");
    assert_eq!(ends[1..], [&End::ClientLeft, &End::Complete]);
    assert_eq!(hollow(&cassette), ["exchange 3 has no body of its answer"]);
}
