//! `web_search` and `web_fetch`: called by the model and by code, within what the request allows.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{kinds, prompt, streamed, then};
use crate::harness::transcript::Transcript;
use crate::harness::{Processes, TestServer};

/// A rule with a web of its own, in front of `steps`.
async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let rules = json!([{
        "name": "web",
        "web": [
            {"search": "nothing", "results": []},
            {"search": "rain", "results": [
                {"url": "https://weather.example/oslo", "title": "Oslo", "text": "Rain.", "page_age": "1 day ago"},
                {"url": "https://other.example/rain", "text": "Rain, too."},
            ]},
            {"search": "limit", "error": "too_many_requests"},
            {"fetch": "https://weather.example/*", "title": "Oslo", "text": "Rain until noon."},
        ],
        "then": steps,
    }]);
    server.script(&rules.to_string()).await;
    server
}

fn with_web(text: &str, search: &Value, fetch: &Value) -> Value {
    let mut body = prompt(text);
    body["tools"] = json!([search, fetch]);
    body
}

/// The tools of the first versions, which only the model calls.
fn by_model(text: &str) -> Value {
    with_web(
        text,
        &json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 2}),
        &json!({"type": "web_fetch_20250910", "name": "web_fetch", "citations": {"enabled": true}}),
    )
}

/// The newest tools, which code calls.
fn by_code(text: &str) -> Value {
    with_web(
        text,
        &json!({"type": "web_search_20260318", "name": "web_search"}),
        &json!({"type": "web_fetch_20260318", "name": "web_fetch"}),
    )
}

fn last(message: &Value) -> &Value {
    let blocks = message["content"].as_array().expect("content");
    blocks.last().expect("a block")
}

/// The error codes of all results, in order.
fn codes(message: &Value) -> Vec<&str> {
    let blocks = message["content"].as_array().expect("content");
    blocks
        .iter()
        .filter_map(|block| block["content"]["error_code"].as_str())
        .collect()
}

#[tokio::test]
async fn the_model_searches_and_fetches_without_a_container() {
    let server = running(json!([
        {"web_search": "rain in Oslo"},
        {"web_fetch": "${{ last.content[0].url }}"},
        {"text": "It says: ${{ last.stdout }}"},
    ]))
    .await;
    let mut transcript = Transcript::default();
    let body = by_model("rain?");
    transcript.exchange(&server, &server.messages(&body)).await;
    transcript
        .exchange(&server, &server.messages(&streamed(body)))
        .await;
    insta::assert_snapshot!(transcript.finish());
}

const BOTH: &str = "import asyncio, json\n\
    found, page = await asyncio.gather(web_search({'query': 'rain'}), web_fetch({'url': 'https://weather.example/oslo'}))\n\
    print([page['content'] for page in json.loads(found)], json.loads(page)['content']['source']['data'])";

