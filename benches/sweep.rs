//! A sweep of the tutorial's client through the Python SDK, with calls in real sandboxes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::servers::program;
use crate::table::{Samples, Table};

const RUNS: &str = "200";
const MOST_SECONDS: f64 = 300.0;
const STARTS: usize = 5;

pub(crate) fn measure(table: &mut Table) {
    const WHAT: &str = "200 runs of the tutorial's client in a sweep";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("SANDTABLE_TEST_PYTHON_SDK")
        .map_or_else(|| root.join(".venv/sdk-2.11/bin/python"), PathBuf::from);
    if !python.is_file() {
        table.missing(
            WHAT,
            "no Python with the SDK; `.ci/run --prepare` installs it",
        );
        return;
    }
    let client = root.join("benches/sweep/tutorial.py");
    let mut bare = Samples::default();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let import = Command::new(&python)
            .args(["-c", "import anthropic"])
            .status();
        assert!(import.unwrap().success());
        bare.push(begun.elapsed());
    }
    let reused = sweep(&python, &client, &["--budget", RUNS, "--pairs"]);
    let note = format!(
        "{} runs in sandboxes of `local`, {:.1} s without faults; the SDK's import alone {:.2} s each",
        reused.runs,
        reused.baseline_seconds,
        bare.quantile(0.5).as_secs_f64()
    );
    table.at_most(WHAT, reused.took.as_secs_f64(), "s", MOST_SECONDS, &note);
    let fresh = sweep(&python, &client, &["--budget", "20", "--fresh-sandboxes"]);
    table.row(
        "the same, 20 runs with every call run again",
        format!("{:.1} s", fresh.took.as_secs_f64()),
    );
}

struct Swept {
    took: Duration,
    runs: usize,
    baseline_seconds: f64,
}

fn sweep(python: &Path, client: &Path, flags: &[&str]) -> Swept {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let begun = Instant::now();
    let status = Command::new(program())
        .args(["sweep", "--backend", "local", "--provision", "never"])
        .arg("--json")
        .arg(&report)
        .args(flags)
        .arg("--")
        .args([python, client])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let took = begun.elapsed();
    // 3: the client does not survive everything, which is not the question here.
    assert!(matches!(status.code(), Some(0 | 3)), "{status}");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    Swept {
        took,
        runs: report["cells"].as_array().unwrap().len(),
        baseline_seconds: report["baseline"]["seconds"].as_f64().unwrap(),
    }
}
