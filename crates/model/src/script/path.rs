//! `JSONPath`s into a request, and how much they may look at.
//!
//! The query language has loops in it: `..` goes to every depth, several selectors in one bracket each
//! go on, and a filter may ask a query of its own for each value. What a path would visit is estimated
//! from its text and the request's shape before it is run.

use serde_json::Value;
use serde_json_path::JsonPath;

use common::limits;
use common::work;

/// A path, and what its text says of its cost.
#[derive(Debug)]
pub(super) struct Path {
    query: JsonPath,
    descents: usize,
    /// In how many ways selectors of one bracket go on from one value.
    ways: u64,
    /// Queries in filters that go through everything.
    searches: u32,
    /// Filters that compile a regular expression for each value.
    patterns: bool,
    /// It visits no more values than it has segments.
    is_plain: bool,
}

/// How many values a path may visit: this one would visit more.
type TooMany = u64;

impl Path {
    pub(super) fn new(path: JsonPath, text: &str) -> Self {
        let text = without_strings(text);
        let mut ways = 1u64;
        let mut commas = 0u64;
        for character in text.chars() {
            match character {
                '[' => commas = 0,
                ',' => commas += 1,
                ']' => {
                    ways = ways.saturating_mul(commas + 1);
                    commas = 0;
                }
                _ => {}
            }
        }
        let filters = text.split('?').skip(1);
        let searches = filters
            .filter(|filter| filter.contains(['*', '$', ':']) || filter.contains(".."))
            .count();
        Self {
            query: path,
            descents: text.matches("..").count(),
            ways,
            searches: u32::try_from(searches).unwrap_or(u32::MAX),
            patterns: text.contains("match(") || text.contains("search("),
            is_plain: !text.contains(['*', '?', ',', ':']) && !text.contains(".."),
        }
    }

    /// The values that it selects in `body`.
    pub(super) fn query<'b>(&self, body: &'b Value) -> Result<Vec<&'b Value>, TooMany> {
        if self.is_plain {
            return Ok(self.query.query(body).all());
        }
        work::apart(|| {
            if self.visits(body) > limits::JSON_PATH_VISITS {
                return Err(limits::JSON_PATH_VISITS);
            }
            Ok(self.query.query(body).all())
        })
    }

    /// At least as many values as the query visits. A value at depth `d` is come by in as many ways as
    /// there are choices of `descents` of the `d` values above it.
    fn visits(&self, body: &Value) -> u64 {
        let mut by_depth = Vec::new();
        count(body, 0, &mut by_depth);
        let all: u64 = by_depth.iter().sum();
        let reached = (0u64..).zip(&by_depth).fold(0u64, |sum, (depth, values)| {
            let choices = (0..=self.descents as u64)
                .map(|chosen| choose(depth, chosen))
                .fold(0, u64::saturating_add);
            sum.saturating_add(values.saturating_mul(choices))
        });
        let each = all
            .saturating_pow(self.searches)
            .saturating_mul(if self.patterns { 1000 } else { 1 });
        reached.saturating_mul(self.ways).saturating_mul(each)
    }
}

fn count(value: &Value, depth: usize, by_depth: &mut Vec<u64>) {
    if by_depth.len() <= depth {
        by_depth.push(0);
    }
    by_depth[depth] += 1;
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| count(item, depth + 1, by_depth)),
        Value::Object(map) => map
            .values()
            .for_each(|item| count(item, depth + 1, by_depth)),
        _ => {}
    }
}

fn choose(of: u64, chosen: u64) -> u64 {
    (0..chosen).fold(1u64, |product, n| {
        product.saturating_mul(of.saturating_sub(n)) / (n + 1)
    })
}

/// Names and texts in quotes say nothing about the cost.
fn without_strings(text: &str) -> String {
    let mut quote = None;
    let mut escaped = false;
    text.chars()
        .filter(|&character| {
            match quote {
                Some(_) if escaped => escaped = false,
                Some(_) if character == '\\' => escaped = true,
                Some(open) if character == open => quote = None,
                Some(_) => {}
                None if matches!(character, '"' | '\'') => quote = Some(character),
                None => return true,
            }
            false
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Path {
        Path::new(JsonPath::parse(text).unwrap(), text)
    }

    /// Lists in lists, `depth` deep, `width` wide at every depth.
    fn nested(depth: usize, width: usize) -> Value {
        let mut value = json!(1);
        for _ in 0..depth {
            let mut items = vec![json!(1); width - 1];
            items.push(value);
            value = Value::Array(items);
        }
        value
    }

    #[test]
    fn what_is_estimated_is_at_least_what_is_found() {
        for text in [
            "$..*",
            "$..*..*",
            "$..[*,*]",
            "$[*,*][*,*]",
            "$..[?@..[0]]",
            "$[0:3]",
        ] {
            for body in [nested(9, 4), nested(30, 2), json!({"a": [1, {"b": [2]}]})] {
                let path = path(text);
                let found = path.query(&body).unwrap().len() as u64;
                assert!(path.visits(&body) >= found, "{text}");
            }
        }
    }

    #[test]
    fn a_path_that_would_visit_too_much_is_not_run() {
        let deep = nested(100, 200);
        for text in [
            "$..*..*..*",
            "$..[?@..[?@.x]]",
            "$[*,*,*,*][*,*,*,*][*,*,*,*][*,*,*,*][*,*,*,*]",
        ] {
            assert_eq!(
                path(text).query(&deep).unwrap_err(),
                limits::JSON_PATH_VISITS,
                "{text}"
            );
        }
        assert!(path("$..*").query(&deep).is_ok());
    }

    #[test]
    fn quoted_names_cost_nothing() {
        let text = "$['a..*,?b'][\"c\\\",*\"]";
        assert!(path(text).is_plain);
    }
}
