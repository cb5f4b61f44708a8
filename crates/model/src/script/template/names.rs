//! Filters and tests that a template names and that do not exist. The engine itself finds out only when it runs them.

use std::sync::LazyLock;

use minijinja::{Environment, ErrorKind};
use regex::Regex;

/// A filter or a test that there is not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// `filter` or `test`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// Newlines before it.
    pub(super) line: usize,
}

/// The code between the delimiters.
static CODE: LazyLock<Regex> = LazyLock::new(|| fixed(r"(?s)\$\{\{(.*?)\}\}|\$\{%(.*?)%\}"));
static STRING: LazyLock<Regex> =
    LazyLock::new(|| fixed(r#"(?s)"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"#));
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    fixed(
        r"(?P<filter>\||^\s*-?\s*filter\s)\s*(?P<filtered>[A-Za-z_]\w*)|\bis\s+(?:not\s+)?(?P<test>[A-Za-z_]\w*)",
    )
});

/// A filter that takes the name of a filter or a test as a string. The string itself is blank there.
static BY_NAME: LazyLock<Regex> =
    LazyLock::new(|| fixed(r"\|\s*(?:(?P<map>map)|(?:select|reject)(?P<attr>attr)?)\s*\("));
/// A string that names something.
static NAMED: LazyLock<Regex> =
    LazyLock::new(|| fixed(r#"^\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*[,)]"#));
/// The attribute that a test is asked of.
static ATTRIBUTE: LazyLock<Regex> = LazyLock::new(|| fixed(r#"^\s*(?:"[^"\\]*"|'[^'\\]*')\s*,"#));
/// Tests whose names are no words.
const SIGNS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

fn fixed(source: &str) -> Regex {
    Regex::new(source).expect("the expression is constant")
}

/// The first of `source` that `environment` lacks.
pub(super) fn unknown(environment: &Environment<'_>, source: &str) -> Option<Unknown> {
    // Strings keep their length, so that places stay; a delimiter in one ends nothing.
    let blank = |found: &regex::Captures<'_>| {
        let keep = |byte: u8| if byte == b'\n' { '\n' } else { ' ' };
        found[0].bytes().map(keep).collect::<String>()
    };
    CODE.captures_iter(source).find_map(|code| {
        let code = code.get(1).or_else(|| code.get(2))?;
        let bare = STRING.replace_all(code.as_str(), blank);
        let spoken = NAME.captures_iter(&bare).find_map(|found| {
            let (kind, name) = match (found.name("filtered"), found.name("test")) {
                (Some(name), _) => ("filter", name),
                (None, Some(name)) => ("test", name),
                (None, None) => return None,
            };
            let missing = !is_there(environment, kind, name.as_str());
            let before = &source[..code.start()];
            missing.then(|| Unknown {
                kind,
                name: name.as_str().to_owned(),
                line: newlines(before) + newlines(&bare[..name.start()]),
            })
        });
        spoken.or_else(|| {
            let (kind, name, at) = by_name(environment, code.as_str(), &bare)?;
            Some(Unknown {
                kind,
                name,
                line: newlines(&source[..code.start()]) + newlines(&bare[..at]),
            })
        })
    })
}

/// The first that is named by a string, as in `map("trim")`, and is not there: its kind, its name, and where
/// it stands. `bare` is `code` with its strings blanked.
fn by_name(
    environment: &Environment<'_>,
    code: &str,
    bare: &str,
) -> Option<(&'static str, String, usize)> {
    BY_NAME.captures_iter(bare).find_map(|found| {
        let mut at = found.get(0)?.end();
        if found.name("attr").is_some() {
            at += ATTRIBUTE.find(&code[at..])?.end();
        }
        let named = NAMED.captures(&code[at..])?;
        let name = named.get(1).or_else(|| named.get(2))?.as_str();
        let kind = if found.name("map").is_some() {
            "filter"
        } else {
            "test"
        };
        let is_word = !name.is_empty()
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        let there = if is_word {
            is_there(environment, kind, name)
        } else {
            kind == "test" && SIGNS.contains(&name)
        };
        (!there).then(|| (kind, name.to_owned(), at))
    })
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// Asks the engine, which looks a name up before it looks at the arguments.
fn is_there(environment: &Environment<'_>, kind: &str, name: &str) -> bool {
    let (probe, refusal) = if kind == "filter" {
        (format!("0|{name}"), ErrorKind::UnknownFilter)
    } else {
        (format!("0 is {name}"), ErrorKind::UnknownTest)
    };
    let asked = environment
        .compile_expression(&probe)
        .and_then(|expression| expression.eval(()));
    !asked.is_err_and(|error| error.kind() == refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Option<(&'static str, String, usize)> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        unknown(&environment, source).map(|one| (one.kind, one.name, one.line))
    }

    #[test]
    fn filters_and_tests_that_do_not_exist_are_found_with_their_line() {
        let filter = |name: &str, line| Some(("filter", name.to_owned(), line));
        assert_eq!(found("a\n${{ x | trim | uper }}"), filter("uper", 1));
        assert_eq!(found("${% if x\n|lenght > 1 %}"), filter("lenght", 1));
        assert_eq!(
            found("${% filter uper %}a${% endfilter %}"),
            filter("uper", 0)
        );
        let test = Some(("test", "defned".to_owned(), 0));
        assert_eq!(found("${{ 1 if x is not defned }}"), test);
    }

    #[test]
    fn those_that_are_named_by_a_string_are_found_too() {
        let filter = |name: &str, line| Some(("filter", name.to_owned(), line));
        let test = |name: &str| Some(("test", name.to_owned(), 0));
        assert_eq!(found("${{ x | map('nosuch') }}"), filter("nosuch", 0));
        assert_eq!(
            found("a\n${{ x\n| map ( \"uper\", 1) | join }}"),
            filter("uper", 2)
        );
        assert_eq!(found("${{ x|map('no such') }}"), filter("no such", 0));
        assert_eq!(found("${{ x|select('nosuch') }}"), test("nosuch"));
        assert_eq!(found("${{ x|reject(\"evn\") }}"), test("evn"));
        assert_eq!(found("${% if x|selectattr('a', 'evn') %}"), test("evn"));
        assert_eq!(found("${{ x|rejectattr('a', '=') }}"), test("="));
        for source in [
            "${{ x|map('trim')|select('odd')|reject(\"==\", 2)|map(attribute='nosuch') }}",
            "${{ x|selectattr('nosuch') }} ${{ x|selectattr('nosuch', 'equalto', 'no') }}",
            "${{ \"x|map('nosuch')\" }} ${{ x|map(y) }} ${{ x|select }}",
        ] {
            assert_eq!(found(source), None, "{source}");
        }
    }

    #[test]
    fn what_is_known_or_stands_in_a_string_or_outside_is_none() {
        for source in [
            "${{ x | trim | default('| nope') | replace('a', \"is bad\") }}",
            "${% if x is defined and y is not none %}a | nope${% endif %}",
            "${{ x is divisibleby 3 }} ${{ x|join(', ') }} ${{ x is odd }}",
            "ls | nope; echo ${HOME} is fine",
        ] {
            assert_eq!(found(source), None, "{source}");
        }
    }
}
