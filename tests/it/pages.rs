//! Pages that messages point to are there for whoever has the program alone.

use std::path::Path;
use std::process::Command;

use super::house::{files, is_test};

/// Folders that only a checkout has.
const CHECKOUT: [&str; 6] = ["docs", "images", "tests", "fixtures", "clients", "benches"];

/// The texts that the program and the packages for tests may show to their users: lines without comments and
/// tests. The comments of flags are their help.
fn said() -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let sources = [
        files("src", &[".rs"]),
        files("crates", &[".rs"]),
        files("clients/python/src", &[".py"]),
        files(
            "clients/node/src",
            &[".js", ".cjs", ".mjs", ".cts", ".mts", ".ts"],
        ),
    ];
    for (name, text) in sources.concat() {
        if is_test(&name) {
            continue;
        }
        let is_help = name.starts_with("crates/cli/src/args");
        for line in text.lines() {
            if line == "#[cfg(test)]" {
                break;
            }
            let line = line.trim_start();
            let is_python = name.starts_with("clients/python");
            let mark = if is_python { "#" } else { "//" };
            let is_comment = line.starts_with(mark) && !(is_help && line.starts_with("/// "));
            if !is_comment && !line.contains("include_str!") {
                lines.push((name.clone(), line.to_owned()));
            }
        }
    }
    lines
}

#[test]
fn a_message_names_no_file_that_only_a_checkout_has() {
    let mut wrong = Vec::new();
    for (name, line) in said() {
        for folder in CHECKOUT {
            let path = format!("{folder}/");
            let names_it = line.match_indices(&path).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                // A URL or a path of another kind, such as `en/docs/`.
                let begins = before.is_none_or(|c| !c.is_alphanumeric() && c != '/' && c != '.');
                let file: String = line[at + path.len()..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || "-_.".contains(*c))
                    .collect();
                begins
                    && !file.is_empty()
                    && Path::new(env!("CARGO_MANIFEST_DIR"))
                        .join(folder)
                        .join(&file)
                        .exists()
            });
            if names_it {
                wrong.push(format!("{name}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_page_that_a_message_names_is_printed_by_the_program() {
    const COMMAND: &str = "sandtable docs ";
    let mut pages = Vec::new();
    for (name, line) in said() {
        for (at, _) in line.match_indices(COMMAND) {
            let page: String = line[at + COMMAND.len()..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || "-/.".contains(*c))
                .collect();
            // `sandtable docs PAGE` and `sandtable docs {near}` stand for any.
            if !page.is_empty() && page != "PAGE" {
                pages.push((name.clone(), page));
            }
        }
    }
    assert!(pages.len() >= 10, "{pages:?}");
    for (name, page) in pages {
        let output = Command::new(env!("CARGO_BIN_EXE_sandtable"))
            .args(["docs", &page])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: `{page}`: {said}");
        assert!(output.stdout.starts_with(b"# "), "{page}");
    }
}

#[test]
fn every_row_that_is_near_says_what_would_raise_it() {
    let page = include_str!("../../docs/PARITY.md");
    let states: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.split(" | ").nth(1))
        .filter(|state| state.starts_with("near"))
        .collect();
    assert!(states.len() > 80, "{}", states.len());
    for state in states {
        let word = state.strip_prefix("near: ").unwrap_or_default();
        assert!(
            page.contains(&format!("| `{word}` | ")),
            "`{state}` has no word of the table"
        );
    }
}
