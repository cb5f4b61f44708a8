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
    model.park(&["msg_1".to_owned()], &[]);
    compacted.summary.unwrap()
}

/// The request whose messages are a summary alone.
fn behind(summary: &str) -> TurnRequest {
    let block = json!({"type": "compaction", "content": summary, "signature": "s"});
    let mut request = request("");
    request.body = Arc::new(json!({"model": "claude-opus-5", "max_tokens": 9,
        "messages": [{"role": "assistant", "content": [block]}]}));
    request.resumes_pause = true;
    request
}

/// A turn that waits for its tool, and the request that brings the result.
fn waiting(scripts: &Scripts) -> TurnRequest {
    let request = request("weather");
    let mut model = scripts.start(&request).unwrap();
    assert!(matches!(model.next(&[]), Ok(Some(Step::Calls(_)))));
    model.park(&["toolu_1".to_owned()], &[]);
    let call = json!([{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}]);
    answered(&request, &call, &[("toolu_1", "12 degrees")])
}

fn goes_on(scripts: &Scripts, summary: &str) -> String {
    let mut model = select(&behind(summary), scripts, OnUnmatched::Fail).unwrap();
    text(&mut model, &[])
}

#[test]
fn a_rule_says_its_summary_and_goes_on_behind_it() {
    let scripts = scripts(WEATHER);
    let request = waiting(&scripts);
    assert_eq!(summary(&scripts, &request), "They talked.");
    assert_eq!(goes_on(&scripts, "They talked."), "12 degrees");
}

#[test]
fn a_rule_without_a_summary_has_a_stand_in_and_loses_no_step() {
    let scripts = scripts(&WEATHER.replace("    - compaction: They talked.\n", ""));
    let request = waiting(&scripts);
    let said = summary(&scripts, &request);
    assert_eq!(said, "sandtable's stand-in for a summary of 3 messages.");
    assert_eq!(goes_on(&scripts, &said), "12 degrees");
    // A client that leaves it out goes on as well.
    let mut model = select(&request, &scripts, OnUnmatched::Fail).unwrap();
    assert_eq!(text(&mut model, &[]), "12 degrees");
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
