//! Values as the service writes them in its texts about schemas: as Python does.

use std::fmt::{self, Display, Write as _};

use serde_json::Value;

/// A value, written as `repr` does.
pub(super) struct Repr<'a>(pub(super) &'a Value);

impl Display for Repr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Object(members) => {
                f.write_char('{')?;
                for (index, (name, value)) in members.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    write_text(f, name)?;
                    write!(f, ": {}", Repr(value))?;
                }
                f.write_char('}')
            }
            Value::Array(items) => {
                f.write_char('[')?;
                for (index, value) in items.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    write!(f, "{}", Repr(value))?;
                }
                f.write_char(']')
            }
            Value::String(text) => write_text(f, text),
            Value::Null => f.write_str("None"),
            Value::Bool(true) => f.write_str("True"),
            Value::Bool(false) => f.write_str("False"),
            Value::Number(number) => write!(f, "{number}"),
        }
    }
}

/// A text in single quotes, or in double ones where it has single ones alone.
fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    f.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\\' => f.write_str("\\\\")?,
            c if c == quote => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\x{:02x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char(quote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_written_as_python_does() {
        for (value, written) in [
            (
                json!({"default": null, "title": "Value"}),
                "{'default': None, 'title': 'Value'}",
            ),
            (
                json!([true, false, 1, 2.5, []]),
                "[True, False, 1, 2.5, []]",
            ),
            (json!("it's"), "\"it's\""),
            (json!("it's \"so\""), "'it\\'s \"so\"'"),
            (json!("a\\b\n\u{1}é"), "'a\\\\b\\n\\x01é'"),
        ] {
            assert_eq!(Repr(&value).to_string(), written);
        }
    }
}
