//! A look for a member of an object by its name.
//!
//! Each request is asked for some sixty members, nearly all of which it does not have. Most objects have a handful, and to
//! compare their names takes a tenth of the time in which a map makes a digest of the name that it looks for.

use serde_json::{Map, Value};

/// An object with more members is asked as the map that it is.
const FEW: usize = 8;

/// A member of an object.
pub fn of<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if object.len() > FEW {
        return object.get(name);
    }
    let mut members = object.iter();
    members
        .find(|(own, _)| *own == name)
        .map(|(_, value)| value)
}

/// The same as `value[name]`: null where there is none.
pub fn at<'a>(value: &'a Value, name: &str) -> &'a Value {
    const NONE: &Value = &Value::Null;
    let object = value.as_object();
    object.and_then(|object| of(object, name)).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_those_of_the_map() {
        let names: Vec<String> = (0..2 * FEW).map(|n| format!("n{n}")).collect();
        for count in 0..names.len() {
            let object: Map<String, Value> = names[..count]
                .iter()
                .map(|name| (name.clone(), name.as_str().into()))
                .collect();
            let value = Value::Object(object.clone());
            for name in &names {
                assert_eq!(of(&object, name), object.get(name), "{count}");
                assert_eq!(at(&value, name), &value[name], "{count}");
            }
        }
        assert_eq!(at(&Value::from("n0"), "n0"), &Value::Null);
    }
}
