//! The rules of the house: who may import whom, which package is used where, and how long a file is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each top-level module of the main crate may import. `main` and `lib` only name modules.
const EDGES: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "document", "private", "billing", "cassette", "client", "clock", "config", "coverage",
            "drift", "ids", "input", "junit", "limits", "live", "model", "quirks", "rate",
            "sandbox", "server", "sweep",
        ],
    ),
    (
        "sweep",
        &[
            "cassette", "client", "generate", "ids", "junit", "limits", "private", "xml",
        ],
    ),
    (
        "embed",
        &[
            "private", "billing", "client", "config", "ids", "model", "quirks", "rate", "sandbox",
            "server",
        ],
    ),
    ("billing", &["clock", "input", "limits"]),
    (
        "fuzzing",
        &["api", "cassette", "fault", "model", "skills", "snapshot"],
    ),
    ("lint", &[]),
    ("coverage", &["store"]),
    ("events", &["limits"]),
    (
        "verify",
        &[
            "clock", "coverage", "fault", "ids", "journal", "limits", "lint",
        ],
    ),
    ("rate", &[]),
    (
        "server",
        &[
            "document",
            "private",
            "api",
            "app",
            "backend",
            "batch",
            "cassette",
            "config",
            "control",
            "events",
            "fault",
            "ids",
            "limits",
            "model",
            "page",
            "sandbox",
            "store",
            "snapshot",
            "telemetry",
        ],
    ),
    ("batch", &["limits"]),
    ("skills", &["limits"]),
    (
        "snapshot",
        &[
            "document", "clock", "fault", "ids", "input", "limits", "model", "quirks", "rate",
            "skills", "store",
        ],
    ),
    (
        "cassette",
        &[
            "document", "private", "client", "ids", "input", "limits", "work",
        ],
    ),
    ("client", &[]),
    ("telemetry", &["client", "clock", "ids"]),
    (
        "live",
        &[
            "cassette", "client", "config", "clock", "ids", "junit", "model", "server",
        ],
    ),
    ("backend", &["config", "ids", "sandbox"]),
    (
        "app",
        &[
            "batch",
            "cassette",
            "clock",
            "config",
            "container",
            "engine",
            "fault",
            "limits",
            "model",
            "sandbox",
            "store",
            "workspace",
            "snapshot",
        ],
    ),
    (
        "api",
        &[
            "private",
            "app",
            "cassette",
            "clock",
            "config",
            "coverage",
            "engine",
            "fault",
            "ids",
            "journal",
            "limits",
            "model",
            "quirks",
            "rate",
            "skills",
            "store",
            "workspace",
            "lint",
            "telemetry",
            "verify",
            "work",
        ],
    ),
    ("work", &["limits"]),
    ("page", &["app", "ids"]),
    (
        "control",
        &[
            "ids",
            "work",
            "api",
            "app",
            "billing",
            "cassette",
            "clock",
            "config",
            "container",
            "coverage",
            "fault",
            "journal",
            "limits",
            "model",
            "quirks",
            "rate",
            "store",
            "workspace",
            "events",
            "lint",
            "telemetry",
            "snapshot",
            "verify",
        ],
    ),
    (
        "engine",
        &[
            "billing",
            "clock",
            "container",
            "coverage",
            "fault",
            "ids",
            "limits",
            "model",
            "quirks",
            "sandbox",
            "store",
            "workspace",
            "skills",
            "lint",
            "telemetry",
            "verify",
            "work",
        ],
    ),
    (
        "container",
        &[
            "clock",
            "ids",
            "limits",
            "model",
            "quirks",
            "sandbox",
            "store",
            "workspace",
            "skills",
            "events",
            "telemetry",
        ],
    ),
    (
        "workspace",
        &[
            "billing",
            "cassette",
            "clock",
            "events",
            "fault",
            "ids",
            "journal",
            "limits",
            "model",
            "quirks",
            "rate",
            "store",
            "telemetry",
            "verify",
            "snapshot",
        ],
    ),
    (
        "config",
        &[
            "billing", "cassette", "limits", "model", "quirks", "rate", "sandbox",
        ],
    ),
    (
        "fault",
        &["document", "clock", "ids", "input", "limits", "model"],
    ),
    ("quirks", &[]),
    (
        "model",
        &["clock", "document", "ids", "input", "limits", "work"],
    ),
    ("sandbox", &["private", "clock", "ids", "limits"]),
    ("store", &["ids", "clock", "limits", "private"]),
    ("journal", &["ids", "limits", "lint"]),
    ("clock", &[]),
    ("ids", &[]),
    ("hinted", &[]),
    ("document", &[]),
    ("input", &[]),
    ("limits", &[]),
    ("private", &[]),
    ("junit", &["xml"]),
    ("xml", &[]),
    ("generate", &[]),
    ("drift", &["billing", "cassette", "clock", "junit", "live"]),
];

