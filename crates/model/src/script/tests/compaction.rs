//! Requests for a compaction alone, and what goes on behind one.

use serde_json::json;

use super::*;
use crate::{OnUnmatched, select};

const WEATHER: &str = r"
- when: { user: weather }
  then:
    - tool_use: get_weather
      capture: { degrees: '\d+' }
    - compaction: They talked.
    - text: ${{ captures.degrees }} degrees
";

/// The same request, for a compaction of its conversation.
fn compacting(request: &TurnRequest) -> TurnRequest {
    let mut body = (*request.body).clone();
    body["compaction"] = json!({"type": "summarize"});
    TurnRequest {
        body: Arc::new(body),
        ..request.clone()
    }
}

/// The summary that the model says, which is all that it says; the answer ends with it.
fn summary(scripts: &Scripts, request: &TurnRequest) -> String {
    let mut model = select(&compacting(request), scripts, OnUnmatched::Fail).unwrap();
    let Ok(Some(Step::Compaction(compacted))) = model.next(&[]) else {
        panic!("{model:?}")
    };
    model.park(&[message_of(request)], &[]);
    compacted.summary.unwrap()
}

/// The id of the message that answers a request: each conversation has one of its own.
fn message_of(request: &TurnRequest) -> String {
    format!("msg_{}", request.body["messages"].to_string().len())
}

/// The request whose messages are the summary of another's alone.
fn behind(before: &TurnRequest) -> TurnRequest {
    let signature = crate::compaction_signature(&message_of(before));
    let block = json!({"type": "compaction", "content": "Any.", "signature": signature});
    let mut request = request("");
    request.body = Arc::new(json!({"model": "claude-opus-5", "max_tokens": 9,
        "messages": [{"role": "assistant", "content": [block]}]}));
    request.resumes_pause = true;
    request
}

/// A turn that waits for its tool, and the request that brings the result.
fn waiting(scripts: &Scripts) -> TurnRequest {
    waiting_for(scripts, "toolu_1", "12 degrees")
}

fn waiting_for(scripts: &Scripts, id: &str, result: &str) -> TurnRequest {
    let request = request("weather");
    let mut model = scripts.start(&request).unwrap();
    assert!(matches!(model.next(&[]), Ok(Some(Step::Calls(_)))));
    model.park(&[id.to_owned()], &[]);
    let call = json!([{"type": "tool_use", "id": id, "name": "get_weather", "input": {}}]);
    answered(&request, &call, &[(id, result)])
}

fn goes_on(scripts: &Scripts, before: &TurnRequest) -> String {
    let mut model = select(&behind(before), scripts, OnUnmatched::Fail).unwrap();
    text(&mut model, &[])
}

#[test]
fn a_rule_says_its_summary_and_goes_on_behind_it() {
    let scripts = scripts(WEATHER);
    let request = waiting(&scripts);
    assert_eq!(summary(&scripts, &request), "They talked.");
    assert_eq!(goes_on(&scripts, &request), "12 degrees");
}

#[test]
fn a_rule_without_a_summary_has_a_stand_in_and_loses_no_step() {
    let scripts = scripts(&WEATHER.replace("    - compaction: They talked.\n", ""));
    let request = waiting(&scripts);
    let said = summary(&scripts, &request);
    assert_eq!(said, "sandtable's stand-in for a summary of 3 messages.");
    assert_eq!(goes_on(&scripts, &request), "12 degrees");
    // A client that leaves it out goes on as well.
    let mut model = select(&request, &scripts, OnUnmatched::Fail).unwrap();
    assert_eq!(text(&mut model, &[]), "12 degrees");
}

#[test]
fn conversations_with_the_same_summary_stay_apart() {
    let scripts = scripts(WEATHER);
    let here = waiting_for(&scripts, "toolu_1", "12 degrees");
    let there = waiting_for(&scripts, "toolu_22", "30 degrees");
    assert_eq!(summary(&scripts, &here), summary(&scripts, &there));
    assert_eq!(goes_on(&scripts, &here), "12 degrees");
    assert_eq!(goes_on(&scripts, &there), "30 degrees");
}

#[test]
fn what_says_nothing_may_come_before_a_summary_and_a_failure_in_its_place() {
    for (steps, says) in [
        (
            "[{ usage: { input_tokens: 5 } }, { delay: 1ms }, { compaction: Mine. }]",
            true,
        ),
        (
            "[{ if: 'true', then: [{ compaction: Mine. }], else: [{ text: a }] }]",
            true,
        ),
        (
            "[{ if: 'false', then: [{ compaction: Mine. }], else: [{ text: a }] }]",
            false,
        ),
        ("[{ http_error: 529 }]", true),
    ] {
        let scripts = scripts(&format!("- then: {steps}"));
        let mut model = select(&compacting(&request("hi")), &scripts, OnUnmatched::Fail).unwrap();
        assert_eq!(model.is_rule(), says, "{steps}");
        assert!(model.next(&[]).is_ok());
    }
}

#[test]
fn a_call_that_the_service_carries_out_is_not_lost_to_a_stand_in() {
    let scripts = scripts(
        "- then:\n  - parallel: [{ bash: echo 7, capture: { n: '\\d+' } }, { tool_use: f }]\n  - text: ${{ captures.n }}",
    );
    let request = request("go");
    let mut model = scripts.start(&request).unwrap();
    assert!(matches!(model.next(&[]), Ok(Some(Step::Calls(_)))));
    model.park(&["srvtoolu_1".to_owned(), "toolu_1".to_owned()], &[]);
    let calls = json!([
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {}},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]);
    let request = answered(&request, &calls, &[("toolu_1", "ok")]);
    assert!(summary(&scripts, &request).contains("stand-in"));
    let mut model = select(&request, &scripts, OnUnmatched::Fail).unwrap();
    assert_eq!(text(&mut model, &[ran("srvtoolu_1", "7")]), "7");
}

#[test]
fn no_rule_is_begun_for_a_summary_but_one_that_begins_with_it() {
    let scripts = scripts("- then: [{ bash: date }]\n- then: [{ compaction: Mine. }]");
    assert_eq!(summary(&scripts, &request("hi")), "Mine.");
    let used: Vec<u64> = scripts.list().iter().map(|rule| rule.used).collect();
    assert_eq!(used, [0, 1]);
    let none = Scripts::default();
    assert!(summary(&none, &request("```bash\ndate\n```")).contains("1 message."));
}
