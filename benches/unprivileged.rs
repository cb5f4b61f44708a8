//! The run time of programs in a container without privileges, in a sandbox and beside it.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Client;
use crate::servers::{Server, folder, program, succeeds};
use crate::table::{Samples, Table};

const IMAGE: &str = "sandtable-sandbox:full";
/// In turns, so that a busy machine slows both down.
const ROUNDS: usize = 5;
/// Each prints its microseconds, a line each.
const PANDAS: &str = "for n in {1..3}; do s=${EPOCHREALTIME/./}; python3 -c 'import pandas'; \
                      echo $((${EPOCHREALTIME/./} - s)); done";
const BASH: &str = "for n in {1..40}; do s=${EPOCHREALTIME/./}; bash -c true; \
                    echo $((${EPOCHREALTIME/./} - s)); done";
const FIND: &str = "for n in {1..3}; do s=${EPOCHREALTIME/./}; find /usr > /dev/null; \
                    echo $((${EPOCHREALTIME/./} - s)); done";

pub(crate) fn measure(table: &mut Table) {
    if !succeeds("docker", &["image", "inspect", IMAGE]) {
        let why = "no engine, or `sandtable image build --flavor full` is needed";
        return table.missing("in a container without privileges", why);
    }
    let place = folder();
    let copy = place.path().join("sandtable");
    std::fs::copy(program(), &copy).unwrap();
    let name = format!("sandtable-bench-{}", std::process::id());
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--init", "--name", &name]);
    command.args(["--network", "host", "--user", "1000", "--cap-drop", "ALL"]);
    command.args(["--security-opt", "no-new-privileges"]);
    command.args(["--env", "HOME=/tmp", "--env", "SANDTABLE_LOG=error"]);
    command.args(["--workdir", "/tmp"]);
    command.arg(format!("--volume={}:/sandtable:ro", copy.display()));
    command.args(["--entrypoint", "/sandtable", IMAGE]);
    let server = Server::of(command, &["--backend", "local", "--provision", "never"]);
    let mut client = server.client();
    let pandas = both(&mut client, &name, PANDAS);
    let bash = both(&mut client, &name, BASH);
    let find = both(&mut client, &name, FIND);
    table.at_most(
        "without privileges: importing pandas, of its time outside the sandbox",
        pandas.inside.median_ms() / pandas.outside.median_ms(),
        "times",
        1.2,
        &pandas.note(),
    );
    table.at_most(
        "without privileges: `bash -c true`, over outside the sandbox",
        bash.inside.median_ms() - bash.outside.median_ms(),
        "ms",
        3.0,
        &bash.note(),
    );
    table.row(
        "without privileges: `find /usr`, in the sandbox and outside",
        find.note(),
    );
}

/// Samples of one command.
#[derive(Default)]
struct Both {
    inside: Samples,
    outside: Samples,
}

impl Both {
    fn note(&self) -> String {
        let (inside, outside) = (self.inside.median_ms(), self.outside.median_ms());
        let count = self.inside.len();
        format!("{inside:.1} ms against {outside:.1} ms, medians of {count} each")
    }
}

fn both(client: &mut Client, name: &str, command: &str) -> Both {
    client.control("PUT", "scripts", &json!([{ "then": [{"bash": command}] }]));
    let mut both = Both::default();
    // The first round only reads everything from the disk.
    for round in 0..=ROUNDS {
        let message = crate::calls::turn(client, &Value::Null, "code_execution_20250825");
        let inside = message["content"][1]["content"]["stdout"].as_str().unwrap();
        // A sandbox has one CPU.
        let output = Command::new("docker")
            .args(["exec", name, "taskset", "-c", "0", "bash", "-c", command])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        if round > 0 {
            add(&mut both.inside, inside);
            add(
                &mut both.outside,
                &String::from_utf8(output.stdout).unwrap(),
            );
        }
    }
    both
}

fn add(samples: &mut Samples, lines: &str) {
    for line in lines.lines() {
        samples.push(Duration::from_micros(line.parse().unwrap()));
    }
}
