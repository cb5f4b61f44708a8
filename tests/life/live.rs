//! Recorded runs made again on each backend: nothing differs, and what is changed in a recording does.

use std::path::Path;
use std::process::{Command, Output};

use cassette::{About, Body, Exchange, Part, Request, Response, Writer};
use serde_json::{Value, json};

use crate::http::Client;
use crate::server::{Server, backends};
use crate::traces;

/// Everything a recording can have: uploads, outputs, streams, a container used again, a skill, code
/// that awaits the client's tools, and texts that look like templates.
const SCRIPT: &str = r#"
- name: first
  when: { user: first }
  then:
    - text: I look.
    - bash: 'cat "$INPUT_DIR/data.csv"; x=(a b); echo "${#x[@]} ${{ not a template }}" | head -c 5; ls -l "$INPUT_DIR/"'
    - create: { path: /tmp/a.txt, file_text: "one\ntwo ${% x %}\n" }
    - str_replace: { path: /tmp/a.txt, old_str: one, new_str: three }
    - view: /tmp/a.txt
    - parallel:
        - bash: 'date; date -Iseconds; echo $INPUT_DIR; mktemp'
        - bash: 'echo wrong >&2; exit 3'
    - bash: 'printf "x,y\n1,0.1\n" > "$OUTPUT_DIR/out.csv"; printf "\377\000" > "$OUTPUT_DIR/raw.bin"'
    - bash: 'echo "path: $INPUT_DIR"'
      capture: { dir: 'path: (\S+)' }
    - bash: 'wc -c ${{ captures.dir }}/data.csv'
- name: second
  when: { user: second }
  then:
    - bash: 'cat /tmp/a.txt; cat "$INPUT_DIR/out.csv"'
    - bash: 'sh /skills/my-skill/hello.sh'
- name: cells
  when: { user: cells }
  then:
    - python: |
        rows = await ask({"n": 2})
        more = await ask({"n": rows})
        print(rows, more)
    - python: 'print(rows * 2)'
"#;

struct Recorder {
    client: Client,
    exchanges: Vec<Exchange>,
}

impl Recorder {
    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        sent: Body,
        kind: &str,
        bytes: &[u8],
    ) -> Value {
        let answer = self.client.ask(method, path, kind, bytes).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = answer.json();
        self.exchanges.push(Exchange {
            request: Some(Request {
                method: method.to_owned(),
                path: path.to_owned(),
                body: sent,
                ..Request::default()
            }),
            response: Response {
                status: 200,
                body: Body::of(answer.body.into()),
                ..Response::default()
            },
            timing: None,
        });
        json
    }

    fn get(&mut self, path: &str) {
        self.exchange("GET", path, Body::Empty, "application/json", b"");
    }

    fn form(&mut self, path: &str, parts: &[(&str, &str, &[u8])]) -> String {
        let mut bytes = Vec::new();
        for (name, filename, content) in parts {
            bytes.extend(format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\ncontent-type: text/plain\r\n\r\n").bytes());
            bytes.extend(*content);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"--edge--\r\n");
        let part = |(name, filename, content): &(&str, &str, &[u8])| Part {
            name: (*name).to_owned(),
            filename: Some((*filename).to_owned()),
            content_type: Some("text/plain".to_owned()),
            body: Body::of(content.to_vec().into()),
        };
        let sent = Body::Form(parts.iter().map(part).collect());
        let kind = "multipart/form-data; boundary=edge";
        let answer = self.exchange("POST", path, sent, kind, &bytes);
        answer["id"].as_str().unwrap().to_owned()
    }

    fn message(&mut self, body: &Value) -> Value {
        let bytes = body.to_string().into_bytes();
        let answer = self.exchange(
            "POST",
            "/v1/messages",
            Body::Json(body.clone()),
            "application/json",
            &bytes,
        );
        let exchange = self.exchanges.last().unwrap();
        if answer.is_null() {
            return cassette::message::of(&exchange.response).unwrap();
        }
        answer
    }
}

fn body(content: &Value) -> Value {
    json!({
        "model": "claude-opus-5",
        "max_tokens": 1000,
        "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
        "messages": [{"role": "user", "content": content}],
    })
}

