//! Errors have types, and one place says what a person reads of them: `docs/ERRORS-IN-CODE.md`.

use super::house::{code, main_sources, sources};

/// Where a line that begins with `hint:` may be written, and why.
const TELL_HINTS: &[(&str, &str)] = &[
    ("crates/common/src/hinted.rs", "it is the place"),
    (
        "crates/model/src/script/unmatched.rs",
        "the last line of a list, which stands at its margin",
    ),
];

/// Types that are no error, though they stand where one does.
const TEXTS: [&str; 4] = ["String", "&str", "&'static str", "Cow<'static, str>"];

/// The arguments of the generic type whose `<` is before `at`.
fn arguments(code: &str, at: usize) -> Vec<String> {
    let (mut depth, mut before) = (1, ' ');
    let mut found = vec![String::new()];
    for c in code[at..].chars() {
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            '>' if before == '-' || before == '=' => {}
            '>' | ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if c == ',' && depth == 1 {
            found.push(String::new());
        } else if let Some(last) = found.last_mut() {
            last.push(c);
        }
        before = c;
    }
    let found = found.into_iter().map(|argument| argument.trim().to_owned());
    found.filter(|argument| !argument.is_empty()).collect()
}

/// Every place of the code where a text is an error.
fn text_errors(code: &str) -> Vec<String> {
    let results = code.match_indices("Result<").filter_map(|(at, name)| {
        let all = arguments(code, at + name.len());
        let is_text = all.len() == 2 && TEXTS.contains(&all[1].as_str());
        is_text.then(|| format!("Result<{}>", all.join(", ")))
    });
    let types = ["type Err = ", "type Error = "].into_iter();
    let types = types.flat_map(|name| code.match_indices(name));
    let types = types.filter_map(|(at, name)| {
        let rest = &code[at + name.len()..];
        let kind = rest.split(';').next().unwrap_or_default().trim();
        TEXTS.contains(&kind).then(|| format!("{name}{kind}"))
    });
    results.chain(types).collect()
}

#[test]
fn no_text_is_an_error() {
    let mut wrong = Vec::new();
    for (name, text) in ["src", "crates"].into_iter().flat_map(sources) {
        let found = text_errors(&code(&name, &text));
        wrong.extend(found.into_iter().map(|it| format!("{name}: {it}")));
    }
    assert!(
        wrong.is_empty(),
        "a text is no error: give the module a type of its own\n{}",
        wrong.join("\n")
    );
}

#[test]
fn hints_are_put_into_words_in_one_place() {
    let mut told = Vec::new();
    for (name, text) in main_sources() {
        let code = code(&name, &text);
        let mut lines = code.lines();
        // Members and arguments are called so, too: those have no text before them.
        let says = |line: &str| {
            line.contains("\\n  hint:")
                || line.contains("\\nhint:")
                || line.contains("\"hint: ")
                || line.contains("(hint:")
        };
        if lines.any(says) {
            told.push(name);
        }
    }
    let known: Vec<&str> = TELL_HINTS.iter().map(|(name, _)| *name).collect();
    let strange: Vec<_> = told
        .iter()
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert!(
        strange.is_empty(),
        "`Hinted` has the hint, and `hinted` says it: {strange:?}"
    );
    let unused: Vec<_> = known
        .iter()
        .filter(|name| !told.iter().any(|it| it == *name))
        .collect();
    assert!(unused.is_empty(), "these say no hint any more: {unused:?}");
}

#[test]
fn errors_that_are_texts_are_found_wherever_they_stand() {
    let code = "fn a() -> Result<Vec<(u8, String)>, String> {}\nfn b() -> Result<\n    u8,\n    &'static str,\n> {}\n\
        fn c() -> Result<String, Wrong> {}\ntype D = Result<String>;\nimpl FromStr for E {\n    type Err = String;\n}\n\
        fn f(g: impl Fn(u8) -> u8) -> Result<Box<dyn Fn(u8) -> u8>, std::io::Error> {}";
    assert_eq!(
        text_errors(code),
        [
            "Result<Vec<(u8, String)>, String>",
            "Result<u8, &'static str>",
            "type Err = String"
        ]
    );
}
