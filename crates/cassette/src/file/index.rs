//! An index of the cassettes of a folder as they were read last, as JSON: most of the time that many of them take goes
//! into parsing YAML.
//!
//! An index is a copy that may be deleted at any time. What it has of a file counts as long as the file is the same by
//! device, inode, size, and times. It lies in the user's cache, a line a cassette: stamp, path, and the cassette's text.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::raw::RawCassette;
use common::ids::hex;
use common::{json, private};

/// Fewer are parsed as quickly as an index is read.
pub(super) const MANY: usize = 256;
/// The header of an index; a file with another one is of another form, and not read.
const FORM: &str = concat!("sandtable-index 1 ", env!("CARGO_PKG_VERSION"), "\n");
/// A file that is younger may still change within the same tick of its clock.
const SETTLED: Duration = Duration::from_secs(2);
/// An index that nobody has written for so long is of a folder that is gone, or of one that never changes: it is made
/// again in a second.
const FORGOTTEN: Duration = Duration::from_hours(90 * 24);
const LARGEST_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// The index of one folder.
pub(super) struct Index {
    file: PathBuf,
    /// How old a file must be.
    settled: Duration,
    text: String,
    /// By path: stamp and text as ranges of `text`.
    lines: HashMap<String, (Range, Range)>,
}

type Range = std::ops::Range<usize>;

impl Index {
    /// The index of a folder, empty where there is none yet; `None` where the user has no cache.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        Self::in_cache(&private::user_cache()?, folder, SETTLED)
    }

    fn in_cache(cache: &Path, folder: &Path, settled: Duration) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let name = hex(&Sha256::digest(folder.as_os_str().as_encoded_bytes()));
        let file = cache
            .join("sandtable/cassettes")
            .join(format!("{name}.index"));
        let mut index = Self {
            text: read(&file).unwrap_or_default(),
            file,
            settled,
            lines: HashMap::new(),
        };
        index.lines = lines(&index.text);
        Some(index)
    }

    /// The indexed cassette of a file of the folder, if the file is still the same.
    pub(super) fn get(&self, name: &str, path: &Path) -> Option<RawCassette> {
        let (stamp, json) = self.lines.get(name)?;
        if self.text[stamp.clone()] != stamp_of(path)? {
            return None;
        }
        // What somebody has damaged is read anew.
        json::wrapped_text(&self.text[json.clone()]).ok()
    }

    /// The line for a file that was just read; `None` for one that has changed since `stamp` was taken, or
    /// may change without another one.
    pub(super) fn line(
        &self,
        path: &Path,
        stamp: Option<String>,
        raw: &RawCassette,
    ) -> Option<Line> {
        let stamp = stamp?;
        let (now, changed) = marks_of(path)?;
        let settled = changed.elapsed().ok()? >= self.settled;
        (settled && now == stamp).then_some(())?;
        let json = serde_json::to_string(raw).ok()?;
        Some(Line { stamp, json })
    }

    /// Has these files and no others from now on: `None` of one that is known already. That it cannot be kept makes the
    /// next reading slow, no more.
    pub(super) fn keep(&self, files: &[(String, Option<Line>)]) {
        let same = files.len() == self.lines.len() && files.iter().all(|(_, new)| new.is_none());
        if same {
            return;
        }
        if let Err(error) = self.write(files) {
            tracing::debug!(%error, file = %self.file.display(), "no index of the cassettes is kept");
        }
    }

    fn write(&self, files: &[(String, Option<Line>)]) -> std::io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        private::create_dir_all(folder)?;
        forget(folder);
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(folder)?;
        let mut out = std::io::BufWriter::new(&mut file);
        out.write_all(FORM.as_bytes())?;
        for (name, new) in files {
            let known = self.lines.get(name);
            let line = match (new, known) {
                (Some(Line { stamp, json }), _) => Some((stamp.as_str(), json.as_str())),
                (None, Some((stamp, json))) => {
                    Some((&self.text[stamp.clone()], &self.text[json.clone()]))
                }
                (None, None) => None,
            };
            if let Some((stamp, json)) = line {
                writeln!(out, "{stamp}\t{name}\t{json}")?;
            }
        }
        out.flush()?;
        drop(out);
        file.persist(&self.file)?;
        Ok(())
    }
}

/// A cassette as it goes into an index.
pub(super) struct Line {
    stamp: String,
    json: String,
}

/// The name of a folder's file in its index; `None` where that would break a line.
pub(super) fn name(folder: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(folder).ok()?.to_str()?;
    (!name.contains(['\t', '\n'])).then(|| name.to_owned())
}

fn read(file: &Path) -> Option<String> {
    private::is_own(file).ok().filter(|own| *own)?;
    common::input::read_text(file, LARGEST_BYTES).ok()
}

fn lines(text: &str) -> HashMap<String, (Range, Range)> {
    let Some(rest) = text.strip_prefix(FORM) else {
        return HashMap::new();
    };
    let mut at = text.len() - rest.len();
    let mut lines = HashMap::new();
    for line in rest.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let mut tabs = memchr::memchr_iter(b'\t', line.as_bytes());
        let (Some(first), Some(second), true) = (tabs.next(), tabs.next(), line.ends_with('\n'))
        else {
            continue;
        };
        let path = line[first + 1..second].to_owned();
        lines.insert(path, (start..start + first, start + second + 1..at - 1));
    }
    lines
}

/// Takes away what was not written for long.
fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry
            .metadata()
            .and_then(|about| about.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > FORGOTTEN) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// The stamp that identifies a file's state; `None` where files have no such marks.
pub(super) fn stamp_of(path: &Path) -> Option<String> {
    Some(marks_of(path)?.0)
}

