//! Reports on disk: private, and in place of nothing but an earlier report.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use common::hinted::Hinted;
use common::{junit, private};

/// What a badge bears, and no other picture.
pub(super) const BADGE: &str = "aria-label=\"API coverage: ";

/// The format of a report.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Json,
    Junit,
    Coverage,
    Badge,
    Html,
    Sarif,
    Markdown,
    Man,
}

/// Why a report is not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutputError {
    #[error("`{}` is there and is no report, so it is not overwritten", path.display())]
    Foreign { path: PathBuf },
    #[error("two reports cannot be written to `{}`", path.display())]
    Shared { path: PathBuf },
    #[error("cannot write `{}`: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Hinted for OutputError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Foreign { .. } => "name another file, or remove it",
            Self::Shared { .. } => "name a file for each",
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "make the folder first",
                io::ErrorKind::IsADirectory => "name a file in it",
                io::ErrorKind::PermissionDenied => "name a file that you may write",
                _ => "name another file",
            },
        }))
    }
}

/// Why standard output lacks what was printed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub(super) struct StdoutError(#[from] io::Error);

impl Hinted for StdoutError {}

/// Prints all of a text. A reader that has gone needs no more of it.
pub(super) fn print(mut out: impl io::Write, text: &str) -> Result<(), StdoutError> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Says before the work begins that a report could not be written after it.
pub(super) fn check(json: Option<&Path>, junit: Option<&Path>) -> Result<(), OutputError> {
    check_each(&[(json, Form::Json), (junit, Form::Junit)])
}

/// The same of any reports.
pub(super) fn check_each(reports: &[(Option<&Path>, Form)]) -> Result<(), OutputError> {
    for (at, (path, form)) in reports.iter().enumerate() {
        if let Some(path) = path {
            // A device, such as /dev/null, takes them all.
            let keeps = path.is_file() || !path.exists();
            if keeps && reports[..at].iter().any(|(other, _)| *other == Some(path)) {
                return Err(OutputError::Shared {
                    path: path.to_path_buf(),
                });
            }
            private::may_replace(path, |old| form.is(old)).map_err(|error| failed(path, error))?;
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            if folder.is_some_and(|folder| !folder.exists()) {
                return Err(failed(path, io::ErrorKind::NotFound.into()));
            }
        }
    }
    Ok(())
}

/// That a page of the manual may be written: other programs' lie beside them, and everybody reads them.
pub(super) fn check_page(path: &Path) -> Result<(), OutputError> {
    check_each(&[(Some(path), Form::Man)])
}

/// Writes a report. A file that is there and is no report stays.
pub(super) fn write(path: &Path, form: Form, text: &str) -> Result<(), OutputError> {
    private::replace(path, text.as_bytes(), |old| form.is(old)).map_err(|error| failed(path, error))
}

impl Form {
    fn is(self, old: &[u8]) -> bool {
        match self {
            Self::Json => serde_json::from_slice(old).is_ok_and(|old: Value| {
                let has = |names: &[&str]| names.iter().all(|name| old.get(name).is_some());
                // A verdict, the comparison of a live replay or of drift, a report of conformance, or a sweep.
                has(&["ok", "unmatched"])
                    || has(&["same", "different", "cassettes"])
                    || has(&["holds", "differs", "cases"])
                    || has(&["sweep", "cells"])
            }),
            Self::Coverage => serde_json::from_slice(old).is_ok_and(|old: Value| {
                old.get("areas").is_some() && old.get("not_used").is_some()
            }),
            Self::Badge => begins_with(old, BADGE.as_bytes()),
            Self::Html => begins_with(old, b"<title>sandtable sweep"),
            Self::Sarif => serde_json::from_slice(old).is_ok_and(|old: Value| {
                let runs = old["runs"].as_array();
                runs.is_some_and(|runs| {
                    let mut names = runs.iter().map(|run| &run["tool"]["driver"]["name"]);
                    !runs.is_empty() && names.all(|name| name == sweep::SARIF_DRIVER)
                })
            }),
            // Those of earlier versions are named in their suite.
            Self::Junit => [
                junit::NAMED,
                "<testsuite name=\"sandtable\"",
                "<testsuite name=\"sandtable sweep\"",
            ]
            .iter()
            .any(|named| begins_with(old, named.as_bytes())),
            Self::Man => begins_with(old, b"\n.TH sandtable"),
            Self::Markdown => old.starts_with(drift::conform::HEADING.as_bytes()),
        }
    }
}

/// Whether a text is among its first bytes.
fn begins_with(old: &[u8], text: &[u8]) -> bool {
    let start = &old[..old.len().min(512)];
    memchr::memmem::find(start, text).is_some()
}

fn failed(path: &Path, source: io::Error) -> OutputError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::AlreadyExists {
        return OutputError::Foreign { path };
    }
    OutputError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printed_is_told_unless_the_reader_has_gone() {
        let full = std::fs::File::options().write(true).open("/dev/full");
        // As standard output is: what has no end of a line waits.
        let full = io::LineWriter::new(full.unwrap());
        let told = print(full, "no line").unwrap_err().to_string();
        assert!(told.contains("cannot write to standard output: "), "{told}");
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        assert!(print(writer, "a line\n").is_ok());
    }

    #[test]
    fn a_report_replaces_an_earlier_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let verdict = r#"{"ok": true, "unmatched": []}"#;
        let suites = &junit::written(&[]);
        let pytest = "<?xml version=\"1.0\" encoding=\"utf-8\"?><testsuites name=\"pytest tests\"><testsuite name=\"pytest\" \
                      errors=\"0\"></testsuite></testsuites>";
        let badge = &format!("<svg role=\"img\" {BADGE}50%\"/>");
        let sarif = |driver| {
            format!(
                r#"{{"version": "2.1.0", "runs": [{{"tool": {{"driver": {{"name": "{driver}"}}}}}}]}}"#
            )
        };
        let (swept, eslint) = (&sarif(sweep::SARIF_DRIVER), &sarif("eslint"));
        let conformance = "# Conformance of `http://localhost`\n";
        for (form, text, foreign) in [
            (Form::Json, verdict, r#"{"name": "my package"}"#),
            (Form::Junit, suites, "- then: [text: hi]\n"),
            (Form::Junit, suites, pytest),
            (
                Form::Badge,
                badge,
                "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            ),
            (Form::Sarif, swept, eslint),
            (Form::Markdown, conformance, "# Conformance\n\nMy notes.\n"),
        ] {
            let path = at("report");
            std::fs::remove_file(&path).ok();
            write(&path, form, text).unwrap();
            write(&path, form, text).unwrap();
            std::fs::write(&path, foreign).unwrap();
            let error = write(&path, form, text).unwrap_err();
            assert!(error.hint().is_some(), "{error}");
            assert!(check_each(&[(Some(&path), form)]).is_err());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), foreign);
        }
        assert!(check(Some(&at("none")), Some(Path::new("/dev/null"))).is_ok());
        let one = at("both");
        assert!(matches!(
            check(Some(&one), Some(&one)),
            Err(OutputError::Shared { .. })
        ));
        // Before the work, and each with what helps there.
        for (path, help) in [
            (folder.path().to_owned(), "in it"),
            (at("no/x.xml"), "make the folder"),
        ] {
            let error = check(None, Some(&path)).unwrap_err();
            let hint = error.hint().unwrap();
            assert!(hint.contains(help), "{error}: {hint}");
        }
        let nowhere = Some(Path::new("/dev/null"));
        assert!(check(nowhere, nowhere).is_ok());
    }
}
