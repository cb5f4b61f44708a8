//! Changing single events of a recorded stream, and leaving the others as they are, byte for byte.

use std::borrow::Cow;

use serde_json::Value;

/// Cuts a stream into its frames, each with the empty line that ends it.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive("\n\n")
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

fn data_of(frame: &str) -> Option<&str> {
    frame
        .lines()
        .find_map(|line| line.strip_prefix("data:"))
        .map(str::trim_start)
}
