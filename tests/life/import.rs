//! The importer as its users run it: what it writes, and how it ends.

use std::path::Path;
use std::process::{Command, Output};

fn import(from: &Path, out: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .arg("import")
        .arg(from)
        .arg("--out")
        .arg(out)
        .args(["--ignore", "$.system"])
        .output()
        .unwrap()
}

/// A recording whose answer has this body.
fn recording(said: &str) -> String {
    format!(
        "version: 1
interactions:
- request:
    method: POST
    uri: https://api.anthropic.com/v1/messages
    headers: {{content-type: [application/json]}}
    body: {{type: json, content: {{model: m}}}}
  response:
    status: 200
    headers: {{content-type: [application/json]}}
    body: {said}
"
    )
}

#[test]
fn an_import_ends_well_only_if_every_body_came_in() {
    let folder = tempfile::tempdir().unwrap();
    let (from, out) = (folder.path().join("from"), folder.path().join("out"));
    std::fs::create_dir(&from).unwrap();
    let whole = recording("{type: json, content: {a: 1}}");
    std::fs::write(from.join("whole.yaml"), whole).unwrap();
    let ended = import(&from, &out);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let cassette = std::fs::read_to_string(out.join("whole.yaml")).unwrap();
    assert!(cassette.contains("$.system"), "{cassette}");

    std::fs::write(from.join("hollow.yaml"), recording("{type: none}")).unwrap();
    let ended = import(&from, &out);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(
        told.contains("hollow.yaml: exchange 1 has no body of its answer"),
        "{told}"
    );
    assert!(out.join("hollow.yaml").exists());
}
