//! Whether a JSON text has something secret in it: every string and key is looked at, and nothing is kept.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Redactor;

/// `None` where the text is no JSON object or list.
pub(super) fn has_secrets(redactor: &Redactor, text: &str) -> Option<bool> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut found = false;
    let mut reader = serde_json::Deserializer::from_str(text);
    let look = Look {
        redactor,
        found: &mut found,
    };
    look.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(found)
}

/// Looks at one value, as [`Redactor::json`] would.
struct Look<'a> {
    redactor: &'a Redactor,
    found: &'a mut bool,
}

impl Look<'_> {
    fn again(&mut self) -> Look<'_> {
        Look {
            redactor: self.redactor,
            found: self.found,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let clean = self.redactor.deep_text(text);
        *self.found |= matches!(clean, Cow::Owned(clean) if clean != text);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.again())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while members.next_key_seed(self.again())?.is_some() {
            members.next_value_seed(self.again())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-ant-REDACT-me-1234567890";

    #[test]
    fn a_glance_finds_what_a_close_look_finds() {
        let redactor = Redactor::default().with_known([KEY]);
        let in_base64 = {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(KEY)
        };
        for (text, found) in [
            (r#"{"a":["b",1,null,true,2.5,{}]}"#.to_owned(), Some(false)),
            (format!(r#"{{"a":"{KEY}"}}"#), Some(true)),
            (format!(r#" [{{"{KEY}":1}}]"#), Some(true)),
            // Of two members of one name neither is passed over.
            (format!(r#"{{"a":"{KEY}","a":"b"}}"#), Some(true)),
            (format!(r#"["{in_base64}"]"#), Some(true)),
            (
                r#"["\u0073k-ant-REDACT-me-1234567890"]"#.to_owned(),
                Some(true),
            ),
            (r#"["100%25"]"#.to_owned(), Some(false)),
            (format!(r#""{KEY}""#), None),
            ("{\"a\":".to_owned(), None),
            ("{} {}".to_owned(), None),
        ] {
            assert_eq!(has_secrets(&redactor, &text), found, "{text}");
        }
    }
}
