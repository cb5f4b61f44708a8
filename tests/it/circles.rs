//! The rules of the house, continued: modules beside each other import each other in no circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::house::{code, first_segment, is_test, main_sources};

/// Folders in which modules beside each other still import each other in a circle.
const CIRCLES: &[(&str, &[&str])] = &[
    ("sandbox/kubernetes", &["backend", "launch", "pool"]),
    (
        "sandbox/local",
        &["confined", "init", "plan", "rootfs", "tools"],
    ),
    ("sandbox/local/confined", &["proc", "space", "tracee"]),
];

/// Every path that begins with `crate`, `super`, or `self`, as a path below the name of the crate, in a file of this
/// module.
fn paths(code: &str, module: &[&str]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '$')) {
                continue;
            }
            let mut base = match start {
                "crate::" => module[..1].to_vec(),
                "super::" => module[..module.len() - 1].to_vec(),
                _ => module.to_vec(),
            };
            let mut rest = &code[at + start.len()..];
            while let Some(above) = rest.strip_prefix("super::") {
                base.pop();
                rest = above;
            }
            let base: Vec<String> = base.into_iter().map(str::to_owned).collect();
            take_paths(rest, &base, &mut found);
        }
    }
    found
}

/// Adds the paths at the beginning of `rest`, a group's members one by one; what follows them is returned.
fn take_paths<'a>(rest: &'a str, base: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut group) = rest.strip_prefix('{') {
        loop {
            group = group.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
            if let Some(after) = group.strip_prefix('}') {
                return after;
            }
            let after = take_paths(group, base, found);
            if after.len() == group.len() {
                return after;
            }
            // `as NAME`
            let to = after.find([',', '}']).unwrap_or(after.len());
            group = &after[to..];
        }
    }
    let Some(segment) = first_segment(rest) else {
        return rest;
    };
    let after = &rest[segment.len()..];
    let path = [base, &[segment]].concat();
    match after.strip_prefix("::") {
        Some(deeper) if deeper.starts_with(|c: char| c.is_alphanumeric() || "_{*".contains(c)) => {
            take_paths(deeper, &path, found)
        }
        _ => {
            found.push(path);
            after
        }
    }
}

/// A file's module, below the name of its crate: `store/files` of `crates/store/src/files.rs`, `store` of its `lib.rs`.
fn module(name: &str) -> String {
    let name = name.trim_end_matches(".rs");
    let module = match name.strip_prefix("crates/") {
        Some(inner) => inner.replacen("/src/", "/", 1),
        None => name.replacen("src/", "sandtable/", 1),
    };
    module.trim_end_matches("/lib").to_owned()
}

/// The modules of a folder, each with those beside it that it or a file below it imports.
type Beside = BTreeMap<String, BTreeSet<String>>;

/// The same of every folder. What lies above a file, or below it, is not beside it: a parent makes its children, and
/// they use its words.
fn imports_beside() -> BTreeMap<String, Beside> {
    let files: BTreeMap<String, String> = main_sources()
        .into_iter()
        .filter(|(name, _)| !is_test(name))
        .map(|(name, text)| (module(&name), code(&name, &text)))
        .collect();
    let mut folders: BTreeMap<String, Beside> = BTreeMap::new();
    for (module, code) in &files {
        let from: Vec<&str> = module.split('/').collect();
        for path in paths(code, &from) {
            let deepest = (1..=path.len())
                .rev()
                .find(|n| files.contains_key(&path[..*n].join("/")));
            let to = &path[..deepest.unwrap_or(0)];
            let same = from.iter().zip(to).take_while(|(a, b)| *a == b).count();
            if same == 0 || same == from.len() || same == to.len() {
                continue;
            }
            let folder = folders.entry(from[..same].join("/")).or_default();
            let imported = folder.entry(from[same].to_owned()).or_default();
            imported.insert(to[same].clone());
        }
    }
    folders
}

/// The modules that are left when those that import nobody of the rest, or that nobody of it imports, are taken away.
fn circle(beside: &Beside) -> BTreeSet<String> {
    let mut left = beside.clone();
    loop {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        let used: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|name, imported| {
            imported.retain(|other| names.contains(other));
            !imported.is_empty() && used.contains(name)
        });
        if left.len() == names.len() {
            return names;
        }
    }
}

#[test]
fn modules_beside_each_other_do_not_import_each_other_in_a_circle() {
    let found: BTreeMap<String, BTreeSet<String>> = imports_beside()
        .iter()
        .map(|(folder, beside)| (folder.clone(), circle(beside)))
        .filter(|(_, circle)| !circle.is_empty())
        .collect();
    let known: BTreeMap<String, BTreeSet<String>> = CIRCLES
        .iter()
        .map(|(folder, circle)| {
            let circle = circle.iter().map(ToString::to_string).collect();
            ((*folder).to_owned(), circle)
        })
        .collect();
    for (folder, circle) in &found {
        let may = known.get(folder).cloned().unwrap_or_default();
        let new: Vec<_> = circle.difference(&may).collect();
        assert!(
            new.is_empty(),
            "a new circle of imports in `{folder}`, with {new:?}: {:?}",
            imports_beside()[folder]
        );
    }
    for (folder, circle) in &known {
        let is = found.get(folder).cloned().unwrap_or_default();
        let gone: Vec<_> = circle.difference(&is).collect();
        assert!(
            gone.is_empty(),
            "untied in `{folder}`; take them out of CIRCLES: {gone:?}"
        );
    }
}

#[test]
fn a_circle_of_imports_is_found() {
    let code = "use crate::{a::b::{self, C}, d as e};\nuse super::f::G;\nlet x = self::h::i(); $crate::j; mine::k";
    let found: BTreeSet<String> = paths(code, &["m", "n"])
        .iter()
        .map(|path| path.join("/"))
        .collect();
    let expected = ["m/a/b/self", "m/a/b/C", "m/d", "m/f/G", "m/n/h/i"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
    let edge = |from: &str, to: &[&str]| {
        let to = to.iter().map(ToString::to_string).collect();
        (from.to_owned(), to)
    };
    let edges = [
        edge("a", &["b"]),
        edge("b", &["c", "e"]),
        edge("c", &["a"]),
        edge("d", &["a"]),
    ];
    let expected = ["a", "b", "c"].map(str::to_owned);
    assert_eq!(circle(&BTreeMap::from(edges)), BTreeSet::from(expected));
}