/// The same, and when the file was changed last, or was given another time.
#[cfg(unix)]
fn marks_of(path: &Path) -> Option<(String, SystemTime)> {
    use std::os::unix::fs::MetadataExt as _;
    let about = fs::metadata(path).ok()?;
    let stamp = format!(
        "{} {} {} {}.{} {}.{}",
        about.dev(),
        about.ino(),
        about.len(),
        about.mtime(),
        about.mtime_nsec(),
        about.ctime(),
        about.ctime_nsec(),
    );
    let seconds = u64::try_from(about.ctime()).ok()?;
    let changed = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    Some((stamp, changed))
}

#[cfg(not(unix))]
fn marks_of(_: &Path) -> Option<(String, SystemTime)> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;

    use tempfile::TempDir;

    use super::*;
    use crate::file::{Indexing, load_all, load_indexed, raw};
    use crate::{Body, Cassette};

    struct Case {
        cache: TempDir,
        folder: TempDir,
    }

    impl Case {
        fn new(texts: &[(&str, &str)]) -> Self {
            let case = Self {
                cache: tempfile::tempdir().unwrap(),
                folder: tempfile::tempdir().unwrap(),
            };
            for (name, text) in texts {
                fs::write(case.folder.path().join(name), text).unwrap();
            }
            case
        }

        fn index(&self) -> Index {
            Index::in_cache(self.cache.path(), self.folder.path(), Duration::ZERO).unwrap()
        }

        fn load(&self) -> Vec<Cassette> {
            let mut files: Vec<PathBuf> = fs::read_dir(self.folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            files.sort();
            let folder = self.folder.path();
            load_indexed(folder, files, &self.index(), Indexing::Kept).unwrap()
        }

        fn texts(&self) -> Vec<String> {
            let bodies = self.load().into_iter().map(|mut cassette| {
                match cassette.exchanges.remove(0).response.body {
                    Body::Text(text) => text,
                    other => panic!("{other:?}"),
                }
            });
            bodies.collect()
        }
    }

    fn saying(text: &str) -> String {
        format!(
            "cassette: 1\nexchanges:\n- response: {{ status: 200, body: {{ text: {text} }} }}\n"
        )
    }

    #[test]
    fn what_is_indexed_is_not_parsed_again() {
        let case = Case::new(&[("a.yaml", &saying("one")), ("b.yaml", &saying("two"))]);
        assert_eq!(case.texts(), ["one", "two"]);
        let index = case.index();
        let known = fs::read_to_string(&index.file).unwrap();
        fs::write(&index.file, known.replace("one", "from the index")).unwrap();
        assert_eq!(case.texts(), ["from the index", "two"]);
    }

    #[test]
    fn a_file_that_has_changed_is_read_anew_though_its_size_and_time_are_the_same() {
        let case = Case::new(&[("a.yaml", &saying("one")), ("b.yaml", &saying("two"))]);
        case.texts();
        let path = case.folder.path().join("a.yaml");
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, saying("six")).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_times(FileTimes::new().set_modified(before))
            .unwrap();
        assert_eq!(case.texts(), ["six", "two"]);
        fs::remove_file(path).unwrap();
        assert_eq!(case.texts(), ["two"]);
        assert_eq!(case.index().lines.len(), 1);
    }

    #[test]
    fn a_file_that_may_still_change_within_a_tick_is_not_indexed() {
        let case = Case::new(&[("a.yaml", &saying("one"))]);
        let index = Index::in_cache(case.cache.path(), case.folder.path(), SETTLED).unwrap();
        let path = case.folder.path().join("a.yaml");
        let raw = raw::read("a", &saying("one")).unwrap();
        assert!(index.line(&path, stamp_of(&path), &raw).is_none());
        assert!(case.index().line(&path, stamp_of(&path), &raw).is_some());
        let before = stamp_of(&path);
        fs::write(&path, saying("two!")).unwrap();
        assert!(case.index().line(&path, before, &raw).is_none());
    }

    #[test]
    fn a_damaged_or_foreign_index_is_none() {
        let case = Case::new(&[("a.yaml", &saying("one"))]);
        case.texts();
        let file = case.index().file;
        let whole = fs::read(&file).unwrap();
        let ends = (0..whole.len()).step_by(7).map(|end| whole[..end].to_vec());
        let others = [b"sandtable-index 0\n".to_vec(), vec![0xff; 9]];
        for text in ends.chain(others) {
            fs::write(&file, text).unwrap();
            assert_eq!(case.texts(), ["one"]);
        }
        // An error is the file's, not the index's.
        fs::write(
            case.folder.path().join("b.yaml"),
            "cassette: 1\nexchanges: 7\n",
        )
        .unwrap();
        let files = vec![case.folder.path().join("b.yaml")];
        let read = load_indexed(case.folder.path(), files, &case.index(), Indexing::Kept);
        assert!(
            read.unwrap_err()
                .to_string()
                .contains("b.yaml is no cassette")
        );
    }

    #[test]
    fn every_fixture_is_the_same_out_of_an_index() {
        let folder =
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("fixtures/cassettes");
        let cache = tempfile::tempdir().unwrap();
        let index = || Index::in_cache(cache.path(), &folder, Duration::ZERO).unwrap();
        let read = load_all(&[&folder], Indexing::Used).unwrap();
        assert!(read.len() > 1);
        let mut files = Vec::new();
        crate::file::find(&folder, &mut files).unwrap();
        let mut files: Vec<_> = files.into_iter().map(|file| file.path).collect();
        files.sort();
        for _ in 0..2 {
            let indexed = load_indexed(&folder, files.clone(), &index(), Indexing::Kept).unwrap();
            assert_eq!(indexed, read);
        }
        assert_eq!(index().lines.len(), read.len());
    }
}