#[tokio::test]
async fn what_code_has_searched_comes_encrypted_with_the_calls_before_it() {
    let server = running(json!([
        {"python": BOTH, "expect": {"stdout": "['Rain.', 'Rain, too.'] Rain until noon."}},
        {"python": "print(json.loads(await web_fetch({'url': 'https://weather.example/x'}))['url'])"},
    ]))
    .await;
    let mut transcript = Transcript::default();
    let answer = transcript
        .exchange(&server, &server.messages(&by_code("both")))
        .await
        .json();
    let result = &answer["content"][5]["content"];
    let sealed = result["encrypted_stdout"].as_str().expect("a text");
    assert!(sealed.starts_with("EqoBCio"), "{sealed}");
    let plain = &last(&answer)["content"]["stdout"];
    assert_eq!(plain, "https://weather.example/x\n");
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn excluded_calls_are_counted_and_not_sent() {
    let server = running(json!([{"python": BOTH}])).await;
    let mut body = by_code("both");
    for tool in body["tools"].as_array_mut().expect("tools") {
        tool["response_inclusion"] = json!("excluded");
    }
    let answer = server.message(&body).await;
    assert_eq!(
        kinds(&answer),
        ["server_tool_use", "code_execution_tool_result"]
    );
    let kind = &last(&answer)["content"]["type"];
    assert_eq!(kind, "encrypted_code_execution_result");
    let used = &answer["usage"]["server_tool_use"];
    assert_eq!(used["web_search_requests"], 1);
    assert_eq!(used["web_fetch_requests"], 1);
    assert_eq!(used["code_execution_requests"], 1);
}

#[tokio::test]
async fn code_that_waits_for_the_client_sends_what_it_has_searched_even_if_excluded() {
    let server = running(json!([
        {"python": "found = await web_search({'query': 'rain'})\nprint(await ask({'n': 1}), len(found) > 9)\nawait web_fetch({'url': 'https://weather.example/oslo'})"},
        {"text": "${{ last.stdout }}"},
    ]))
    .await;
    let mut body = by_code("ask");
    let ask = json!({"name": "ask", "input_schema": {"type": "object"}, "allowed_callers": ["code_execution_20260120"]});
    body["tools"][0]["response_inclusion"] = json!("excluded");
    body["tools"].as_array_mut().expect("tools").push(ask);
    let first = server.message(&body).await;
    assert_eq!(
        kinds(&first),
        [
            "server_tool_use",
            "server_tool_use",
            "web_search_tool_result",
            "tool_use"
        ]
    );
    let call = &last(&first)["id"];
    let mut body = then(
        body,
        &first,
        &json!([{"type": "tool_result", "tool_use_id": call, "content": "yes"}]),
    );
    body["container"] = first["container"]["id"].clone();
    let mut ids = None;
    // Sent again, it is answered again, with what its code has called.
    for _ in 0..2 {
        let second = server.message(&body).await;
        let expected = [
            "server_tool_use",
            "web_fetch_tool_result",
            "code_execution_tool_result",
            "text",
        ];
        assert_eq!(kinds(&second), expected);
        assert_eq!(second["usage"]["server_tool_use"]["web_fetch_requests"], 1);
        let id = &second["content"][0]["id"];
        assert_eq!(*ids.get_or_insert(id.clone()), *id);
        let result = &second["content"][2]["content"];
        assert_eq!(result["type"], "encrypted_code_execution_result");
        assert_eq!(last(&second)["text"], "yes True\n");
    }

    // Whoever forgets whose a search is hears it.
    let mut lost = body.clone();
    for at in [1, 2] {
        let block = lost["messages"][1]["content"][at].as_object_mut();
        block.expect("a block").remove("caller");
    }
    let refused = server.send(&server.messages(&lost)).await;
    assert_eq!(refused.status, 400);
    let cell = first["content"][0]["id"].as_str().expect("an id");
    assert_eq!(
        refused.message(),
        format!(
            "messages.1: `code_execution` tool use with id `{cell}` was found without a corresponding \
             `code_execution_tool_result` block"
        )
    );
    assert_eq!(server.journal().await[0]["lints"][0]["code"], "lost_caller");

    // What was encrypted comes back as it was.
    let found = &mut body["messages"][1]["content"][2]["content"][0]["encrypted_content"];
    let mut changed = found.as_str().expect("a text").to_owned();
    changed.truncate(changed.len() - 4);
    *found = json!(changed);
    let refused = server.send(&server.messages(&body)).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json()["error"]["message"],
        "messages.1.content.2.web_search_tool_result: encrypted content must be sent back as it was received"
    );
}

#[tokio::test]
async fn the_limits_of_the_request_come_before_the_script() {
    let long = format!("https://weather.example/{}", "x".repeat(250));
    let server = running(json!([
        {"web_fetch": {"url": long, "text": "never"}},
        {"web_fetch": "weather.example"},
        {"web_fetch": "https://other.example/"},
        {"web_search": ""},
        {"web_search": "limit"},
        {"web_search": "rain"},
        {"web_search": {"query": "mine", "results": [{"url": "https://a.example"}]}, "tool_error": "query_too_long"},
    ]))
    .await;
    let mut body = by_model("limits");
    body["tools"][1]["allowed_domains"] = json!(["weather.example"]);
    let answer = server.message(&body).await;
    assert_eq!(
        codes(&answer),
        [
            "url_too_long",
            "invalid_tool_input",
            "url_not_allowed",
            "invalid_tool_input",
            "too_many_requests",
            "max_uses_exceeded",
            "query_too_long",
        ]
    );
    let used = &answer["usage"]["server_tool_use"];
    assert_eq!(used["web_search_requests"], 0);
    assert_eq!(answer["container"], Value::Null, "{answer}");

    // Pages of a search, and the length of a page.
    server
        .steps(&json!([
            {"web_search": {"query": "q", "results": [{"url": "https://a.example/1"}, {"url": "https://b.example"}]}},
            {"web_fetch": {"url": "https://b.example", "text": "123456789"}},
        ]))
        .await;
    let mut body = by_model("limits");
    body["tools"][0]["blocked_domains"] = json!(["b.example"]);
    body["tools"][1]["max_content_tokens"] = json!(2);
    let answer = server.message(&body).await;
    let found = answer["content"][1]["content"].as_array().expect("pages");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["url"], "https://a.example/1");
    let data = &last(&answer)["content"]["content"]["source"]["data"];
    assert_eq!(data, "12345678");
}

