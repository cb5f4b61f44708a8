//! A variant that is added to an enum does not compile until every place has an answer for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the tools are that the service runs.
const MODEL: &str = "crates/model/src/lib.rs";

/// The files and folders that the workspace is built from.
const PARTS: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "benches",
    "crates",
    "docs",
    "images",
    "page",
    "src",
    "tests",
    "Dockerfile.sandbox",
];

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if !["node_modules", ".venv", "target"].contains(&&*entry.file_name().to_string_lossy()) {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    }
}

/// The files in which a match lacks something after each `new` was put behind its `place` of `file`.
fn asked(workspace: &Path, file: &str, added: &[(&str, &str)]) -> Vec<String> {
    let path = workspace.join(file);
    let before = fs::read_to_string(&path).unwrap();
    let mut text = before.clone();
    for (place, new) in added {
        assert_eq!(text.matches(place).count(), 1, "`{place}` in {file}");
        text = text.replace(place, &format!("{place}{new}"));
    }
    fs::write(&path, text).unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    let checked = Command::new(env!("CARGO"))
        .current_dir(workspace)
        // All of the workspace, and examples, which may use what tests do: so what it depends on has the features that lints
        // and tests have checked it with, and is not checked again.
        .args(["check", "--offline", "--lib", "--examples"])
        .args(["--message-format", "short"])
        .env("CARGO_TARGET_DIR", target)
        // The guest itself is not what is asked about.
        .env("SANDTABLE_GUEST_BINARY", path.as_os_str())
        .output()
        .unwrap();
    fs::write(&path, before).unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(!checked.status.success(), "it compiles: {said}");
    let mut files: Vec<String> = said
        .lines()
        .filter(|line| line.contains("error[E0004]"))
        .filter_map(|line| Some(line.split(':').next()?.to_owned()))
        .collect();
    files.dedup();
    assert!(!files.is_empty(), "{said}");
    files
}

#[test]
fn a_new_block_tool_or_fault_asks_every_place_that_has_to_know() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    for part in PARTS {
        copy(&root.join(part), &folder.path().join(part));
    }
    let wire = |file, place| {
        let new = [(place, "\n    Hologram {},")];
        asked(folder.path(), file, &new)
    };
    assert_eq!(
        wire("crates/wire/src/block.rs", "pub enum ContentBlock {"),
        ["crates/wire/src/block.rs", "crates/wire/src/kinds.rs"]
    );
    assert_eq!(
        wire("crates/wire/src/request/blocks.rs", "pub enum Block {"),
        ["crates/wire/src/request/blocks.rs"]
    );
    let tool = (
        "        Advisor \"advisor\",",
        "\n        Hologram \"hologram\",",
    );
    let files = asked(folder.path(), MODEL, &[tool]);
    assert!(files.iter().any(|asked| asked == MODEL), "{files:?}");
    // Once the crate of models has its answers, the engine is asked for its own.
    let answers = [
        tool,
        (
            "Self::ToolSearchRegex | Self::ToolSearchBm25 | Self::Advisor",
            " | Self::Hologram",
        ),
        (
            "            Self::Advisor => wire::OF_ADVISOR,",
            "\n            Self::Hologram => &[],",
        ),
        (
            "Self::WebSearch | Self::WebFetch | Self::Advisor",
            " | Self::Hologram",
        ),
        (
            "            | ServerTool::Advisor",
            " | ServerTool::Hologram",
        ),
    ];
    let files = asked(folder.path(), MODEL, &answers);
    for file in [
        "crates/engine/src/calls/words.rs",
        "crates/engine/src/sabotage.rs",
    ] {
        assert!(files.iter().any(|asked| asked == file), "{file}: {files:?}");
    }
}
