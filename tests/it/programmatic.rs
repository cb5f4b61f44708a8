//! Cells, and calls that code makes: over requests, under time, and when a client gets it wrong.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::server::{prompt, streamed, then, with_tool};
use crate::harness::sse::events_of;
use crate::harness::transcript::Transcript;
use crate::harness::{Processes, TestServer};

async fn running(steps: Value) -> TestServer {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    server.steps(&steps).await;
    server
}

/// A request with a tool that code may call.
fn by_code(text: &str, version: &str) -> Value {
    let mut body = with_tool(prompt(text), version);
    let caller = if version == "code_execution_20250825" {
        version
    } else {
        "code_execution_20260120"
    };
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}, "allowed_callers": [caller]});
    let tools = body["tools"].as_array_mut().expect("tools");
    tools.extend([tool("query"), tool("get-weather")]);
    body
}

/// A change that makes a continuation wrong.
type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;

fn calls(message: &Value) -> Vec<&Value> {
    let blocks = message["content"].as_array().expect("content");
    blocks
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .collect()
}

/// Answers every call with its own arguments, and names the container.
fn answered(body: Value, message: &Value) -> Value {
    let results = calls(message).into_iter().map(|call| {
        json!({"type": "tool_result", "tool_use_id": call["id"], "content": format!("<{}>", call["input"])})
    });
    let mut body = then(body, message, &Value::Array(results.collect()));
    if message["container"]["id"].is_string() {
        body["container"] = message["container"]["id"].clone();
    }
    body
}

fn result(message: &Value) -> &Value {
    let blocks = message["content"].as_array().expect("content");
    let block = blocks
        .iter()
        .find(|block| block["type"] == "code_execution_tool_result");
    &block.expect("a result")["content"]
}

const GATHER: &str = "import asyncio\n\
    rows = await asyncio.gather(query({'n': 1}), query({'n': 2}))\n\
    print(rows, await globals()['get_weather']({'after': len(rows)}))";

#[tokio::test]
async fn code_of_a_batch_waits_for_the_client_too() {
    let server = running(json!([{"python": "print(await query({'n': 1}))"}, {"text": "ok"}])).await;
    let body = by_code("go", "code_execution_20260120");
    let batch = json!({"requests": [{"custom_id": "a", "params": body}]});
    let path = "/v1/messages/batches";
    let creation = server.request("POST", path).json(&batch);
    let made = server.send(&creation).await.json();
    let at = |rest: &str| {
        let path = format!("{path}/{}{rest}", made["id"].as_str().expect("an id"));
        server.request("GET", &path)
    };
    while server.send(&at("")).await.json()["processing_status"] != "ended" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let line = server.send(&at("/results")).await.json();
    let first = &line["result"]["message"];
    assert_eq!(first["stop_reason"], "tool_use");
    let second = server.message(&answered(body, first)).await;
    assert_eq!(result(&second)["stdout"], "<{\"n\":1}>\n", "{second}");
}

#[tokio::test]
async fn a_stop_in_calls_of_code_leaves_them_answerable() {
    let server = running(json!([{"python": "print(await query({'n': 1}))"}, {"text": "ok"}])).await;
    let fault = json!({"at": "turn", "do": "stop", "stop_reason": "max_tokens", "after_blocks": 9});
    server.control("POST", "faults", &fault).await;
    let body = by_code("go", "code_execution_20260120");
    let first = server.message(&body).await;
    assert_eq!(first["stop_reason"], "max_tokens", "{first}");
    let last = server.message(&answered(body, &first)).await;
    assert_eq!(result(&last)["return_code"], 0, "{last}");
}

#[tokio::test]
async fn code_waits_over_requests_and_its_result_comes_once_at_the_end() {
    let steps = json!([
        {"text": "I'll query."},
        {"python": GATHER},
        {"text": "It says ${{ last.stdout }}"},
    ]);
    let server = running(steps).await;
    let mut transcript = Transcript::default();
    let body = by_code("both", "code_execution_20260521");
    let first = transcript
        .exchange(&server, &server.messages(&body))
        .await
        .json();
    assert_eq!(first["stop_reason"], "tool_use");
    assert_eq!(calls(&first).len(), 2);
    let body = answered(body, &first);
    let second = transcript
        .exchange(&server, &server.messages(&body))
        .await
        .json();
    let body = answered(body, &second);
    transcript
        .exchange(&server, &server.messages(&streamed(body)))
        .await;
    insta::assert_snapshot!(transcript.finish());
}

