//! The requests, and which facts their answers show.

mod beside;

use bytes::Bytes;
use serde_json::{Value, json};

use super::checks::errors::CALL;
use super::checks::{answers, code, errors, files, streams};
use super::{Ask, Check, Scene, Step};

/// By their names.
pub(super) const ALL: &[(&str, &[Step])] = &[
    ("messages/plain", PLAIN),
    ("messages/stream", STREAM),
    ("messages/bearer", BEARER),
    ("messages/count", COUNT),
    ("messages/prewarm", PREWARM),
    ("models/list", MODELS),
    ("code/plain", CODE),
    ("code/stream", CODE_STREAM),
    ("files/current", FILES),
    ("files/beta", FILES_BETA),
    ("files/output", OUTPUT),
    ("skills/current", beside::SKILLS),
    ("skills/beta", beside::SKILLS_BETA_SHAPE),
    ("batches/one", beside::BATCH),
    ("threads/two", beside::THREAD),
    ("errors/model", NO_MODEL),
    ("errors/field", NO_FIELD),
    ("errors/json", NO_JSON),
    ("errors/beta", NO_BETA),
    ("errors/file", NO_FILE),
    ("errors/role", NO_ROLE),
    ("errors/max-tokens", TOO_MANY),
    ("errors/history", NO_RESULT),
    ("errors/skill-manifest", beside::NO_MANIFEST),
    ("errors/skill-folder", beside::OTHER_FOLDER),
    ("errors/skills", beside::MANY_SKILLS),
    ("errors/thread", beside::NO_THREAD),
];

const MAX_TOKENS: u64 = 256;
/// Room for a call, its result, and a sentence.
const CODE_MAX_TOKENS: u64 = 1024;
const MESSAGES: &str = "/v1/messages";
const FILES_BETA_HEADER: &str = "files-api-2025-04-14";
const BOUNDARY: &str = "sandtable-conform-4c8e21";

const PLAIN: &[Step] = &[Step {
    ask: |scene| Some(post(MESSAGES, &hello(scene, false))),
    checks: &[
        Check {
            fact: "F001",
            see: answers::members,
        },
        Check {
            fact: "F002",
            see: answers::usage,
        },
        Check {
            fact: "F019",
            see: answers::null_container,
        },
    ],
    again: None,
}];

const STREAM: &[Step] = &[Step {
    ask: |scene| Some(post(MESSAGES, &hello(scene, true))),
    checks: &[
        Check {
            fact: "F020",
            see: streams::padding,
        },
        Check {
            fact: "F022",
            see: streams::order,
        },
        Check {
            fact: "F019",
            see: streams::null_container,
        },
    ],
    again: None,
}];

const BEARER: &[Step] = &[Step {
    ask: |scene| {
        let mut ask = post(MESSAGES, &hello(scene, false));
        ask.headers.push(scene.service.bearer());
        Some(ask)
    },
    checks: &[Check {
        fact: "F130",
        see: answers::is_good,
    }],
    again: None,
}];

const COUNT: &[Step] = &[Step {
    ask: |scene| {
        let body = json!({ "model": scene.model, "messages": [{ "role": "user", "content": "Say hello." }] });
        Some(post("/v1/messages/count_tokens", &body))
    },
    checks: &[Check {
        fact: "F088",
        see: answers::no_rate_limits,
    }],
    again: None,
}];

const PREWARM: &[Step] = &[Step {
    ask: |scene| {
        let mut body = hello(scene, false);
        body["max_tokens"] = 0.into();
        Some(post(MESSAGES, &body))
    },
    checks: &[Check {
        fact: "F007",
        see: answers::says_nothing,
    }],
    again: None,
}];

const MODELS: &[Step] = &[Step {
    ask: |_| Some(get("/v1/models?limit=1")),
    checks: &[Check {
        fact: "F120",
        see: answers::older_list,
    }],
    again: None,
}];

const OUTPUT: &[Step] = &[
    Step {
        ask: |scene| {
            let mut body = bash(scene, false);
            let text = "Run exactly this with bash, once, and then say done.\n\n```bash\necho 1 > $OUTPUT_DIR/conform.csv\n```";
            body["messages"][0]["content"] = text.into();
            Some(post(MESSAGES, &body))
        },
        checks: &[],
        again: None,
    },
    Step {
        ask: |scene| Some(get(&format!("/v1/files/{}/content", made(scene)?))),
        checks: &[Check {
            fact: "F087",
            see: files::download,
        }],
        again: None,
    },
    Step {
        ask: |scene| {
            Some(Ask {
                method: "DELETE".to_owned(),
                ..get(&format!("/v1/files/{}", made(scene)?))
            })
        },
        checks: &[],
        again: None,
    },
];

