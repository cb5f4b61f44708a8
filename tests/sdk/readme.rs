//! The README as a newcomer follows it: every shell block, in order, from an empty folder, in two terminals.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cli::image::Flavor;
use tempfile::TempDir;

use crate::image::image_ready;
use crate::interpreter::clients_python;
use crate::programs::write_program;

const README: &str = include_str!("../../README.md");

/// Blocks that are not run, by what they begin with, and why.
const NOT_RUN: [(&str, &str); 1] = [(
    "cargo run --release        # start the server",
    "`cargo test` would run this test in itself; its first line is run by step 1",
)];

/// The beginning of the block that is typed into the first terminal.
const FIRST_TERMINAL: &str = "cargo run --release -- image build";

/// Commands that fail on purpose, and how.
const FAILS: [(&str, i32); 2] = [
    (
        "sandtable run --cassette ask.yaml --faults overloaded.json -- python ask.py",
        1,
    ),
    // The client takes `container_expired` for an answer, and the verdict says so.
    ("sandtable verify", 3),
];

/// In place of the compiler: `cargo run` and `cargo install` with the program that is built already.
const CARGO: &str = r#"#!/bin/sh
set -e
case "$1" in
  run)
    while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
    if [ $# -gt 0 ]; then shift; fi
    exec "$SANDTABLE_BUILT" "$@" ;;
  install) ln -s "$SANDTABLE_BUILT" "$INSTALLED/sandtable" ;;
  *) echo "cargo $1 is not for this test" >&2; exit 99 ;;
esac
"#;

/// Each block as if it was typed: one shell for all, and a note of every command that fails.
const TERMINAL: &str = r#"
set -mE
NEWLINE=$'\n'
trap 'code=$?; echo "$code ${BASH_COMMAND%%$NEWLINE*}" >> "$NOTES/failed"' ERR
for block in "$NOTES"/[0-9]*; do
  echo "$block" >> "$NOTES/order"
  source "$block" > "$block.out" 2>&1 < /dev/null
done
trap - ERR
"#;

/// How [`TERMINAL`] runs a block.
const BLOCK: &str = r#"source "$block" > "$block.out" 2>&1 < /dev/null"#;

/// A block of code: its language, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

/// The blocks of code of a page, in their order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let fence: String = line.chars().take_while(|c| *c == '`').collect();
        if fence.len() < 3 {
            continue;
        }
        let inside = lines.by_ref().take_while(|line| *line != fence);
        found.push(Block {
            language: line[fence.len()..].to_owned(),
            text: inside.flat_map(|line| [line, "\n"]).collect(),
        });
    }
    found
}

fn is_shell(block: &Block) -> bool {
    ["sh", "console", "bash", "shell"].contains(&block.language.as_str())
}

/// The server of the first terminal.
struct First(Child);

impl Drop for First {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        // Over already, unless the test failed.
        Command::new("kill")
            .args(["-s", "TERM", "--", &group])
            .status()
            .ok();
        self.0.wait().ok();
    }
}

/// A newcomer's machine: an empty folder, and what README says must be there.
struct Newcomer {
    folder: TempDir,
    /// Scripts and notes, apart from the folder.
    aside: TempDir,
    ports: [u16; 2],
    path: String,
}

impl Newcomer {
    fn new(python: &Path) -> Self {
        let aside = tempfile::tempdir().unwrap();
        let bin = aside.path().join("bin");
        fs::create_dir(&bin).unwrap();
        write_program(&bin.join("cargo"), CARGO.as_bytes());
        // A virtual environment has `python` on the PATH.
        let environment = python.parent().unwrap();
        let path = [
            bin.display().to_string(),
            environment.display().to_string(),
            std::env::var("PATH").unwrap(),
        ];
        Self {
            folder: tempfile::tempdir().unwrap(),
            aside,
            ports: [free_port(), free_port()],
            path: path.join(":"),
        }
    }

    /// The text with free ports in place of those of README.
    fn here(&self, text: &str) -> String {
        text.replace("4010", &self.ports[0].to_string())
            .replace("4011", &self.ports[1].to_string())
    }

    fn bash(&self, script: &str) -> Command {
        let mut bash = Command::new("bash");
        for (name, _) in std::env::vars() {
            if name.starts_with("SANDTABLE_") || name.starts_with("ANTHROPIC_") {
                bash.env_remove(name);
            }
        }
        bash.args(["--noprofile", "--norc", "-c", script])
            .current_dir(self.folder.path())
            .env("PATH", &self.path)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SANDTABLE_BUILT", env!("CARGO_BIN_EXE_sandtable"))
            .env("INSTALLED", self.aside.path().join("bin"))
            .env("NOTES", self.aside.path().join("notes"))
            .stdin(Stdio::null())
            // A group of its own, so that all of it can be ended.
            .process_group(0);
        bash
    }

    /// Runs a block in the first terminal until its server listens.
    fn first_terminal(&self, block: &Block) -> First {
        let log = fs::File::create(self.aside.path().join("first")).unwrap();
        let child = self
            .bash(&format!("set -e\n{}", self.here(&block.text)))
            // The usual port may be somebody's.
            .env("SANDTABLE_PORT", self.ports[0].to_string())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut first = First(child);
        let lines = BufReader::new(first.0.stdout.take().unwrap()).lines();
        let listens = lines
            .map_while(Result::ok)
            .any(|line| line.contains("listening http://127.0.0.1:"));
        let said = fs::read_to_string(self.aside.path().join("first")).unwrap();
        assert!(listens, "the first terminal ended: {said}");
        first
    }