/// What every module may import: how errors are put into words is one for all.
const FOR_ALL: &[&str] = &["hinted"];

/// Where a package may be used; a path that ends in `/` is a folder.
const PACKAGES: &[(&str, &[&str])] = &[
    (
        "axum",
        &[
            "src/api.rs",
            "src/api/",
            "src/control.rs",
            "src/control/",
            "src/server.rs",
            "src/server/",
            "src/app.rs",
            "src/cli/mcp.rs",
            "src/page.rs",
        ],
    ),
    ("bollard", &["src/sandbox/docker.rs", "src/sandbox/docker/"]),
    (
        "kube",
        &["src/sandbox/kubernetes.rs", "src/sandbox/kubernetes/"],
    ),
    (
        "k8s_openapi",
        &["src/sandbox/kubernetes.rs", "src/sandbox/kubernetes/"],
    ),
    ("rusqlite", &["src/store.rs", "src/store/"]),
    ("clap", &["src/cli.rs", "src/cli/"]),
    ("reqwest", &["src/client.rs", "src/cassette/upstream.rs"]),
];

/// Backends that are named outside the list of backends, and where: what a server chooses from by itself, and a flag of
/// one alone. Of any other its line in the list, its module, and its folder are all there is.
const NAMED_BACKENDS: &[(&str, &[&str])] = &[
    ("Docker", &["src/cli/args.rs", "src/cli/doctor.rs"]),
    ("Local", &["src/cli/doctor.rs"]),
];

/// Soft and hard cap of a file's lines.
const LONG_LINES: usize = 400;
const TOO_LONG_LINES: usize = 800;
/// Half of all files are no longer than this.
const MEDIAN_LINES: usize = 200;
/// Tables, which may be as long as what they list.
const TABLES: &[&str] = &[];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, by its path from the root, with its text.
pub(super) fn sources(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    assert!(!files.is_empty());
    files
}

fn all_sources() -> Vec<(String, String)> {
    ["src", "crates", "tests"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

/// The text without comments, and without what is only compiled for tests.
pub(super) fn code(name: &str, text: &str) -> String {
    if name.contains("/tests/") || name.ends_with("/tests.rs") {
        return String::new();
    }
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            match lines.next() {
                Some(module) if module.ends_with(';') => continue,
                // By custom the last item of a file.
                _ => break,
            }
        }
        if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// The first segment of every path that begins with `crate::`, grouped imports taken apart.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` in a macro, or `my_crate::`.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_members(group)),
            None => found.extend(first_segment(rest)),
        }
    }
    found
}