/// The input and output tokens of an answer.
fn counted(message: &Value) -> (u64, u64) {
    let of = |key: &str| message["usage"][key].as_u64().expect("a number");
    (of("input_tokens"), of("output_tokens"))
}

#[tokio::test]
async fn code_that_waits_is_read_once_when_it_ends_and_costs_nothing_before() {
    let code = "print(await query({'n': 1}), await query({'n': 2}))";
    let server = running(json!([{"python": code}, {"text": "Four"}])).await;
    let body = by_code("go", "code_execution_20260120");
    let first = server.message(&body).await;
    let body = answered(body, &first);
    let waiting = server.message(&body).await;
    // As recorded: nothing was sampled (F063).
    assert_eq!(counted(&waiting), (0, 0), "{waiting}");
    let mut body = answered(body, &waiting);
    let last = server.message(&body).await;
    let stdout = result(&last)["stdout"].as_str().expect("a text");
    let read = u64::try_from(stdout.len().div_ceil(4)).expect("few");
    for key in ["max_tokens", "container"] {
        body.as_object_mut().expect("an object").remove(key);
    }
    let count = server
        .request("POST", "/v1/messages/count_tokens")
        .json(&body);
    let before = server.send(&count).await.json()["input_tokens"].clone();
    let before = before.as_u64().expect("a number");
    assert_eq!(counted(&last), (before + read, 1), "{last}");
    let kept = server.control("GET", "usage", &Value::Null).await;
    assert_eq!(kept["turns"][1]["input_tokens"], 0, "{kept}");
    assert_eq!(kept["turns"][2]["input_tokens"], before + read, "{kept}");
}

#[tokio::test]
async fn a_streamed_answer_holds_calls_of_code_whole() {
    let server = running(json!([{"python": "print(await query({'a': [1, {'b': None}]}))"}])).await;
    let mut transcript = Transcript::default();
    let body = streamed(by_code("one", "code_execution_20250825"));
    let first = transcript.exchange(&server, &server.messages(&body)).await;
    let events = events_of([first.body.as_slice()]);
    let delta = &events[events.len() - 2].1["delta"];
    assert!(delta["container"]["id"].is_string(), "{delta}");
    insta::assert_snapshot!(transcript.finish());
}

#[tokio::test]
async fn an_advanced_clock_takes_no_variables() {
    let server = running(json!([{"python": "x = 7"}])).await;
    let mut body = with_tool(prompt("go"), "code_execution_20260120");
    let first = server.message(&body).await;
    server.advance("10m").await;
    // Long enough for whoever puts containers to sleep to have come by.
    let id = first["container"]["id"].as_str().expect("an id");
    let asleep = format!("wait?container={id}&state=asleep&timeout=1200ms");
    assert_eq!(
        server.control("GET", &asleep, &Value::Null).await["met"],
        false
    );
    server.steps(&json!([{"python": "print(x)"}])).await;
    body["container"] = first["container"]["id"].clone();
    let second = server.message(&body).await;
    assert_eq!(result(&second)["stdout"], "7\n", "{second}");
}

