//! JSON values as YAML that people read and `diff` compares well: blocks, key order kept, texts of several
//! lines as literal blocks, long ones on one line.

use serde_json::Value;

/// `value` as a document that ends with a newline.
///
/// A list's items stand at the beginning of their lines, so that what is written of one list may follow
/// what is written of another.
pub fn to_yaml(value: &Value) -> String {
    let options = serde_saphyr::ser_options! {
        compact_list_indent: false,
        // Where a text is folded depends on all of its words: a small change would move every line.
        folded_wrap_chars: usize::MAX,
    };
    serde_saphyr::to_string_with_options(value, options)
        .expect("a String takes every write, and JSON has nothing that YAML has not")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn round(value: &Value) -> Value {
        let text = to_yaml(&json!({ "value": value }));
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
        let text = to_yaml(&json!({ "json": value }));
        insta::assert_snapshot!(text, @r#"
        json:
          model: claude-sonnet-5
          max_tokens: 4096
          messages:
            - role: user
              content:
                - type: text
                  text: Hello, world!
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

    #[test]
    fn a_long_line_is_not_folded_and_an_empty_one_has_no_blanks() {
        let value = json!({ "long": "word ".repeat(100).trim_end(), "stream": "a\n\nb\n\n" });
        let text = to_yaml(&value);
        assert_eq!(
            text,
            format!(
                "long: {}\nstream: |+\n  a\n\n  b\n\n",
                "word ".repeat(100).trim_end()
            )
        );
    }

    #[test]
    fn a_text_that_other_readers_take_for_something_else_is_quoted() {
        for word in [
            "no",
            "y",
            "1_000",
            "12:30",
            "2026-01-01",
            "0x1",
            "~",
            "=",
            "<<",
        ] {
            let text = to_yaml(&json!([word]));
            assert_eq!(text, format!("- \"{word}\"\n"));
        }
    }

    /// Texts of which each piece means something to YAML.
    fn hostile() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "true",
            "no",
            "~",
            "null",
            "<<",
            "---",
            "...",
            "- a",
            "? b",
            ":",
            ": c",
            " # d",
            "a: b",
            "!t",
            "&a",
            "*a",
            "|",
            ">",
            "%x",
            "@a",
            "`a",
            "0x1",
            "1_000",
            "1e5",
            ".inf",
            "12:30",
            "2026-01-01",
            "[a]",
            "{a: b}",
            "'q'",
            "\"q\"",
            "\\",
            "\t",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{ffff}",
            "\0",
            "\u{7f}",
            "\u{a0}",
            "\r",
            "\r\n",
            "\n",
            "\n\n",
            "  ",
            "a",
            "é",
            "😀",
            "\n---\n",
            "...\n",
            "# c\n",
        ];
        proptest::collection::vec(proptest::sample::select(PIECES), 0..6)
            .prop_map(|pieces| pieces.concat())
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            hostile().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((hostile(), inner), 0..6)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_tree_comes_back(value in tree()) {
            prop_assert_eq!(round(&value), value);
        }

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
