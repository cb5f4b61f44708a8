//! `sandtable check`: reads scripts and says what is wrong with them.

use std::fmt;
use std::path::PathBuf;

use common::hinted;
use model::script::{self, Survey};

/// The result of a check; prints itself, with a newline at the end.
#[derive(Debug)]
pub struct Report(Survey);

/// Reads every file and folder.
pub fn check(paths: &[PathBuf]) -> Report {
    Report(script::survey(paths))
}

impl Report {
    /// 0 if there is no mistake, else 2. Warnings do not count.
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
            warnings,
        } = &self.0;
        if !warnings.is_empty() {
            writeln!(f, "{}", hinted::told_all(warnings))?;
        }
        if diagnostics.is_empty() {
            return writeln!(f, "{}, {}", count(*rules, "rule"), count(*files, "file"));
        }
        writeln!(
            f,
            "{}\n{} in {}",
            hinted::told_all(diagnostics),
            count(diagnostics.len(), "mistake"),
            count(*files, "file")
        )
    }
}

/// `1 rule`, `2 rules`.
pub(super) fn count(number: usize, noun: &str) -> String {
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
        std::fs::write(
            &good,
            "- when: {user: hi}\n  then: [text: hi]\n- then: [text: ho]\n",
        )
        .unwrap();
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
    fn a_warning_is_shown_with_its_place_and_fails_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("doubtful.yaml");
        let script = "\
- name: all
  then: [text: \"It is {{ last.stdout }}, {{ user }}.\"]
- name: all
  when: { user: hi }
  then:
    - bash: |
        echo {{a,b}}
        echo '{% if captures.x %}'
";
        std::fs::write(&file, script).unwrap();
        let report = check(std::slice::from_ref(&file));
        let text = report.to_string();
        assert_eq!(report.exit_code(), 0, "{text}");
        for told in [
            "yaml:2:16: warning: `{{ last.stdout }}` stays as it is\n  hint: a template begins with `${{`",
            "yaml:3:3: warning: no request reaches `all`: `all` at line 1 answers all\n  hint: ",
            "yaml:3:3: warning: the name `all` is that of line 1, too\n  hint: ",
            "yaml:8:1: warning: `{% if captures.x %}` stays as it is",
        ] {
            assert!(text.contains(told), "{told}\n---\n{text}");
        }
        assert_eq!(text.matches("warning:").count(), 4, "{text}");
    }

    #[test]
    fn a_rule_that_every_request_fits_is_one_without_when() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.yaml");
        for (when, is_told) in [
            ("{ user: \"\" }", true),
            ("{ model: \"*\" }", true),
            ("{ user: { regex: \".*\" }, model: \"*\" }", true),
            ("{ user: { regex: \"a*b\" } }", false),
            ("{ user: \"\", stream: true }", false),
            ("{ model: \"claude-*\" }", false),
        ] {
            let script = format!(
                "- name: all\n  when: {when}\n  then: [text: a]\n- name: b\n  when: {{ user: b }}\n  then: [text: b]\n"
            );
            std::fs::write(&file, script).unwrap();
            let text = check(std::slice::from_ref(&file)).to_string();
            assert_eq!(
                text.contains("no request reaches `b`"),
                is_told,
                "{when}: {text}"
            );
        }
    }

    #[test]
    fn an_unknown_filter_or_test_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wrong.yaml");
        let script = "- then:\n    - bash: ls\n    - text: \"${{ last.stdout | trimm }}\"\n    - if: last.stdout is defned\n      then: [text: x]\n";
        std::fs::write(&file, script).unwrap();
        let report = check(&[file]);
        let text = report.to_string();
        assert_eq!(report.exit_code(), 2, "{text}");
        assert!(
            text.contains("wrong.yaml:3:13: unknown filter `trimm`"),
            "{text}"
        );
        assert!(text.contains("unknown test `defned`"), "{text}");
    }

    #[test]
    fn the_scripts_of_the_repository_have_no_warnings() {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .join("fixtures/scripts");
        let report = check(&[folder]);
        assert!(
            report.0.warnings.is_empty() && report.exit_code() == 0,
            "{report}"
        );
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.yaml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let report = check(&[pipe]);
        assert_eq!(report.exit_code(), 2);
        assert!(report.to_string().contains("not a file"), "{report}");
    }

    #[test]
    fn nothing_to_check_is_a_mistake() {
        assert_eq!(check(&[]).exit_code(), 2);
        assert_eq!(check(&[PathBuf::from("no/such/file.yaml")]).exit_code(), 2);
    }
}
