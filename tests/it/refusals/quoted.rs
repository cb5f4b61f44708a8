//! Refusals of the service, in its words: quoted cases, and others of the same rules.
//!
//! `fixtures/refusals/quoted.jsonl` holds what public threads quote, each with its source and date;
//! `rules.jsonl` what follows from the same rules, refused and taken.

use std::fmt::Write as _;

use serde_json::{Value, json};
use server::config::Config;
use wire::refusal::{self, Refusal};

use crate::harness::{Request, TestServer};

const QUOTED: &str = include_str!("../../../fixtures/refusals/quoted.jsonl");
const RULES: &str = include_str!("../../../fixtures/refusals/rules.jsonl");
const SKILL: &str = "---\nname: rec-a\ndescription: A skill.\n---\n";
/// As many letters as give the quoted number of tokens.
const LONG: usize = 835_600;

fn cases(lines: &str) -> Vec<Value> {
    let cases = lines.lines().map(serde_json::from_str);
    cases.collect::<Result<_, _>>().expect("one case a line")
}

fn form(request: Request, parts: &[Value]) -> Request {
    let mut body = String::new();
    for part in parts {
        let name = part[0].as_str().expect("a name");
        write!(
            body,
            "--b\r\ncontent-disposition: form-data; name=\"{name}\""
        )
        .unwrap();
        if let Some(file) = part[1].as_str() {
            write!(body, "; filename=\"{file}\"").unwrap();
        }
        write!(body, "\r\n\r\n{}\r\n", part[2].as_str().expect("a text")).unwrap();
    }
    body.push_str("--b--\r\n");
    let kind = "multipart/form-data; boundary=b";
    request.header("content-type", kind).body(body)
}

/// A server, and what the cases name in braces.
struct Place {
    server: TestServer,
    names: Vec<(&'static str, String)>,
}

impl Place {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let server = TestServer::with(change).await;
        server.steps(&json!([{"text": "ok"}])).await;
        let create = |name: &str| {
            let skill = SKILL.replace("rec-a", name);
            let parts = [json!(["files[]", format!("{name}/SKILL.md"), skill])];
            form(server.request("POST", "/v1/skills"), &parts)
        };
        let made = server.send(&create("rec-a")).await.json();
        let gone = server.send(&create("rec-g")).await.json();
        let id = |value: &Value| value.as_str().expect("an id").to_owned();
        let path = format!("/v1/skills/{}", id(&gone["id"]));
        assert_eq!(
            server.send(&server.request("DELETE", &path)).await.status,
            200
        );
        let upload = server.upload("a.txt", "text/plain", "a").await;
        let names = vec![
            ("{skill}", id(&made["id"])),
            ("{version}", id(&made["latest_version_id"])),
            ("{gone}", id(&gone["id"])),
            ("{upload}", upload),
            ("{long}", "x".repeat(LONG)),
        ];
        Self { server, names }
    }

    fn named(&self, text: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    }

    fn request(&self, send: &Value) -> Request {
        let text = |key: &str| self.named(send[key].as_str().expect("a text"));
        let mut request = self.server.request(&text("method"), &text("path"));
        for (name, value) in send["headers"].as_object().into_iter().flatten() {
            request = request
                .without(name)
                .header(name, value.as_str().expect("a header"));
        }
        if let Some(parts) = send["parts"].as_array() {
            return form(request, parts);
        }
        match (&send["body"], send["raw"].as_str()) {
            (_, Some(raw)) => request
                .header("content-type", "application/json")
                .body(raw.to_owned()),
            (Value::Null, None) => request,
            (body, None) => request
                .header("content-type", "application/json")
                .body(self.named(&body.to_string())),
        }
    }

