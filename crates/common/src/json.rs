//! JSON that has the bodies of requests in it. The door takes those up to [`JSON_DEPTH`] levels, and what lies around
//! them must be read as well; a bound of its own keeps what strangers have written off the stack.

use serde::de::Deserialize;
use serde_json::de::Read;
use serde_json::{Deserializer, Error, Value};

use crate::limits::{JSON_DEPTH, WRAPPED_JSON_DEPTH};

/// Reads what may have requests in it, up to [`WRAPPED_JSON_DEPTH`] levels.
pub fn wrapped<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, Error> {
    bounded(text, || Deserializer::from_slice(text))
}

/// The same, of what is known to be UTF-8: its strings are not looked at once more.
pub fn wrapped_text<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Error> {
    bounded(text.as_bytes(), || Deserializer::from_str(text))
}

/// Reads what was written a moment ago, of a value that lay in memory: it is no deeper than that was.
pub fn again(text: &str) -> Result<Value, Error> {
    unbounded(Deserializer::from_str(text))
}

fn bounded<'de, T: Deserialize<'de>, R: Read<'de>>(
    text: &[u8],
    reader: impl Fn() -> Deserializer<R>,
) -> Result<T, Error> {
    match whole(&mut reader()).map_err(|error| (error, depth(text))) {
        // The reader's own bound is lower; nearly nothing is that deep, and need not be gone through twice.
        Err((_, JSON_DEPTH..=WRAPPED_JSON_DEPTH)) => unbounded(reader()),
        Err((error, _)) => Err(error),
        Ok(value) => Ok(value),
    }
}

fn unbounded<'de, T: Deserialize<'de>, R: Read<'de>>(
    mut reader: Deserializer<R>,
) -> Result<T, Error> {
    reader.disable_recursion_limit();
    whole(&mut reader)
}

fn whole<'de, T: Deserialize<'de>, R: Read<'de>>(reader: &mut Deserializer<R>) -> Result<T, Error> {
    let value = T::deserialize(&mut *reader)?;
    reader.end()?;
    Ok(value)
}

/// How many levels of a JSON text lie in one another, as far as it is some.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut most) = (0usize, 0);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                most = most.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(within) = bytes.next() {
                    match within {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    most
}

/// How many levels of a value lie in one another.
pub fn levels(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists and objects in one another.
    fn nested(levels: usize) -> String {
        let (pairs, odd) = (levels / 2, levels % 2);
        let open = r#"[{"]\"[":"#.repeat(pairs) + &"[".repeat(odd);
        let close = "]".repeat(odd) + &"}]".repeat(pairs);
        if odd == 0 {
            format!("{open}1{close}")
        } else {
            open + &close
        }
    }

    #[test]
    fn what_is_wrapped_around_the_deepest_request_is_read() {
        for levels in [0, 1, JSON_DEPTH, JSON_DEPTH + 1, WRAPPED_JSON_DEPTH] {
            let text = nested(levels);
            assert_eq!(depth(text.as_bytes()), levels);
            let value: Value = wrapped(text.as_bytes()).unwrap();
            assert_eq!(super::levels(&value), levels);
            assert_eq!(value.to_string(), text);
            assert_eq!(again(&text).unwrap(), value);
        }
    }

    #[test]
    fn what_is_deeper_or_no_json_is_refused_in_the_readers_words() {
        for levels in [WRAPPED_JSON_DEPTH + 1, 1_000_000] {
            let error = wrapped::<Value>(nested(levels).as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with("recursion limit exceeded at"));
        }
        for text in ["", "[1,]", "[1] 2"] {
            let deep = format!("{}{text}", "[".repeat(JSON_DEPTH + 9));
            assert!(wrapped::<Value>(text.as_bytes()).is_err(), "{text}");
            assert!(wrapped::<Value>(deep.as_bytes()).is_err(), "{deep}");
            assert!(again(text).is_err(), "{text}");
        }
    }

    /// The door's bound is that of `serde_json`, which says its words.
    #[test]
    fn a_request_may_be_as_deep_as_the_limit_says() {
        let read = |levels| serde_json::from_str::<Value>(&nested(levels));
        assert!(read(JSON_DEPTH).is_ok());
        let error = read(JSON_DEPTH + 1).unwrap_err().to_string();
        assert!(error.starts_with("recursion limit exceeded"), "{error}");
    }
}
