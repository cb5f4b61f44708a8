//! Schemas that answers must follow to the letter (F244): those of strict tools, and that of the answer's format.
//!
//! Each is gone through node by node, from its root on and as it is written, so that of several faults the first is told.

mod python;

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value};
use wire::member::at;
use wire::refusal::{self, Invalid};
use wire::request::{Anchors, circle};

use common::limits;
use workspace::quirks::WeakRefusals;

/// What is refused of numbers.
const NUMBERS: &[&str] = &[
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maximum",
    "minimum",
    "multipleOf",
];

/// The keywords that answers cannot be made to follow, by the type that they are of. Others pass: the service takes what it
/// does not know of these types, but not of objects.
const UNSUPPORTED: [(&str, &[&str]); 3] = [
    (
        "array",
        &["contains", "maxItems", "prefixItems", "uniqueItems"],
    ),
    ("integer", NUMBERS),
    ("number", NUMBERS),
];

/// What may stand in every schema. That the service takes them all is inferred: nothing shows that it refuses one.
const ANNOTATIONS: &[&str] = &[
    "$anchor",
    "$comment",
    "$id",
    "$schema",
    "const",
    "default",
    "deprecated",
    "description",
    "enum",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

/// What else may stand in the schema of an object.
const OF_OBJECTS: &[&str] = &[
    "$defs",
    "$ref",
    "additionalProperties",
    "definitions",
    "properties",
    "required",
    "type",
];

/// Schemas that hold or of which one holds: beside them stand annotations alone.
const COMBINED: [&str; 2] = ["allOf", "anyOf"];

/// What says of which type a value is.
const TYPED: [&str; 4] = ["$ref", "const", "enum", "type"];

/// Checks that the schemas are ones that answers can be made to follow.
pub(super) fn check(body: &Value, weak: WeakRefusals) -> Result<(), Invalid> {
    check_tools(body)?;
    for (path, schema) in schemas(body) {
        if let Some(circle) = circle(schema) {
            let names: Vec<&str> = circle.into_iter().map(definition).collect();
            let circle = names.join(" -> ");
            return Err(refusal::STRICT_CIRCLE.refuse(&[("path", &path), ("circle", &circle)]));
        }
        let walk = Walk {
            path: &path,
            root: schema,
            anchors: Anchors::default(),
            weak,
        };
        walk.check(schema, 0)?;
    }
    check_counts(body)
}

/// Each with its path.
fn schemas(body: &Value) -> impl Iterator<Item = (Cow<'static, str>, &Value)> {
    let tools = strict_tools(body).map(|(index, tool)| {
        let tag = at(tool, "type").as_str().unwrap_or("custom");
        let path = format!("tools.{index}.{tag}");
        (Cow::Owned(path), at(tool, "input_schema"))
    });
    let format = at(at(at(body, "output_config"), "format"), "schema");
    let older = at(at(body, "output_format"), "schema");
    let formats = [
        ("output_config.format.schema", format),
        ("output_format.schema", older),
    ];
    let formats = formats
        .into_iter()
        .map(|(path, schema)| (Cow::Borrowed(path), schema));
    tools
        .chain(formats)
        .filter(|(_, schema)| schema.is_object())
}

fn strict_tools(body: &Value) -> impl Iterator<Item = (usize, &Value)> {
    super::items(at(body, "tools")).filter(|(_, tool)| at(tool, "strict") == true)
}

fn check_tools(body: &Value) -> Result<(), Invalid> {
    let (found, most) = (strict_tools(body).count(), limits::MAX_STRICT_TOOLS);
    if found > most {
        return Err(refusal::STRICT_TOOLS.refuse(&[("found", &found), ("most", &most)]));
    }
    Ok(())
}

/// What all schemas of a request may have together.
fn check_counts(body: &Value) -> Result<(), Invalid> {
    let mut counts = Counts::default();
    for (_, schema) in schemas(body) {
        counts.add(schema, 0);
    }
    for (rule, found, most) in [
        (
            refusal::STRICT_OPTIONAL,
            counts.optional,
            limits::MAX_STRICT_OPTIONAL,
        ),
        (
            refusal::STRICT_UNIONS,
            counts.unions,
            limits::MAX_STRICT_UNIONS,
        ),
    ] {
        if found > most {
            return Err(rule.refuse(&[("found", &found), ("most", &most)]));
        }
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Counts {
    /// Properties that may be left out.
    optional: usize,
    /// Schemas of several types.
    unions: usize,
}

impl Counts {
    /// Definitions count once, however many references lead to them.
    fn add(&mut self, schema: &Value, depth: usize) {
        if depth > limits::MAX_SCHEMA_DEPTH {
            return;
        }
        if let Some(properties) = at(schema, "properties").as_object() {
            let required = super::items(at(schema, "required"));
            let required: HashSet<&str> = required.filter_map(|(_, name)| name.as_str()).collect();
            let names = properties.keys();
            self.optional += names
                .filter(|name| !required.contains(name.as_str()))
                .count();
        }
        let types = at(schema, "type").as_array();
        let is_union = types.is_some_and(|types| types.len() > 1) || at(schema, "anyOf").is_array();
        self.unions += usize::from(is_union);
        parts(schema).for_each(|schema| self.add(schema, depth + 1));
    }
}

/// The name of a definition that a reference leads to, or the whole of it.
fn definition(reference: &str) -> &str {
    let names = ["#/$defs/", "#/definitions/"];
    let mut names = names
        .iter()
        .filter_map(|begin| reference.strip_prefix(begin));
    names.next().unwrap_or(reference)
}

/// The way through one schema.
struct Walk<'a> {
    path: &'a str,
    root: &'a Value,
    anchors: Anchors<'a>,
    weak: WeakRefusals,
}

impl Walk<'_> {
    fn check(&self, schema: &Value, depth: usize) -> Result<(), Invalid> {
        let Value::Object(members) = schema else {
            return Ok(());
        };
        if depth > limits::MAX_SCHEMA_DEPTH {
            return Ok(());
        }
        self.check_shape(schema, members)?;
        self.check_enum(members)?;
        self.check_array(schema)?;
        for (kind, keywords) in UNSUPPORTED {
            if is_of(schema, kind) {
                let given = keywords.iter().filter(|name| members.contains_key(**name));
                self.check_given(kind, &given.copied().collect::<Vec<_>>())?;
            }
        }
        self.check_object(schema, members)?;
        self.check_text(schema)?;
        parts(schema).try_for_each(|schema| self.check(schema, depth + 1))
    }

    /// Whether it says of which type a value is, in one of the ways that answers can be made to follow.
    fn check_shape(&self, schema: &Value, members: &Map<String, Value>) -> Result<(), Invalid> {
        for (keyword, rule) in [
            ("not", refusal::STRICT_NOT),
            ("oneOf", refusal::STRICT_ONE_OF),
        ] {
            if members.contains_key(keyword) {
                return Err(rule.refuse(&[("path", &self.path)]));
            }
        }
        if let Some(Value::String(reference)) = members.get("$ref")
            && reference.starts_with('#')
            && self.anchors.target(self.root, reference).is_none()
        {
            return Err(
                refusal::STRICT_REFERENCE.refuse(&[("path", &self.path), ("reference", reference)])
            );
        }
        if COMBINED
            .iter()
            .any(|keyword| members.contains_key(*keyword))
        {
            let names = unknown(members, &COMBINED).join(", ");
            if !names.is_empty() {
                return Err(
                    refusal::STRICT_SIBLINGS.refuse(&[("path", &self.path), ("names", &names)])
                );
            }
        } else if members
            .keys()
            .all(|name| name == "title" || name == "description")
        {
            return Err(refusal::STRICT_EMPTY.refuse(&[("path", &self.path)]));
        } else if !TYPED.iter().any(|keyword| members.contains_key(*keyword)) {
            return Err(refusal::STRICT_UNTYPED
                .refuse(&[("path", &self.path), ("schema", &python::Repr(schema))]));
        }
        Ok(())
    }

    /// Values of an `enum` are of the one type beside it: none are of a list of types.
    fn check_enum(&self, members: &Map<String, Value>) -> Result<(), Invalid> {
        let (Some(kind), Some(Value::Array(values))) = (members.get("type"), members.get("enum"))
        else {
            return Ok(());
        };
        let fits = |value: &&Value| kind.as_str().is_some_and(|kind| is_value(value, kind));
        let Some(value) = values.iter().find(|value| !fits(value)) else {
            return Ok(());
        };
        let declared = match kind {
            Value::String(kind) => kind.clone(),
            other => python::Repr(other).to_string(),
        };
        Err(refusal::STRICT_ENUM.refuse(&[
            ("path", &self.path),
            ("value", &python::Repr(value)),
            ("kind", &declared),
        ]))
    }

    fn check_array(&self, schema: &Value) -> Result<(), Invalid> {
        if !is_of(schema, "array") {
            return Ok(());
        }
        if at(schema, "items").is_array() {
            return Err(refusal::STRICT_ITEMS.refuse(&[("path", &self.path)]));
        }
        let least = at(schema, "minItems");
        if !least.is_null() && !matches!(least.as_f64(), Some(0.0 | 1.0)) {
            return Err(refusal::STRICT_MIN_ITEMS.refuse(&[("path", &self.path)]));
        }
        Ok(())
    }

    /// An object has no members but those that it names, and its schema no keywords but those that are known.
    fn check_object(&self, schema: &Value, members: &Map<String, Value>) -> Result<(), Invalid> {
        if !is_of(schema, "object") {
            return Ok(());
        }
        self.check_given("object", &unknown(members, OF_OBJECTS))?;
        let given = match members.get("additionalProperties") {
            Some(Value::Bool(false)) => return Ok(()),
            Some(Value::Bool(true)) => "true",
            Some(Value::Object(_)) => "object",
            None | Some(Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                return Err(refusal::STRICT_SCHEMA.refuse(&[("path", &self.path)]));
            }
        };
        Err(refusal::STRICT_OPEN.refuse(&[("path", &self.path), ("given", &given)]))
    }

    fn check_text(&self, schema: &Value) -> Result<(), Invalid> {
        let is_bounded = is_of(schema, "string") && !at(schema, "maxLength").is_null();
        if is_bounded && self.weak == WeakRefusals::Refused {
            return Err(refusal::STRICT_MAX_LENGTH.refuse(&[("path", &self.path)]));
        }
        Ok(())
    }

    /// Refuses keywords of a type.
    fn check_given(&self, kind: &str, names: &[&str]) -> Result<(), Invalid> {
        match names {
            [] => Ok(()),
            [name] => Err(refusal::STRICT_KEYWORD.refuse(&[
                ("path", &self.path),
                ("kind", &kind),
                ("name", name),
            ])),
            names => Err(refusal::STRICT_KEYWORDS.refuse(&[
                ("path", &self.path),
                ("kind", &kind),
                ("names", &names.join(", ")),
            ])),
        }
    }
}

/// The members that are neither annotations nor one of `known`, sorted.
fn unknown<'a>(members: &'a Map<String, Value>, known: &[&str]) -> Vec<&'a str> {
    let names = members.keys().map(String::as_str);
    let mut names: Vec<&str> = names
        .filter(|name| !ANNOTATIONS.contains(name) && !known.contains(name))
        .collect();
    names.sort_unstable();
    names
}

/// Whether what the schema describes may be of this type.
fn is_of(schema: &Value, wanted: &str) -> bool {
    let kind = at(schema, "type");
    kind == wanted || super::items(kind).any(|(_, kind)| kind == wanted)
}

/// Whether a value is of this type.
fn is_value(value: &Value, kind: &str) -> bool {
    match kind {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        _ => true,
    }
}

/// The schemas in a schema.
fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    let named = ["properties", "$defs", "definitions"].into_iter();
    let named = named.filter_map(|key| at(schema, key).as_object());
    named
        .flat_map(serde_json::Map::values)
        .chain(
            COMBINED
                .into_iter()
                .flat_map(|key| super::items(at(schema, key)).map(|(_, schema)| schema)),
        )
        .chain(std::iter::once(at(schema, "items")))
}

#[cfg(test)]
mod tests;
