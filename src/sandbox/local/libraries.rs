//! The documented libraries for the machine's Python: installed once, kept for every server.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use super::python::Python;
use crate::ids::hex;

const REQUIREMENTS: &str = include_str!("../../../images/requirements.txt");
/// Compiled on the machine, if it has what that takes; the others work without them.
const COMPILED: [&str; 2] = ["pycairo", "rlpycairo"];

/// What an installation that is not finished is called.
const PART: &str = "sandtable-part-";
/// Holds matplotlib's list of the machine's fonts, beside the libraries.
pub(super) const FONTS: &str = ".matplotlib";

/// Where the libraries of an interpreter are, or will be.
#[derive(Debug, Clone)]
pub struct Libraries {
    python: Python,
    /// `None` where this user has no place for a cache.
    cache: Option<PathBuf>,
}

/// Why they are not there.
#[derive(Debug, thiserror::Error)]
pub enum LibrariesError {
    #[error("there is no folder to keep the libraries in: set `XDG_CACHE_HOME` or `HOME`")]
    NoCache,
    #[error("there is no `python3` on this machine")]
    NoPython,
    #[error("no `pip` was found for Python {0}; Debian and Ubuntu have it in `python3-pip`")]
    NoPip(String),
    #[error("installing the documented libraries: {0}")]
    Install(String),
    #[error("keeping the documented libraries: {0}")]
    Io(#[from] io::Error),
}

impl Libraries {
    /// Those of the interpreter that sandboxes of this machine run.
    pub fn of_this_machine() -> Result<Self, LibrariesError> {
        let python = Python::find().ok_or(LibrariesError::NoPython)?;
        Ok(Self::new(&python, None))
    }

    pub(super) fn new(python: &Python, cache: Option<&Path>) -> Self {
        Self {
            python: python.clone(),
            cache: cache.map(Path::to_owned).or_else(user_cache),
        }
    }

    /// The folder, whether or not it is there.
    fn folder(&self) -> Option<PathBuf> {
        let digest = hex(&Sha256::digest(REQUIREMENTS)[..6]);
        let name = format!("python-{}-{digest}", self.python.version);
        Some(self.cache.as_ref()?.join("sandtable").join(name))
    }

    /// The folder of the installed libraries.
    pub fn place(&self) -> Option<PathBuf> {
        self.folder().filter(|folder| folder.is_dir())
    }

    /// Whether they are installed.
    pub fn are_there(&self) -> bool {
        self.place().is_some()
    }

