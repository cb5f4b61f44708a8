//! `sandtable init`: a first script, a test, and a CI file in a project. What is there already stays.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::args::{InitArgs, Project};
use common::hinted::Hinted;

/// A file that a project gets.
struct Given {
    path: &'static str,
    text: &'static str,
    what: &'static str,
}

const SCRIPT: Given = Given {
    path: "tests/first.yaml",
    text: include_str!("init/first.yaml"),
    what: "what the model says",
};

/// Why nothing was begun, or where it ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    #[error("{} is no folder", .0.display())]
    NoFolder(PathBuf),
    #[error(
        "cannot tell what runs the tests of {}: there is no {}",
        .0.display(),
        signs()
    )]
    Unknown(PathBuf),
    #[error(
        "{} has files of several kinds: {found}",
        .folder.display()
    )]
    Several { folder: PathBuf, found: String },
    #[error("cannot write {}: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Hinted for InitError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::NoFolder(_) => {
                Some("name the project's folder, or leave it out for the present one".into())
            }
            Self::Unknown(_) | Self::Several { .. } => {
                Some("add `--for pytest`, `--for vitest`, or `--for cargo`".into())
            }
            Self::Write { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory
            )
            .then(|| "a file is where a folder must be: move it, or name another folder".into()),
        }
    }
}

/// What tells a kind of project, in words.
fn signs() -> String {
    let kinds = [Project::Pytest, Project::Vitest, Project::Cargo];
    let all: Vec<_> = kinds
        .into_iter()
        .flat_map(Project::signs)
        .copied()
        .collect();
    match all.split_last() {
        Some((last, others)) => format!("{}, or {last}", others.join(", ")),
        None => String::new(),
    }
}

impl Project {
    /// The files that tell it.
    fn signs(self) -> &'static [&'static str] {
        match self {
            Self::Pytest => &[
                "pyproject.toml",
                "setup.py",
                "setup.cfg",
                "requirements.txt",
            ],
            Self::Vitest => &["package.json"],
            Self::Cargo => &["Cargo.toml"],
        }
    }

    fn files(self) -> [Given; 3] {
        let workflow = |text| Given {
            path: ".github/workflows/sandtable.yml",
            text,
            what: "the same in CI",
        };
        let test = |path, text| Given {
            path,
            text,
            what: "tests with it",
        };
        let (test, workflow) = match self {
            Self::Pytest => (
                test(
                    "tests/test_sandtable.py",
                    include_str!("init/test_sandtable.py"),
                ),
                workflow(include_str!("init/pytest.yml")),
            ),
            Self::Vitest => (
                test(
                    "tests/sandtable.test.js",
                    include_str!("init/sandtable.test.js"),
                ),
                workflow(include_str!("init/vitest.yml")),
            ),
            Self::Cargo => (
                test("tests/sandtable.rs", include_str!("init/sandtable.rs")),
                workflow(include_str!("init/cargo.yml")),
            ),
        };
        [SCRIPT, test, workflow]
    }

    /// How the tests are run.
    fn next(self) -> &'static [&'static str] {
        match self {
            Self::Pytest => &[
                "pip install sandtable anthropic pytest",
                "pytest tests/test_sandtable.py",
            ],
            Self::Vitest => &[
                "npm install --save-dev sandtable vitest @anthropic-ai/sdk",
                "npx vitest run tests/sandtable.test.js",
            ],
            Self::Cargo => &[
                "cargo add --dev serde_json ureq --features ureq/json",
                "sandtable run --script tests/first.yaml -- cargo test --test sandtable",
            ],
        }
    }
}

/// Writes the files, and says which, and what comes next.
pub(super) fn init(args: &InitArgs) -> Result<String, InitError> {
    if !args.folder.is_dir() {
        return Err(InitError::NoFolder(args.folder.clone()));
    }
    let project = match args.project {
        Some(project) => project,
        None => told_by_files(&args.folder)?,
    };
    let mut said = String::new();
    for file in project.files() {
        let path = args.folder.join(file.path);
        let written = write(&path, file.text).map_err(|source| InitError::Write {
            path: path.clone(),
            source,
        })?;
        let line = if written {
            format!("wrote {:<32} {}", path.display(), file.what)
        } else {
            format!("kept  {:<32} it was there already", path.display())
        };
        writeln!(said, "{line}").expect("a String takes every write");
    }
    said.push_str("\nNext, in the project's folder:\n\n");
    for line in project.next() {
        writeln!(said, "  {line}").expect("a String takes every write");
    }
    said.push_str("\n`sandtable docs install` says where the packages come from.\n");
    Ok(said)
}

fn told_by_files(folder: &Path) -> Result<Project, InitError> {
    let signs = |project: Project| {
        let names = project.signs().iter();
        names.copied().find(|name| folder.join(name).is_file())
    };
    let all = [Project::Pytest, Project::Vitest, Project::Cargo];
    let found: Vec<_> = all
        .into_iter()
        .filter_map(|project| Some((project, signs(project)?)))
        .collect();
    match found[..] {
        [] => Err(InitError::Unknown(folder.to_owned())),
        [(project, _)] => Ok(project),
        _ => Err(InitError::Several {
            folder: folder.to_owned(),
            found: found
                .iter()
                .map(|(_, sign)| *sign)
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// Writes a new file with its folders; `false` if there is one.
fn write(path: &Path, text: &str) -> io::Result<bool> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
