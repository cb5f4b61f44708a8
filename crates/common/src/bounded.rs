//! Bounds of texts that libraries read or match by recursion: what a client or a document says must not decide how deep.

use crate::limits::{GLOB_STARS, JSON_PATH_BYTES, JSON_PATH_DEPTH};

/// Why a text is no glob that may be matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    #[error("it has more than {GLOB_STARS} `*`")]
    Stars,
    #[error("{0}")]
    Syntax(&'static str),
}

/// Reads a glob.
pub fn glob(source: &str) -> Result<glob::Pattern, GlobError> {
    if source.bytes().filter(|c| *c == b'*').count() > GLOB_STARS {
        return Err(GlobError::Stars);
    }
    #[expect(clippy::disallowed_methods, reason = "bounded here")]
    glob::Pattern::new(source).map_err(|error| GlobError::Syntax(error.msg))
}

/// Whether a JSON path may be read. What is in quotes counts as well: no name that is asked for is full of brackets.
pub fn is_json_path(text: &str) -> bool {
    let mut depth = 0usize;
    let is_flat = text.bytes().all(|c| {
        match c {
            b'[' | b'(' => depth += 1,
            b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth <= JSON_PATH_DEPTH
    });
    is_flat && text.len() <= JSON_PATH_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_bounded() {
        assert!(glob("claude-*").is_ok() && glob(&"*a".repeat(GLOB_STARS)).is_ok());
        let many = glob(&"*a".repeat(GLOB_STARS + 1));
        assert_eq!(many, Err(GlobError::Stars));
        assert!(matches!(glob("[a"), Err(GlobError::Syntax(_))));
        assert!(is_json_path(
            "$.messages[?(@.content[?@.type == 'text'])].role"
        ));
        assert!(!is_json_path(&format!(
            "$[?{}",
            "(".repeat(JSON_PATH_DEPTH)
        )));
        assert!(!is_json_path(&"$[?@".repeat(JSON_PATH_DEPTH + 1)));
        assert!(is_json_path(&"[0]".repeat(100)));
        assert!(!is_json_path(&"a".repeat(JSON_PATH_BYTES + 1)));
    }
}
