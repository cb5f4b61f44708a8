//! Which Python of the machine sandboxes run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version of the documented environment.
const WANTED: &str = "3.11";
/// Folders every sandbox has, the nearest to the documented one first.
const FOLDERS: [&str; 2] = ["/usr/bin", "/usr/local/bin"];
const ASK: &str = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.base_prefix); print(sys.base_exec_prefix)";

/// An interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Python {
    pub(super) program: PathBuf,
    /// `3.11`.
    pub(super) version: String,
    /// The directory that has to be lent to the sandbox beyond the system's.
    pub(super) prefix: Option<PathBuf>,
}

impl Python {
    /// The interpreter to use: 3.11 of the system, any other of the system, or the one on the path.
    pub(super) fn find() -> Option<Self> {
        let names = ["python3.11", "python3"];
        names
            .iter()
            .flat_map(|name| FOLDERS.map(|folder| Path::new(folder).join(name)))
            .find_map(|program| Self::of_the_system(&program))
            .or_else(|| Self::elsewhere(Path::new("python3")))
    }

    /// The one that would be used if it was installed.
    pub(super) fn of_debian() -> Self {
        Self {
            program: Path::new(FOLDERS[0]).join("python3"),
            version: WANTED.to_owned(),
            prefix: None,
        }
    }

    /// One in a system directory; its name tells its version, so that it need not be run.
    fn of_the_system(program: &Path) -> Option<Self> {
        let real = fs::canonicalize(program).ok()?;
        if !real.starts_with("/usr") {
            return Self::elsewhere(program);
        }
        match real.file_name()?.to_str()?.strip_prefix("python") {
            Some(version) if version.contains('.') => Some(Self {
                program: program.to_owned(),
                version: version.to_owned(),
                prefix: None,
            }),
            _ => Self::elsewhere(program),
        }
    }

    /// Any interpreter, by what it says of itself. A virtual environment leads to the one below it.
    pub(super) fn elsewhere(program: &Path) -> Option<Self> {
        let output = Command::new(program)
            .args(["-I", "-c", ASK])
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let [version, prefix, exec_prefix] = text.lines().collect::<Vec<_>>()[..] else {
            return None;
        };
        let prefix = fs::canonicalize(prefix).ok()?;
        // Half of it in another place: more than one folder would have to be lent.
        if fs::canonicalize(exec_prefix).ok()? != prefix {
            return None;
        }
        let program = prefix.join("bin").join(format!("python{version}"));
        if !program.exists() {
            return None;
        }
        // The whole of `/` or of a home is no prefix of an interpreter's own.
        let lent = !prefix.starts_with("/usr");
        if lent && prefix.components().count() < 3 {
            return None;
        }
        Some(Self {
            program,
            version: version.to_owned(),
            prefix: lent.then_some(prefix),
        })
    }

    pub(super) fn is_documented(&self) -> bool {
        self.version == WANTED
    }

    /// How the banner calls it.
    pub(super) fn describe(&self) -> String {
        let place = self.program.display();
        if self.is_documented() {
            return format!("Python {} (`{place}`)", self.version);
        }
        format!(
            "Python {} (`{place}`), not the documented {WANTED}",
            self.version
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_found_and_works() {
        let Some(python) = Python::find() else {
            return;
        };
        assert!(python.program.is_absolute());
        assert!(python.version.starts_with("3."), "{python:?}");
    }

    #[test]
    fn a_program_that_is_no_python_is_refused() {
        assert_eq!(Python::elsewhere(Path::new("/bin/true")), None);
        assert_eq!(Python::elsewhere(Path::new("/nowhere/python3")), None);
    }
}
