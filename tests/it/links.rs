//! The pages for people: every link leads somewhere, every page has its place in the book.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Folders with pages; of the root only its own files.
const FOLDERS: [&str; 5] = ["docs", "images", "clients", "examples", "fixtures"];
/// Folders below them that hold others' pages.
const OTHERS: [&str; 2] = ["node_modules", "target"];
const SUMMARY: &str = "docs/SUMMARY.md";
/// History: what it names was so when it was written.
const CHANGELOG: &str = "CHANGELOG.md";

/// A page, by its path in the repository.
struct Page {
    path: PathBuf,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    let mut folders = vec![(root().to_owned(), false)];
    folders.extend(FOLDERS.map(|folder| (root().join(folder), true)));
    while let Some((folder, is_deep)) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if path.is_dir() && is_deep && !OTHERS.contains(&&*name) {
                folders.push((path, true));
            } else if name.ends_with(".md") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().to_owned();
                found.push(Page { path, text });
            }
        }
    }
    found
}

/// The lines that are no code of a fence.
fn prose(text: &str) -> Vec<&str> {
    let mut fence = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            None if ticks >= 3 => fence = Some(ticks),
            None => lines.push(line),
            Some(open) if ticks == open && line.len() == ticks => fence = None,
            Some(_) => {}
        }
    }
    lines
}

/// A line with what stands between backticks replaced by blanks.
fn without_code(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        let ticks = rest.len() - rest.trim_start_matches('`').len();
        let fence = &rest[..ticks];
        let end = rest[ticks..].find(fence).map(|end| end + 2 * ticks);
        let end = end.unwrap_or(rest.len());
        kept.extend(rest[..end].chars().map(|_| ' '));
        rest = &rest[end..];
    }
    kept + rest
}

/// Where the links of a line are, from `[` to `)`, and their targets.
fn links(line: &str) -> Vec<(std::ops::Range<usize>, String)> {
    let mut found: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    for (at, _) in line.match_indices("](") {
        let Some(length) = line[at + 2..].find(')') else {
            continue;
        };
        let end = at + 2 + length;
        let begins = found.last().map_or(0, |(range, _)| range.end);
        let from = line[begins..at].rfind('[').map_or(at, |from| begins + from);
        found.push((from..end + 1, line[at + 2..end].to_owned()));
    }
    found
}

/// A heading's name in a link, as code hosts and mdBook make it.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let anchor: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let again = seen.entry(anchor.clone()).or_default();
        found.insert(match *again {
            0 => anchor,
            times => format!("{anchor}-{times}"),
        });
        *again += 1;
    }
    found
}

/// `target` as it is seen from `page`, without `..`.
fn resolved(page: &Path, target: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in page.parent().unwrap().join(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{target} leaves the repository"),
            other => path.push(other),
        }
    }
    path
}

/// The defect of a link of a page.
fn fault(page: &Page, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return None;
    }
    let (name, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match name {
        "" => page.path.clone(),
        name => resolved(&page.path, name),
    };
    if !root().join(&path).exists() {
        return Some("there is no such file".to_owned());
    }
    if anchor.is_empty() {
        return None;
    }
    let text = fs::read_to_string(root().join(&path)).unwrap_or_default();
    let missing = !anchors(&text).contains(anchor);
    missing.then(|| format!("no heading of {} has this name", path.display()))
}

#[test]
fn every_link_of_a_page_leads_to_a_file_and_a_heading_that_are_there() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages() {
        for line in prose(&page.text) {
            for (_, target) in links(&without_code(line)) {
                count += 1;
                if let Some(why) = fault(&page, &target) {
                    wrong.push(format!("{}: ({target}): {why}", page.path.display()));
                }
            }
        }
    }
    assert!(count > 300, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_seen() {
    let page = |text: &str| Page {
        path: PathBuf::from("docs/VERIFY.md"),
        text: text.to_owned(),
    };
    let here = page("# Verify\n\n## The verdict\n\n## The verdict\n");
    assert_eq!(
        anchors(&here.text),
        ["verify", "the-verdict", "the-verdict-1"]
            .map(str::to_owned)
            .into()
    );
    assert_eq!(fault(&here, "SCRIPTS.md#templates"), None);
    assert_eq!(fault(&here, "../README.md"), None);
    assert_eq!(fault(&here, "https://example.com"), None);
    assert!(fault(&here, "NO.md").is_some());
    assert!(fault(&here, "SCRIPTS.md#nothing").is_some());
    let line = "see `[no](link.md)` and [`one`](A.md#b), [two](B.md)";
    let targets: Vec<String> = links(&without_code(line))
        .into_iter()
        .map(|(_, target)| target)
        .collect();
    assert_eq!(targets, ["A.md#b", "B.md"]);
    assert_eq!(prose("a\n```sh\n[x](y)\n```\nb"), ["a", "b"]);
}

#[test]
fn a_page_is_named_by_a_link_and_not_by_its_file() {
    let mut wrong = Vec::new();
    let all = pages();
    let names: BTreeSet<&str> = all
        .iter()
        .filter(|page| page.path.starts_with("docs"))
        .filter_map(|page| page.path.file_name()?.to_str())
        .filter(|name| !["README.md", "SUMMARY.md"].contains(name))
        .collect();
    for page in &all {
        if page.path == Path::new(CHANGELOG) || page.path == Path::new(SUMMARY) {
            continue;
        }
        for line in prose(&page.text) {
            let mut rest = line.to_owned();
            for (range, _) in links(line).into_iter().rev() {
                rest.replace_range(range, "");
            }
            let words = rest.split(|c: char| !c.is_alphanumeric() && !"-_.".contains(c));
            for word in words.map(|word| word.trim_end_matches('.')) {
                if names.contains(word) {
                    wrong.push(format!("{}: {word}: {line}", page.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The book's chapters in their order, by their paths in the repository.
fn chapters() -> Vec<PathBuf> {
    let text = fs::read_to_string(root().join(SUMMARY)).unwrap();
    let lines = text.lines().flat_map(links);
    lines
        .map(|(_, target)| resolved(Path::new(SUMMARY), &target))
        .collect()
}

#[test]
fn every_page_has_one_place_in_the_book() {
    let chapters = chapters();
    let once: BTreeSet<&PathBuf> = chapters.iter().collect();
    assert_eq!(once.len(), chapters.len(), "a page is there twice");
    let pages = pages();
    let expected = pages.iter().filter(|page| {
        let path = &page.path;
        let is_of_the_book = ["docs", "images", "clients"]
            .iter()
            .any(|folder| path.starts_with(folder))
            || path.starts_with("examples") && path.ends_with("README.md")
            || path == Path::new("README.md");
        is_of_the_book && path != Path::new(SUMMARY)
    });
    for page in expected {
        let path = &page.path;
        assert!(once.contains(path), "{} is in no book", path.display());
    }
}

#[test]
fn the_program_lists_its_pages_in_the_order_of_the_book() {
    let output = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .arg("docs")
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let listed: Vec<&str> = list
        .lines()
        .skip(2)
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "script.schema.json")
        .collect();
    let named = |path: &PathBuf| {
        let name = path.display().to_string().to_lowercase();
        match name.as_str() {
            "readme.md" => Some("readme".to_owned()),
            "images/readme.md" => Some("image".to_owned()),
            name => name.strip_prefix("docs/").map(|name| {
                name.trim_end_matches(".md")
                    .trim_end_matches("/readme")
                    .into()
            }),
        }
    };
    let expected: Vec<String> = chapters().iter().filter_map(named).collect();
    assert_eq!(listed, expected);
}
