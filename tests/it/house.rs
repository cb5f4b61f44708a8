//! The rules of the house: who may import whom, which package is used where, and how long a file is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that have no part in serving requests, and stand for themselves.
const SMALL: [&str; 4] = [
    "crates/control",
    "crates/guest",
    "crates/guest-proto",
    "crates/wire",
];

/// Where a package may be used; a path that ends in `/` is a folder.
const PACKAGES: &[(&str, &[&str])] = &[
    ("axum", &["crates/server/src/", "crates/cli/src/mcp.rs"]),
    (
        "bollard",
        &["crates/sandbox/src/docker.rs", "crates/sandbox/src/docker/"],
    ),
    (
        "kube",
        &[
            "crates/sandbox/src/kubernetes.rs",
            "crates/sandbox/src/kubernetes/",
        ],
    ),
    (
        "k8s_openapi",
        &[
            "crates/sandbox/src/kubernetes.rs",
            "crates/sandbox/src/kubernetes/",
        ],
    ),
    ("rusqlite", &["crates/store/src/"]),
    ("clap", &["crates/cli/src/"]),
    (
        "reqwest",
        &["crates/client/src/", "crates/cassette/src/upstream.rs"],
    ),
];

/// Backends that are named outside the list of backends, and where: what a server chooses from by itself, and a flag of
/// one alone. Of any other its line in the list, its module, and its folder are all there is.
const NAMED_BACKENDS: &[(&str, &[&str])] = &[
    (
        "Docker",
        &[
            "crates/cli/src/args/ground.rs",
            "crates/cli/src/doctor.rs",
            "crates/cli/src/doctor/engine.rs",
        ],
    ),
    ("Kubernetes", &["crates/cli/src/args/ground.rs"]),
    (
        "Local",
        &["crates/cli/src/args/ground.rs", "crates/cli/src/doctor.rs"],
    ),
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

/// Every file below `folder` that ends in one of these, by its path from the root, with its text; without what is
/// fetched or built.
pub(super) fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
            if path.is_dir() {
                if !name.ends_with("/node_modules") && !name.ends_with("/target") {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                files.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Every Rust file below `folder`.
pub(super) fn sources(folder: &str) -> Vec<(String, String)> {
    files(folder, &[".rs"])
}

fn all_sources() -> Vec<(String, String)> {
    ["src", "crates", "tests"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

/// The files of the program and the library, without those of the small crates.
pub(super) fn main_sources() -> Vec<(String, String)> {
    let is_small = |name: &str| {
        let mut small = SMALL.iter();
        small.any(|folder| {
            name.strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let all = ["src", "crates"].into_iter().flat_map(sources);
    all.filter(|(name, _)| !is_small(name)).collect()
}

/// Whether a file holds nothing but tests.
pub(super) fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs")
}

/// The text without comments, and without what is only compiled for tests.
pub(super) fn code(name: &str, text: &str) -> String {
    if is_test(name) {
        return String::new();
    }
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            match lines.find(|line| !line.starts_with("#[")) {
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

pub(super) fn first_segment(path: &str) -> Option<String> {
    let segment: String = path
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!segment.is_empty()).then_some(segment)
}

/// The names of the dependencies that a crate's manifest lists for its own code.
fn dependencies(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let mut found: Vec<String> = Vec::new();
    let mut add = |table: &toml::Table| {
        if let Some(dependencies) = table.get("dependencies").and_then(toml::Value::as_table) {
            found.extend(dependencies.keys().cloned());
        }
    };
    add(&manifest);
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    for target in targets.into_iter().flat_map(toml::Table::values) {
        add(target.as_table().unwrap());
    }
    found
}

/// Which crate may know which is in the manifests, and cargo holds it; a line that nobody uses allows too much.
#[test]
fn a_crate_uses_all_that_its_manifest_allows_it() {
    let mut unused = Vec::new();
    let mut crates = 0;
    for folder in fs::read_dir(root().join("crates")).unwrap().flatten() {
        let name = format!("crates/{}", folder.file_name().to_str().unwrap());
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        let code: String = sources(&format!("{name}/src"))
            .iter()
            .map(|(name, text)| code(name, text))
            .collect();
        for package in dependencies(&manifest) {
            let path = format!("{}::", package.replace('-', "_"));
            let is_used = code
                .match_indices(&path)
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            // Derives name it in no path.
            if !is_used && package != "serde" {
                unused.push(format!("{name}: {package}"));
            }
        }
        crates += 1;
    }
    assert!(unused.is_empty(), "{unused:#?}");
    assert!(crates >= 17, "{crates}");
}

/// Public items that only tests use: they show things that are seen nowhere else.
const FOR_TESTS: &[&str] = &[
    "PROPERTIES",
    "ensure",
    "forget_guest_volume",
    "has_cgroups",
    "has_namespaces",
    "is_well_formed",
    "remove_all_of_this_directory",
    "warm_count",
    "with_lease",
    "workspace_for_key",
];

/// The words of a text, in their order.
fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| c != '_' && !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// The names of the functions, types, and values that are public.
fn public_names(code: &str) -> Vec<&str> {
    let public = code.lines().filter_map(|line| {
        let mut words = words(line.trim_start().strip_prefix("pub ")?);
        let kind = words.find(|word| !matches!(*word, "async" | "unsafe"))?;
        match kind {
            // `const fn`, or a value.
            "const" => words.find(|word| *word != "fn"),
            "fn" | "static" | "struct" | "enum" | "trait" | "type" => words.next(),
            _ => None,
        }
    });
    public.collect()
}

/// The compiler sees unused code only where other crates cannot.
#[test]
fn what_is_public_is_used() {
    let all: Vec<String> = ["src", "crates"]
        .into_iter()
        .flat_map(sources)
        .map(|(name, text)| code(&name, &text))
        .collect();
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    for word in all.iter().flat_map(|code| words(code)) {
        *named.entry(word).or_default() += 1;
    }
    let main: Vec<String> = main_sources()
        .iter()
        .filter(|(name, _)| name.starts_with("crates/"))
        .map(|(name, text)| code(name, text))
        .collect();
    let mut defined: BTreeMap<&str, usize> = BTreeMap::new();
    for name in main.iter().flat_map(|code| public_names(code)) {
        *defined.entry(name).or_default() += 1;
    }
    assert!(defined.len() > 500, "{}", defined.len());
    let unused = defined
        .iter()
        .filter(|(name, times)| named[**name] <= **times);
    let unused: Vec<&str> = unused.map(|(name, _)| *name).collect();
    assert_eq!(unused, FOR_TESTS, "found, and known");
}

#[test]
fn packages_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for (name, text) in main_sources() {
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
    for (name, text) in SMALL.into_iter().flat_map(sources) {
        let code = code(&name, &text);
        // Its whole purpose is to find out whether there is a network.
        let is_probe = name == "crates/guest/src/probe.rs";
        for stranger in ["common::", "tokio::", "axum::", "std::net::"] {
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
    for (name, text) in main_sources() {
        let code = code(&name, &text);
        for (call, home) in [
            ("Utc::now(", "crates/common/src/clock.rs"),
            ("SystemTime::now(", "nowhere"),
            ("Uuid::new_v4(", "crates/common/src/ids.rs"),
            ("Uuid::now_v7(", "nowhere"),
        ] {
            assert!(
                !code.contains(call) || name == home,
                "{name} calls `{call})`"
            );
        }
    }
}

/// `value["key"]` that changes what it is asked of makes a member where there is none, and panics on what is no object.
#[test]
fn no_member_is_made_by_asking_for_it() {
    let changes = [".take()", ".as_array_mut()", ".as_object_mut()"];
    let mut found = Vec::new();
    for (name, text) in main_sources() {
        let code = code(&name, &text);
        let asks = |line: &&str| {
            changes
                .iter()
                .any(|change| line.contains(&format!("\"]{change}")))
        };
        found.extend(
            code.lines()
                .filter(asks)
                .map(|line| format!("{name}: {}", line.trim())),
        );
    }
    assert!(found.is_empty(), "ask with `get_mut`: {found:#?}");
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
fn a_backend_is_a_line_a_module_and_a_folder() {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in main_sources() {
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
