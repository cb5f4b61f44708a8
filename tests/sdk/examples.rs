//! The programs of `examples/`, each by its own `run.sh`, from a copy of the folder.

use std::collections::BTreeSet;

use crate::clients::copy;
use crate::interpreter::{Interpreter, modules};
use crate::server::Server;
use crate::workshop::{Workshop, of_repository};

/// All of them; a folder that is not in the list is not run.
const EXAMPLES: [&str; 8] = [
    "agent",
    "batch",
    "from-aimock",
    "from-vcr",
    "programmatic",
    "record-replay",
    "skills",
    "sweep",
];
const VERDICT: &str = "sandtable: ok, all as scripted\n";

/// A workshop with the examples and their Node packages in it.
async fn workshop() -> Option<Workshop> {
    Interpreter::Node.find()?;
    let workshop = Workshop::open().await?;
    copy(&of_repository("examples"), &workshop.work());
    std::os::unix::fs::symlink(modules(), workshop.work().join("node_modules")).unwrap();
    Some(workshop)
}

/// Runs an example. It says each of `says` and, so often, that all went as scripted.
async fn run(example: &str, verdicts: usize, says: &[&str]) {
    let Some(workshop) = workshop().await else {
        return;
    };
    let script = format!("{example}/run.sh");
    let said = workshop.bash(example, &script, &[]).await;
    assert_eq!(said.matches(VERDICT).count(), verdicts, "{said}");
    for text in says {
        assert!(said.contains(text), "no `{text}` in {said}");
    }
}

#[tokio::test]
async fn an_agent_comes_back_after_an_overload_and_after_its_container_has_expired() {
    run("agent", 2, &["South sold the most.", ": recovered"]).await;
}

#[tokio::test]
async fn a_batch_job_sends_what_failed_once_more() {
    run(
        "batch",
        2,
        &["once more: report-2", "report-2 has 120 words."],
    )
    .await;
}

#[tokio::test]
async fn a_skill_is_published_and_used() {
    run("skills", 1, &["2. Tell support", "published 2 versions"]).await;
}

#[tokio::test]
async fn code_calls_the_client_s_tools() {
    run("programmatic", 2, &["The best is valley."]).await;
}

#[tokio::test]
async fn a_careful_agent_is_swept_in_three_clients() {
    let Some(workshop) = workshop().await else {
        return;
    };
    let sample = "sweep/run.sh careful --budget 2 2>&1";
    let said = workshop.bash("sweep", sample, &[]).await;
    assert_eq!(
        said.matches("sandtable sweep: ok, 2 runs").count(),
        3,
        "{said}"
    );
}

#[tokio::test]
async fn a_test_of_vcr_runs_on_its_imported_recordings() {
    run("from-vcr", 1, &["1 passed", "2 passed", ": recovered"]).await;
}

#[tokio::test]
async fn fixtures_of_aimock_become_a_script() {
    run("from-aimock", 1, &["Oslo", "Arr!", "529"]).await;
}

#[tokio::test]
async fn a_recording_replays_and_is_recorded_anew() {
    let Some(workshop) = workshop().await else {
        return;
    };
    let replay = "record-replay/run.sh";
    let said = workshop.bash("replay", replay, &[]).await;
    assert_eq!(said.matches("south,4\n").count(), 2, "{said}");
    assert_eq!(said.matches(VERDICT).count(), 2, "{said}");

    let service = Server::start(&[]).await;
    let variables = [
        ("UPSTREAM", service.url.as_str()),
        ("ANTHROPIC_API_KEY", "sk-ant-of-the-example"),
    ];
    let said = workshop
        .bash("record", "record-replay/record.sh", &variables)
        .await;
    assert!(said.contains("recorded 3 exchanges"), "{said}");
    service.stop().await;
    workshop.bash("replay", replay, &[]).await;
}

#[test]
fn every_example_is_run_here_and_stands_in_the_list() {
    let folder = of_repository("examples");
    let list = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let there: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "node_modules")
        .collect();
    assert_eq!(there, EXAMPLES.map(str::to_owned).into());
    for example in EXAMPLES {
        let readme = std::fs::read_to_string(folder.join(example).join("README.md")).unwrap();
        assert!(readme.contains("./run.sh"), "{example}");
        assert!(
            list.contains(&format!("]({example}/README.md)")),
            "{example}"
        );
    }
}

#[test]
fn the_examples_ask_for_the_node_packages_that_they_are_run_with() {
    let dependencies = |folder: &str| {
        let text = std::fs::read_to_string(of_repository(folder).join("package.json")).unwrap();
        let package: serde_json::Value = serde_json::from_str(&text).unwrap();
        package["dependencies"].as_object().unwrap().clone()
    };
    let tested = dependencies("tests/sdk/typescript");
    let asked = dependencies("examples");
    assert_eq!(asked.len(), 2);
    for (name, version) in asked {
        assert_eq!(tested.get(&name), Some(&version), "{name}");
    }
}
