//! Files saved beside `$OUTPUT_DIR`: telling what a call left in the working directory.

use std::collections::HashMap;

/// Name, time of change, and size of every regular file in the working directory.
pub(super) type Listing = HashMap<String, String>;

/// Prints a [`Listing`]. Uploads are links there, and no regular files.
pub(super) const LIST: &str = "find . -maxdepth 1 -type f ! -name '.*' -printf '%C@ %s %i\\0%f\\0'";

/// Reads what [`LIST`] printed; a name that is not UTF-8 is no name of a file of the API.
pub(super) fn read(stdout: &[u8]) -> Listing {
    let mut fields = stdout.split(|byte| *byte == 0);
    let mut listing = Listing::new();
    while let (Some(state), Some(name)) = (fields.next(), fields.next()) {
        if let (Ok(state), Ok(name)) = (std::str::from_utf8(state), std::str::from_utf8(name)) {
            listing.insert(name.to_owned(), state.to_owned());
        }
    }
    listing
}

/// The command that copies new and changed files into `$OUTPUT_DIR`; `None` if there are none.
pub(super) fn copy_of_new(before: &Listing, after: &Listing) -> Option<String> {
    let mut names: Vec<_> = after
        .iter()
        .filter(|(name, state)| before.get(*name) != Some(state))
        .map(|(name, _)| format!("'./{}'", name.replace('\'', r"'\''")))
        .collect();
    names.sort();
    (!names.is_empty()).then(|| format!("cp -p -- {} \"$OUTPUT_DIR\"", names.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_and_changed_files_are_copied_and_names_are_quoted() {
        let before = read(b"1.0 3 7\0old.csv\x001.0 3 8\0log.txt\0");
        let after = read(b"1.0 3 7\0old.csv\x002.0 9 8\0log.txt\x002.0 1 9\0it's.png\0");
        assert_eq!(
            copy_of_new(&before, &after).unwrap(),
            r#"cp -p -- './it'\''s.png' './log.txt' "$OUTPUT_DIR""#
        );
        assert_eq!(copy_of_new(&after, &after), None);
    }
}