    /// Installs them; returns at once if they are there. Waits for another process that does the same.
    pub fn install(&self, say: &mut dyn FnMut(&str)) -> Result<PathBuf, LibrariesError> {
        let folder = self.folder().ok_or(LibrariesError::NoCache)?;
        let parent = folder.parent().ok_or(LibrariesError::NoCache)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(parent.join("lock"))?;
        lock.lock()?;
        if folder.is_dir() {
            return Ok(folder);
        }
        // What an interrupted one left; nobody else installs now.
        for entry in fs::read_dir(parent)?.flatten() {
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(PART.as_bytes())
            {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let part = tempfile::Builder::new().prefix(PART).tempdir_in(parent)?;
        let inside = part.path().join("libraries");
        say(&format!(
            "installing the documented libraries for Python {}, once; this takes some minutes",
            self.python.version
        ));
        let (wheels, compiled) = split(REQUIREMENTS);
        let list = part.path().join("requirements.txt");
        fs::write(&list, wheels)?;
        let installer = Installer::find(&self.python)?;
        installer
            .run(&list, &inside, true, say)
            .map_err(LibrariesError::Install)?;
        fs::write(&list, compiled)?;
        if let Err(reason) = installer.run(&list, &inside, false, &mut |_| {}) {
            tracing::debug!(%reason, "pycairo was not installed");
            say("left out `pycairo`, which takes a C compiler and the headers of cairo and Python");
        }
        self.list_fonts(&inside);
        fs::rename(&inside, &folder)?;
        say("the documented libraries are installed");
        Ok(folder)
    }
}

impl Libraries {
    /// So that the first plot in a sandbox need not look for fonts. Without the list it does.
    fn list_fonts(&self, inside: &Path) {
        let listed = Command::new(&self.python.program)
            .args(["-c", "import matplotlib.font_manager"])
            .env("PYTHONPATH", inside)
            .env("MPLCONFIGDIR", inside.join(FONTS))
            .stdin(Stdio::null())
            .output();
        if !listed.is_ok_and(|output| output.status.success()) {
            tracing::debug!("no list of fonts was made");
        }
    }
}

fn user_cache() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    variable("XDG_CACHE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(variable("HOME")?.join(".cache")))
        .filter(|path| path.is_absolute())
}

/// The list without the ones that are compiled, and those.
fn split(requirements: &str) -> (String, String) {
    let (mut wheels, mut compiled) = (String::new(), String::new());
    for line in requirements.lines() {
        let name = line.split("==").next().unwrap_or_default();
        let list = if COMPILED.contains(&name) {
            &mut compiled
        } else {
            &mut wheels
        };
        list.push_str(line);
        list.push('\n');
    }
    (wheels, compiled)
}

/// A program that installs packages, with the arguments that lead it to our interpreter.
#[derive(Debug)]
struct Installer {
    program: PathBuf,
    arguments: Vec<String>,
    /// Whether it is the interpreter's own, and can compile for it.
    own: bool,
}

impl Installer {
    fn find(python: &Python) -> Result<Self, LibrariesError> {
        let pip = ["-m", "pip", "install"].map(str::to_owned).to_vec();
        let works = |program: &Path, arguments: &[&str]| {
            Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        if works(&python.program, &["-m", "pip", "--version"]) {
            return Ok(Self {
                program: python.program.clone(),
                arguments: pip,
                own: true,
            });
        }
        let uv = Path::new("uv");
        if works(uv, &["--version"]) {
            let interpreter = python.program.to_string_lossy();
            return Ok(Self {
                program: uv.to_owned(),
                arguments: ["pip", "install", "--python", &*interpreter]
                    .map(str::to_owned)
                    .to_vec(),
                own: true,
            });
        }
        // Another interpreter's can fetch wheels for ours.
        let other = Path::new("python3");
        if works(other, &["-m", "pip", "--version"]) {
            let mut arguments = pip;
            arguments.extend(["--python-version".to_owned(), python.version.clone()]);
            return Ok(Self {
                program: other.to_owned(),
                arguments,
                own: false,
            });
        }
        Err(LibrariesError::NoPip(python.version.clone()))
    }

    /// Runs it; the error is the end of what it said.
    fn run(
        &self,
        list: &Path,
        target: &Path,
        wheels: bool,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), String> {
        let in_words = |error: io::Error| error.to_string();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--target").arg(target);
        if wheels || !self.own {
            command.arg("--only-binary=:all:");
        }
        if !wheels {
            command.arg("--no-deps");
        }
        let (mut output, both) = io::pipe().map_err(in_words)?;
        command
            .arg("-r")
            .arg(list)
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("PIP_PROGRESS_BAR", "off")
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .env("PIP_NO_INPUT", "1")
            .env_remove("PYTHONPATH")
            .env_remove("PYTHONHOME")
            .stdin(Stdio::null())
            .stdout(both.try_clone().map_err(in_words)?)
            .stderr(both);
        let mut child = command.spawn().map_err(in_words)?;
        // Holds the other end of the pipe.
        drop(command);
        let mut last = String::new();
        let mut collected = 0;
        for line in BufReader::new(&mut output).lines().map_while(Result::ok) {
            if let Some(name) = line.trim().strip_prefix("Collecting ") {
                collected += 1;
                if collected % 10 == 0 {
                    say(&format!("{collected} libraries so far, now `{name}`"));
                }
            } else if line.starts_with("Installing collected packages") {
                say("unpacking the libraries");
            }
            if line.contains("ERROR") || line.contains("error:") || last.is_empty() {
                last = line;
            }
        }
        output.read_to_end(&mut Vec::new()).map_err(in_words)?;
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(last),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_compiled_ones_are_split_off() {
        let (wheels, compiled) = split(REQUIREMENTS);
        assert_eq!(compiled, "rlpycairo==0.4.0\npycairo==1.28.0\n");
        assert!(wheels.contains("pandas==") && !wheels.contains("pycairo=="));
    }

    #[test]
    fn each_version_of_python_and_each_list_has_its_own_folder() {
        let python = |version: &str| Python {
            program: "/usr/bin/python3".into(),
            version: version.to_owned(),
            prefix: None,
        };
        let cache = Path::new("/cache");
        let folder = |version| {
            Libraries::new(&python(version), Some(cache))
                .folder()
                .unwrap()
        };
        assert_ne!(folder("3.11"), folder("3.12"));
        let name = folder("3.11").display().to_string();
        assert!(name.starts_with("/cache/sandtable/python-3.11-"), "{name}");
    }
}
