//! Names of files: what the Files API takes counts characters, and what a directory holds counts bytes.

use std::borrow::Cow;

/// Most bytes of a name in a directory.
pub const MAX_NAME_BYTES: usize = 255;

/// Most bytes of what a shortened name keeps of its end, the dot included.
const MAX_EXTENSION_BYTES: usize = 32;

/// Whether the Files API takes a file name, and a directory can hold it.
pub fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= MAX_NAME_BYTES
        && !name
            .chars()
            .any(|c| c <= '\u{1f}' || "<>:\"|?*\\/".contains(c))
}

/// The name under which a directory holds a file that the Files API calls `name`: its own, or a shortened one where
/// that has too many bytes. The extension stays, and names that differ in what is cut off stay apart.
pub fn directory_name(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_NAME_BYTES {
        return Cow::Borrowed(name);
    }
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if name.len() - dot <= MAX_EXTENSION_BYTES => name.split_at(dot),
        Some(_) | None => (name, ""),
    };
    let end = format!("~{:08x}{extension}", mark(name));
    let kept = stem.floor_char_boundary(MAX_NAME_BYTES - end.len());
    Cow::Owned(format!("{}{end}", &stem[..kept]))
}

/// FNV-1a, the same in every run.
fn mark(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_files_api_refuses_are_refused() {
        for name in ["", ".", "..", "a/b", "a\\b", "a:b", "a\nb", "what?", "\0"] {
            assert!(!is_file_name(name), "{name:?}");
        }
        assert!(is_file_name("Umsätze 2024 (final).csv"));
        assert!(is_file_name(&"x".repeat(255)));
        assert!(!is_file_name(&"x".repeat(256)));
    }

    #[test]
    fn a_name_that_no_directory_holds_is_shortened_to_one_of_its_own() {
        for name in ["a.csv", ".env", &"x".repeat(255)] {
            assert_eq!(directory_name(name), name);
        }
        let long = |text: &str, times: usize, rest: &str| text.repeat(times) + rest;
        for (name, extension) in [
            (long("日", 100, ".csv"), ".csv"),
            (long("ä", 128, ""), ""),
            (long("é", 100, &".".repeat(100)), "."),
            (long("日", 85, "x"), ""),
            (long(".", 1, &"日".repeat(99)), ""),
            (long("𝒳", 255, ""), ""),
        ] {
            let short = directory_name(&name);
            assert!(is_file_name(&short), "{short}");
            assert!(short.len() > MAX_NAME_BYTES - 4, "{short}");
            assert!(short.ends_with(extension), "{short}");
            assert_eq!(directory_name(&short), short);
        }
        let (one, other) = (long("日", 100, "1.csv"), long("日", 100, "2.csv"));
        assert_ne!(directory_name(&one), directory_name(&other));
    }
}
