//! The headers of a part, and the boundary in the request's content type.

use percent_encoding::percent_decode_str;

use super::MultipartError;

/// The fields in the headers of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartHead {
    /// The form field.
    pub name: String,
    /// The whole name, directories included; absent where the part has none.
    pub filename: Option<String>,
    /// As it was written.
    pub content_type: Option<String>,
}

impl PartHead {
    /// Parses what lies between a boundary and the content: padding, a line break, headers.
    pub(super) fn parse(head: &[u8]) -> Result<Self, MultipartError> {
        let head = std::str::from_utf8(head).map_err(|_| MultipartError::NotUtf8)?;
        let mut lines = head.split("\r\n");
        if !lines.next().unwrap_or_default().trim().is_empty() {
            return Err(MultipartError::BadHead);
        }
        let (mut disposition, mut content_type) = (None, None);
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(MultipartError::BadHead)?;
            if name.eq_ignore_ascii_case("content-disposition") {
                disposition = Some(value.trim());
            } else if name.eq_ignore_ascii_case("content-type") {
                content_type = Some(value.trim().to_owned());
            }
        }
        let (kind, parameters) = split_parameters(disposition.ok_or(MultipartError::NoName)?);
        if !kind.eq_ignore_ascii_case("form-data") {
            return Err(MultipartError::NoName);
        }
        let find = |wanted: &str| {
            parameters
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value)
        };
        Ok(Self {
            name: find("name").cloned().ok_or(MultipartError::NoName)?,
            filename: match (find("filename*"), find("filename")) {
                // One that cannot be read is passed over where there is another (RFC 6266, 4.3).
                (Some(value), plain) => match extended(value).or_else(|| plain.cloned()) {
                    Some(name) => Some(name),
                    None => return Err(MultipartError::BadName),
                },
                (None, plain) => plain.cloned(),
            },
            content_type,
        })
    }
}

/// The boundary of a `multipart/form-data` content type.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = split_parameters(content_type);
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("boundary"))
        .map(|(_, value)| value)
        // RFC 2046 allows 70; a longer one would only cost memory.
        .filter(|value| (1..=256).contains(&value.len()))
}

/// `value; name=token; name="quoted"`. In quotes only `\"` is an escape: clients that send paths of
/// Windows do not double the backslash.
fn split_parameters(text: &str) -> (&str, Vec<(String, String)>) {
    let (value, mut rest) = text.split_once(';').unwrap_or((text, ""));
    let mut parameters = Vec::new();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            unquote(quoted)
        } else {
            let (token, after) = after.split_once(';').unwrap_or((after, ""));
            (token.trim().to_owned(), after)
        };
        parameters.push((name.trim_matches([' ', '\t', ';']).to_owned(), value));
        rest = after;
    }
    (value.trim(), parameters)
}

/// The text up to the closing quote, and what follows it.
fn unquote(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut rest = quoted.char_indices();
    while let Some((at, character)) = rest.next() {
        match character {
            '"' => return (text, &quoted[at + 1..]),
            '\\' if quoted[at + 1..].starts_with('"') => {
                text.push('"');
                rest.next();
            }
            other => text.push(other),
        }
    }
    (text, "")
}

/// `UTF-8''percent%20encoded` (RFC 8187).
fn extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let charset = parts.next()?;
    let _language = parts.next()?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let text = percent_decode_str(parts.next()?).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> Result<PartHead, MultipartError> {
        PartHead::parse(format!("\r\n{lines}\r\n\r\n").as_bytes())
    }

    fn filename(disposition: &str) -> Option<String> {
        head(&format!("Content-Disposition: {disposition}"))
            .unwrap()
            .filename
    }

    #[test]
    fn heads_of_the_usual_clients_are_read() {
        assert_eq!(
            head(
                "Content-Disposition: form-data; name=\"file\"; filename=\"a b.csv\"\r\nContent-Type: text/csv; charset=utf-8"
            ),
            Ok(PartHead {
                name: "file".to_owned(),
                filename: Some("a b.csv".to_owned()),
                content_type: Some("text/csv; charset=utf-8".to_owned()),
            })
        );
        assert_eq!(
            head("content-disposition:form-data;name=file"),
            Ok(PartHead {
                name: "file".to_owned(),
                filename: None,
                content_type: None,
            })
        );
    }

    #[test]
    fn names_keep_what_they_hold() {
        let cases = [
            (r#"form-data; name="f"; filename="""#, ""),
            (r#"form-data; name="f"; filename="a;b=c.csv""#, "a;b=c.csv"),
            (r#"form-data; name="f"; filename="a\"b""#, "a\"b"),
            (
                r#"form-data; name="f"; filename="C:\new\t.csv""#,
                r"C:\new\t.csv",
            ),
            (r#"form-data; filename="日本.csv"; name="f""#, "日本.csv"),
            (
                "form-data; name=f; filename=x; filename*=UTF-8''%E6%97%A5%20a.csv",
                "日 a.csv",
            ),
            (
                "form-data; name=f; filename=\"e.csv\"; filename*=iso-8859-1''%E9.csv",
                "e.csv",
            ),
            (
                "form-data; name=f; filename*=UTF-8''%ff; filename=e.csv",
                "e.csv",
            ),
        ];
        for (disposition, expected) in cases {
            assert_eq!(filename(disposition).as_deref(), Some(expected));
        }
    }

    #[test]
    fn malformed_heads_are_refused() {
        for (lines, error) in [
            ("Content-Type: text/csv", MultipartError::NoName),
            ("Content-Disposition: form-data", MultipartError::NoName),
            (
                "Content-Disposition: attachment; name=\"file\"",
                MultipartError::NoName,
            ),
            ("no colon", MultipartError::BadHead),
            (
                "Content-Disposition: form-data; name=f; filename*=latin1''x",
                MultipartError::BadName,
            ),
            (
                "Content-Disposition: form-data; name=f; filename*=UTF-8''%ff",
                MultipartError::BadName,
            ),
        ] {
            assert_eq!(head(lines), Err(error), "{lines}");
        }
        assert_eq!(
            PartHead::parse(b"\r\ncontent-disposition: form-data; name=f; filename=\xe9\r\n\r\n"),
            Err(MultipartError::NotUtf8)
        );
        assert_eq!(
            PartHead::parse(b"tail\r\n\r\n"),
            Err(MultipartError::BadHead)
        );
    }

    #[test]
    fn the_boundary_is_found_quoted_or_not() {
        let found = |text| boundary(text);
        assert_eq!(
            found("multipart/form-data; boundary=abc").as_deref(),
            Some("abc")
        );
        assert_eq!(
            found("Multipart/Form-Data; charset=utf-8; boundary=\"a b;c\"").as_deref(),
            Some("a b;c")
        );
        assert_eq!(found("multipart/form-data"), None);
        assert_eq!(found("multipart/form-data; boundary="), None);
        assert_eq!(found("multipart/mixed; boundary=abc"), None);
        assert_eq!(found("application/json"), None);
    }
}
