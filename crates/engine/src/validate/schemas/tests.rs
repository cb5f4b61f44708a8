//! Tests of the schemas that answers must follow to the letter.

use super::*;
use serde_json::json;

fn object(properties: &Value) -> Value {
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn tool(schema: &Value, strict: bool) -> Value {
    json!({"name": "f", "strict": strict, "input_schema": schema})
}

fn said(body: &Value) -> Option<String> {
    let refused = check(body, WeakRefusals::Refused).err();
    refused.map(|refused| refused.to_string())
}

/// What is said of a property's schema in a strict tool, without its path. A format is told the same, and a tool that is not
/// strict nothing.
fn refused(inner: &Value) -> Option<String> {
    refused_in(&object(&json!({"a": inner})))
}

fn refused_in(schema: &Value) -> Option<String> {
    let said_at = |body: Value, path: &str| {
        said(&body).map(|said| {
            let rest = said.strip_prefix(path).expect("the path");
            rest.to_owned()
        })
    };
    assert_eq!(said(&json!({"tools": [tool(schema, false)]})), None);
    let format = json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let of_tool = said_at(json!({"tools": [tool(schema, true)]}), "tools.0.custom: ");
    assert_eq!(said_at(format, "output_config.format.schema: "), of_tool);
    of_tool
}

#[test]
fn a_strict_schema_is_closed_at_every_depth() {
    let missing = "For 'object' type, 'additionalProperties' must be explicitly set to false";
    let given = |given: &str| {
        format!(
            "For 'object' type, 'additionalProperties: {given}' is not supported. Please set 'additionalProperties' to false"
        )
    };
    for (inner, text) in [
        (json!({"type": "object"}), missing.to_owned()),
        (
            json!({"type": ["object", "null"], "properties": {}}),
            missing.to_owned(),
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "object"}]}),
            missing.to_owned(),
        ),
        (
            json!({"type": "array", "items": {"type": "object", "additionalProperties": true}}),
            given("true"),
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            given("object"),
        ),
    ] {
        assert_eq!(refused(&inner), Some(text), "{inner}");
        let defined = object(&json!({"a": {"$ref": "#/$defs/d"}}));
        let mut defined = defined.as_object().unwrap().clone();
        defined.insert("$defs".to_owned(), json!({"d": inner}));
        assert!(refused_in(&Value::Object(defined)).is_some(), "{inner}");
    }
    assert_eq!(refused(&object(&json!({}))), None);
}

#[test]
fn a_strict_schema_has_no_bounds_at_any_depth() {
    for (inner, text) in [
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
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}], "contains": {}}),
            "For 'array' type, properties contains, prefixItems are not supported",
        ),
    ] {
        assert_eq!(refused(&inner).as_deref(), Some(text), "{inner}");
    }
    for fine in [
        json!({"type": "array", "minItems": 1, "items": {"type": "string", "format": "date", "pattern": "a"}}),
        json!({"type": "string", "minLength": 1, "nullable": true, "x-kind": "a"}),
        // What is of another type asks for nothing.
        json!({"type": "string", "minimum": 1}),
    ] {
        assert_eq!(refused(&fine), None, "{fine}");
    }
}

#[test]
fn the_longest_text_is_refused_only_as_far_as_weak_rules_are() {
    let body =
        json!({"tools": [tool(&object(&json!({"a": {"type": "string", "maxLength": 3}})), true)]});
    assert!(said(&body).is_some());
    assert_eq!(check(&body, WeakRefusals::Taken), Ok(()));
}

