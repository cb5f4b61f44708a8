//! Answers whose request was not recorded: what each of them is, and which requests it answers.

use serde_json::Value;

use crate::{Request, Response};

const BATCHES: &str = "/v1/messages/batches";
const SKILLS: &str = "/v1/skills";

/// The things that have a path of their own, by their types, and the paths.
const THINGS: [(&str, &str); 4] = [
    ("file", "/v1/files"),
    ("message_batch", BATCHES),
    ("model", "/v1/models"),
    ("skill", SKILLS),
];

/// What an answer is.
#[derive(Debug, PartialEq)]
pub(crate) enum Loose {
    /// A message, as a stream or not.
    Message {
        streams: bool,
    },
    /// An error, in place of a message.
    Error,
    Tokens,
    /// The lines of a batch.
    Results,
    /// A thing, with the path of its kind and its id.
    Thing(&'static str, String),
    /// One that is gone.
    Gone(&'static str, String),
    /// A list of things, which has something in it or not.
    List(Option<&'static str>),
    SkillVersion,
    SkillVersionGone,
    SkillVersions,
}

impl Loose {
    /// What an answer is; `None` if no request is known that it answers.
    pub(crate) fn of(response: &Response) -> Option<Self> {
        if response.is_stream() {
            return Some(Self::Message { streams: true });
        }
        if response
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-jsonl"))
        {
            return Some(Self::Results);
        }
        let body = response.body.json()?;
        let id = body["id"].as_str().unwrap_or_default();
        if let Some(list) = body["data"].as_array() {
            return Self::of_list(list.first());
        }
        let Some(kind) = body["type"].as_str() else {
            let is_error = body["error"]["type"].is_string().then_some(Self::Error);
            let is_count = body["input_tokens"].is_u64().then_some(Self::Tokens);
            let skill = || {
                id.starts_with("skill_")
                    .then(|| Self::Thing(SKILLS, id.to_owned()))
            };
            return is_error.or(is_count).or_else(skill);
        };
        match kind {
            "message" => Some(Self::Message { streams: false }),
            "error" => Some(Self::Error),
            "skill_version" => Some(Self::SkillVersion),
            "skill_version_deleted" => Some(Self::SkillVersionGone),
            _ => match kind.strip_suffix("_deleted") {
                Some(kind) => Some(Self::Gone(path_of(kind)?, id.to_owned())),
                None => Some(Self::Thing(path_of(kind)?, id.to_owned())),
            },
        }
    }

    fn of_list(first: Option<&Value>) -> Option<Self> {
        let Some(first) = first else {
            return Some(Self::List(None));
        };
        let id = first["id"].as_str().unwrap_or_default();
        match first["type"].as_str() {
            Some("skill_version") => Some(Self::SkillVersions),
            Some(kind) => Some(Self::List(Some(path_of(kind)?))),
            None if id.starts_with("skill_") => Some(Self::List(Some(SKILLS))),
            None => None,
        }
    }

    /// Whether it answers this request.
    pub(crate) fn answers(&self, request: &Request) -> bool {
        let path = request.path.trim_end_matches('/');
        let is = |method: &str, wanted: &str| request.method == method && path == wanted;
        let is_message = || is("POST", "/v1/messages");
        let versions = || path.strip_prefix("/v1/skills/")?.split_once("/versions");
        match self {
            Self::Message { streams } => {
                let asks = request.body.json();
                is_message() && asks.is_some_and(|body| body["stream"] == true) == *streams
            }
            Self::Error => is_message(),
            Self::Tokens => is("POST", "/v1/messages/count_tokens"),
            Self::Results => {
                let of = path.strip_prefix(BATCHES);
                request.method == "GET" && of.is_some_and(|of| of.ends_with("/results"))
            }
            Self::Thing(kind, id) => {
                let is_itself = path.strip_prefix(kind).and_then(|of| of.strip_prefix('/'));
                is("POST", kind) || (request.method == "GET" && is_itself == Some(id))
            }
            Self::Gone(kind, id) => {
                let of = path.strip_prefix(kind).and_then(|of| of.strip_prefix('/'));
                request.method == "DELETE" && of == Some(id)
            }
            Self::List(Some(kind)) => is("GET", kind),
            Self::List(None) => {
                THINGS.iter().any(|(_, kind)| is("GET", kind))
                    || Self::SkillVersions.answers(request)
            }
            Self::SkillVersions => request.method == "GET" && matches!(versions(), Some((_, ""))),
            Self::SkillVersion => match versions() {
                Some((_, "")) => request.method == "POST",
                Some(_) => request.method == "GET",
                None => false,
            },
            Self::SkillVersionGone => {
                let one = versions().is_some_and(|(_, one)| !one.is_empty());
                request.method == "DELETE" && one
            }
        }
    }
}

fn path_of(kind: &str) -> Option<&'static str> {
    let found = THINGS.iter().find(|(known, _)| *known == kind);
    found.map(|(_, path)| *path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Body;

    fn loose(body: Value) -> Option<Loose> {
        let response = Response {
            status: 200,
            body: Body::Json(body),
            ..Response::default()
        };
        Loose::of(&response)
    }

    /// Of these calls those that are answered.
    fn answered(loose: &Loose) -> Vec<&'static str> {
        let calls = [
            "POST /v1/messages",
            "POST /v1/messages/count_tokens",
            "POST /v1/messages/batches",
            "GET /v1/messages/batches",
            "GET /v1/messages/batches/msgbatch_1",
            "GET /v1/messages/batches/msgbatch_1/results",
            "GET /v1/models",
            "GET /v1/models/m",
            "POST /v1/files",
            "GET /v1/files",
            "GET /v1/files/file_1",
            "DELETE /v1/files/file_1",
            "POST /v1/skills",
            "GET /v1/skills/skill_1/versions",
            "POST /v1/skills/skill_1/versions",
            "GET /v1/skills/skill_1/versions/1",
            "DELETE /v1/skills/skill_1/versions/1",
        ];
        let is_answered = |call: &&str| {
            let (method, path) = call.split_once(' ').unwrap();
            loose.answers(&Request {
                method: method.to_owned(),
                path: path.to_owned(),
                ..Request::default()
            })
        };
        calls.into_iter().filter(is_answered).collect()
    }

    #[test]
    fn each_answer_has_the_requests_that_ask_for_it() {
        for (body, calls) in [
            (json!({"type": "message"}), &["POST /v1/messages"][..]),
            (json!({"error": {"type": "x"}}), &["POST /v1/messages"]),
            (
                json!({"input_tokens": 14}),
                &["POST /v1/messages/count_tokens"],
            ),
            (
                json!({"type": "message_batch", "id": "msgbatch_1"}),
                &[
                    "POST /v1/messages/batches",
                    "GET /v1/messages/batches/msgbatch_1",
                ],
            ),
            (
                json!({"data": [{"type": "message_batch"}]}),
                &["GET /v1/messages/batches"],
            ),
            (
                json!({"data": [{"type": "model", "id": "m"}]}),
                &["GET /v1/models"],
            ),
            (json!({"type": "model", "id": "m"}), &["GET /v1/models/m"]),
            (
                json!({"type": "file", "id": "file_1"}),
                &["POST /v1/files", "GET /v1/files/file_1"],
            ),
            (
                json!({"type": "file_deleted", "id": "file_1"}),
                &["DELETE /v1/files/file_1"],
            ),
            (json!({"id": "skill_1"}), &["POST /v1/skills"]),
            (
                json!({"type": "skill_version", "id": "skillver_1"}),
                &[
                    "POST /v1/skills/skill_1/versions",
                    "GET /v1/skills/skill_1/versions/1",
                ],
            ),
            (
                json!({"data": [{"type": "skill_version"}]}),
                &["GET /v1/skills/skill_1/versions"],
            ),
            (
                json!({"data": []}),
                &[
                    "GET /v1/messages/batches",
                    "GET /v1/models",
                    "GET /v1/files",
                    "GET /v1/skills/skill_1/versions",
                ],
            ),
        ] {
            let found = loose(body.clone()).unwrap_or_else(|| panic!("{body}"));
            assert_eq!(answered(&found), calls, "{body}");
        }
        assert_eq!(
            answered(&Loose::Results),
            ["GET /v1/messages/batches/msgbatch_1/results"]
        );
        for unknown in [
            json!({"type": "completion"}),
            json!({"data": [1]}),
            json!({"id": "a_b"}),
        ] {
            assert_eq!(loose(unknown), None);
        }
    }
}