#[tokio::test]
async fn variables_stay_over_calls_and_requests_of_a_container() {
    let server = running(json!([
        {"python": "import math\nx = math.factorial(5)"},
        {"bash": "echo from bash > shared.txt"},
        {"python": "print(x, open('shared.txt').read(), end='')"},
    ]))
    .await;
    let body = with_tool(prompt("go"), "code_execution_20260120");
    let first = server.message(&body).await;
    assert_eq!(first["content"][0]["name"], "code_execution");
    assert_eq!(first["content"][5]["content"]["stdout"], "120 from bash\n");
    server
        .steps(&json!([{"python": "print(x + 1)\nraise ValueError('no')"}]))
        .await;
    let mut body = body;
    body["container"] = first["container"]["id"].clone();
    let second = server.message(&body).await;
    let result = result(&second);
    assert_eq!(result["stdout"], "121\n");
    assert_eq!(result["return_code"], 1);
    let stderr = result["stderr"].as_str().expect("text");
    let cell = format!(
        "/{}/cell.py\", line 2, in <module>\n",
        second["content"][0]["id"].as_str().expect("an id")
    );
    assert!(stderr.contains(&cell), "{stderr}");
    assert!(stderr.ends_with("ValueError: no\n"), "{stderr}");

    // After sleep the files are there, and the variables are not.
    let id = second["container"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    server
        .control("POST", &format!("containers/{id}/sleep"), &Value::Null)
        .await;
    server
        .steps(&json!([{"python": "print('x' in globals(), open('shared.txt').read())"}]))
        .await;
    let third = server.message(&body).await;
    let result = self::result(&third);
    assert_eq!(result["stdout"], "False from bash\n\n");
    let note = "sandtable: the interpreter was started anew: what earlier cells had set is gone";
    assert_eq!(result["stderr"], format!("\n{note}\n"));
    let entry = &server.journal().await[0];
    assert!(entry.to_string().contains("was started anew"), "{entry}");
}

#[tokio::test]
async fn a_pending_call_times_out_on_the_virtual_clock_and_a_late_answer_is_passed_over() {
    let expected =
        "TimeoutError: Calling tool ['query', 'query'] timed out (no response after 270s).";
    let code =
        "import asyncio\nprint('before')\nawait asyncio.gather(query({'n': 1}), query({'n': 2}))";
    let server = running(json!([{"python": code}, {"text": "So be it."}])).await;
    for (span, late) in [("269s", false), ("270s", true), ("2h", true)] {
        let body = by_code("late", "code_execution_20260120");
        let first = server.message(&body).await;
        assert_eq!(
            first["container"]["expires_at"].as_str().unwrap(),
            server.control("GET", "containers", &Value::Null).await["data"][0]["expires_at"]
        );
        server.advance(span).await;
        let second = server.message(&answered(body, &first)).await;
        let result = result(&second);
        assert_eq!(result["return_code"], 0, "{span}: {result}");
        assert_eq!(second["content"][1]["text"], "So be it.");
        if late {
            assert_eq!(result["stderr"], expected, "{span}");
        } else {
            assert_eq!(
                (&result["stderr"], &result["stdout"]),
                (&json!(""), &json!("before\n"))
            );
        }
    }
}

#[tokio::test]
async fn code_may_catch_the_time_out_and_ask_again() {
    let code = "for n in range(3):\n    try:\n        print(await query({'n': n}))\n        break\n    \
                except TimeoutError as error:\n        print('again:', error)";
    let server = running(json!([{"python": code}])).await;
    let body = by_code("again", "code_execution_20260120");
    let first = server.message(&body).await;
    server.advance("271s").await;
    let body = answered(body, &first);
    let second = server.message(&body).await;
    assert_eq!(calls(&second)[0]["input"], json!({"n": 1}));
    let third = server.message(&answered(body, &second)).await;
    let stdout = result(&third)["stdout"].as_str().expect("text");
    assert!(
        stdout.starts_with("again: Calling tool ['query'] timed out"),
        "{stdout}"
    );
    assert!(stdout.ends_with("<{\"n\":1}>\n"), "{stdout}");
}

#[tokio::test]
async fn a_continuation_that_is_sent_again_gets_the_same_again() {
    let server = running(json!([{"python": GATHER}, {"text": "Done."}])).await;
    let body = by_code("twice", "code_execution_20260120");
    let first = server.message(&body).await;
    let body = answered(body, &first);
    let fault = json!({"at": "stream", "after_events": 2, "type": "overloaded_error"});
    server.control("POST", "faults", &fault).await;
    let cut = server.send(&server.messages(&streamed(body.clone()))).await;
    assert!(!cut.text().contains("message_stop"));
    let second = server.message(&body).await;
    assert_eq!(calls(&second).len(), 1);
    assert_eq!(calls(&server.message(&body).await), calls(&second));
    let body = answered(body, &second);
    let third = server.message(&body).await;
    assert_eq!(third["stop_reason"], "end_turn");
    assert_eq!(result(&server.message(&body).await), result(&third));
}

#[tokio::test]
async fn an_answer_that_breaks_off_before_its_client_knows_it_ends_its_code() {
    let server = running(json!([{"python": "await query({})"}])).await;
    let body = with_tool(prompt("make one"), "code_execution_20260120");
    server.steps(&json!([{"python": "x = 1"}])).await;
    let id = server.message(&body).await["container"]["id"].clone();
    server.steps(&json!([{"python": "await query({})"}])).await;
    let mut body = by_code("break", "code_execution_20260120");
    body["container"] = id;
    let fault = json!({"at": "stream", "type": "overloaded_error"});
    server.control("POST", "faults", &fault).await;
    let failed = server.send(&server.messages(&streamed(body.clone()))).await;
    assert!(
        failed.text().contains("overloaded_error"),
        "{}",
        failed.text()
    );
    // Else this one would wait for it.
    server.control("DELETE", "faults", &Value::Null).await;
    let again = server.message(&body).await;
    assert_eq!(calls(&again).len(), 1);
}

#[tokio::test]
async fn of_several_cells_those_behind_one_that_waits_begin_later() {
    let server = running(json!([
        {"parallel": [
            {"bash": "echo beside"},
            {"python": "a = await query({'a': 1})\nprint('a', a)"},
            {"python": "b = await query({'b': 1})\nprint('b', a, b)"},
        ]},
        {"text": "${{ results | map(attribute='stdout') | join('') }}"},
    ]))
    .await;
    let body = by_code("three", "code_execution_20260120");
    let first = server.message(&body).await;
    let kinds = |message: &Value| -> Vec<String> {
        let blocks = message["content"].as_array().expect("content");
        blocks
            .iter()
            .map(|block| block["type"].as_str().unwrap().to_owned())
            .collect()
    };
    let expected = [
        "server_tool_use",
        "server_tool_use",
        "server_tool_use",
        "bash_code_execution_tool_result",
        "tool_use",
    ];
    assert_eq!(kinds(&first), expected);
    let body = answered(body, &first);
    let second = server.message(&body).await;
    assert_eq!(kinds(&second), ["code_execution_tool_result", "tool_use"]);
    assert_eq!(
        calls(&second)[0]["caller"]["tool_id"],
        first["content"][2]["id"]
    );
    let third = server.message(&answered(body, &second)).await;
    assert_eq!(kinds(&third), ["code_execution_tool_result", "text"]);
    assert_eq!(
        third["content"][1]["text"],
        "beside\na <{\"a\":1}>\nb <{\"a\":1}> <{\"b\":1}>\n"
    );
}

#[tokio::test]
async fn a_direct_call_beside_a_cell_comes_first_and_the_cell_may_wait_then() {
    let server = running(json!([
        {"parallel": [
            {"tool_use": {"name": "query", "input": {"direct": 1}}},
            {"python": "print(await query({'code': 1}), end='')"},
        ]},
        {"text": "${{ results | map(attribute='stdout') | join(' ') }}"},
    ]))
    .await;
    let body = by_code("mixed", "code_execution_20260120");
    let first = server.message(&body).await;
    assert_eq!(calls(&first)[0]["caller"], json!({"type": "direct"}));
    let body = answered(body, &first);
    let second = server.message(&body).await;
    assert_eq!(calls(&second).len(), 1);
    assert_eq!(
        calls(&second)[0]["caller"]["type"],
        "code_execution_20260120"
    );
    let third = server.message(&answered(body, &second)).await;
    assert_eq!(
        third["content"][1]["text"],
        "<{\"direct\":1}> <{\"code\":1}>"
    );
}

#[tokio::test]
async fn a_failing_tool_and_its_text_reach_the_code() {
    let server = running(json!([{"python": "print(await query({}))"}])).await;
    let body = by_code("fail", "code_execution_20260120");
    let first = server.message(&body).await;
    let results = json!([{"type": "tool_result", "tool_use_id": calls(&first)[0]["id"], "is_error": true,
                          "content": [{"type": "text", "text": "Error: no"}, {"type": "text", "text": "such table"}]}]);
    let mut body = then(body, &first, &results);
    body["container"] = first["container"]["id"].clone();
    assert_eq!(
        result(&server.message(&body).await)["stdout"],
        "Error: no\nsuch table\n"
    );
}

#[tokio::test]
async fn what_a_continuation_must_hold_is_said_in_the_services_words() {
    let server = running(json!([{"python": GATHER}])).await;
    let start = by_code("rules", "code_execution_20260120");
    let first = server.message(&start).await;
    let good = answered(start.clone(), &first);
    let cell = first["content"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let id = |n: usize| calls(&first)[n]["id"].as_str().unwrap().to_owned();
    let last = |body: &mut Value, content: Value| body["messages"][2]["content"] = content;
    let cases: Vec<(Change<'_>, String)> = vec![
        (
            Box::new(|body| {
                body.as_object_mut().unwrap().remove("container");
            }),
            "container_id is required when there are pending tool uses generated by code execution with tools.".to_owned(),
        ),
        (
            Box::new(|body| {
                let mut results = body["messages"][2]["content"].clone();
                results.as_array_mut().unwrap().push(json!({"type": "text", "text": "and?"}));
                last(body, results);
            }),
            format!("messages.1: `code_execution` tool use with id `{cell}` was found without a corresponding `code_execution_tool_result` block"),
        ),
        (
            Box::new(|body| {
                let image = json!([{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]);
                body["messages"][2]["content"][1]["content"] = image;
            }),
            "messages.2.content.1.tool_result.content: results of tools called by code execution must be a string or `text` blocks".to_owned(),
        ),
        (
            Box::new(|body| {
                let results = json!([body["messages"][2]["content"][0]]);
                last(body, results);
            }),
            format!("messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.", id(1)),
        ),
        (
            Box::new(|body| {
                body["messages"][1]["content"][1]["caller"]["tool_id"] = json!("srvtoolu_9");
            }),
            format!("source tool `srvtoolu_9` not found for tool use block `{}`", id(0)),
        ),
        (
            Box::new(|body| {
                let own = json!([{"name": "query", "input_schema": {"type": "object"}}]);
                body["tools"] = own;
            }),
            format!("messages.1: `code_execution` tool use with id `{cell}` was found without a corresponding `code_execution_tool_result` block, but no `code_execution` tool was provided"),
        ),
        (
            Box::new(|body| body["tools"][1]["strict"] = json!(true)),
            "tools.1.custom.strict: `strict` is not supported for tools called by code execution".to_owned(),
        ),
        (
            Box::new(|body| {
                body["tools"][2]["input_schema"] =
                    json!({"type": "object", "properties": {"again": {"$ref": "#"}}});
            }),
            "tools.2.custom.input_schema: Circular $ref detected: #".to_owned(),
        ),
        (
            Box::new(|body| body["tool_choice"] = json!({"type": "tool", "name": "query"})),
            "tool_choice: `query` cannot be forced: its `allowed_callers` lacks `direct`".to_owned(),
        ),
        (
            Box::new(|body| {
                body["tool_choice"] = json!({"type": "auto", "disable_parallel_tool_use": true});
            }),
            "tool_choice.disable_parallel_tool_use: true cannot be used with programmatic tool calling".to_owned(),
        ),
        (
            Box::new(|body| body["tools"][0]["type"] = json!("code_execution_20250522")),
            "tools.1.custom.allowed_callers: `code_execution_20260120` needs `code_execution_20260120` or later, not `code_execution_20250522`".to_owned(),
        ),
    ];
    for (change, expected) in &cases {
        let mut body = good.clone();
        change(&mut body);
        let refused = server.send(&server.messages(&body)).await;
        assert_eq!(refused.status, 400, "{expected}: {}", refused.text());
        assert_eq!(refused.json()["error"]["type"], "invalid_request_error");
        assert_eq!(refused.json()["error"]["message"], *expected);
    }
    let mut alone = start;
    alone["tools"].as_array_mut().unwrap().remove(0);
    let refused = server.send(&server.messages(&alone)).await;
    assert_eq!(
        refused.json()["error"]["message"],
        "tools.0.custom.allowed_callers: `code_execution_20260120` needs a code execution tool, but no `code_execution` tool was provided"
    );
    // None of this has disturbed the code.
    assert_eq!(calls(&server.message(&good).await).len(), 1);
}

#[tokio::test]
async fn a_container_that_is_over_fails_the_request_that_waits_for_its_code() {
    let server = running(json!([{"python": "await query({})"}])).await;
    let body = by_code("expire", "code_execution_20260120");
    let first = server.message(&body).await;
    let id = first["container"]["id"].as_str().expect("an id").to_owned();
    server
        .control("POST", &format!("containers/{id}/expire"), &Value::Null)
        .await;
    let refused = server
        .send(&server.messages(&answered(body.clone(), &first)))
        .await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(
        refused.json()["error"]["message"],
        format!("container: `{id}` has expired")
    );
    let mut body = answered(body, &first);
    body["container"] = json!("container_011111111111111111111111");
    let refused = server.send(&server.messages(&body)).await;
    assert_eq!(refused.status, 404, "{}", refused.text());
}

#[tokio::test]
async fn a_fault_may_leave_the_container_out_while_code_waits() {
    let server = running(json!([{"python": "await query({})"}])).await;
    let request = server
        .messages(&by_code("gap", "code_execution_20260120"))
        .header("x-sandtable-quirk", "pause-container=omit");
    let first = server.send(&request).await.json();
    assert_eq!(first["stop_reason"], "tool_use");
    assert!(first.get("container").is_none(), "{first}");
}

#[tokio::test]
async fn what_code_calls_is_not_counted_as_tokens() {
    let code = "await query({'long': 'x' * 4000})";
    let server = running(json!([{"python": code}])).await;
    let body = by_code("count", "code_execution_20260120");
    let first = server.message(&body).await;
    let second = server.message(&answered(body, &first)).await;
    assert!(
        second["usage"]["input_tokens"].as_u64().unwrap() < 500,
        "{second}"
    );
    assert_eq!(
        second["usage"]["server_tool_use"]["code_execution_requests"],
        1
    );
    assert_eq!(
        first["usage"]["server_tool_use"]["code_execution_requests"],
        0
    );
}

#[tokio::test]
async fn direct_runs_a_python_block_as_a_cell_and_goes_on_with_it() {
    let server = TestServer::on(Arc::new(Processes::new())).await;
    let text = "```python\nx = await query({'q': 1})\n```\nthen\n```python\nprint(x)\n```";
    let body = by_code(text, "code_execution_20260120");
    let first = server.message(&body).await;
    assert_eq!(first["content"][0]["name"], "code_execution");
    let second = server.message(&answered(body, &first)).await;
    let stdouts: Vec<&Value> = second["content"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|block| block["type"] == "code_execution_tool_result")
        .map(|block| &block["content"]["stdout"])
        .collect();
    assert_eq!(stdouts, ["", "<{\"q\":1}>\n"]);
    assert_eq!(second["stop_reason"], "end_turn");
}

#[tokio::test]
async fn a_script_known_only_by_its_history_goes_on_behind_the_code() {
    let server = running(
        json!([{"python": "print(await query({}))"}, {"text": "Last: ${{ last.stdout }}"}]),
    )
    .await;
    let body = by_code("elsewhere", "code_execution_20260120");
    let first = server.message(&body).await;
    // As after a restart: the place is forgotten, the rules are there.
    let rules = json!([{"name": "test", "then": [{"python": "print(await query({}))"}, {"text": "New: ${{ last.stdout }}"}]}]);
    server.control("DELETE", "scripts", &Value::Null).await;
    server.script(&rules.to_string()).await;
    let second = server.message(&answered(body, &first)).await;
    assert!(
        second["content"][1]["text"]
            .as_str()
            .unwrap()
            .ends_with(": <{}>\n"),
        "{second}"
    );
}