#[test]
fn an_object_has_the_keywords_that_are_known_alone() {
    let closed = object(&json!({"name": {"type": "string"}, "if": {"type": "string"}}));
    for (member, value) in [
        ("name", json!("verdict")),
        ("strict", json!(true)),
        ("propertyNames", json!({"type": "string"})),
        ("minProperties", json!(1)),
        ("patternProperties", json!({})),
        ("if", json!({})),
        ("nullable", json!(true)),
        ("items", json!({"type": "string"})),
        ("x-kind", json!("a")),
    ] {
        let mut schema = closed.clone();
        schema[member] = value;
        let text = format!("For 'object' type, property '{member}' is not supported");
        assert_eq!(refused(&schema), Some(text));
    }
    // Before what may be missing: a map is told for the names of its members.
    let map = json!({"type": "object", "propertyNames": {}, "additionalProperties": {}, "minProperties": 1});
    assert_eq!(
        refused(&map).as_deref(),
        Some("For 'object' type, properties minProperties, propertyNames are not supported")
    );
    let mut annotated = closed;
    for member in ["title", "description", "$schema", "$id", "$comment"] {
        annotated[member] = json!("a");
    }
    annotated["default"] = json!({});
    annotated["examples"] = json!([{}]);
    assert_eq!(refused(&annotated), None);
}

#[test]
fn every_schema_says_of_which_type_a_value_is() {
    for (inner, text) in [
        (
            json!({}),
            "Empty schema ({}) that accepts any JSON value is not supported. Please specify a concrete type.",
        ),
        (
            json!({"title": "A", "description": "any"}),
            "Empty schema ({}) that accepts any JSON value is not supported. Please specify a concrete type.",
        ),
        (
            json!({"default": null, "title": "Value"}),
            "Invalid schema: Schema type is missing for schema: {'default': None, 'title': 'Value'}",
        ),
        (
            json!({"type": "array", "items": {"format": "date"}}),
            "Invalid schema: Schema type is missing for schema: {'format': 'date'}",
        ),
        (
            json!({"type": "array", "items": [{"type": "string"}]}),
            "Invalid schema: Array types must be specified with a single object schema for 'items'.",
        ),
    ] {
        assert_eq!(refused(&inner).as_deref(), Some(text), "{inner}");
    }
    assert_eq!(
        refused_in(&json!({"name": "verdict", "strict": true})).as_deref(),
        Some(
            "Invalid schema: Schema type is missing for schema: {'name': 'verdict', 'strict': True}"
        )
    );
    for fine in [
        json!({"enum": ["a", null, 1]}),
        json!({"const": 1}),
        json!({"allOf": [{"type": "string"}]}),
        json!({"type": "array"}),
    ] {
        assert_eq!(refused(&fine), None, "{fine}");
    }
}