#[tokio::test]
async fn what_no_script_answers_says_so() {
    let code = "print(await web_search({'query': 'unheard of'}))";
    let server = running(json!([{"python": code}])).await;
    let refused = server.send(&server.messages(&by_code("gap"))).await;
    assert_eq!(refused.status, 400);
    let refused = refused.json();
    let text = refused["error"]["message"].as_str().expect("a text");
    assert!(
        text.contains("`web_search` asks for \"unheard of\", and nothing in `web` answers it"),
        "{text}"
    );
    assert!(text.contains("containing `rain`"), "{text}");

    // Without any script nothing can be reached.
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let answer = server
        .message(&by_code(&format!("```python\n{code}\n```")))
        .await;
    assert_eq!(codes(&answer), ["unavailable"]);

    // A tool that the request does not declare.
    server.steps(&json!([{"web_search": "rain"}])).await;
    let refused = server.send(&server.messages(&prompt("none"))).await;
    let refused = refused.json();
    let text = refused["error"]["message"].as_str().expect("a text");
    assert!(
        text.contains(
            "`web_search`: the model calls `web_search`, but the request declares no such tool"
        ) && text.contains("hint: add it to `tools`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_search_beside_a_client_call_waits_and_its_result_opens_the_next_answer() {
    let server = running(json!([
        {"parallel": [
            {"web_search": {"query": "q", "results": [{"url": "https://a.example", "text": "found"}]}},
            {"tool_use": "ask"},
        ]},
        {"text": "${{ results[0].stdout }} and ${{ results[1].stdout }}"},
    ]))
    .await;
    let mut body = by_model("mixed");
    let ask = json!({"name": "ask", "input_schema": {"type": "object"}});
    body["tools"].as_array_mut().expect("tools").push(ask);
    let first = server.message(&body).await;
    assert_eq!(kinds(&first), ["server_tool_use", "tool_use"]);
    assert_eq!(first["container"], Value::Null, "{first}");
    let call = &last(&first)["id"];
    let body = then(
        body,
        &first,
        &json!([{"type": "tool_result", "tool_use_id": call, "content": "asked"}]),
    );
    let second = server.message(&body).await;
    assert_eq!(kinds(&second), ["web_search_tool_result", "text"]);
    assert_eq!(last(&second)["text"], "found and asked");
}

/// The answers up to the end of the turn: the client answers what is asked of it, and goes on after a pause.
async fn up_to_the_end(server: &TestServer, mut body: Value) -> Vec<Value> {
    let mut answers = Vec::new();
    loop {
        let answer = server.message(&body).await;
        let results: Vec<Value> = answer["content"]
            .as_array()
            .expect("content")
            .iter()
            .filter(|block| block["type"] == "tool_use")
            .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "7"}))
            .collect();
        let said = match answer["stop_reason"].as_str() {
            Some("tool_use") => json!(results),
            Some("pause_turn") => Value::Null,
            _ => {
                answers.push(answer);
                return answers;
            }
        };
        body = then(body, &answer, &said);
        if answer["container"]["id"].is_string() {
            body["container"] = answer["container"]["id"].clone();
        }
        answers.push(answer);
    }
}

#[tokio::test]
async fn calls_of_the_newest_tools_wait_behind_others_and_beside_code() {
    let (ask, bash) = (json!({"tool_use": "ask"}), json!({"bash": "true"}));
    let search = json!({"web_search": {"query": "q", "results": []}});
    let fetch = json!({"web_fetch": {"url": "https://weather.example/oslo"}});
    let quick = json!({"python": "print(1)"});
    let waits = json!({"python": "print(await query({}))"});
    let (once, twice) = (["tool_use", "end_turn"], ["tool_use"; 2]);
    for (calls, stops) in [
        (json!([search, search, ask]), &once[..]),
        (json!([search, bash, ask]), &once),
        (json!([bash, search, ask]), &once),
        (json!([quick, fetch, ask]), &once),
        // The web tools have done their work while the code waits.
        (json!([waits, search]), &once),
        (json!([waits, search, fetch]), &once),
        (
            json!([waits, waits, search]),
            &[&twice[..], &once[1..]].concat(),
        ),
        (
            json!([waits, search, ask]),
            &[&twice[..], &once[1..]].concat(),
        ),
        (json!([bash, search]), &["end_turn"]),
    ] {
        for callers in [Value::Null, json!(["direct", "code_execution_20260120"])] {
            let server = running(json!([{"parallel": calls}, {"text": "Done."}])).await;
            let mut body = by_code("go");
            let tools = body["tools"].as_array_mut().expect("tools");
            for tool in tools.iter_mut().filter(|_| callers.is_array()) {
                tool["allowed_callers"] = callers.clone();
            }
            tools.extend([
                json!({"name": "ask", "input_schema": {"type": "object"}}),
                json!({"name": "query", "input_schema": {"type": "object"}, "allowed_callers": ["code_execution_20260120"]}),
            ]);
            let answers = up_to_the_end(&server, body).await;
            let stopped: Vec<&str> = answers
                .iter()
                .filter_map(|answer| answer["stop_reason"].as_str())
                .collect();
            assert_eq!(stopped, stops, "{calls} {callers}");
            let results: Vec<Value> = answers.iter().flat_map(kinds_of_results).collect();
            let ours = calls.as_array().expect("calls").len();
            let of_client = usize::from(calls.to_string().contains("tool_use"));
            assert_eq!(results.len(), ours - of_client, "{calls}: {results:?}");
        }
    }
}

