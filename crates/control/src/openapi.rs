//! The description of the control API as `OpenAPI` 3.1: the calls are listed here, their shapes follow from
//! the types.

mod calls;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

pub use calls::calls;

/// A control call.
#[derive(Debug, Clone)]
pub struct Call {
    /// In lower case.
    pub method: &'static str,
    /// With `{…}` where a part of it may be anything.
    pub path: &'static str,
    /// Its name in generated clients.
    pub id: &'static str,
    pub summary: &'static str,
    /// It acts on one workspace or on several.
    pub acts_on: ActsOn,
    pub parameters: Vec<Parameter>,
    pub body: Option<Content>,
    /// By status.
    pub answers: Vec<(u16, &'static str, Option<Content>)>,
}

/// Which workspaces a call may act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActsOn {
    /// None: it is about the server.
    Server,
    /// The key's, or the one that is named.
    One,
    /// Also all of them, with `*`.
    Any,
    /// Those of an export, with `*`; else one.
    Exported,
}

/// A parameter of the query, or of the path if the path has it.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
}

/// The type of a parameter's value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Text,
    Flag,
    /// From, and to.
    Number(u64, Option<u64>),
    OneOf(&'static [&'static str]),
}

/// The content of a body.
#[derive(Debug, Clone, Copy)]
pub struct Content {
    /// Its media types.
    pub types: &'static [&'static str],
    pub shape: Shape,
    /// Media types in which it has another shape.
    pub others: &'static [(&'static str, Shape)],
    /// A request may have none.
    pub optional: bool,
}

/// Makes a schema.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Of(fn(&mut SchemaGenerator) -> schemars::Schema),
    Text,
    Bytes,
    /// An object that is described elsewhere.
    Object,
}

impl Content {
    /// JSON of a type.
    pub const fn json<T: JsonSchema>() -> Self {
        Self {
            types: &["application/json"],
            shape: Shape::Of(SchemaGenerator::subschema_for::<T>),
            others: &[],
            optional: false,
        }
    }

    /// Text of a kind.
    pub const fn text(types: &'static [&'static str]) -> Self {
        Self {
            types,
            shape: Shape::Text,
            others: &[],
            optional: false,
        }
    }

    /// Also in media types in which it has another shape.
    const fn or(self, others: &'static [(&'static str, Shape)]) -> Self {
        Self { others, ..self }
    }
}

/// The whole description.
pub fn document(version: &str) -> Value {
    let answers = SchemaSettings::draft2020_12().for_serialize();
    let bodies = SchemaSettings::draft2020_12().for_deserialize();
    let mut answers = generator(answers);
    let mut bodies = generator(bodies);
    let mut paths = Map::new();
    for call in calls() {
        let operation = operation(&call, &mut bodies, &mut answers);
        let path = paths
            .entry(call.path)
            .or_insert_with(|| Value::Object(Map::new()));
        path[call.method] = operation;
    }
    // What only the stream of events has.
    let event = answers.subschema_for::<crate::Event>();
    drop(event);
    let mut schemas = bodies.take_definitions(true);
    let mut answered = answers.take_definitions(true);
    answered.values_mut().for_each(absent_or_said);
    schemas.extend(answered);
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sandtable control API",
            "version": version,
            "description": "What a test needs to set up, look at, and clear. A call acts on the workspace of the key it sends, or on the one that `workspace` names.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:4010" }],
        "security": [{}, { "key": [] }, { "token": [] }, { "key": [], "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": { "type": "apiKey", "in": "header", "name": "x-api-key", "description": "the key of the workspace" },
                "token": { "type": "apiKey", "in": "header", "name": "x-sandtable-token", "description": "the server's `--control-token`, if it has one" },
            },
        },
    })
}

/// Makes optional members of an answer absent where there is nothing to say, and never null.
fn absent_or_said(schema: &mut Value) {
    let required = schema["required"].clone();
    let Some(Value::Object(members)) = schema.get_mut("properties") else {
        return;
    };
    for (name, member) in members {
        let is_required = required
            .as_array()
            .is_some_and(|all| all.contains(&name.as_str().into()));
        if is_required {
            continue;
        }
        if let Some(Value::Array(kinds)) = member.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [kind] = kinds.as_slice() {
                member["type"] = kind.clone();
            }
        }
        if let Some(Value::Array(kinds)) = member.get_mut("anyOf") {
            kinds.retain(|kind| kind["type"] != "null");
            if let [kind] = kinds.as_slice() {
                let kind = kind.clone();
                if let (Some(member), Value::Object(kind)) = (member.as_object_mut(), kind) {
                    member.remove("anyOf");
                    member.extend(kind);
                }
            }
        }
    }
}

fn generator(settings: SchemaSettings) -> SchemaGenerator {
    let mut settings = settings;
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings.into_generator()
}

fn operation(call: &Call, bodies: &mut SchemaGenerator, answers: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = call
        .parameters
        .iter()
        .map(|parameter| describe(parameter, call.path))
        .collect();
    if call.acts_on != ActsOn::Server {
        let about = match call.acts_on {
            ActsOn::Any => "the workspace's name, or `*` for all; that of the key without it",
            ActsOn::Exported => {
                "the workspace's name, or in an export `*` for all; that of the key without it"
            }
            ActsOn::One | ActsOn::Server => "the workspace's name; that of the key without it",
        };
        let workspace = Parameter {
            name: "workspace",
            about,
            kind: Kind::Text,
        };
        parameters.push(describe(&workspace, call.path));
    }
    let mut operation = json!({ "operationId": call.id, "summary": call.summary });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &call.body {
        operation["requestBody"] =
            json!({ "required": !body.optional, "content": content(body, bodies) });
    }
    let mut responses = Map::new();
    for (status, about, body) in &call.answers {
        let mut answer = json!({ "description": about });
        if let Some(body) = body {
            answer["content"] = content(body, answers);
        }
        responses.insert(status.to_string(), answer);
    }
    let refused = Content::json::<crate::Refused>();
    responses.insert(
        "default".to_owned(),
        json!({ "description": "it was refused", "content": content(&refused, answers) }),
    );
    operation["responses"] = responses.into();
    operation
}

fn describe(parameter: &Parameter, path: &str) -> Value {
    let in_path = path.contains(&format!("{{{}}}", parameter.name));
    let schema = match parameter.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Number(least, None) => json!({ "type": "integer", "minimum": least }),
        Kind::Number(least, Some(most)) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
    };
    json!({
        "name": parameter.name,
        "in": if in_path { "path" } else { "query" },
        "required": in_path,
        "description": parameter.about,
        "schema": schema,
    })
}

fn content(content: &Content, generator: &mut SchemaGenerator) -> Value {
    let types = content.types.iter().map(|kind| (*kind, content.shape));
    let types = types.chain(content.others.iter().copied());
    let described = types.map(|(kind, shape)| {
        let schema = match shape {
            Shape::Of(make) => json!(make(generator)),
            Shape::Text => json!({ "type": "string" }),
            Shape::Bytes => json!({ "type": "string", "format": "binary" }),
            Shape::Object => json!({ "type": "object" }),
        };
        (kind.to_owned(), json!({ "schema": schema }))
    });
    Value::Object(described.collect())
}
