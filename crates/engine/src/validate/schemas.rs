//! Schemas that answers must follow to the letter: those of strict tools, and that of the answer's format.

use serde_json::Value;
use wire::member::at;
use wire::refusal::{self, Invalid};

use common::limits;

/// What is refused of numbers.
const NUMBERS: &[&str] = &[
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maximum",
    "minimum",
    "multipleOf",
];

/// The keywords that answers cannot be made to follow, by the type that they are of and in the order in which the
/// service tells them (F244).
const UNSUPPORTED: [(&str, &[&str]); 4] = [
    ("array", &["maxItems", "uniqueItems"]),
    ("integer", NUMBERS),
    ("number", NUMBERS),
    ("string", &["maxLength", "minLength"]),
];

/// Checks that the schemas are closed, and ask for nothing that answers cannot be made to follow.
pub(super) fn check(body: &Value) -> Result<(), Invalid> {
    for (index, tool) in super::items(at(body, "tools")) {
        if at(tool, "strict") == true {
            let tag = at(tool, "type").as_str().unwrap_or("custom");
            check_schema(&format!("tools.{index}.{tag}"), at(tool, "input_schema"))?;
        }
    }
    let format = at(at(at(body, "output_config"), "format"), "schema");
    check_schema("output_config.format.schema", format)?;
    let format = at(at(body, "output_format"), "schema");
    check_schema("output_format.schema", format)
}

fn check_schema(path: &str, schema: &Value) -> Result<(), Invalid> {
    if is_open(schema, 0) {
        return Err(refusal::STRICT_SCHEMA.refuse(&[("path", &path)]));
    }
    check_keywords(path, schema, 0)
}

/// Whether an object in the schema may have members that it does not name.
fn is_open(schema: &Value, depth: usize) -> bool {
    if !schema.is_object() || depth > limits::MAX_SCHEMA_DEPTH {
        return false;
    }
    if is_of(schema, "object") && schema["additionalProperties"] != false {
        return true;
    }
    parts(schema).any(|schema| is_open(schema, depth + 1))
}

fn check_keywords(path: &str, schema: &Value, depth: usize) -> Result<(), Invalid> {
    if !schema.is_object() || depth > limits::MAX_SCHEMA_DEPTH {
        return Ok(());
    }
    for (kind, keywords) in UNSUPPORTED {
        if !is_of(schema, kind) {
            continue;
        }
        let least = at(schema, "minItems");
        if kind == "array" && !least.is_null() && !matches!(least.as_f64(), Some(0.0 | 1.0)) {
            return Err(refusal::STRICT_MIN_ITEMS.refuse(&[("path", &path)]));
        }
        let given = keywords.iter().copied();
        let given = given.filter(|keyword| !at(schema, keyword).is_null());
        match given.collect::<Vec<_>>().as_slice() {
            [] => {}
            [name] => {
                return Err(refusal::STRICT_KEYWORD.refuse(&[
                    ("path", &path),
                    ("kind", &kind),
                    ("name", name),
                ]));
            }
            names => {
                return Err(refusal::STRICT_KEYWORDS.refuse(&[
                    ("path", &path),
                    ("kind", &kind),
                    ("names", &names.join(", ")),
                ]));
            }
        }
    }
    parts(schema).try_for_each(|schema| check_keywords(path, schema, depth + 1))
}

/// Whether what the schema describes may be of this type.
fn is_of(schema: &Value, wanted: &str) -> bool {
    let kind = at(schema, "type");
    kind == wanted || super::items(kind).any(|(_, kind)| kind == wanted)
}

/// The schemas in a schema.
fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    let named = ["properties", "$defs", "definitions"].into_iter();
    let named = named.filter_map(|key| at(schema, key).as_object());
    let listed = ["anyOf", "allOf", "oneOf", "prefixItems"].into_iter();
    named
        .flat_map(serde_json::Map::values)
        .chain(listed.flat_map(|key| super::items(at(schema, key)).map(|(_, schema)| schema)))
        .chain(std::iter::once(at(schema, "items")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_strict_schema_is_closed_at_every_depth() {
        let closed = json!({"type": "object", "additionalProperties": false, "properties": {"a": {"type": "string"}}});
        assert!(!is_open(&closed, 0));
        for inner in [
            json!({"type": "object"}),
            json!({"type": ["object", "null"], "properties": {}}),
            json!({"type": "array", "items": {"type": "object", "additionalProperties": true}}),
            json!({"anyOf": [{"type": "string"}, {"type": "object"}]}),
        ] {
            let mut schema = closed.clone();
            schema["properties"]["a"] = inner.clone();
            assert!(is_open(&schema, 0), "{inner}");
        }
    }

    #[test]
    fn a_strict_schema_has_no_bounds_at_any_depth() {
        let body = |inner: &Value, strict: bool| {
            let schema = json!({"type": "object", "additionalProperties": false, "properties": {"a": inner}});
            json!({"tools": [{"name": "f", "strict": strict, "input_schema": schema}]})
        };
        for (inner, said) in [
            (
                json!({"type": "integer", "minimum": 1, "maximum": 3}),
                "For 'integer' type, properties maximum, minimum are not supported",
            ),
            (
                json!({"type": ["number", "null"], "multipleOf": 2}),
                "For 'number' type, property 'multipleOf' is not supported",
            ),
            (
                json!({"anyOf": [{"type": "string", "maxLength": 3}]}),
                "For 'string' type, property 'maxLength' is not supported",
            ),
            (
                json!({"type": "array", "minItems": 2, "maxItems": 3}),
                "For 'array' type, 'minItems' values other than 0 or 1 are not supported (got: [2, 5])",
            ),
            (
                json!({"type": "array", "minItems": 1, "maxItems": 3}),
                "For 'array' type, property 'maxItems' is not supported",
            ),
        ] {
            assert_eq!(
                check(&body(&inner, true)).unwrap_err().to_string(),
                format!("tools.0.custom: {said}")
            );
            assert_eq!(check(&body(&inner, false)), Ok(()));
        }
        let fine = json!({"type": "array", "minItems": 1, "items": {"type": "string", "format": "date", "pattern": "a"}});
        assert_eq!(check(&body(&fine, true)), Ok(()));
        // What is of another type asks for nothing.
        assert_eq!(
            check(&body(&json!({"type": "string", "minimum": 1}), true)),
            Ok(())
        );
    }
}
