//! `sandtable sweep` with a real client in Python: careful, it comes out well whatever happens; with a mistake, the
//! mistake is named.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/life/sweep")
        .join(name)
}

/// A sweep of a command, with its report.
fn sweep(flags: &[&str], mistake: &str, command: &[&str]) -> (Output, Option<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let output = start(flags, mistake, command, &json).output().unwrap();
    let report = std::fs::read(&json).ok();
    (
        output,
        report.map(|text| serde_json::from_slice(&text).unwrap()),
    )
}

fn start(flags: &[&str], mistake: &str, command: &[&str], json: &Path) -> Command {
    let mut sweep = Command::new(env!("CARGO_BIN_EXE_sandtable"));
    sweep
        .args(["sweep", "--backend", "none", "--jobs", "4", "--script"])
        .arg(here("script.yaml"))
        .arg("--json")
        .arg(json)
        .args(flags)
        .arg("--")
        .args(command)
        .env("MISTAKE", mistake)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    sweep
}

/// The client of this folder.
fn client(flags: &[&str], mistake: &str) -> (Output, Option<Value>) {
    let program = here("client.py");
    sweep(flags, mistake, &["python3", program.to_str().unwrap()])
}

fn told(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn cell<'a>(report: &'a Value, id: &str) -> &'a Value {
    let cells = report["cells"].as_array().unwrap();
    let cell = cells.iter().find(|cell| cell["id"] == id);
    cell.unwrap_or_else(|| panic!("no `{id}` in {report:#}"))
}

#[test]
fn a_careful_client_comes_out_well_whatever_meets_it() {
    let (output, report) = client(&["--budget", "60"], "");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let report = report.unwrap();
    assert_eq!(report["ok"], true);
    assert_eq!(
        report["baseline"]["differences"].as_array().unwrap().len(),
        0,
        "{report:#}"
    );
    for outcome in ["recovered", "unharmed", "gave_up"] {
        assert!(
            report["counts"][outcome].as_u64() > Some(0),
            "{outcome}: {}",
            report["counts"]
        );
    }
    assert_eq!(
        report["counts"]["not_met"],
        Value::Null,
        "{}",
        told(&output)
    );
}

#[test]
fn each_mistake_is_named_by_the_fault_that_shows_it() {
    // The mistake, a cell, and what is said of it.
    let cases = [
        (
            "crash",
            "get.files.id.content#1/http-401",
            "crashed",
            "GaveUp",
        ),
        ("patient", "messages#2/hang", "hung", "still running"),
        (
            "twice",
            "files#1/lost-reset",
            "duplicated",
            "POST /v1/files",
        ),
        (
            "rerun",
            "messages#1/reset@last",
            "duplicated",
            "POST /v1/messages",
        ),
        ("endless", "files#1/529-always", "retried_wrong", "times"),
        (
            "hasty",
            "files#1/429-retry-after",
            "retried_wrong",
            "told to wait",
        ),
        ("swallow", "messages#2/cut@mid", "degraded", "messages#2"),
        (
            "unpaused",
            "messages#1/pause_turn@1",
            "mistaken",
            "pause_turn",
        ),
        (
            "leak",
            "messages#1/refusal",
            "leaked",
            "printed the API key on",
        ),
        // A file that is no text.
        ("strict", "fuzz/3-8", "crashed", "UnicodeDecodeError"),
    ];
    for (mistake, id, outcome, says) in cases {
        let (output, report) = client(&["--only", id, "--limit", "9s"], mistake);
        assert_eq!(
            output.status.code(),
            Some(3),
            "{mistake}: {}",
            told(&output)
        );
        let report = report.unwrap_or_else(|| panic!("{mistake}: {}", told(&output)));
        let cell = cell(&report, id);
        assert_eq!(cell["outcome"], outcome, "{mistake}: {cell:#}");
        let said = cell["findings"][0]["says"].as_str().unwrap();
        assert!(said.contains(says), "{mistake}: {said}");
        let line = cell["repeat"].as_str().unwrap();
        assert!(
            line.starts_with("sandtable sweep --only ") && line.contains(id),
            "{line}"
        );
        assert!(told(&output).contains(line), "{}", told(&output));
        assert!(
            !report.to_string().contains("sk-ant-sweep-"),
            "{mistake}: {report:#}"
        );
    }
}

