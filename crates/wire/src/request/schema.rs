//! JSON Schemas of tools: the references in them.

use serde_json::Value;

/// Deeper than any schema that a person writes.
const MAX_DEPTH: usize = 64;

/// A local `$ref` that leads back to where it stands, directly or over others.
pub(super) fn circular_ref(schema: &Value) -> Option<String> {
    follow(schema, "#", &mut Vec::new())
}

fn follow(root: &Value, at: &str, path: &mut Vec<String>) -> Option<String> {
    if path.iter().any(|before| before == at) || path.len() > MAX_DEPTH {
        return Some(at.to_owned());
    }
    let target = root.pointer(at.strip_prefix('#')?)?;
    path.push(at.to_owned());
    let mut references = Vec::new();
    collect(target, &mut references, 0);
    let found = references
        .into_iter()
        .find_map(|reference| follow(root, reference, path));
    path.pop();
    found
}

/// The references that apply where `value` does: definitions count only where they are referred to.
fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>, depth: usize) {
    if depth > 2 * MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("$ref", Value::String(reference)) => references.push(reference),
                    ("$defs" | "definitions", _) => {}
                    _ => collect(value, references, depth + 1),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(item, references, depth + 1);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
}