#[test]
fn the_values_of_an_enum_are_of_the_one_type_beside_it() {
    for (inner, text) in [
        (
            json!({"type": ["string", "null"], "enum": ["x", null]}),
            "Invalid schema: Enum value 'x' does not match declared type '['string', 'null']'",
        ),
        (
            json!({"type": ["integer", "null"], "enum": [0, null]}),
            "Invalid schema: Enum value 0 does not match declared type '['integer', 'null']'",
        ),
        (
            json!({"type": "string", "enum": ["A", "B", null]}),
            "Invalid schema: Enum value None does not match declared type 'string'",
        ),
        (
            json!({"type": "integer", "enum": [1, true]}),
            "Invalid schema: Enum value True does not match declared type 'integer'",
        ),
    ] {
        assert_eq!(refused(&inner).as_deref(), Some(text), "{inner}");
    }
    for fine in [
        json!({"type": "string", "enum": ["a"]}),
        json!({"type": "number", "enum": [1, 1.5]}),
        json!({"type": "boolean", "enum": [true]}),
        json!({"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}),
    ] {
        assert_eq!(refused(&fine), None, "{fine}");
    }
}

#[test]
fn one_of_several_schemas_stands_alone() {
    let string = json!([{"type": "string"}]);
    for (inner, text) in [
        (
            json!({"oneOf": string}),
            "Schema type 'oneOf' is not supported",
        ),
        (
            json!({"type": "string", "not": {"type": "number"}}),
            "Schema keyword 'not' is not supported",
        ),
        (
            json!({"anyOf": string, "discriminator": {"propertyName": "kind"}}),
            "For 'anyOf', 'discriminator' is not supported",
        ),
        (
            json!({"type": "object", "required": [], "properties": {}, "additionalProperties": false, "allOf": []}),
            "For 'anyOf', 'additionalProperties, properties, required, type' is not supported",
        ),
    ] {
        assert_eq!(refused(&inner).as_deref(), Some(text), "{inner}");
    }
    let fine =
        json!({"anyOf": string, "title": "A", "description": "a", "default": null, "enum": ["a"]});
    assert_eq!(refused(&fine), None);
}

#[test]
fn references_lead_somewhere_and_not_back() {
    let defs = |to: &str| {
        let mut schema = object(&json!({"a": {"$ref": "#/$defs/node", "description": "d"}}));
        let leaf = json!({"type": "string"});
        schema["$defs"] = json!({"node": object(&json!({"next": {"$ref": to}})), "leaf": leaf});
        schema
    };
    assert_eq!(refused_in(&defs("#/$defs/leaf")), None);
    assert_eq!(refused_in(&defs("https://example.com/a.json")), None);
    assert_eq!(
        refused_in(&defs("#/$defs/none")).as_deref(),
        Some("Invalid schema: Reference to non-existent definition: #/$defs/none")
    );
    assert_eq!(
        refused_in(&defs("#/$defs/node")).as_deref(),
        Some(
            "Invalid schema: Circular reference detected in schema definitions: node -> node. Self-referencing or \
             mutually-referencing definitions are not supported."
        )
    );
}

#[test]
fn what_all_schemas_have_together_is_counted() {
    let named = |count: usize, of: &Value| {
        let properties = (0..count).map(|index| (format!("p{index}"), of.clone()));
        Value::Object(properties.collect())
    };
    let required = |mut schema: Value| {
        let names: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        schema["required"] = json!(names);
        schema
    };
    // Of tools and of the format, and of what is inside.
    let optional = |count: usize| {
        let inner = object(&named(count - 14, &json!({"type": "string"})));
        let schema = required(object(&json!({"a": inner})));
        let other = object(&named(7, &json!({"type": "string"})));
        let loose = object(&named(30, &json!({"type": "string"})));
        json!({"tools": [tool(&schema, true), tool(&other, true), tool(&loose, false)],
               "output_config": {"format": {"schema": other}}})
    };
    assert_eq!(said(&optional(24)), None);
    assert_eq!(
        said(&optional(25)).as_deref(),
        Some(
            "Schemas contains too many optional parameters (25), which would make grammar compilation inefficient. Reduce \
             the number of optional parameters in your tool schemas (limit: 24)."
        )
    );
    let unions = |count: usize| {
        let lists = required(object(&named(
            count - 1,
            &json!({"type": ["string", "null"]}),
        )));
        let other =
            json!({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}});
        json!({"tools": [tool(&lists, true)], "output_config": {"format": {"schema": other}}})
    };
    assert_eq!(said(&unions(16)), None);
    assert_eq!(
        said(&unions(17)).as_deref(),
        Some(
            "Schemas contains too many parameters with union types (17 parameters with type arrays or anyOf). This causes \
             exponential compilation cost. Reduce the number of nullable or union-typed parameters (limit: 16 parameters \
             with unions)."
        )
    );
    let tools = |count: usize| {
        let mut tools = vec![tool(&object(&json!({})), true); count];
        tools.push(tool(&json!({}), false));
        json!({"tools": tools})
    };
    assert_eq!(said(&tools(20)), None);
    assert_eq!(
        said(&tools(22)).as_deref(),
        Some(
            "Too many strict tools (22). The maximum number of strict tools supported is 20. Try reducing the number of \
             tools marked as strict."
        )
    );
}

#[test]
fn of_several_faults_the_first_is_told() {
    let first = object(&json!({"a": {"type": "number", "minimum": 1}, "b": {"type": "object"}}));
    let open = json!({"type": "object", "properties": {"a": {"type": "number", "minimum": 1}}});
    for (schema, text) in [
        (
            first,
            "For 'number' type, property 'minimum' is not supported",
        ),
        (
            open,
            "For 'object' type, 'additionalProperties' must be explicitly set to false",
        ),
    ] {
        assert_eq!(refused_in(&schema).as_deref(), Some(text));
    }
}