    /// The difference between the answer and the case's, if there is one.
    async fn difference(&self, case: &Value) -> Option<String> {
        let response = self.server.send(&self.request(&case["send"])).await;
        let wanted = &case["answer"];
        let message = if response.status == 200 {
            String::new()
        } else {
            response.message()
        };
        let said = wanted["message"].as_str().unwrap_or_default();
        let comparable = |text: &str| {
            if wanted["estimated"] == true {
                text.replace(|c: char| c.is_ascii_digit(), "")
            } else {
                text.to_owned()
            }
        };
        let held = wanted["holds"].as_object().into_iter().flatten();
        let lacks = held
            .filter(|(key, value)| response.json()[key.as_str()] != **value)
            .count();
        let same = response.status == wanted["status"]
            && comparable(&message) == comparable(&self.named(said))
            && lacks == 0;
        (!same).then(|| {
            format!(
                "{}\n  wanted {} {said}\n  got    {} {message}",
                case["id"], wanted["status"], response.status
            )
        })
    }
}

async fn differences(cases: &[Value]) -> Vec<String> {
    let places = [
        ("", Place::new(|_| ()).await),
        (
            "strict-models",
            Place::new(|config| config.strict_models = true).await,
        ),
        (
            "strict-betas",
            Place::new(|config| config.strict_betas = true).await,
        ),
    ];
    let mut found = Vec::new();
    for case in cases {
        let wanted = case["server"].as_str().unwrap_or_default();
        let place = places.iter().find(|(name, _)| *name == wanted);
        let (_, place) = place.expect("a server of the test");
        found.extend(place.difference(case).await);
    }
    found
}

#[tokio::test]
async fn every_quoted_refusal_is_given_in_the_services_words() {
    let found = differences(&cases(QUOTED)).await;
    assert!(
        found.is_empty(),
        "{} differ\n{}",
        found.len(),
        found.join("\n")
    );
}

#[tokio::test]
async fn the_rules_behind_the_quotes_refuse_and_take_what_follows_from_them() {
    let found = differences(&cases(RULES)).await;
    assert!(
        found.is_empty(),
        "{} differ\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Whether a message is the rule's: the parts of its text, in their order.
fn fits(row: &Refusal, message: &str) -> bool {
    let template = row.template();
    let mut parts = Vec::new();
    let mut rest = template.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        parts.push(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    parts.push(rest);
    let mut at = 0;
    parts.iter().all(|part| match message[at..].find(part) {
        Some(found) => {
            at += found + part.len();
            true
        }
        None => false,
    })
}

#[tokio::test]
async fn what_the_service_is_not_known_to_refuse_passes_where_the_quirk_takes_it() {
    let mut cases = [cases(QUOTED), cases(RULES)].concat();
    let is_weak = |id: &str| refusal::ALL.iter().any(|row| row.weak && row.id == id);
    cases.retain(|case| {
        case["id"] == "E71"
            || (case["answer"]["status"] != 200 && case["rule"].as_str().is_some_and(is_weak))
    });
    assert!(cases.len() >= 4, "{cases:?}");
    for case in &mut cases {
        case["send"]["headers"]["x-sandtable-quirk"] = json!("weak-refusals=taken");
        case["answer"] = json!({"status": 200});
    }
    let found = differences(&cases).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_rule_of_the_table_has_a_case_with_its_text() {
    let cases = [cases(QUOTED), cases(RULES)].concat();
    for row in refusal::ALL {
        let mut own = cases
            .iter()
            .filter(|case| case["rule"] == row.id)
            .peekable();
        assert!(own.peek().is_some(), "no case of {}", row.id);
        for case in own {
            let message = case["answer"]["message"].as_str().expect("a refusal");
            assert!(fits(row, message), "{}: {message}", row.id);
        }
    }
}

#[test]
fn the_page_of_errors_lists_every_rule_with_its_text_and_source() {
    let page = include_str!("../../../docs/ERRORS.md");
    let (_, section) = page
        .split_once("## Rules in the service's words")
        .expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let listed: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let rows: Vec<String> = refusal::ALL
        .iter()
        .map(|row| {
            let weak = if row.weak { "; weak" } else { "" };
            let (id, source) = (row.id, row.source);
            format!("| `{id}` | ``{}`` | {source}{weak} |", row.template())
        })
        .collect();
    assert_eq!(listed, rows);
}