/// The first segments of the members of `{a, b::c, d::{e, f}}`, behind its opening brace.
fn group_members(group: &str) -> Vec<String> {
    let (mut depth, mut begins, mut members) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                members.extend(first_segment(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    members
}

pub(super) fn first_segment(path: &str) -> Option<String> {
    let segment: String = path
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!segment.is_empty()).then_some(segment)
}

fn module(name: &str) -> &str {
    let inner = name.trim_start_matches("src/").trim_end_matches(".rs");
    inner.split('/').next().unwrap()
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (name, text) in sources("src") {
        let from = module(&name);
        if matches!(from, "main" | "lib") {
            continue;
        }
        let Some(edges) = allowed.get(from) else {
            wrong.push(format!(
                "{name}: `{from}` is a new module; give it a place in EDGES"
            ));
            continue;
        };
        for to in imports(&code(&name, &text)) {
            // Upper case: an item of the crate's root.
            let is_for_all = FOR_ALL.contains(&to.as_str());
            if to == from || is_for_all || !allowed.contains_key(to.as_str()) {
                continue;
            }
            used.insert((from.to_owned(), to.clone()));
            if !edges.contains(&to.as_str()) {
                wrong.push(format!(
                    "{name} imports `crate::{to}`: `{from}` must not know `{to}`"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = EDGES
        .iter()
        .flat_map(|(from, edges)| {
            edges
                .iter()
                .map(move |to| ((*from).to_owned(), (*to).to_owned()))
        })
        .filter(|edge| !used.contains(edge))
        .collect();
    assert!(
        unused.is_empty(),
        "edges that nobody uses any more: {unused:?}"
    );
}

#[test]
fn the_edges_have_no_circle() {
    let mut left: BTreeMap<&str, BTreeSet<&str>> = EDGES
        .iter()
        .map(|(from, edges)| (*from, edges.iter().copied().collect()))
        .collect();
    while let Some(leaf) = left
        .iter()
        .find(|(_, edges)| edges.is_empty())
        .map(|(name, _)| *name)
    {
        left.remove(leaf);
        for edges in left.values_mut() {
            edges.remove(leaf);
        }
    }
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn packages_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for (name, text) in sources("src") {
        let code = code(&name, &text);
        for (package, places) in PACKAGES {
            let at_home = places
                .iter()
                .any(|place| name == *place || (place.ends_with('/') && name.starts_with(place)));
            let path = format!("{package}::");
            let used = code.match_indices(&path).any(|(at, _)| {
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if used && !at_home {
                wrong.push(format!("{name} uses `{package}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_small_crates_know_nothing_of_ours() {
    for (name, text) in sources("crates") {
        let code = code(&name, &text);
        // Its whole purpose is to find out whether there is a network.
        let is_probe = name == "crates/guest/src/probe.rs";
        for stranger in ["sandtable::", "tokio::", "axum::", "std::net::"] {
            let may = is_probe && stranger == "std::net::";
            assert!(may || !code.contains(stranger), "{name} uses `{stranger}`");
        }
        if !name.starts_with("crates/guest/") {
            for io in ["std::fs", "std::process", "std::thread"] {
                assert!(!code.contains(io), "{name} does I/O: `{io}`");
            }
            assert!(
                !code.contains("guest::") || name.starts_with("crates/guest-proto/"),
                "{name}"
            );
        }
        if !name.starts_with("crates/wire/") {
            assert!(!code.contains("wire::"), "{name} knows the wire");
        }
    }
}

#[test]
fn time_and_ids_come_from_one_place_each() {
    for (name, text) in sources("src") {
        let code = code(&name, &text);
        for (call, home) in [
            ("Utc::now(", "src/clock.rs"),
            ("SystemTime::now(", "nowhere"),
            ("Uuid::new_v4(", "src/ids.rs"),
            ("Uuid::now_v7(", "nowhere"),
        ] {
            assert!(
                !code.contains(call) || name == home,
                "{name} calls `{call})`"
            );
        }
    }
}

#[test]
fn files_are_short() {
    let mut lengths = Vec::new();
    let mut too_long = Vec::new();
    for (name, text) in all_sources() {
        let lines = text.lines().count();
        lengths.push(lines);
        if TABLES.contains(&name.as_str()) {
            continue;
        }
        if lines > TOO_LONG_LINES {
            too_long.push(format!("{name}: {lines}"));
        } else if lines > LONG_LINES {
            eprintln!("over the soft cap of {LONG_LINES} lines: {name} has {lines}");
        }
    }
    assert!(
        too_long.is_empty(),
        "over {TOO_LONG_LINES} lines: {too_long:?}"
    );
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= MEDIAN_LINES, "the median file has {median} lines");
}

#[test]
fn every_file_says_what_lives_there() {
    for (name, text) in all_sources() {
        assert!(text.starts_with("//! "), "{name} does not open with `//!`");
        assert!(
            !name.ends_with("/mod.rs"),
            "{name}: the house has no mod.rs"
        );
    }
}

#[test]
fn every_test_that_a_page_of_the_docs_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for page in fs::read_dir(root.join("docs")).unwrap().flatten() {
        let Ok(text) = fs::read_to_string(page.path()) else {
            continue;
        };
        for quoted in text.split('`').skip(1).step_by(2) {
            if !quoted.starts_with("tests/") && !quoted.ends_with("/tests") {
                continue;
            }
            let pattern = root.join(quoted.trim_end_matches('/'));
            let mut found = glob::glob(pattern.to_str().unwrap()).unwrap();
            assert!(found.next().is_some(), "{:?}: {quoted}", page.path());
            named += 1;
        }
    }
    assert!(named >= 20, "{named}");
}

#[test]
fn imports_are_found_in_groups_and_paths() {
    let code =
        "use crate::{a, b::c, d::{e, f},\n g};\nlet x = crate::h::i(); $crate::j; my_crate::k";
    let found = imports(code);
    let expected = ["a", "b", "d", "g", "h", "j"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn a_backend_is_a_line_a_module_and_a_folder() {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in sources("src") {
        for rest in code(&name, &text).split("BackendChoice::").skip(1) {
            let choice: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            // A constant, and what is no backend.
            if !matches!(choice.as_str(), "ALL" | "Auto" | "None" | "") {
                named.entry(choice).or_default().insert(name.clone());
            }
        }
    }
    let expected = NAMED_BACKENDS.iter().map(|(choice, files)| {
        let files = files.iter().map(ToString::to_string).collect();
        ((*choice).to_owned(), files)
    });
    assert_eq!(named, expected.collect());
}