    /// Types all blocks into the second terminal; what each said.
    fn second_terminal(&self, blocks: &[Block]) -> Vec<String> {
        let notes = self.aside.path().join("notes");
        fs::create_dir(&notes).unwrap();
        let files: Vec<PathBuf> = (10..)
            .zip(blocks)
            .map(|(number, block)| {
                let file = notes.join(number.to_string());
                let text = match block.language.as_str() {
                    "python" => format!("python - <<'PROGRAM'\n{}PROGRAM\n", block.text),
                    _ => self.here(&block.text),
                };
                fs::write(&file, text).unwrap();
                file
            })
            .collect();
        let status = self.bash(TERMINAL).status().unwrap();
        let outputs: Vec<String> = files
            .iter()
            .map(|file| fs::read_to_string(file.with_extension("out")).unwrap_or_default())
            .collect();
        assert!(status.success(), "{outputs:#?}");
        let order = fs::read_to_string(notes.join("order")).unwrap();
        assert_eq!(order.lines().count(), blocks.len(), "{order}{outputs:#?}");
        outputs
    }

    /// The commands that failed, with their exit codes.
    fn failed(&self) -> Vec<(String, i32)> {
        let notes = fs::read_to_string(self.aside.path().join("notes/failed"));
        let notes = notes.unwrap_or_default();
        notes
            .lines()
            // A block ends as its last command does.
            .filter(|line| !line.ends_with(BLOCK))
            .map(|line| {
                let (code, command) = line.split_once(' ').unwrap();
                (command.to_owned(), code.parse().unwrap())
            })
            .collect()
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn every_shell_block_of_the_readme_does_what_it_says_in_its_order() {
    let Some(python) = clients_python() else {
        return;
    };
    if !image_ready(Flavor::Full).await {
        return;
    }
    let all = blocks(README);
    for (begins, why) in NOT_RUN {
        let left_out = all.iter().filter(|block| block.text.starts_with(begins));
        assert_eq!(left_out.count(), 1, "{begins}: {why}");
    }
    let typed: Vec<Block> = all
        .into_iter()
        .filter(|block| is_shell(block) || block.language == "python")
        .filter(|block| {
            NOT_RUN
                .iter()
                .all(|(begins, _)| !block.text.starts_with(begins))
        })
        .collect();
    let [first, rest @ ..] = &typed[..] else {
        panic!("no blocks");
    };
    assert!(first.text.starts_with(FIRST_TERMINAL), "{first:?}");
    let newcomer = Newcomer::new(&python);
    let server = newcomer.first_terminal(first);
    let said = newcomer.second_terminal(rest);
    let failed: Vec<(String, i32)> = FAILS
        .map(|(command, code)| (command.to_owned(), code))
        .into();
    assert_eq!(newcomer.failed(), failed, "{said:#?}");

    // What README says of each step, by a word of the block.
    let of = |word: &str| {
        let at = rest.iter().position(|block| block.text.contains(word));
        &said[at.unwrap_or_else(|| panic!("no block has `{word}`"))]
    };
    assert!(of("standard deviation").contains("Mean: 5.5"), "{said:#?}");
    let own = of("note.txt");
    assert!(
        own.contains("Linux") && own.contains("container_") && own.contains("done"),
        "{own}"
    );
    let script = of("lunch.yaml");
    assert!(
        script.contains("1 rule, 1 file") && script.contains(r#"{"rules":1}"#),
        "{script}"
    );
    assert!(of("/_sandtable/clock").contains("now"), "{said:#?}");
    assert!(
        of("\"after_events\": 5").contains("overloaded_error"),
        "{said:#?}"
    );
    let recorded = of("sandtable record");
    assert!(
        recorded.contains("recorded 2 exchanges into ask.yaml"),
        "{recorded}"
    );
    assert!(recorded.contains("41"), "{recorded}");
    assert!(recorded.contains("sandtable: ok"), "{recorded}");
    let replayed = of("overloaded.json");
    assert!(
        replayed.contains("error_code='container_expired'"),
        "{replayed}"
    );
    assert!(replayed.contains("gave up"), "{replayed}");
    let judged = of("test_lunch.py");
    assert!(
        judged.contains("1 passed") && judged.contains("sandtable: ok"),
        "{judged}"
    );
    let report = fs::read_to_string(newcomer.folder.path().join("report.xml")).unwrap();
    assert!(report.contains("<testsuite"), "{report}");
    drop(server);
}

#[test]
fn blocks_are_found_whatever_their_fence() {
    let page = "a\n```sh\none\n```\n````console\n```\ninner\n```\n````\n```\nnone\n```\n";
    let found = blocks(page);
    let languages: Vec<&str> = found.iter().map(|block| block.language.as_str()).collect();
    assert_eq!(languages, ["sh", "console", ""]);
    assert_eq!(found[1].text, "```\ninner\n```\n");
    assert_eq!(found.iter().filter(|block| is_shell(block)).count(), 2);
}
