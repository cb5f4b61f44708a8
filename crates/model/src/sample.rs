//! What a schema allows: inputs of calls of the client's tools, and answers in a format.

use std::cell::Cell;

use serde_json::{Map, Value, json};
use wire::request::asked_format;

use crate::Call;

/// How deep schemas are followed; what lies deeper is left out.
const MAX_DEPTH: usize = 8;
/// Most items and characters that a schema gets by asking for so many at least.
const MAX_SIZE: u64 = 64;
/// Most values of one sample: lists in lists ask for many.
const MAX_VALUES: usize = 10_000;

/// A call of the client's `number`-th tool, counted round; `None` where it has none, or may not call one.
pub(crate) fn any_client_tool(body: &Value, number: usize) -> Option<Call> {
    if body["tool_choice"]["type"] == "none" {
        return None;
    }
    let own: Vec<&Value> = client_tools(body).collect();
    let tool = own.get(number.checked_rem(own.len())?)?;
    call(tool, number / own.len())
}

/// The call of a client's tool that `tool_choice` forces: of the one it names, of the first where it is `any`.
pub(crate) fn forced_call(body: &Value) -> Option<Call> {
    let choice = &body["tool_choice"];
    let mut own = client_tools(body);
    let tool = match choice["type"].as_str()? {
        "any" => own.next(),
        "tool" => own.find(|tool| tool["name"] == choice["name"]),
        _ => None,
    };
    call(tool?, 0)
}

/// A JSON text that the format of `output_config`, or the older `output_format`, allows; `None` where none is asked
/// for.
pub(crate) fn formatted(body: &Value) -> Option<String> {
    let (_, format) = asked_format(body)?;
    let root = &format["schema"];
    Some(Sample::new(root, 0).of(root, 0).to_string())
}

/// The tools that a model may call by itself and the client carries out.
fn client_tools(body: &Value) -> impl Iterator<Item = &Value> {
    let tools = body["tools"].as_array().into_iter().flatten();
    tools.filter(|tool| is_called_directly(tool))
}

fn call(tool: &Value, variant: usize) -> Option<Call> {
    Some(Call::Client {
        name: tool["name"].as_str()?.to_owned(),
        input: input(&tool["input_schema"], variant),
    })
}

fn is_called_directly(tool: &Value) -> bool {
    let callers = tool["allowed_callers"].as_array();
    matches!(tool["type"].as_str(), None | Some("custom"))
        && tool["input_schema"].is_object()
        && callers.is_none_or(|callers| callers.iter().any(|caller| caller == "direct"))
}

/// An input for a schema; an odd `variant` has what is optional as well.
fn input(schema: &Value, variant: usize) -> Value {
    let value = Sample::new(schema, variant).of(schema, 0);
    if value.is_object() { value } else { json!({}) }
}

struct Sample<'a> {
    root: &'a Value,
    variant: usize,
    /// How many values may still be made.
    left: Cell<usize>,
}

impl<'a> Sample<'a> {
    fn new(root: &'a Value, variant: usize) -> Self {
        Self {
            root,
            variant,
            left: Cell::new(MAX_VALUES),
        }
    }

    fn of(&self, schema: &Value, depth: usize) -> Value {
        let left = self.left.get();
        if depth > MAX_DEPTH || left == 0 {
            return Value::Null;
        }
        self.left.set(left - 1);
        if let Some(only) = schema.get("const") {
            return only.clone();
        }
        for list in ["enum", "examples"] {
            if let Some(values) = schema[list].as_array().filter(|values| !values.is_empty()) {
                return values[self.variant % values.len()].clone();
            }
        }
        if let Some(value) = schema.get("default") {
            return value.clone();
        }
        if let Some(there) = schema["$ref"].as_str() {
            let pointed = there
                .strip_prefix('#')
                .and_then(|path| self.root.pointer(path));
            return pointed.map_or(Value::Null, |schema| self.of(schema, depth + 1));
        }
        for list in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema[list].as_array().and_then(|all| all.first()) {
                return self.of(first, depth + 1);
            }
        }
        match type_of(schema) {
            "object" => self.object(schema, depth),
            "array" => {
                let least = schema["minItems"].as_u64().unwrap_or(0).min(MAX_SIZE);
                (0..least)
                    .map(|_| self.of(&schema["items"], depth + 1))
                    .collect()
            }
            "string" => string(schema).into(),
            "boolean" => (self.variant % 2 == 1).into(),
            "integer" | "number" => number(schema),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required: Vec<&str> = schema["required"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let all = self.variant % 2 == 1;
        let members: Map<String, Value> = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| all || required.contains(&name.as_str()))
            .map(|(name, member)| (name.clone(), self.of(member, depth + 1)))
            .collect();
        members.into()
    }
}

/// The first type that a schema allows; an object where it says nothing and has properties.
fn type_of(schema: &Value) -> &str {
    let first = schema["type"].as_array().and_then(|types| types.first());
    match first.unwrap_or(&schema["type"]).as_str() {
        Some(name) => name,
        None if schema["properties"].is_object() => "object",
        None => "string",
    }
}