const TOO_MANY: &[Step] = &[Step {
    ask: |scene| {
        let mut body = hello(scene, false);
        body["max_tokens"] = 100_000_000.into();
        Some(post(MESSAGES, &body))
    },
    checks: &[Check {
        fact: "F015",
        see: errors::too_many_tokens,
    }],
    again: None,
}];

const NO_RESULT: &[Step] = &[Step {
    ask: |scene| {
        let mut body = hello(scene, false);
        body["tools"] = json!([{ "name": "f", "input_schema": { "type": "object" } }]);
        body["messages"] = json!([
            { "role": "user", "content": "Call f." },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": CALL, "name": "f", "input": {} }] },
            { "role": "user", "content": "And?" },
        ]);
        Some(post(MESSAGES, &body))
    },
    checks: &[Check {
        fact: "F010",
        see: errors::no_result,
    }],
    again: None,
}];

const CODE: &[Step] = &[
    Step {
        ask: |scene| Some(post(MESSAGES, &bash(scene, false))),
        checks: &[
            Check {
                fact: "F040",
                see: code::calls_bash,
            },
            Check {
                fact: "F005",
                see: code::no_caller,
            },
            Check {
                fact: "F052",
                see: code::container_expires,
            },
            Check {
                fact: "F053",
                see: code::no_skills,
            },
        ],
        again: None,
    },
    Step {
        ask: |scene| {
            let first = scene.json(0);
            let mut body = bash(scene, false);
            if !scene.heard.is_empty() {
                body["container"] = first["container"]["id"].as_str()?.into();
            }
            Some(post(MESSAGES, &body))
        },
        checks: &[Check {
            fact: "F052",
            see: code::container_is_used_again,
        }],
        again: None,
    },
];

const CODE_STREAM: &[Step] = &[Step {
    ask: |scene| Some(post(MESSAGES, &bash(scene, true))),
    checks: &[
        Check {
            fact: "F021",
            see: streams::container_at_the_end,
        },
        Check {
            fact: "F023",
            see: streams::results_are_whole,
        },
        Check {
            fact: "F024",
            see: streams::first_fragment_is_empty,
        },
        Check {
            fact: "F025",
            see: streams::fragments_are_spaced,
        },
    ],
    again: None,
}];

const FILES: &[Step] = &[
    Step {
        ask: |_| Some(upload(&[])),
        checks: &[
            Check {
                fact: "F080",
                see: files::metadata,
            },
            Check {
                fact: "F081",
                see: files::name,
            },
        ],
        again: None,
    },
    Step {
        ask: |scene| Some(of_file(scene, "GET", "/content")),
        checks: &[Check {
            fact: "F086",
            see: files::no_download,
        }],
        again: None,
    },
    Step {
        ask: |_| Some(get("/v1/files?limit=1")),
        checks: &[
            Check {
                fact: "F082",
                see: files::list,
            },
            Check {
                fact: "F088",
                see: answers::no_rate_limits,
            },
        ],
        again: None,
    },
    Step {
        ask: |scene| Some(of_file(scene, "DELETE", "")),
        checks: &[],
        again: None,
    },
    Step {
        ask: |scene| Some(of_file(scene, "GET", "")),
        checks: &[Check {
            fact: "F084",
            see: files::is_gone,
        }],
        again: None,
    },
];

const FILES_BETA: &[Step] = &[
    Step {
        ask: |_| Some(upload(&[("anthropic-beta", FILES_BETA_HEADER)])),
        checks: &[Check {
            fact: "F085",
            see: files::older_metadata,
        }],
        again: None,
    },
    Step {
        ask: |_| Some(with_beta(get("/v1/files?limit=1"), FILES_BETA_HEADER)),
        checks: &[Check {
            fact: "F085",
            see: files::older_list,
        }],
        again: None,
    },
    Step {
        ask: |scene| Some(with_beta(of_file(scene, "DELETE", ""), FILES_BETA_HEADER)),
        checks: &[],
        again: None,
    },
];

const NO_MODEL: &[Step] = &[Step {
    ask: |scene| {
        let mut body = hello(scene, false);
        body["model"] = "claude-no-such-model".into();
        Some(post(MESSAGES, &body))
    },
    checks: &[
        Check {
            fact: "F140",
            see: errors::unknown_model,
        },
        Check {
            fact: "F136",
            see: errors::is_not_to_be_retried,
        },
    ],
    again: None,
}];

