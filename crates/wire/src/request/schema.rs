//! JSON Schemas of tools: whether the service takes them, and the references in them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::decode::{Decoded, Fault, Node};
use crate::refusal;

/// The longest name of a property.
const MAX_PROPERTY_NAME_CHARS: usize = 64;

/// Checks the `input_schema` of a tool of the client's (F243): one that is wrong fails the whole request.
///
/// Names within the schema are not looked at: only those at its root are known to be refused.
pub(super) fn check(node: &Node<'_>) -> Decoded<()> {
    let schema = node.value();
    // The SDKs' types have nulls here, and their helper for MCP sends one; nowhere else.
    let is_absent = |(keyword, value): &(&String, &Value)| {
        value.is_null() && matches!(keyword.as_str(), "properties" | "required")
    };
    let is_valid = match schema {
        Value::Object(members) => {
            let mut given = members.iter().filter(|member| !is_absent(member));
            given.all(is_valid_member)
        }
        _ => is_valid(schema),
    };
    if !is_valid {
        return Err(node.fault(refusal::SCHEMA_INVALID.text));
    }
    if ["oneOf", "allOf", "anyOf"]
        .iter()
        .any(|keyword| schema.get(keyword).is_some())
    {
        return Err(node.fault(refusal::SCHEMA_COMBINED.text));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let fits = |name: &String| {
        (1..=MAX_PROPERTY_NAME_CHARS).contains(&name.len()) && name.chars().all(plain)
    };
    match node.optional("properties")? {
        Some(properties) if !properties.dictionary()?.keys().all(fits) => Err(Fault {
            path: properties.path(),
            reason: refusal::SCHEMA_KEYS.text.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Whether the keywords of a schema have values of the types that draft 2020-12 gives them.
///
/// Patterns and references are not looked into.
fn is_valid(schema: &Value) -> bool {
    let Value::Object(members) = schema else {
        return schema.is_boolean();
    };
    members.iter().all(is_valid_member)
}

fn is_valid_member((keyword, value): (&String, &Value)) -> bool {
    match keyword.as_str() {
        "type" => is_type(value) || is_full_list(value, is_type) && is_distinct(value),
        "enum" | "examples" => value.is_array(),
        "required" => is_names(value),
        "dependentRequired" => is_map(value, is_names),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
        "multipleOf" => value.as_f64().is_some_and(|step| step > 0.0),
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
        | "minContains" | "maxContains" => {
            let count = value.as_f64();
            count.is_some_and(|count| count >= 0.0 && count.fract() == 0.0)
        }
        "deprecated" | "readOnly" | "uniqueItems" | "writeOnly" => value.is_boolean(),
        "$anchor" | "$comment" | "$dynamicAnchor" | "$dynamicRef" | "$id" | "$ref" | "$schema"
        | "contentEncoding" | "contentMediaType" | "description" | "format" | "pattern"
        | "title" => value.is_string(),
        "additionalProperties"
        | "contains"
        | "contentSchema"
        | "else"
        | "if"
        | "items"
        | "not"
        | "propertyNames"
        | "then"
        | "unevaluatedItems"
        | "unevaluatedProperties" => is_valid(value),
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => is_full_list(value, is_valid),
        "$defs" | "definitions" | "dependentSchemas" | "patternProperties" | "properties" => {
            is_map(value, is_valid)
        }
        "dependencies" => is_map(value, |value| is_names(value) || is_valid(value)),
        _ => true,
    }
}

/// Whether it is a list of texts, none of them twice.
fn is_names(value: &Value) -> bool {
    let names = value.as_array();
    names.is_some_and(|names| names.iter().all(Value::is_string)) && is_distinct(value)
}

/// Whether no text of a list is in it twice.
fn is_distinct(list: &Value) -> bool {
    let mut seen = HashSet::new();
    let mut texts = list.as_array().into_iter().flatten();
    texts.all(|text| seen.insert(text.as_str()))
}

fn is_map(value: &Value, is_value: fn(&Value) -> bool) -> bool {
    let named = value.as_object();
    named.is_some_and(|named| named.values().all(is_value))
}

fn is_type(value: &Value) -> bool {
    matches!(
        value.as_str(),
        Some("array" | "boolean" | "integer" | "null" | "number" | "object" | "string")
    )
}

fn is_full_list(value: &Value, is_item: fn(&Value) -> bool) -> bool {
    let items = value.as_array();
    items.is_some_and(|items| !items.is_empty() && items.iter().all(is_item))
}

/// A local `$ref` that leads back to where it stands, directly or over others.
pub(super) fn circular_ref(schema: &Value) -> Option<String> {
    circle(schema)?.last().map(ToString::to_string)
}

/// The references of a circle in the order in which one leads to the next: the last is as the first, or leads to the
/// same place.
///
/// Each schema is looked at once, however many references lead to it.
pub fn circle(schema: &Value) -> Option<Vec<&str>> {
    let anchors = Anchors::default();
    // Whether all that a schema refers to has been followed.
    let mut followed: HashMap<*const Value, bool> = HashMap::from([(address(schema), false)]);
    let mut way = vec![("#", schema, references(schema))];
    while let Some((_, at, references)) = way.last_mut() {
        let Some(reference) = references.pop() else {
            followed.insert(address(at), true);
            way.pop();
            continue;
        };
        let Some(target) = anchors.target(schema, reference) else {
            continue;
        };
        match followed.get(&address(target)) {
            Some(true) => {}
            Some(false) => {
                let begun = way
                    .iter()
                    .skip_while(|(_, at, _)| !std::ptr::eq(*at, target));
                let names = begun.map(|(name, ..)| *name);
                return Some(names.chain([reference]).collect());
            }
            None => {
                followed.insert(address(target), false);
                way.push((reference, target, self::references(target)));
            }
        }
    }
    None
}

/// What a schema is told by: two that look alike are two.
fn address(schema: &Value) -> *const Value {
    std::ptr::from_ref(schema)
}

/// The schemas with a name of their own, found when the first is asked for.
#[derive(Debug, Default)]
pub struct Anchors<'a>(std::cell::OnceCell<HashMap<&'a str, &'a Value>>);

impl<'a> Anchors<'a> {
    /// The schema that a reference names, if it is one in `root`.
    pub fn target(&self, root: &'a Value, reference: &str) -> Option<&'a Value> {
        let fragment = reference.strip_prefix('#')?;
        let fragment: Cow<'_, str> = percent_decode_str(fragment).decode_utf8().ok()?;
        if fragment.is_empty() || fragment.starts_with('/') {
            return root.pointer(&fragment);
        }
        let anchors = self.0.get_or_init(|| {
            let mut found = HashMap::new();
            anchored(root, &mut found);
            found
        });
        anchors.get(fragment.as_ref()).copied()
    }
}

fn anchored<'a>(value: &'a Value, found: &mut HashMap<&'a str, &'a Value>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(name)) = members.get("$anchor") {
                found.entry(name).or_insert(value);
            }
            members.values().for_each(|value| anchored(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| anchored(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The references that apply where a schema does: definitions count only where they are referred to.
fn references(schema: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    collect(schema, &mut found);
    found
}

fn collect<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
    match schema {
        Value::Object(members) => {
            for (keyword, value) in members {
                match (keyword.as_str(), value) {
                    ("$ref", Value::String(reference)) => found.push(reference),
                    // What counts elsewhere, and values.
                    (
                        "$defs" | "definitions" | "const" | "default" | "enum" | "example"
                        | "examples",
                        _,
                    ) => {}
                    // Schemas by names that are no keywords.
                    (
                        "properties" | "patternProperties" | "dependentSchemas" | "dependencies",
                        Value::Object(named),
                    ) => named.values().for_each(|schema| collect(schema, found)),
                    _ => collect(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|schema| collect(schema, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(change: &Value) -> Option<String> {
        let mut schema = json!({"type": "object"});
        for (key, value) in change.as_object().unwrap() {
            schema[key] = value.clone();
        }
        let fault = check(&Node::root(&schema)).err();
        fault.map(|fault| fault.to_string())
    }

    #[test]
    fn alternatives_at_the_root_are_refused_and_those_within_are_taken() {
        for keyword in ["oneOf", "anyOf", "allOf"] {
            assert_eq!(
                refused(&json!({keyword: [{}]})).as_deref(),
                Some(refusal::SCHEMA_COMBINED.text)
            );
            assert_eq!(
                refused(&json!({"properties": {"a": {keyword: [{}]}}})),
                None
            );
        }
    }

    #[test]
    fn the_properties_at_the_root_have_plain_names() {
        let long = "n".repeat(65);
        for name in ["", "a b", "$schema", "größe", long.as_str()] {
            let said = refused(&json!({"properties": {name: {}}}));
            let said = said.unwrap_or_default();
            assert!(
                said.starts_with("properties: Property keys should match"),
                "{name}"
            );
            let within = json!({"properties": {"a": {"properties": {name: {}}}}});
            assert_eq!(refused(&within), None, "{name}");
        }
        assert_eq!(refused(&json!({"properties": {"a.b-c_D9": {}}})), None);
    }

    #[test]
    fn keywords_have_the_types_of_the_draft() {
        for wrong in [
            json!({"type": "foo"}),
            json!({"type": []}),
            json!({"type": ["string", "any"]}),
            json!({"enum": "x"}),
            json!({"required": true}),
            json!({"minimum": "x"}),
            json!({"exclusiveMinimum": true}),
            json!({"minLength": -1}),
            json!({"maxItems": 1.5}),
            json!({"items": [{"type": "string"}]}),
            json!({"items": {"type": "foo"}}),
            json!({"additionalProperties": "no"}),
            json!({"anyOf": []}),
            json!({"properties": {"b": 7}}),
            json!({"required": ["a", "a"]}),
            json!({"type": ["string", "string"]}),
            json!({"dependentRequired": {"a": "b"}}),
            json!({"dependencies": {"a": 7}}),
            json!({"multipleOf": 0}),
            json!({"uniqueItems": "yes"}),
            json!({"deprecated": "x"}),
            json!({"examples": "x"}),
            json!({"$ref": 5}),
            json!({"$id": 5}),
            json!({"title": 5}),
            json!({"description": null}),
            json!({"format": 5}),
            json!({"pattern": 5}),
            json!(null),
        ] {
            let said = refused(&json!({"properties": {"a": wrong}}));
            assert_eq!(
                said.as_deref(),
                Some(refusal::SCHEMA_INVALID.text),
                "{wrong}"
            );
        }
        for right in [
            json!(true),
            json!({"type": ["string", "null"], "enum": ["x", null], "default": null, "nullable": true}),
            json!({"type": "array", "prefixItems": [{"type": "string"}], "items": false, "minItems": 1.0}),
            json!({"type": "object", "properties": {"type": {"const": "foo"}}, "required": []}),
            json!({"exclusiveMinimum": 0, "pattern": "[", "x-type": {"type": "foo"}}),
            json!({"required": ["a", "b"], "dependentRequired": {"a": ["b"]}, "dependencies": {"a": ["b"], "b": {}}}),
            json!({"$ref": "#/nowhere", "title": "", "examples": [7], "multipleOf": 0.5, "readOnly": true}),
        ] {
            assert_eq!(
                refused(&json!({"properties": {"a": right}})),
                None,
                "{right}"
            );
        }
    }

    #[test]
    fn only_a_reference_that_comes_back_is_circular() {
        let node = |next: &str| {
            json!({"type": "object", "properties": {"first": {"$ref": "#/$defs/node"}},
                   "$defs": {"node": {"properties": {"next": {"$ref": next}}}, "leaf": {"type": "string"}}})
        };
        assert_eq!(circular_ref(&node("#/$defs/leaf")), None);
        let circular = circular_ref(&node("#/$defs/node"));
        assert_eq!(circular.as_deref(), Some("#/$defs/node"));
        assert!(circular_ref(&node("#")).is_some());
        assert_eq!(
            circular_ref(&json!({"$defs": {"node": {"$ref": "#/$defs/node"}}})),
            None
        );
        assert_eq!(
            circular_ref(&json!({"$ref": "https://example.com/schema"})),
            None
        );
        assert_eq!(circular_ref(&Value::Null), None);
    }

    #[test]
    fn a_circle_is_told_from_where_it_begins() {
        let to = |name: &str| json!({"properties": {"next": {"$ref": format!("#/$defs/{name}")}}});
        let defs = json!({"a": to("b"), "b": to("c"), "c": to("b")});
        let schema = json!({"items": {"$ref": "#/$defs/a"}, "$defs": defs});
        assert_eq!(
            circle(&schema),
            Some(vec!["#/$defs/b", "#/$defs/c", "#/$defs/b"])
        );
        assert_eq!(circle(&json!({"items": {"$ref": "#"}})), Some(vec!["#"; 2]));
    }

    #[test]
    fn what_is_no_reference_where_it_stands_is_not_followed() {
        for keyword in ["default", "const", "enum", "examples"] {
            let schema = json!({"properties": {"a": {keyword: {"$ref": "#"}}}});
            assert_eq!(circular_ref(&schema), None, "{keyword}");
        }
        // A property may have any name.
        for name in ["definitions", "$defs", "default", "$ref"] {
            let schema = json!({"properties": {name: {"$ref": "#"}}});
            assert_eq!(circular_ref(&schema).as_deref(), Some("#"), "{name}");
        }
    }

    #[test]
    fn a_place_may_be_named_in_each_way() {
        for reference in ["#/$defs/a%20b", "#/%24defs/a%20b", "#name"] {
            let node = json!({"$anchor": "name", "properties": {"next": {"$ref": reference}}});
            let schema =
                json!({"properties": {"first": {"$ref": reference}}, "$defs": {"a b": node}});
            assert_eq!(circular_ref(&schema).as_deref(), Some(reference));
        }
        for reference in ["#/$defs/none", "#none", "#/%ff", "other.json#/a", ""] {
            assert_eq!(circular_ref(&json!({"items": {"$ref": reference}})), None);
        }
    }

    #[test]
    fn each_schema_is_looked_at_once_however_long_the_way_to_it_is() {
        let defs = |of: &dyn Fn(usize) -> Value, last: Value| {
            let mut defs: serde_json::Map<String, Value> =
                (0..5000).map(|at| (format!("n{at}"), of(at + 1))).collect();
            defs.insert("n5000".to_owned(), last);
            json!({"$ref": "#/$defs/n0", "$defs": defs})
        };
        let to = |at: usize| json!({"$ref": format!("#/$defs/n{at}")});
        let twice = |at: usize| json!({"properties": {"a": to(at), "b": to(at)}});
        assert_eq!(circular_ref(&defs(&to, json!({}))), None);
        assert_eq!(circular_ref(&defs(&twice, json!({}))), None);
        let circular = circular_ref(&defs(&twice, to(4999)));
        assert_eq!(circular.as_deref(), Some("#/$defs/n4999"));
    }
}
