//! Lists whose items may hold commas: what is typed, or stands in the file, is one item; a variable holds several.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::parser::ValueSource;
use clap::{Arg, Command};

/// The items of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Several(Vec<String>);

/// All items of a flag.
pub(super) fn all(values: &[Several]) -> Vec<String> {
    let items = values.iter().flat_map(|value| &value.0);
    items.cloned().collect()
}

/// Reads each item by another parser.
#[derive(Clone)]
pub(super) struct Each<P>(pub(super) P);

impl<P: TypedValueParser<Value = String>> TypedValueParser for Each<P> {
    type Value = Several;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Several, clap::Error> {
        let item = self.0.parse_ref(command, arg, value)?;
        Ok(Several(vec![item]))
    }

    fn parse_ref_(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<Several, clap::Error> {
        let Some(text) = value
            .to_str()
            .filter(|_| source == ValueSource::EnvVariable)
        else {
            return self.parse_ref(command, arg, value);
        };
        let items = divided(text);
        let items = items.map(|item| self.0.parse_ref(command, arg, OsStr::new(item)));
        items.collect::<Result<_, _>>().map(Several)
    }
}

/// The parts between commas that are in no brackets and behind no `\`. An empty one is none.
fn divided(text: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut is_plain) = (Depth::default(), false);
    let parts = text.split(move |c: char| {
        if std::mem::take(&mut is_plain) {
            return false;
        }
        is_plain = c == '\\';
        depth.pass(c);
        c == ',' && depth.is_outside()
    });
    parts.filter(|part| !part.is_empty())
}

/// How deep in brackets a place is. Within square ones, as in a class of characters, others do not count.
#[derive(Default)]
struct Depth {
    square: usize,
    other: usize,
}

impl Depth {
    fn pass(&mut self, c: char) {
        match c {
            '[' => self.square += 1,
            ']' => self.square = self.square.saturating_sub(1),
            '(' | '{' if self.square == 0 => self.other += 1,
            ')' | '}' if self.square == 0 => self.other = self.other.saturating_sub(1),
            _ => {}
        }
    }

    fn is_outside(&self) -> bool {
        self.square == 0 && self.other == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_divides_outside_of_brackets() {
        for (text, parts) in [
            ("alpha,beta", &["alpha", "beta"][..]),
            (
                r"a{1,3},(b,c),[,(],d\,e",
                &["a{1,3}", "(b,c)", "[,(]", r"d\,e"],
            ),
            (
                "$.system,$['a','b'],$.c",
                &["$.system", "$['a','b']", "$.c"],
            ),
            (r"\(,a)", &[r"\(", "a)"]),
            ("", &[]),
            ("a,", &["a"]),
        ] {
            assert_eq!(divided(text).collect::<Vec<_>>(), parts, "{text}");
        }
    }
}
