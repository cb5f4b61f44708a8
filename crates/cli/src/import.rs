//! `sandtable import`: others' recordings become cassettes, file by file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cassette::import::{self, ImportError};
use cassette::{Cassette, CassetteError, Writer};
use common::input::Named;

/// The result of an import.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// A line for each file that came in, and one for each lack.
    pub(super) said: String,
    /// Files that did not, or not whole.
    pub(super) refused: Vec<ImportError>,
}

/// Takes every recording of `paths` into cassettes below `out`; what `ignore` names does not count when
/// they are replayed.
pub(super) fn run(
    paths: &[PathBuf],
    out: &Path,
    ignore: &[String],
) -> Result<Imported, CassetteError> {
    let mut imported = Imported::default();
    let (mut files, mut exchanges) = (0, 0);
    let mut taken = BTreeSet::new();
    let mut named = Named::default();
    for given in paths {
        let found = match import::find(given) {
            Ok(found) => found,
            Err(error) => {
                imported.refused.push(error);
                continue;
            }
        };
        for path in found {
            if !named.is_new(&path) {
                continue;
            }
            let mut cassette = match import::import_file(&path) {
                Ok(cassette) => cassette,
                Err(error) => {
                    imported.refused.push(error);
                    continue;
                }
            };
            cassette.about.ignore = ignore.to_vec();
            let target = target(given, &path, out, &mut taken);
            write(&target, &cassette)?;
            let count = cassette.exchanges.len();
            files += 1;
            exchanges += count;
            let said = &mut imported.said;
            let plural = if count == 1 { "" } else { "s" };
            line(
                said,
                &format!(
                    "{}: {count} exchange{plural} → {}",
                    path.display(),
                    target.display()
                ),
            );
            for note in &cassette.about.notes {
                let lacking = if note.starts_with(import::REPLACED) {
                    ""
                } else {
                    "lacking: "
                };
                line(said, &format!("  {lacking}{note}"));
            }
            let hollow = import::hollow(&cassette).into_iter();
            imported
                .refused
                .extend(hollow.map(|lack| ImportError::Hollow {
                    name: path.display().to_string(),
                    lack,
                }));
        }
    }
    line(
        &mut imported.said,
        &format!("{files} files, {exchanges} exchanges"),
    );
    Ok(imported)
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes every write");
}

/// The folders below what was given are kept; two files of one name keep their extensions, too.
fn target(given: &Path, path: &Path, out: &Path, taken: &mut BTreeSet<PathBuf>) -> PathBuf {
    let below = path.strip_prefix(given).ok().and_then(Path::parent);
    let folder = below.map_or_else(|| out.to_owned(), |below| out.join(below));
    let named = |name: &str| folder.join(format!("{name}.yaml"));
    let mut target = named(&import::stem(path));
    if taken.contains(&target) {
        target = named(&path.file_name().unwrap_or_default().to_string_lossy());
    }
    let mut number = 2;
    while !taken.insert(target.clone()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        target = folder.join(format!("{name}-{number}.yaml"));
        number += 1;
    }
    target
}

fn write(target: &Path, cassette: &Cassette) -> Result<(), CassetteError> {
    let mut writer = Writer::create(target, &cassette.about)?;
    for (order, exchange) in (0..).zip(&cassette.exchanges) {
        writer.put(order, exchange)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::hinted::Hinted as _;

    #[test]
    fn good_files_come_in_beside_bad_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (from, out) = (folder.path().join("from"), folder.path().join("out"));
        std::fs::create_dir_all(from.join("deep")).unwrap();
        let body = "{\"type\":\"message\",\"id\":\"msg_1\"}";
        for name in ["a.json", "a.txt", "deep/a.json"] {
            std::fs::write(from.join(name), body).unwrap();
        }
        std::fs::write(from.join("b.yaml"), "no: recording\n").unwrap();
        std::fs::write(from.join("README.md"), "not looked at").unwrap();

        // One file once, though it is named twice.
        let again = from.join("a.json");
        let imported = run(&[from, again], &out, &[]).unwrap();

        assert_eq!(imported.refused.len(), 1);
        assert!(imported.refused[0].to_string().contains("b.yaml"));
        assert!(
            imported.said.contains("lacking: only the answer"),
            "{}",
            imported.said
        );
        assert!(
            imported.said.ends_with("3 files, 3 exchanges\n"),
            "{}",
            imported.said
        );
        let names: Vec<String> = cassette::load_all(&[&out], cassette::Indexing::Used)
            .unwrap()
            .into_iter()
            .map(|it| it.name)
            .collect();
        assert_eq!(names, ["a.txt", "a", "a"]);
    }

    #[test]
    fn what_came_in_without_a_body_is_written_and_told_and_ignored_paths_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (from, out) = (folder.path().join("from"), folder.path().join("out"));
        std::fs::create_dir_all(&from).unwrap();
        let text = "interactions:\n- request: {method: POST, uri: 'https://api.anthropic.com/v1/messages', headers: {}, body: null}\n  response: {status: 200, headers: {}, body: {string: '{}'}}\n";
        std::fs::write(from.join("a.yaml"), text).unwrap();
        let ignore = ["$.system".to_owned()];
        let imported = run(&[from], &out, &ignore).unwrap();
        assert_eq!(imported.refused.len(), 1);
        let told = imported.refused[0].to_string();
        assert!(
            told.contains("a.yaml: exchange 1 has no body of its request"),
            "{told}"
        );
        assert!(imported.refused[0].hint().is_some(), "{told}");
        let written = cassette::load(&out.join("a.yaml")).unwrap();
        assert_eq!(written.about.ignore, ignore);
    }

    #[test]
    fn a_path_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let imported = run(&[folder.path().join("nowhere")], folder.path(), &[]).unwrap();
        assert!(imported.refused[0].to_string().contains("cannot read"));
    }
}