fn string(schema: &Value) -> String {
    match schema["format"].as_str() {
        Some("date") => return "2026-01-04".to_owned(),
        Some("date-time") => return "2026-01-04T20:47:05Z".to_owned(),
        Some("time") => return "20:47:05Z".to_owned(),
        Some("email") => return "a@example.com".to_owned(),
        Some("uri") => return "https://example.com/".to_owned(),
        Some("ipv4") => return "192.0.2.1".to_owned(),
        Some("ipv6") => return "2001:db8::1".to_owned(),
        Some("hostname") => return "example.com".to_owned(),
        Some("duration") => return "PT1M".to_owned(),
        Some("uuid") => return "00000000-0000-4000-8000-000000000000".to_owned(),
        _ => {}
    }
    let least = schema["minLength"].as_u64().unwrap_or(1).clamp(1, MAX_SIZE);
    let most = schema["maxLength"].as_u64().unwrap_or(MAX_SIZE);
    "a".repeat(usize::try_from(least.min(most)).unwrap_or(1))
}

fn number(schema: &Value) -> Value {
    let bounds = [
        ("minimum", 0_i32),
        ("exclusiveMinimum", 1),
        ("maximum", 0),
        ("exclusiveMaximum", -1),
    ];
    for (name, beyond) in bounds {
        let bound = &schema[name];
        if let Some(bound) = bound.as_i64() {
            return bound.saturating_add(beyond.into()).into();
        }
        // Only a type `number` has such bounds in earnest.
        if let Some(bound) = bound.as_f64() {
            return (bound + f64::from(beyond)).into();
        }
    }
    1.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_fits_the_schema_of_the_tool_that_is_called() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string", "minLength": 3},
                "unit": {"enum": ["c", "f"]},
                "days": {"type": ["integer", "null"], "minimum": 2},
                "when": {"type": "string", "format": "date"},
                "where": {"$ref": "#/$defs/place"},
                "names": {"type": "array", "minItems": 2, "items": {"type": "string"}},
                "more": {"anyOf": [{"type": "number", "exclusiveMinimum": 0.5}]},
                "exact": {"type": "boolean"},
            },
            "required": ["city", "unit", "days", "when", "where", "names", "more"],
            "$defs": {"place": {"properties": {"x": {"const": 7}}, "required": ["x"]}},
        });
        let body = json!({"tools": [
            {"type": "code_execution_20250825", "name": "code_execution"},
            {"name": "by_code", "input_schema": {}, "allowed_callers": ["code_execution_20260120"]},
            {"name": "weather", "input_schema": schema},
        ]});
        let validator = jsonschema::validator_for(&schema).unwrap();
        for number in 0..4 {
            let Some(Call::Client { name, input }) = any_client_tool(&body, number) else {
                panic!("a call");
            };
            assert_eq!(name, "weather");
            assert!(validator.is_valid(&input), "{input}");
            assert_eq!(input.get("exact").is_some(), number % 2 == 1);
        }
    }

    #[test]
    fn a_schema_that_asks_for_too_much_gets_less() {
        let mut schema = json!({"type": "string"});
        for _ in 0..6 {
            schema = json!({"type": "array", "minItems": 64, "items": schema});
        }
        let body = json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
        assert!(formatted(&body).unwrap().len() < 10_000_000);
    }

    #[test]
    fn a_schema_that_names_itself_ends() {
        let schema =
            json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]});
        assert!(input(&schema, 0).is_object());
    }

    #[test]
    fn who_has_no_tool_or_wants_none_called_gets_no_call() {
        assert_eq!(any_client_tool(&json!({}), 0), None);
        let body =
            json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "none"}});
        assert_eq!(any_client_tool(&body, 0), None);
        assert_eq!(forced_call(&body), None);
    }

    #[test]
    fn a_forced_call_is_of_the_tool_that_is_named_or_of_the_first() {
        let tools = json!([
            {"type": "code_execution_20250825", "name": "code_execution"},
            {"name": "f", "input_schema": {}},
            {"name": "g", "input_schema": {}},
        ]);
        let forced =
            |choice: Value| match forced_call(&json!({"tools": tools, "tool_choice": choice})) {
                Some(Call::Client { name, .. }) => Some(name),
                _ => None,
            };
        assert_eq!(forced(json!({"type": "any"})).as_deref(), Some("f"));
        let named = |name: &str| forced(json!({"type": "tool", "name": name}));
        assert_eq!(named("g").as_deref(), Some("g"));
        assert_eq!(named("code_execution"), None);
        assert_eq!(forced(json!({"type": "auto"})), None);
        assert_eq!(forced(Value::Null), None);
    }

    #[test]
    fn an_answer_in_a_format_fits_its_schema() {
        let schema = json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/city"},
            "$defs": {"city": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}}});
        let validator = jsonschema::validator_for(&schema).unwrap();
        for body in [
            json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
            json!({"output_format": {"type": "json_schema", "schema": schema}}),
        ] {
            let text = formatted(&body).unwrap();
            assert!(
                validator.is_valid(&serde_json::from_str(&text).unwrap()),
                "{text}"
            );
        }
        assert_eq!(
            formatted(&json!({"output_config": {"effort": "low"}})),
            None
        );
    }
}
