//! The installer of packages for an interpreter: its own pip, uv, or another interpreter's pip.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::LibrariesError;
use super::stop::Stop;
use crate::local::python::Python;

/// How often pip asks again; without a network each time takes longer than the one before.
const RETRIES: &str = "2";
/// Messages of pip and uv where there is no network.
const UNREACHABLE: [&str; 4] = [
    "Failed to establish a new connection",
    "Failed to resolve",
    "Network is unreachable",
    "dns error",
];

/// A program that installs packages, with the arguments that lead it to our interpreter.
#[derive(Debug)]
pub(super) struct Installer {
    program: PathBuf,
    arguments: Vec<String>,
    /// Whether it is the interpreter's own, and can compile for it.
    own: bool,
}

/// Why an installation did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The last line in which it spoke of an error, and what that means.
    #[error("{last}{unreachable}")]
    Failed {
        last: String,
        unreachable: &'static str,
    },
}

impl Installer {
    /// The first that works.
    pub(super) fn find(python: &Python) -> Result<Self, LibrariesError> {
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

    /// Installs what a list names, and nothing else, as `wheels` or compiled; the error is the end of what
    /// it said.
    pub(super) fn run(
        &self,
        stop: &Stop,
        list: &Path,
        target: &Path,
        wheels: bool,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), RunError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--target").arg(target);
        if wheels || !self.own {
            command.arg("--only-binary=:all:");
        }
        command.arg("--no-deps");
        let (mut output, both) = io::pipe()?;
        command
            .arg("-r")
            .arg(list)
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("PIP_PROGRESS_BAR", "off")
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .env("PIP_NO_INPUT", "1")
            .env("PIP_RETRIES", RETRIES)
            .env_remove("PYTHONPATH")
            .env_remove("PYTHONHOME")
            .stdin(Stdio::null())
            .stdout(both.try_clone()?)
            .stderr(both);
        let child = stop.spawn(&mut command)?;
        // Holds the other end of the pipe.
        drop(command);
        let mut last = String::new();
        let mut unreachable = "";
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
            if UNREACHABLE.iter().any(|words| line.contains(words)) {
                unreachable = ": the package index cannot be reached";
            }
            if line.contains("ERROR") || line.contains("error:") || last.is_empty() {
                last = line;
            }
        }
        output.read_to_end(&mut Vec::new())?;
        match stop.wait(child) {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(RunError::Failed { last, unreachable }),
            Err(error) => Err(error.into()),
        }
    }
}
