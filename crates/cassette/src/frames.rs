//! Changing single events of a recorded stream, and leaving the others as they are, byte for byte.

use std::borrow::Cow;

use serde_json::Value;

/// Whether a text begins as a stream does.
pub(crate) fn is_stream(text: &str) -> bool {
    ["event:", "data:", ":", "id:", "retry:"]
        .iter()
        .any(|field| text.starts_with(field))
}

/// Cuts a stream into its frames, each with the empty line that ends it. A line ends as in the standard: with CR, LF, or both.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (frame, after) = rest.split_at(end_of_frame(rest.as_bytes()));
        rest = after;
        (!frame.is_empty()).then_some(frame)
    })
}

/// Behind the first empty line, or at the end.
fn end_of_frame(text: &[u8]) -> usize {
    let mut line = 0;
    for end in memchr::memchr2_iter(b'\n', b'\r', text) {
        // The second of CR and LF.
        if end < line {
            continue;
        }
        let length = if text[end..].starts_with(b"\r\n") {
            2
        } else {
            1
        };
        if end == line {
            return end + length;
        }
        line = end + length;
    }
    text.len()
}

/// The JSON of a frame's first `data` line.
pub fn data(frame: &str) -> Option<Value> {
    data_of(frame).and_then(|data| serde_json::from_str(data).ok())
}

/// The frame with other `data`; the spaces before the last brace stay.
pub(crate) fn with_data<'a>(frame: &'a str, data: &Value) -> Cow<'a, str> {
    let Some(old) = data_of(frame) else {
        return Cow::Borrowed(frame);
    };
    let open = old.strip_suffix('}').unwrap_or(old);
    let padding = open.len() - open.trim_end_matches(' ').len();
    let mut new = data.to_string();
    if new.pop() == Some('}') {
        new.extend(std::iter::repeat_n(' ', padding));
        new.push('}');
    }
    Cow::Owned(frame.replacen(old, &new, 1))
}

pub(crate) fn data_of(frame: &str) -> Option<&str> {
    frame
        .split(['\n', '\r'])
        .find_map(|line| line.strip_prefix("data:"))
        .map(str::trim_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_stream_end_with_cr_lf_or_both() {
        for end in ["\n", "\r\n", "\r"] {
            let text = [
                "event: a",
                "data: {\"b\":1}",
                "",
                "",
                "data: 2",
                "",
                "data: 3",
            ]
            .join(end);
            let frames: Vec<&str> = split(&text).collect();
            assert_eq!(frames.concat(), text);
            let found: Vec<Option<Value>> = frames.iter().map(|frame| data(frame)).collect();
            let one = Some(serde_json::json!({"b": 1}));
            assert_eq!(
                found,
                [one, None, Some(2.into()), Some(3.into())],
                "{end:?}"
            );
            let changed = with_data(frames[0], &serde_json::json!({"c": 2}));
            assert_eq!(changed, frames[0].replace("{\"b\":1}", "{\"c\":2}"));
        }
    }
}
