//! Matches over enums of our own name every variant, so that a new one does not compile until each place has said
//! what it means there. A catch-all hides it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::house::{is_test, sources};

/// The code alone, of the same length: comments and texts are blank, and tests at the end are cut off.
fn code(source: &str) -> String {
    let source = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = raw_text(rest) {
            length
        } else if first == '"' {
            closing(&rest[1..], '"') + 1
        } else if let Some(length) = character(rest) {
            length
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
        out.extend(rest[..length].chars().map(blank));
        rest = &rest[length..];
    }
    out
}

fn raw_text(rest: &str) -> Option<usize> {
    let hashes = rest.strip_prefix('r')?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    let text = hashes[count..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(count));
    Some(rest.len() - text.len() + text.find(&end)? + end.len())
}

/// Up to and with the quote that ends a text.
fn closing(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// A character, not a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    let mut chars = inner.chars();
    let is_one = chars.next()? == '\\' || chars.next()? == '\'';
    is_one.then(|| closing(inner, '\'') + 1)
}

/// Where the bracket that opens `text` is closed.
fn matching(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Where `what` first stands outside of brackets.
fn outside(text: &str, what: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        if depth == 0 && text[at..].starts_with(what) {
            return Some(at);
        }
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The patterns of a match's arms, between its braces.
fn patterns(mut body: &str) -> Vec<&str> {
    let mut found = Vec::new();
    while let Some(arrow) = outside(body, "=>") {
        found.push(body[..arrow].trim());
        let value = body[arrow + 2..].trim_start();
        let end = if value.starts_with('{') {
            matching(value) + 1
        } else {
            outside(value, ",").unwrap_or(value.len())
        };
        body = value[end..].trim_start().trim_start_matches(',');
    }
    found
}

/// Whether an arm takes whatever comes.
fn takes_all(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    let begins_small = chars.next().is_some_and(|c| c == '_' || c.is_lowercase());
    begins_small
        && chars.all(|c| c == '_' || c.is_alphanumeric())
        && !matches!(pattern, "true" | "false")
}

/// The enum whose variant a pattern is, if it is one of `ours`.
fn of_ours<'a>(pattern: &'a str, ours: &BTreeSet<&str>) -> Option<&'a str> {
    let pattern = pattern.trim_start_matches(['|', '&', ' ', '\n']);
    let pattern = pattern
        .split_once(" @ ")
        .map_or(pattern, |(_, after)| after);
    let path = pattern
        .split(|c: char| c != ':' && c != '_' && !c.is_alphanumeric())
        .next()?;
    let (owner, variant) = path.rsplit_once("::")?;
    if owner.ends_with("io::ErrorKind") {
        return None;
    }
    let owner = owner.rsplit("::").next()?;
    let is_variant =
        variant.starts_with(char::is_uppercase) && variant.contains(char::is_lowercase);
    (is_variant && (owner == "Self" || ours.contains(owner))).then_some(owner)
}

/// Enums that cannot grow: their file begins so, and their name.
const CLOSED: [(&str, &str); 1] = [
    // What a YAML node is.
    ("crates/model/src/script", "Kind"),
];
/// Where the enums of ours come from: the crate itself, and those of the workspace by the names that it gives them.
fn our_roots() -> BTreeSet<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
    let all = manifest["workspace"]["dependencies"].as_table().unwrap();
    let ours = all.iter().filter(|(_, of)| of.get("path").is_some());
    let ours = ours.map(|(name, _)| name.replace('-', "_"));
    let itself = ["crate", "super", "self"].map(str::to_owned);
    ours.chain(itself).collect()
}

/// Names that a file takes from other crates.
fn foreign<'a>(code: &'a str, our_roots: &BTreeSet<String>) -> impl Iterator<Item = &'a str> {
    let uses = code.match_indices("\nuse ").filter_map(|(at, word)| {
        let path = code[at + word.len()..].split(';').next()?;
        let root = path.trim_start_matches("::").split("::").next()?;
        (!our_roots.contains(root)).then_some(path)
    });
    uses.flat_map(|path| path.split(|c: char| c != '_' && !c.is_alphanumeric()))
}

/// The lines of matches over enums of ours that have a catch-all.
fn catch_alls(code: &str, ours: &BTreeSet<&str>) -> Vec<usize> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("match ") {
        let is_word = !code[..at].ends_with(|c: char| c == '_' || c.is_alphanumeric());
        let Some(open) = outside(&code[at..], "{").filter(|_| is_word) else {
            continue;
        };
        let block = &code[at + open..];
        let arms = patterns(&block[1..matching(block)]);
        let has_all = arms.iter().any(|arm| takes_all(arm));
        if has_all && arms.iter().any(|arm| of_ours(arm, ours).is_some()) {
            found.push(code[..at].matches('\n').count() + 1);
        }
    }
    found
}

/// Those that are written as such, and those of the `words!` macros.
fn enums(code: &str) -> Vec<&str> {
    let written = code.match_indices("enum ").filter_map(|(at, word)| {
        let after = &code[at + word.len()..];
        after
            .split(|c: char| c != '_' && !c.is_alphanumeric())
            .next()
    });
    let macros = code.match_indices("words! {").flat_map(|(at, word)| {
        let block = &code[at + word.len() - 1..];
        let inside = &block[1..matching(block)];
        let heads = inside.match_indices(" {").map(move |(at, _)| &inside[..at]);
        heads.filter_map(|head| head.rsplit(char::is_whitespace).next())
    });
    let names = written.chain(macros);
    names
        .filter(|name| name.starts_with(char::is_uppercase))
        .collect()
}

#[test]
fn no_match_over_an_enum_of_ours_has_a_catch_all() {
    let files: Vec<(String, String)> = ["src", "crates"]
        .into_iter()
        .flat_map(sources)
        .filter(|(name, _)| !is_test(name))
        .map(|(name, text)| (name, code(&text)))
        .collect();
    let our_roots = our_roots();
    let ours: BTreeSet<&str> = files.iter().flat_map(|(_, code)| enums(code)).collect();
    for name in ["ContentBlock", "Block", "ServerTool", "SandboxError"] {
        assert!(ours.contains(name), "{ours:?}");
    }
    let mut found = Vec::new();
    for (file, code) in &files {
        let mut known = ours.clone();
        for name in foreign(code, &our_roots) {
            known.remove(name);
        }
        for (begin, name) in CLOSED {
            if Path::new(file).starts_with(begin) {
                known.remove(name);
            }
        }
        for line in catch_alls(code, &known) {
            found.push(format!("{file}:{line}"));
        }
    }
    assert!(
        found.is_empty(),
        "name every variant instead of `_`, so that a new one is a question here: {found:#?}"
    );
}

#[test]
fn a_catch_all_is_found_where_it_is_and_nowhere_else() {
    let source = r#"
fn a(it: &It) -> u8 {
    // match it { It::One => 1, _ => 2 }
    let _ = "match it { It::One => 1, _ => 2 }";
    match it {
        It::One { x: '{', .. } if true => match 1 { 1 => 2, _ => 3 },
        other => 4,
    }
}
fn b(it: It, text: &str) -> u8 {
    match (it, 1) { (It::One, _) => 1, (_, _) => 2 };
    match text { "a" => 1, _ => 2 };
    match it { It::One => 1, It::Two | It::Three => { 2 } }
    match Some(3) { Some(It::LIMIT) => 1, _ => 2 }
    match it {
        Self::One => 1,
        _ => 2,
    }
}
"#;
    let ours = BTreeSet::from(["It"]);
    assert_eq!(catch_alls(&code(source), &ours), [5, 15]);
}