const NO_FIELD: &[Step] = &[Step {
    ask: |scene| {
        let mut body = hello(scene, false);
        body["messages"][0]["content"] = json!([{ "type": "text", "text": "a", "index": 0 }]);
        Some(post(MESSAGES, &body))
    },
    checks: &[Check {
        fact: "F145",
        see: errors::unknown_member,
    }],
    again: None,
}];

const NO_JSON: &[Step] = &[Step {
    ask: |_| {
        let mut ask = post(MESSAGES, &Value::Null);
        ask.body = Bytes::from_static(b"{\"model\": }");
        Some(ask)
    },
    checks: &[Check {
        fact: "F134",
        see: errors::no_json,
    }],
    again: None,
}];

const NO_BETA: &[Step] = &[Step {
    ask: |scene| {
        Some(with_beta(
            post(MESSAGES, &hello(scene, false)),
            "no-such-beta-2020-01-01",
        ))
    },
    checks: &[Check {
        fact: "F139",
        see: errors::unknown_beta,
    }],
    again: None,
}];

const NO_FILE: &[Step] = &[Step {
    ask: |_| Some(get("/v1/files/file_011CNha8iCJcU1wXNR6q4V8w")),
    checks: &[
        Check {
            fact: "F084",
            see: errors::no_file,
        },
        Check {
            fact: "F136",
            see: errors::is_not_to_be_retried,
        },
    ],
    again: None,
}];

const NO_ROLE: &[Step] = &[Step {
    ask: |scene| {
        let mut body = hello(scene, false);
        body["messages"][0] =
            json!({ "role": "user", "content": [{ "type": "container_upload" }] });
        body["tools"] = tools();
        Some(post(MESSAGES, &body))
    },
    checks: &[Check {
        fact: "F131",
        see: errors::path_with_tag,
    }],
    again: None,
}];

fn hello(scene: &Scene<'_>, stream: bool) -> Value {
    let mut body = json!({
        "model": scene.model,
        "max_tokens": MAX_TOKENS,
        "messages": [{ "role": "user", "content": "Say hello in one word." }],
    });
    if stream {
        body["stream"] = true.into();
    }
    body
}

fn tools() -> Value {
    json!([{ "type": "code_execution_20250825", "name": "code_execution" }])
}

/// A model does as it is told, and so does this program.
fn bash(scene: &Scene<'_>, stream: bool) -> Value {
    let mut body = hello(scene, stream);
    body["max_tokens"] = CODE_MAX_TOKENS.into();
    body["tools"] = tools();
    let text =
        "Run exactly this with bash, once, and then say done.\n\n```bash\necho \"a: 1, b\"\n```";
    body["messages"][0]["content"] = text.into();
    body
}

fn post(path: &str, body: &Value) -> Ask {
    Ask {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_string().into(),
    }
}

fn get(path: &str) -> Ask {
    Ask {
        method: "GET".to_owned(),
        path: path.to_owned(),
        ..Ask::default()
    }
}

fn with_beta(mut ask: Ask, beta: &str) -> Ask {
    ask.headers
        .push(("anthropic-beta".to_owned(), beta.to_owned()));
    ask
}

/// A request about the file that the first step has uploaded.
fn of_file(scene: &Scene<'_>, method: &str, rest: &str) -> Ask {
    let id = scene.json(0)["id"]
        .as_str()
        .unwrap_or("file_none")
        .to_owned();
    Ask {
        method: method.to_owned(),
        ..get(&format!("/v1/files/{id}{rest}"))
    }
}

/// The file that the code of the first step has made.
fn made(scene: &Scene<'_>) -> Option<String> {
    if scene.heard.is_empty() {
        return Some("file_none".to_owned());
    }
    code::output(&scene.json(0))
}

fn upload(headers: &[(&str, &str)]) -> Ask {
    let mut ask = multipart("/v1/files", "file", "conform.txt", "text/plain", "conform");
    let given = headers.iter();
    ask.headers
        .extend(given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    ask
}

/// A form with one file.
fn multipart(path: &str, field: &str, filename: &str, media_type: &str, content: &str) -> Ask {
    let body = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"{filename}\"\r\n\
         content-type: {media_type}\r\n\r\n{content}\r\n--{BOUNDARY}--\r\n"
    );
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Ask {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: vec![("content-type".to_owned(), kind)],
        body: body.into(),
    }
}
