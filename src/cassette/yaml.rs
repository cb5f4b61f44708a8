//! JSON values as YAML that people read and `diff` compares well: blocks, key order kept, texts of
//! several lines as literal blocks.
//!
//! Every string that is not plainly harmless is written in JSON's own quotes, which YAML reads alike.

use std::fmt::Write as _;

use serde_json::Value;

/// Appends `value` as the value of a key, or of a list's item, that stands at `indent` spaces.
///
/// What comes before is `key:` or `-`; a scalar follows it after a space, a block on the next lines.
pub fn write_value(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                new_line(out, indent);
                write_entry(out, key, value, indent);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                new_line(out, indent);
                write_item(out, item, indent);
            }
        }
        Value::String(text) => {
            out.push(' ');
            write_text(out, text, indent);
        }
        scalar => {
            out.push(' ');
            out.push_str(&scalar.to_string());
        }
    }
}

/// `key: value` at `indent`; the line has begun.
fn write_entry(out: &mut String, key: &str, value: &Value, indent: usize) {
    write_scalar(out, key);
    out.push(':');
    write_value(out, value, indent + 2);
}

/// `- item` at `indent`; a map's first key and a list's first item stand on the same line.
fn write_item(out: &mut String, item: &Value, indent: usize) {
    out.push('-');
    match item {
        Value::Object(map) if !map.is_empty() => {
            for (at, (key, value)) in map.iter().enumerate() {
                if at == 0 {
                    out.push(' ');
                } else {
                    new_line(out, indent + 2);
                }
                write_entry(out, key, value, indent + 2);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                if at == 0 {
                    out.push(' ');
                } else {
                    new_line(out, indent + 2);
                }
                write_item(out, item, indent + 2);
            }
        }
        scalar => write_value(out, scalar, indent + 2),
    }
}

fn new_line(out: &mut String, indent: usize) {
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A string: plain, as a literal block at `indent`, or quoted.
fn write_text(out: &mut String, text: &str, indent: usize) {
    if !is_literal(text) {
        write_scalar(out, text);
        return;
    }
    out.push('|');
    if text.starts_with([' ', '\n']) {
        // Otherwise a reader would take the text's own spaces for the indentation.
        out.push('2');
    }
    let body = text.trim_end_matches('\n');
    match text.len() - body.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    let mut lines: Vec<&str> = text.split('\n').collect();
    if text.ends_with('\n') {
        lines.pop();
    }
    // The indicator counts from the parent's indentation, which is two less.
    for line in lines {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
    out.push('\n');
}

/// Whether a text is several lines that a literal block gives back exactly.
fn is_literal(text: &str) -> bool {
    let inner = text.trim_matches('\n');
    inner.contains('\n')
        && text.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
        // A reader may take a first line of tabs or spaces alone for indentation.
        && text.lines().all(|line| line.is_empty() || !line.trim().is_empty())
        && !inner.starts_with('\t')
}

fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// A string on one line.
fn write_scalar(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a String takes every write");
                }
            }
        }
    }
    out.push('"');
}

/// Whether no reader could take it for anything but this string.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf",
    ];
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '/')
        && chars.all(|c| c.is_ascii_alphanumeric() || "_-./ ".contains(c))
        && !text.ends_with(' ')
        && !text.contains("  ")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn round(value: &Value) -> Value {
        let mut text = "value:".to_owned();
        write_value(&mut text, value, 2);
        let read: Value = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        read["value"].clone()
    }

    #[test]
    fn a_tree_is_written_as_blocks() {
        let value = json!({
            "model": "claude-sonnet-5",
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello, world!"}]}],
            "code": "import this\n\nprint(1)\n",
            "none": null,
            "nested": [[1, [2]], []],
            "no": "no",
        });
        let mut text = "json:".to_owned();
        write_value(&mut text, &value, 2);
        insta::assert_snapshot!(text, @r#"
        json:
          model: claude-sonnet-5
          max_tokens: 4096
          messages:
            - role: user
              content:
                - type: text
                  text: "Hello, world!"
          code: |
            import this

            print(1)
          none: null
          nested:
            - - 1
              - - 2
            - []
          "no": "no"
        "#);
        assert_eq!(round(&value), value);
    }

    #[test]
    fn a_stream_keeps_its_empty_lines_and_its_padding() {
        let stream =
            "event: ping\ndata: {\"type\": \"ping\"}\n\nevent: x\ndata: {\"a\":1     }\n\n";
        let value = json!({ "stream": stream, "after": 1 });
        assert_eq!(round(&value), value);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "[ -~\n\t\r\u{0}-\u{1f}\u{7f}-\u{a0}é😀\u{2028}\u{feff}]{0,60}") {
            let value = json!([text, { "key": text }]);
            prop_assert_eq!(round(&value), value);
        }

        #[test]
        fn lines_come_back(lines in proptest::collection::vec("[ \t]{0,2}[a-z#:|-]{0,4}[ ]{0,2}", 0..6), end in "\n{0,3}") {
            let text = lines.join("\n") + &end;
            let value = json!({ "text": text, "list": [text] });
            prop_assert_eq!(round(&value), value);
        }

        #[test]
        fn numbers_come_back(number in any::<f64>(), whole in any::<i64>(), large in any::<u64>()) {
            let value = json!([number, whole, large]);
            prop_assert_eq!(round(&value), value);
        }
    }
}
