//! `sandtable check`: reads scripts and says what is wrong with them.

use std::fmt;
use std::path::PathBuf;

use crate::model::script::{self, Survey};

/// What a check found; prints itself, with a newline at the end.
#[derive(Debug)]
pub struct Report(Survey);

/// Reads every file and folder.
pub fn check(paths: &[PathBuf]) -> Report {
    Report(script::survey(paths))
}

impl Report {
    /// 0 if all is well, 2 if there is a mistake.
    pub fn exit_code(&self) -> u8 {
        if self.0.diagnostics.is_empty() { 0 } else { 2 }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Survey {
            files,
            rules,
            diagnostics,
        } = &self.0;
        if diagnostics.is_empty() {
            return writeln!(f, "{}, {}", count(*rules, "rule"), count(*files, "file"));
        }
        writeln!(
            f,
            "{}\n{} in {}",
            script::render(diagnostics),
            count(diagnostics.len(), "mistake"),
            count(*files, "file")
        )
    }
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_script_gives_0_and_a_bad_one_2() {
        let folder = tempfile::tempdir().unwrap();
        let good = folder.path().join("good.yaml");
        std::fs::write(&good, "- then: [text: hi]\n- then: [text: ho]\n").unwrap();
        let report = check(std::slice::from_ref(&good));
        assert_eq!(report.exit_code(), 0);
        assert_eq!(report.to_string(), "2 rules, 1 file\n");

        std::fs::write(folder.path().join("wrong.yaml"), "- thn: []\n").unwrap();
        let report = check(&[folder.path().to_owned()]);
        assert_eq!(report.exit_code(), 2);
        let text = report.to_string();
        assert!(text.contains("wrong.yaml:1:3: unknown key of a rule `thn`"));
        assert!(text.ends_with("2 mistakes in 2 files\n"), "{text}");
    }

    #[test]
    fn nothing_to_check_is_a_mistake() {
        assert_eq!(check(&[]).exit_code(), 2);
        assert_eq!(check(&[PathBuf::from("no/such/file.yaml")]).exit_code(), 2);
    }
}
