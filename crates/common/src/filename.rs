//! Names of files.

/// Whether a name has only characters that the Files API takes (F081).
pub fn is_plain(name: &str) -> bool {
    !name.contains(|c: char| c < ' ' || "<>:\"|?*\\/".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_wildcards_and_control_characters_are_not_taken() {
        for name in ["a?b.txt", "a\nb", "a\\b", "a/b", "\0", "a:b"] {
            assert!(!is_plain(name), "{name:?}");
        }
        assert!(is_plain("Übersicht (1).csv"));
    }
}