#[test]
fn what_was_bad_before_does_not_fail_again() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.json");
    let program = here("client.py");
    let command = ["python3", program.to_str().unwrap()];
    let run = |flags: &[&str]| start(flags, "twice", &command, &old).output().unwrap();
    let only = ["--only", "files#1/lost-reset", "--only", "files#1/http-529"];
    assert_eq!(run(&only).status.code(), Some(3));
    let baseline = ["--baseline", old.to_str().unwrap()];
    let output = run(&[&only[..], &baseline].concat());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("(known)"), "{}", told(&output));
}

#[test]
fn a_client_that_does_something_else_each_time_is_told_so_with_what_differs() {
    let asks = "import os,random,json,urllib.request as u\n\
        body = json.dumps({'model':'claude-opus-4-6','max_tokens':9,'messages':[{'role':'user','content':'the word'}]}).encode()\n\
        go = lambda path, body: u.urlopen(u.Request(os.environ['ANTHROPIC_BASE_URL'] + path, data=body, headers={'x-api-key':os.environ['ANTHROPIC_API_KEY'],'anthropic-version':'2023-06-01','content-type':'application/json'})).read()\n\
        flag = os.environ['FLAG']\n\
        for _ in range(2 if os.path.exists(flag) else 1): go('/v1/messages', body)\n\
        open(flag, 'w').close()";
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let mut run = start(
        &["--only", "messages#1/http-401"],
        "",
        &["python3", "-c", asks],
        &json,
    );
    let output = run
        .env("FLAG", folder.path().join("flag"))
        .output()
        .unwrap();
    assert!(
        told(&output)
            .contains("not the same each time: it asks messages#1 and then messages#1, messages#2"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_command_that_fails_or_asks_nothing_is_refused_with_what_to_do() {
    let (output, _) = sweep(&[], "", &["sh", "-c", "echo broken >&2; exit 4"]);
    assert_eq!(output.status.code(), Some(3));
    let text = told(&output);
    assert!(
        text.contains("exit code 4") && text.contains("| broken") && text.contains("hint: "),
        "{text}"
    );
    let (output, _) = sweep(&[], "", &["true"]);
    assert!(
        told(&output).contains("sends nothing") && output.status.code() == Some(3),
        "{}",
        told(&output)
    );
    let (output, _) = sweep(&[], "", &["no-such-program-anywhere"]);
    assert_eq!(output.status.code(), Some(127), "{}", told(&output));
    let (output, _) = client(&["--only", "messages#1/cat"], "");
    assert!(
        told(&output).contains("messages#1/cut@first") && output.status.code() == Some(2),
        "{}",
        told(&output)
    );
}

#[test]
fn ctrl_c_ends_what_runs_and_prints_the_table_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let begun = folder.path().join("begun");
    // Without faults it is quick; a refused upload makes it wait.
    let program = format!(
        "MISTAKE= python3 {} && exit 0; echo >> {}; sleep 300",
        here("client.py").display(),
        begun.display()
    );
    let json = folder.path().join("report.json");
    let flags = ["--only", "files#1/split", "--only", "files#1/http-401"];
    let mut run = start(&flags, "", &["sh", "-c", &program], &json)
        .spawn()
        .unwrap();
    while !begun.exists() {
        assert!(run.try_wait().unwrap().is_none(), "it is over");
        std::thread::yield_now();
    }
    let pid = i32::try_from(run.id()).unwrap();
    // SAFETY: the call takes numbers alone, and the process is not waited for yet.
    #[expect(unsafe_code, reason = "the standard library sends SIGKILL alone")]
    unsafe {
        libc::kill(pid, libc::SIGINT);
    }
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    assert!(
        told(&output).contains("stopped before its end"),
        "{}",
        told(&output)
    );
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(report["interrupted"], true);
}

#[test]
fn the_smallest_list_of_faults_that_still_fails_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let faults = folder.path().join("faults.json");
    let list = r#"[
        {"at": "http", "path": "/v1/files", "status": 529, "headers": {"retry-after-ms": "1"}},
        {"at": "wire", "path": "/v1/messages", "do": "split", "bytes": 9},
        {"at": "http", "path": "/v1/messages", "status": 401, "times": 9},
        {"at": "wire", "path": "/v1/messages", "do": "merge", "nth": 2}
    ]"#;
    std::fs::write(&faults, list).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(["sweep", "shrink", "--backend", "none", "--script"])
        .arg(here("script.yaml"))
        .arg("--faults")
        .arg(&faults)
        .args(["--", "python3"])
        .arg(here("client.py"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let left: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
    assert_eq!(
        (&left[0]["status"], &left[0]["times"]),
        (&401.into(), &1.into())
    );
}

#[test]
fn a_fault_that_silences_everything_does_not_silence_the_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let faults = folder.path().join("faults.json");
    let silence = r#"[{"at": "http", "do": "stall", "times": "always"}]"#;
    std::fs::write(&faults, silence).unwrap();
    let asks = "import os,json,urllib.request as u\n\
        body = json.dumps({'model':'claude-opus-4-6','max_tokens':9,'messages':[{'role':'user','content':'the word'}]}).encode()\n\
        u.urlopen(u.Request(os.environ['ANTHROPIC_BASE_URL'] + '/v1/messages', data=body, headers={'x-api-key':os.environ['ANTHROPIC_API_KEY'],'anthropic-version':'2023-06-01','content-type':'application/json'}), timeout=2).read()";
    let coverage = folder.path().join("coverage.json");
    let command = ["python3", "-c", asks];
    let kept = coverage.to_str().unwrap();
    let flags = ["--only", "messages#1/http-401", "--coverage", kept];
    let (output, _) = sweep(&flags, "", &command);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    // What the sweep asks for itself is nothing that the client has met.
    let met: Value = serde_json::from_slice(&std::fs::read(&coverage).unwrap()).unwrap();
    let areas = met["areas"].as_array().unwrap().iter();
    let mut items = areas.flat_map(|area| area["items"].as_array().unwrap());
    let listed = items.find(|item| item["name"] == "GET /v1/files");
    assert_eq!(listed.unwrap()["count"], 0);

    let output = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args([
            "sweep",
            "shrink",
            "--backend",
            "none",
            "--limit",
            "20s",
            "--script",
        ])
        .arg(here("script.yaml"))
        .arg("--faults")
        .arg(&faults)
        .arg("--")
        .args(command)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(
        told(&output).contains("crashed after "),
        "{}",
        told(&output)
    );
}

#[test]
fn reports_of_all_forms_are_written_and_take_the_place_of_reports_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (html, junit, sarif) = (path("r.html"), path("r.xml"), path("r.sarif"));
    let flags = [
        "--only",
        "files#1/lost-reset",
        "--html",
        &html,
        "--junit",
        &junit,
        "--sarif",
        &sarif,
    ];
    for _ in 0..2 {
        let (output, _) = client(&flags, "twice");
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    }
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(
        page.contains("<details") && page.contains("duplicated"),
        "{page}"
    );
    assert!(
        std::fs::read_to_string(&junit)
            .unwrap()
            .contains("failures=\"1\"")
    );
    let log: Value = serde_json::from_slice(&std::fs::read(&sarif).unwrap()).unwrap();
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "lost-reset");
    std::fs::write(&html, "<p>mine</p>").unwrap();
    let (output, _) = client(&flags, "twice");
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
}

#[test]
fn two_faults_in_one_run_are_tried_where_each_alone_does_no_harm() {
    let (output, report) = client(&["--only", "files#1/http-529+messages#1/http-500"], "");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let report = report.unwrap();
    let pair = cell(&report, "files#1/http-529+messages#1/http-500");
    assert_eq!(
        (&pair["outcome"], pair["faults"].as_array().unwrap().len()),
        (&"recovered".into(), 2)
    );
    let (output, report) = client(&["--budget", "14", "--pairs"], "");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let cells = report.unwrap()["cells"].as_array().unwrap().len();
    assert_eq!(cells, 14, "{}", told(&output));
}

#[test]
fn a_client_reads_legal_conversations_that_nobody_wrote_or_says_why_not() {
    let (output, report) = client(&["--fuzz", "12", "--seed", "3", "--budget", "1"], "");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let report = report.unwrap();
    let cells = report["cells"].as_array().unwrap();
    let fuzz: Vec<_> = cells
        .iter()
        .filter(|cell| cell["group"] == "fuzz")
        .collect();
    assert_eq!(fuzz.len(), 12, "{}", told(&output));
}
