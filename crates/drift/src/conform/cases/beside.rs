//! Skills, batches, and threads: what lies beside messages and files.

use serde_json::{Value, json};

use super::super::checks::{answers, batches, skills, threads};
use super::super::{Ask, Check, Scene, Step};
use super::{MESSAGES, get, hello, multipart, post, with_beta};

const SKILLS_BETA: &str = "skills-2025-10-02";
const THREADS_BETA: &str = "message-threads-2026-08-12";
const BATCHES: &str = "/v1/messages/batches";
const MANIFEST: &str =
    "---\nname: conform\ndescription: Says nothing, and is deleted again.\n---\n\nDo nothing.\n";
/// More than a request may name.
const TOO_MANY_SKILLS: usize = 21;
const AN_ID: &str = "msg_011CNha8iCJcU1wXNR6q4V8w";

pub(in super::super) const SKILLS: &[Step] = &[
    Step::once(
        |_| Some(skill("conform/SKILL.md")),
        &[Check {
            fact: "F100",
            see: skills::current,
        }],
    ),
    Step::once(
        |_| Some(get("/v1/skills?source=custom&limit=1")),
        &[Check {
            fact: "F120",
            see: skills::newer_list,
        }],
    ),
    Step::once(|scene| of_version(scene, "latest_version_id"), &[]),
    Step::once(|scene| Some(of_skill(scene, "DELETE", "")), &[]),
];

pub(in super::super) const SKILLS_BETA_SHAPE: &[Step] = &[
    Step::once(
        |_| Some(with_beta(skill("conform/SKILL.md"), SKILLS_BETA)),
        &[Check {
            fact: "F100",
            see: skills::older,
        }],
    ),
    Step::once(
        |scene| {
            let made = scene.json(0);
            let version = made["latest_version"].as_str().unwrap_or("none");
            let ask = of_skill(scene, "GET", &format!("/versions/{version}"));
            Some(with_beta(ask, SKILLS_BETA))
        },
        &[Check {
            fact: "F101",
            see: skills::older_version,
        }],
    ),
    Step::once(
        |scene| Some(with_beta(of_version(scene, "latest_version")?, SKILLS_BETA)),
        &[],
    ),
    Step::once(
        |scene| Some(with_beta(of_skill(scene, "DELETE", ""), SKILLS_BETA)),
        &[],
    ),
];

pub(in super::super) const NO_MANIFEST: &[Step] = &[Step::once(
    |_| Some(skill("conform/deeper/SKILL.md")),
    &[Check {
        fact: "F103",
        see: skills::no_manifest,
    }],
)];

pub(in super::super) const OTHER_FOLDER: &[Step] = &[Step::once(
    |_| Some(skill("other/SKILL.md")),
    &[Check {
        fact: "F103",
        see: skills::other_folder,
    }],
)];

pub(in super::super) const MANY_SKILLS: &[Step] = &[Step::once(
    |scene| {
        let mut body = hello(scene, false);
        let skill = json!({ "type": "anthropic", "skill_id": "xlsx", "version": "latest" });
        body["container"] = json!({ "skills": vec![skill; TOO_MANY_SKILLS] });
        body["tools"] = super::tools();
        Some(post(MESSAGES, &body))
    },
    &[Check {
        fact: "F102",
        see: skills::too_many,
    }],
)];

pub(in super::super) const BATCH: &[Step] = &[
    Step::once(
        |scene| {
            let item = json!({ "custom_id": "one", "params": hello(scene, false) });
            Some(post(BATCHES, &json!({ "requests": [item] })))
        },
        &[Check {
            fact: "F111",
            see: batches::times,
        }],
    ),
    Step {
        again: Some(batches::is_running),
        ..Step::once(
            |scene| Some(of_batch(scene, "GET", "")),
            &[Check {
                fact: "F112",
                see: batches::says_when,
            }],
        )
    },
    Step::once(
        |scene| Some(of_batch(scene, "GET", "/results")),
        &[Check {
            fact: "F113",
            see: batches::results,
        }],
    ),
    Step::once(
        |_| Some(get("/v1/messages/batches?limit=1")),
        &[Check {
            fact: "F120",
            see: answers::older_list,
        }],
    ),
    Step::once(|scene| Some(of_batch(scene, "DELETE", "")), &[]),
];

pub(in super::super) const THREAD: &[Step] = &[
    Step::once(
        |scene| {
            let mut body = hello(scene, false);
            body["thread"] = json!({ "type": "create" });
            Some(threaded(&body))
        },
        &[],
    ),
    Step::once(
        |scene| Some(threaded(&more(scene))),
        &[Check {
            fact: "F017",
            see: threads::goes_on,
        }],
    ),
    Step::once(
        |scene| Some(threaded(&more(scene))),
        &[Check {
            fact: "F018",
            see: threads::once_only,
        }],
    ),
];

pub(in super::super) const NO_THREAD: &[Step] = &[Step::once(
    |scene| Some(threaded(&more(scene))),
    &[Check {
        fact: "F018",
        see: threads::not_found,
    }],
)];

fn skill(name: &str) -> Ask {
    multipart("/v1/skills", "files[]", name, "text/markdown", MANIFEST)
}

/// Of the skill that the first step has made.
fn of_skill(scene: &Scene<'_>, method: &str, rest: &str) -> Ask {
    of_first(scene, method, "/v1/skills", rest)
}

/// Deletes the version that `member` of the new skill names.
fn of_version(scene: &Scene<'_>, member: &str) -> Option<Ask> {
    let made = scene.json(0);
    let version = made[member].as_str().unwrap_or("none");
    let is_known = scene.heard.is_empty() || made[member].is_string();
    is_known.then(|| of_skill(scene, "DELETE", &format!("/versions/{version}")))
}

fn of_batch(scene: &Scene<'_>, method: &str, rest: &str) -> Ask {
    of_first(scene, method, BATCHES, rest)
}

fn of_first(scene: &Scene<'_>, method: &str, path: &str, rest: &str) -> Ask {
    let made = scene.json(0);
    let id = made["id"].as_str().unwrap_or("none");
    Ask {
        method: method.to_owned(),
        ..get(&format!("{path}/{id}{rest}"))
    }
}

fn threaded(body: &Value) -> Ask {
    with_beta(post(MESSAGES, body), THREADS_BETA)
}

/// A word more after the first answer, without what went before it.
fn more(scene: &Scene<'_>) -> Value {
    let mut body = hello(scene, false);
    body["messages"][0]["content"] = "And good bye.".into();
    let first = scene.json(0)["id"].as_str().unwrap_or(AN_ID).to_owned();
    body["thread"] = json!({ "type": "continue", "previous_message_id": first });
    body
}
