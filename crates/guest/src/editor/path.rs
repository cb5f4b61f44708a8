//! The meaning of a path given to the editor.

use std::path::{Path, PathBuf};

use guest_proto::{EditErrorKind, Settings};

use super::Failure;
use crate::environment::Places;

/// Expands a variable or `~` at the start, and takes the rest from the working directory.
pub(super) fn resolve(
    settings: &Settings,
    places: &Places,
    path: &str,
) -> Result<PathBuf, Failure> {
    let invalid = |message: &str| Err(Failure::new(EditErrorKind::InvalidInput, message));
    if path.is_empty() {
        return invalid("`path` must not be empty");
    }
    if path.contains('\0') {
        return invalid("`path` must not contain a NUL byte");
    }
    let home = Path::new(&settings.work_dir);
    let starts: [(&[&str], &Path); 3] = [
        (&["$INPUT_DIR", "${INPUT_DIR}"], &places.input),
        (&["$OUTPUT_DIR", "${OUTPUT_DIR}"], &places.output),
        (&["$HOME", "${HOME}", "~"], home),
    ];
    for (names, directory) in starts {
        for name in names {
            if let Some(rest) = path.strip_prefix(name) {
                if rest.is_empty() {
                    return Ok(directory.to_owned());
                }
                if let Some(rest) = rest.strip_prefix('/') {
                    // An absolute rest (`$INPUT_DIR//etc`) must not start over at the root.
                    return Ok(directory.join(rest.trim_start_matches('/')));
                }
            }
        }
    }
    Ok(home.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_the_tilde_are_expanded_at_the_start_only() {
        let settings = Settings::default();
        let places = Places::new(&settings, "0123456789abcdef", "fedcba9876543210").unwrap();
        for (path, expected) in [
            ("$INPUT_DIR/a.csv", "/files/input/0123456789abcdef/a.csv"),
            ("${OUTPUT_DIR}/a", "/files/output/fedcba9876543210/a"),
            ("$INPUT_DIR", "/files/input/0123456789abcdef"),
            (
                "$INPUT_DIR//etc/passwd",
                "/files/input/0123456789abcdef/etc/passwd",
            ),
            ("$INPUT_DIRECTORY/a", "/home/user/$INPUT_DIRECTORY/a"),
            ("x/$INPUT_DIR", "/home/user/x/$INPUT_DIR"),
            ("~/a", "/home/user/a"),
            ("~", "/home/user"),
            ("~a", "/home/user/~a"),
            ("a/b.txt", "/home/user/a/b.txt"),
            ("/tmp/a", "/tmp/a"),
        ] {
            let got = resolve(&settings, &places, path).unwrap();
            assert_eq!(got, Path::new(expected), "{path}");
        }
        assert!(resolve(&settings, &places, "").is_err());
        assert!(resolve(&settings, &places, "a\0b").is_err());
    }
}
