//! Runs as they were seen, and what is said of them.

use std::time::Duration;

use control_api::{Exchange, FaultState, KeptFile, Verdict};
use serde_json::{Value, json};

use super::*;
use crate::secrets::Secrets;

fn verdict(more: &Value) -> Verdict {
    let mut all = json!({
        "ok": true, "unmatched": [], "failed": [], "unused_steps": [], "unused_faults": [], "unused_recordings": [],
        "duplicated": [], "faults": [], "lints": [], "unclaimed": [], "empty": [],
        "requests": {"answered": 1, "refused": 0}, "dropped": {},
    });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

pub(super) fn exchange(
    id: &str,
    method: &str,
    path: &str,
    status: u16,
    answer: &Value,
) -> Exchange {
    serde_json::from_value(json!({
        "id": id, "at": "2026-01-04T20:47:05Z", "method": method, "path": path, "status": status, "duration_ms": 1.0,
        "workspace": "wrkspc_1", "request_headers": {}, "request_body": {"tools": [{}]}, "response_headers": {},
        "response_body": answer, "lints": [],
    }))
    .unwrap()
}

fn answer(id: &str, text: &str) -> Exchange {
    let body = json!({"type": "message", "stop_reason": "end_turn", "content": [{"type": "text", "text": text}]});
    exchange(id, "POST", "/v1/messages", 200, &body)
}

fn fetched(id: &str) -> Exchange {
    exchange(
        id,
        "GET",
        "/v1/files/file_011CPabcdefgh/content",
        200,
        &json!("a,b"),
    )
}

fn file(id: &str, filename: &str, downloadable: bool) -> KeptFile {
    serde_json::from_value(json!({
        "id": id, "filename": filename, "mime_type": "text/csv", "size_bytes": 3, "created_at": "2026-01-04T20:47:05Z",
        "downloadable": downloadable,
    }))
    .unwrap()
}

pub(super) fn run(exchanges: Vec<Exchange>) -> Run {
    let file = file("file_011CPabcdefgh", "table.csv", true);
    let fault: FaultState = serde_json::from_value(
        json!({"id": 1, "layer": "workspace", "fault": {"at": "http"}, "matched": 1, "fired": 1, "left": 0}),
    )
    .unwrap();
    Run {
        key: "sk-ant-sweep-0123456789abcdef".into(),
        end: End::Exited(0),
        took: Duration::from_secs(1),
        stdout: "soup\n".into(),
        stderr: String::new(),
        exchanges,
        verdict: verdict(&json!({})),
        faults: vec![fault],
        files: vec![file],
        left_open: 0,
    }
}

fn baseline() -> Baseline {
    Baseline::new(vec![run(vec![answer("req_1", "soup"), fetched("req_2")])]).unwrap()
}

const CAREFUL: Expect = Expect {
    notices: true,
    may_give_up: false,
    less: Less::Nothing,
    wait: None,
    extra: Duration::ZERO,
    forgives: &[],
};

fn worst(run: &Run, expect: Expect) -> (Outcome, bool, String) {
    let finding = judge(run, expect, &baseline()).remove(0);
    (finding.outcome, finding.bad, finding.says)
}

#[test]
fn the_same_answers_and_files_are_a_recovery_whatever_came_between() {
    let mut seen = run(vec![
        answer("req_9", "soup"),
        answer("req_1", "soup"),
        fetched("req_2"),
    ]);
    assert_eq!(worst(&seen, CAREFUL).0, Outcome::Recovered);
    let unnoticed = Expect {
        notices: false,
        ..CAREFUL
    };
    assert_eq!(worst(&seen, unnoticed).0, Outcome::Unharmed);
    seen.faults[0].fired = 0;
    assert_eq!(worst(&seen, CAREFUL).0, Outcome::NotMet);
}

#[test]
fn what_goes_on_when_the_command_has_ended_is_told() {
    let mut seen = run(vec![answer("req_1", "soup"), fetched("req_2")]);
    seen.left_open = 2;
    let (outcome, bad, says) = worst(&seen, CAREFUL);
    assert_eq!((outcome, bad), (Outcome::Hung, true));
    assert!(says.contains("2 requests open"), "{says}");
}

#[test]
fn less_than_before_is_named_by_file_and_turn() {
    let (outcome, bad, says) = worst(&run(vec![answer("req_1", "soup")]), CAREFUL);
    assert_eq!(
        (outcome, bad, &*says),
        (Outcome::Degraded, true, "ended well without `table.csv`")
    );
    let (outcome, bad, says) = worst(
        &run(vec![answer("req_1", "sorry"), fetched("req_2")]),
        CAREFUL,
    );
    assert_eq!((outcome, bad), (Outcome::Degraded, true));
    assert!(says.contains("messages#1"), "{says}");
    // An answer that was cut is not heard, although it left whole.
    let mut seen = run(vec![answer("req_1", "soup"), fetched("req_2")]);
    seen.verdict = verdict(&json!({"faults": [{
        "request": "POST /v1/messages", "retries": 0, "last_status": null, "outcome": "gave_up",
        "faults": [{"id": 1, "layer": "workspace", "fault": {"at": "stream", "do": "cut"}}],
        "attempts": [{"request_id": "req_1", "status": null, "faults": [1]}],
    }]}));
    assert_eq!(worst(&seen, CAREFUL).0, Outcome::Degraded);
    // One that travelled in pieces is.
    seen.verdict.faults[0].faults[0].fault = json!({"at": "wire", "do": "split", "bytes": 7});
    assert_eq!(worst(&seen, CAREFUL).0, Outcome::Recovered);
}

#[test]
fn what_a_fault_takes_for_good_may_be_missing_if_the_client_says_so() {
    let for_good = Expect {
        less: Less::ForGood,
        may_give_up: true,
        ..CAREFUL
    };
    let mut seen = run(vec![answer("req_1", "so"), fetched("req_2")]);
    assert!(worst(&seen, for_good).1);
    seen.stderr = "warning: the answer is not complete\n".into();
    assert!(!worst(&seen, for_good).1);
    // What the model makes of a failed call is its own.
    let result = Expect {
        less: Less::Result,
        ..for_good
    };
    seen.stderr.clear();
    assert!(!worst(&seen, result).1);
}

#[test]
fn a_message_is_giving_up_and_a_stack_or_silence_is_a_crash() {
    let mut seen = run(vec![answer("req_1", "soup")]);
    seen.end = End::Exited(1);
    seen.stdout.clear();
    seen.stderr = "error: the service is overloaded\n".into();
    let (outcome, bad, says) = worst(&seen, CAREFUL);
    assert_eq!((outcome, bad), (Outcome::GaveUp, true), "{says}");
    assert!(
        !worst(
            &seen,
            Expect {
                may_give_up: true,
                ..CAREFUL
            }
        )
        .1
    );
    seen.stderr =
        "Traceback (most recent call last):\n  File \"a\", line 1, in f\nhttpx.ReadError: x\n"
            .into();
    let (outcome, _, says) = worst(&seen, CAREFUL);
    assert_eq!(outcome, Outcome::Crashed);
    assert!(says.contains("httpx.ReadError"), "{says}");
    seen.stderr.clear();
    assert!(worst(&seen, CAREFUL).2.contains("said nothing"));
    seen.end = End::Signal(11);
    assert_eq!(worst(&seen, CAREFUL).0, Outcome::Crashed);
    seen.end = End::Limit;
    assert_eq!(worst(&seen, CAREFUL).0, Outcome::Hung);
}

#[test]
fn an_upload_that_is_left_where_none_was_is_a_duplicate_or_lost() {
    let mut seen = run(vec![answer("req_1", "soup"), fetched("req_2")]);
    seen.files.push(file("file_2", "in.csv", false));
    assert_eq!(worst(&seen, CAREFUL).0, Outcome::Lost);
    seen.exchanges
        .push(exchange("req_3", "POST", "/v1/files", 200, &Value::Null));
    let (outcome, bad, says) = worst(&seen, CAREFUL);
    assert_eq!((outcome, bad), (Outcome::Duplicated, true));
    assert!(says.contains("in.csv"), "{says}");
}

#[test]
fn the_worst_comes_first_and_nothing_is_dropped() {
    use Outcome::*;
    let mut seen = run(vec![answer("req_1", "soup")]);
    seen.stderr = format!("trying again with {}\n", seen.key);
    let attempts: Vec<Value> = (0..12)
        .map(|n| json!({"request_id": format!("req_{n}"), "status": 429, "faults": [1], "after_ms": 3.0}))
        .collect();
    seen.verdict = verdict(&json!({
        "duplicated": [{"request": "POST /v1/files", "request_ids": ["req_1", "req_2"], "ids": ["file_1", "file_2"]}],
        "lints": [{"request_id": "req_1", "code": "dropped_container", "level": "error", "message": "m", "hint": "h"}],
        "faults": [{"request": "POST /v1/messages", "faults": [], "attempts": attempts, "retries": 11, "last_status": 429,
            "outcome": "gave_up"}],
    }));
    let expect = Expect {
        wait: Some(Duration::from_secs(1)),
        ..CAREFUL
    };
    let found: Vec<_> = judge(&seen, expect, &baseline())
        .into_iter()
        .map(|finding| finding.outcome)
        .collect();
    assert_eq!(
        found,
        [
            Leaked,
            Duplicated,
            Lost,
            RetriedWrong,
            RetriedWrong,
            Degraded
        ]
    );
    assert!(!Secrets::known().hidden(&seen.stderr).contains(&seen.key));
}

#[test]
fn what_a_client_left_undone_when_it_gave_up_is_no_mistake() {
    let mut seen = run(vec![answer("req_1", "soup")]);
    seen.verdict = verdict(&json!({"lints": [
        {"request_id": "req_1", "code": "unfetched_output", "level": "warning", "message": "m", "hint": "h"},
        {"request_id": "req_1", "code": "ignored_pause_turn", "level": "error", "message": "m", "hint": "h"},
    ]}));
    let outcomes = |seen: &Run| -> Vec<Outcome> {
        judge(seen, CAREFUL, &baseline())
            .into_iter()
            .map(|finding| finding.outcome)
            .collect()
    };
    assert_eq!(
        outcomes(&seen),
        [Outcome::Lost, Outcome::Mistaken, Outcome::Degraded]
    );
    seen.end = End::Exited(1);
    seen.stderr = "error: gave up\n".into();
    assert_eq!(outcomes(&seen), [Outcome::GaveUp]);
}