fn record(server: &Server) -> Vec<Exchange> {
    let client = server.client("recorded");
    let script = client.ask(
        "PUT",
        "/_sandtable/scripts",
        "application/yaml",
        escaped_script().as_bytes(),
    );
    let script = script.unwrap();
    assert_eq!(script.status, 200, "{}", script.text());
    let mut recorder = Recorder {
        client,
        exchanges: Vec::new(),
    };
    let data = recorder.form("/v1/files", &[("file", "data.csv", b"a,b\n1,\xff2\n")]);
    let skill = recorder.form(
        "/v1/skills",
        &[
            (
                "files[]",
                "my-skill/SKILL.md",
                b"---\nname: my-skill\ndescription: Says hello.\n---\n",
            ),
            ("files[]", "my-skill/hello.sh", b"echo hello\n"),
        ],
    );
    let mut first = body(&json!([
        {"type": "container_upload", "file_id": data},
        {"type": "text", "text": "first"},
    ]));
    first["stream"] = json!(true);
    let answer = recorder.message(&first);
    let container = answer["container"]["id"].clone();
    let outputs: Vec<String> = answer["content"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|block| {
            block["content"]["content"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .map(|output| output["file_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(outputs.len(), 2, "{answer}");
    for id in &outputs {
        recorder.get(&format!("/v1/files/{id}/content"));
        recorder.get(&format!("/v1/files/{id}"));
    }
    let named = |id: &&String| {
        let about = server
            .client("recorded")
            .get(&format!("/v1/files/{id}"))
            .unwrap();
        about.json()["filename"] == "out.csv"
    };
    let table = outputs.iter().find(named).unwrap();
    let mut second = body(&json!([
        {"type": "container_upload", "file_id": table},
        {"type": "text", "text": "second"},
    ]));
    second["container"] = json!({"id": container, "skills": [{"type": "custom", "skill_id": skill, "version": "latest"}]});
    recorder.message(&second);
    let mut cells = body(&json!("cells"));
    cells["tools"] = json!([
        {"type": "code_execution_20260120", "name": "code_execution"},
        {"name": "ask", "description": "Asks.", "input_schema": {"type": "object"}, "allowed_callers": ["code_execution_20260120"]},
    ]);
    for number in ["7", "8"] {
        let answer = recorder.message(&cells);
        let call = answer["content"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone();
        assert_eq!(call["type"], "tool_use", "{answer}");
        cells["container"] = answer["container"]["id"].clone();
        let messages = cells["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": answer["content"]}));
        messages.push(json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": number}]}));
    }
    let answer = recorder.message(&cells);
    assert_eq!(answer["stop_reason"], "end_turn", "{answer}");
    recorder.exchanges
}

/// Escapes text of the recording that looks like a template: the recorded server must not render it.
fn escaped_script() -> String {
    SCRIPT
        .replace("${{ not a template }}", "${{ \"${{ not a template }}\" }}")
        .replace("${% x %}", "${{ '${% x %}' }}")
}

fn write(path: &Path, exchanges: &[Exchange]) {
    let about = About {
        recorded_at: Some("2026-11-20T22:00:00Z".to_owned()),
        ..About::default()
    };
    let mut writer = Writer::create(path, &about).unwrap();
    for (order, exchange) in (0..).zip(exchanges) {
        writer.put(order, exchange).unwrap();
    }
}

fn live(backend: &str, folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandtable"));
    command.args(["replay", "--live", "--backend", backend]);
    command.env("SANDTABLE_PROVISION", "never");
    if backend == "docker" {
        command.args(["--image", "sandtable-sandbox:slim"]);
    }
    command
        .arg(folder.join("run.yaml"))
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The recording with one text changed in the answers below `path`, where it is found once.
fn changed(exchanges: &[Exchange], path: &str, from: &str, to: &str) -> Vec<Exchange> {
    let mut exchanges = exchanges.to_vec();
    let mut count = 0;
    for exchange in &mut exchanges {
        let sent_to = &exchange.request.as_ref().unwrap().path;
        let bytes = exchange.response.body.bytes().unwrap().unwrap();
        if let Ok(text) = std::str::from_utf8(&bytes)
            && sent_to.starts_with(path)
        {
            count += text.matches(from).count();
            exchange.response.body = Body::of(text.replace(from, to).into());
        }
    }
    assert_eq!(count, 1, "`{from}` is there once");
    exchanges
}

#[test]
fn a_recorded_run_is_made_again_without_a_difference_and_a_changed_byte_is_found() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Server::start(backend, &data_dir, &[]).unwrap();
        let exchanges = record(&server);
        assert!(server.stop().success());
        traces::remove_sandboxes(&data_dir);
        let path = folder.path().join("run.yaml");

        write(&path, &exchanges);
        let output = live(backend, folder.path(), &["--json", "report.json"]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{backend}: {}",
            told(&output)
        );
        let report = std::fs::read(folder.path().join("report.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        let counts = [
            &report["same"],
            &report["different"],
            &report["not_executable"],
        ];
        assert_eq!(counts, [13, 0, 0], "{backend}: {}", told(&output));
        assert!(!report.to_string().contains("unchecked"), "{report}");

        let first = "three\\ntwo ${% x %}\\nx,y\\n1,0.1\\n";
        for (part, from, to, what) in [
            (
                "/v1/messages",
                first,
                // A terminal is not told to act on what a sandbox wrote.
                &*first.replace('x', "\\u001b[2JX"),
                "stdout, line 2",
            ),
            (
                "/v1/messages",
                "\"return_code\":3",
                "\"return_code\":4",
                "return_code",
            ),
            (
                "/v1/messages",
                r#""input":{"n":"7"}"#,
                r#""input":{"n":"9"}"#,
                "calls of the client&apos;s tools",
            ),
            (
                "/v1/files/",
                "1,0.1\n",
                "1,0.1001\n",
                "file out.csv, line 2",
            ),
        ] {
            write(&path, &changed(&exchanges, part, from, to));
            let output = live(backend, folder.path(), &["--junit", "report.xml"]);
            let told = told(&output);
            assert_eq!(output.status.code(), Some(1), "{backend}: {told}");
            assert!(told.contains(", 1 different; "), "{told}");
            assert!(!told.contains('\u{1b}'), "{told:?}");
            let junit = std::fs::read_to_string(folder.path().join("report.xml")).unwrap();
            assert!(junit.contains("failures=\"1\""), "{junit}");
            assert!(
                junit.contains(&format!("<failure message=\"{what}\">")),
                "{junit}"
            );
        }

        let near = changed(&exchanges, "/v1/files/", "1,0.1\n", "1,0.10000000000001\n");
        write(&path, &near);
        assert_eq!(live(backend, folder.path(), &[]).status.code(), Some(0));
        let exact = live(backend, folder.path(), &["--tolerance", "0"]);
        assert_eq!(exact.status.code(), Some(1), "{}", told(&exact));

        let mut bare = exchanges.clone();
        let Some(Request {
            body: Body::Form(parts),
            ..
        }) = &mut bare[0].request
        else {
            panic!("the upload comes first")
        };
        parts[0].body = Body::Missing("cut".to_owned());
        write(&path, &bare);
        let output = live(backend, folder.path(), &[]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        let told = told(&output);
        assert!(
            told.contains("2 executed: 2 the same, 0 different; 11 not executable"),
            "{told}"
        );
        assert!(
            told.contains("an upload's bytes are missing: cut"),
            "{told}"
        );
    }
}

#[test]
fn where_nothing_runs_code_nothing_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("run.yaml"),
        "cassette: 1\nexchanges: []\n",
    )
    .unwrap();
    // What is to be replayed otherwise is not what runs again.
    std::fs::write(
        folder.path().join("sandtable.toml"),
        "cassette = \"run.yaml\"\n",
    )
    .unwrap();
    let output = live("none", folder.path(), &[]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("error: no sandbox backend: asked for with `--backend none`\n  hint: "),
        "{told}"
    );
}

#[test]
fn wrong_use_has_its_own_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    for (more, hint) in [
        (&["--tolerance", "2"][..], "from 0 to 1"),
        (&["--volatile", "("], "unclosed"),
        (&[], "cannot read"),
    ] {
        let output = live("none", folder.path(), more);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(hint), "{}", told(&output));
    }
}
