//! Reports of a sweep with hostile texts in it.

use serde_json::json;

use super::*;

fn report() -> Report {
    let cell = |id: &str, outcome: Outcome, bad: bool| -> CellReport {
        serde_json::from_value(json!({
            "id": id, "request": "messages#1", "kind": id.rsplit('/').next().unwrap(), "group": "stream",
            "says": "an `overloaded_error`", "faults": [{"at": "stream"}], "outcome": outcome.name(), "bad": bad, "new": bad,
            "findings": [{"outcome": outcome.name(), "bad": bad, "says": "ended with 1 and <script>alert(1)</script>"}],
            "end": {"exited": 1}, "seconds": 0.5,
            "wire": [{"request_id": "req_1", "method": "POST", "path": "/v1/messages", "status": 200, "duration_ms": 3.0, "struck": true}],
            "stderr": "\u{1b}[2Jline <b>\nlast\n", "repeat": format!("sandtable sweep --only '{id}' -- python a.py"),
        }))
        .unwrap()
    };
    let mut report = Report::empty(&Options {
        command: vec!["python".into(), "a.py".into()],
        ..Options::default()
    });
    report.requests.push(RequestReport {
        name: "messages#1".into(),
        title: "POST /v1/messages #1 (stream)".into(),
    });
    report.cells = vec![
        cell("messages#1/overloaded@first", Outcome::Crashed, true),
        cell("messages#1/cut@last", Outcome::GaveUp, false),
        cell("messages#1/hang", Outcome::Hung, true),
    ];
    report.close(Duration::from_secs(3));
    report
}

#[test]
fn the_table_has_a_letter_for_each_run_and_a_line_that_repeats_each_bad_one() {
    let text = report().to_text(false);
    assert!(
        text.contains("POST /v1/messages #1 (stream)  CgH"),
        "{text}"
    );
    assert!(
        text.contains("sandtable sweep --only 'messages#1/hang' -- python a.py"),
        "{text}"
    );
    assert!(
        text.contains("on the wire: POST /v1/messages 200!"),
        "{text}"
    );
    assert!(
        text.contains("NOT ok, 3 runs in 3 s: 1 gave up, 1 crashed, 1 hung; 2 bad"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(report().to_text(true).contains("\u{1b}[31mC\u{1b}[0m"));
}

#[test]
fn a_finding_of_several_lines_stands_in_one() {
    let mut report = report();
    report.cells[0].findings[0].says = "got 400:\n  hint: \u{1b}ask\n".into();
    let text = report.to_text(false);
    assert!(
        text.contains("the client got 400: hint: \u{fffd}ask"),
        "{text}"
    );
}

#[test]
fn no_text_of_a_report_has_a_secret() {
    let secret = "wJalrXUtnFEMI/K7MDENG";
    // In each text that a client, its files, or a command line can have filled.
    let texts = [
        "POST /v1/messages #1 (stream)",
        "ended with 1",
        "/v1/messages",
        "line <b>",
        "-- python a.py",
        "a.py",
        "an `overloaded_error`",
        "messages#1",
    ];
    let mut json = report().to_json();
    for text in texts {
        let text = serde_json::to_string(text).unwrap();
        let text = text.trim_matches('"');
        assert!(json.contains(text), "{text}");
        json = json.replace(text, &format!("{text} {secret}"));
    }
    let mut report: Report = serde_json::from_str(&json).unwrap();
    report.baseline.differences.push(secret.to_owned());
    let says = secret.to_owned();
    report.baseline.findings.push(Finding {
        outcome: Outcome::Leaked,
        bad: true,
        says,
    });
    report.cells[0].faults[0]["path"] = secret.into();
    assert!(report.to_json().matches(secret).count() > 30);
    let variable = ("A_SECRET".into(), secret.into());
    report.hide(&Secrets::of([variable]));
    for text in [
        report.to_json(),
        report.to_text(false),
        report.to_html(),
        report.to_junit(),
        report.to_sarif(),
    ] {
        assert!(!text.contains("wJalr"), "{text}");
    }
}

#[test]
fn only_what_was_not_bad_before_is_new() {
    let mut old = report();
    old.cells.truncate(1);
    let read: Report = serde_json::from_str(&old.to_json()).unwrap();
    assert_eq!(read, old);
    let mut now = report();
    now.compare(&old);
    assert!(!now.ok);
    assert_eq!(now.cells.iter().filter(|cell| cell.new).count(), 1);
    now.compare(&report());
    assert!(now.ok);
    // Bad in another way is new.
    let mut other = report();
    other.cells[2].outcome = Outcome::Leaked;
    now.compare(&other);
    assert!(!now.ok);
}

#[test]
fn nothing_that_a_client_printed_is_markup() {
    let report = report();
    let html = report.to_html();
    assert!(
        html.contains("&lt;script&gt;") && !html.contains("<script"),
        "{html}"
    );
    assert!(!html.contains("http://") && !html.contains("https://"));
    assert_eq!(html.matches("<details").count(), 3);
    let xml = report.to_junit();
    assert!(xml.contains("tests=\"4\" failures=\"2\""), "{xml}");
    assert!(!xml.contains("<script") && !xml.contains('\u{1b}'), "{xml}");
}

#[test]
fn sarif_has_a_rule_for_each_kind_that_failed() {
    let mut now = report();
    let mut old = report();
    old.cells.truncate(1);
    now.compare(&old);
    let log: Value = serde_json::from_str(&now.to_sarif()).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in results {
        assert!(
            rules.iter().any(|rule| rule["id"] == result["ruleId"]),
            "{result}"
        );
    }
    let states: Vec<_> = results
        .iter()
        .map(|result| result["baselineState"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["unchanged", "new"]);
}