/// Results that the service has given.
fn kinds_of_results(message: &Value) -> Vec<Value> {
    let blocks = message["content"].as_array().expect("content").iter();
    let kinds = blocks.map(|block| block["type"].clone());
    kinds
        .filter(|kind| {
            kind.as_str()
                .is_some_and(|kind| kind.ends_with("_tool_result"))
        })
        .collect()
}

#[tokio::test]
async fn a_round_of_searches_that_a_pause_has_left_is_carried_out_whole() {
    let search = json!({"web_search": {"query": "q", "results": []}});
    let mut steps = vec![json!({"parallel": [search, search]}); 12];
    steps.push(json!({"text": "Done."}));
    let server = running(Value::Array(steps)).await;
    let answers = up_to_the_end(&server, by_code("many")).await;
    let stops = [&answers[0]["stop_reason"], &answers[1]["stop_reason"]];
    assert_eq!(stops, ["pause_turn", "end_turn"]);
    let results = answers.iter().map(|answer| kinds_of_results(answer).len());
    assert_eq!(results.collect::<Vec<_>>(), [20, 4]);
}

#[tokio::test]
async fn ten_searches_end_in_a_pause_and_the_waiting_one_opens_the_continuation() {
    let search = json!({"web_search": {"query": "q", "results": []}});
    let mut steps = vec![search; 11];
    steps.push(json!({"text": "Done."}));
    let server = running(Value::Array(steps)).await;
    let mut body = by_model("many");
    body["tools"][0]
        .as_object_mut()
        .expect("a tool")
        .remove("max_uses");
    let first = server.message(&body).await;
    assert_eq!(first["stop_reason"], "pause_turn");
    assert_eq!(first["usage"]["server_tool_use"]["web_search_requests"], 10);
    assert_eq!(first["container"], Value::Null, "{first}");
    let content = &first["content"];
    let messages = body["messages"].as_array_mut().expect("messages");
    messages.push(json!({"role": "assistant", "content": content}));
    let second = server.message(&body).await;
    assert_eq!(kinds(&second), ["web_search_tool_result", "text"]);
    // Without the tool there is nobody to run it.
    body["tools"].as_array_mut().expect("tools").remove(0);
    let refused = server.send(&server.messages(&body)).await.json();
    let text = refused["error"]["message"].as_str().expect("a text");
    assert!(
        text.ends_with("`web_search_tool_result` block, but no `web_search` tool was provided"),
        "{text}"
    );
}

#[tokio::test]
async fn faults_meet_web_calls_that_they_name() {
    let server =
        running(json!([{"web_search": "rain"}, {"web_fetch": "https://weather.example/"}])).await;
    let fault = json!({"at": "tool", "tool": "web_search", "error_code": "unavailable"});
    server.control("POST", "faults", &fault).await;
    let answer = server.message(&by_model("faulty")).await;
    assert_eq!(codes(&answer), ["unavailable"]);
}

#[tokio::test]
async fn wrong_options_of_web_tools_are_refused_with_their_path() {
    let server = running(json!([{"text": "no"}])).await;
    let cases = [
        (
            json!({"max_uses": 0}),
            "tools.0.web_search_20250305.max_uses: Input should be greater than or equal to 1",
        ),
        (
            json!({"name": "search"}),
            "tools.0.web_search_20250305.name: Input should be 'web_search'",
        ),
        (
            json!({"response_inclusion": "full"}),
            "tools.0.web_search_20250305.response_inclusion: Extra inputs are not permitted",
        ),
        (
            json!({"allowed_domains": ["a"], "blocked_domains": ["b"]}),
            "tools.0.web_search_20250305: Only one of `allowed_domains` and `blocked_domains` can be given",
        ),
    ];
    for (change, expected) in cases {
        let mut body = by_model("wrong");
        for (key, value) in change.as_object().expect("a map") {
            body["tools"][0][key] = value.clone();
        }
        let refused = server.send(&server.messages(&body)).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json()["error"]["message"], expected);
    }
}
