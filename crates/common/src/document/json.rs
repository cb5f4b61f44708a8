//! JSON in which no key may be there twice: one of its values would be lost without a word.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::json;

/// Why a text is not taken; it reads well after the name of what the text is.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("is not JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    #[error("{0}")]
    Twice(#[source] serde_json::Error),
}

/// Reads a value.
pub fn json(text: &[u8]) -> Result<Value, JsonError> {
    match json::wrapped(text) {
        Ok(Unique(value)) => Ok(value),
        Err(error) if error.is_data() => Err(JsonError::Twice(error)),
        Err(error) => Err(JsonError::Syntax(error)),
    }
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if map.contains_key(&key) {
                let shown = key.escape_debug();
                return Err(A::Error::custom(format!("has the key `{shown}` twice")));
            }
            let Unique(value) = members.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_read_as_ever() {
        let value = json!({"a": [null, true, -1, 1.5, u64::MAX, "é\n"], "b": {"a": {}}});
        assert_eq!(json(value.to_string().as_bytes()).unwrap(), value);
    }

    #[test]
    fn a_key_that_is_there_twice_is_named_with_its_place() {
        for (text, message) in [
            (
                "{\"status\": 529,\n \"status\": 500}",
                "has the key `status` twice at line 2 column 9",
            ),
            (
                r#"[{"a": {"b": 1, "b": 1}}]"#,
                "has the key `b` twice at line 1 column 19",
            ),
            (
                "{\"a\": ",
                "is not JSON: EOF while parsing a value at line 1 column 6",
            ),
        ] {
            assert_eq!(json(text.as_bytes()).unwrap_err().to_string(), message);
        }
    }
}
