//! A user's folder for programs of more than one command: the program and the Python package on its paths, nothing else of sandtable.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cli::image::Flavor;
use tempfile::TempDir;
use tokio::process::Command;

use crate::clients;
use crate::image::image_ready;
use crate::interpreter::clients_python;

/// Where commands are run.
pub(crate) struct Workshop {
    folder: TempDir,
    path: String,
    site: PathBuf,
}

impl Workshop {
    /// A new one, or `None` where Python or an engine is missing and not required.
    pub(crate) async fn open() -> Option<Self> {
        let python = clients_python()?;
        if !image_ready(Flavor::Full).await {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sandtable"), bin.join("sandtable")).unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let (_, site) = clients::installed(&python, folder.path()).await;
        let path = [
            bin.display().to_string(),
            // A virtual environment has `python` on the PATH.
            python.parent().unwrap().display().to_string(),
            std::env::var("PATH").unwrap(),
        ];
        Some(Self {
            folder,
            path: path.join(":"),
            site,
        })
    }

    /// The folder that commands run in.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Writes a file of the working folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.work().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// Runs a script that must end well, and says what it said.
    pub(crate) async fn bash(
        &self,
        what: &str,
        script: &str,
        variables: &[(&str, &str)],
    ) -> String {
        let mut bash = Command::new("bash");
        for (name, _) in std::env::vars() {
            if name.starts_with("SANDTABLE_") || name.starts_with("PYTEST_") {
                bash.env_remove(name);
            }
        }
        // Commands of tests are given no key and no URL from outside.
        let mut commands = String::new();
        for (name, value) in variables {
            writeln!(commands, "export {name}='{value}'").unwrap();
        }
        commands.push_str(script);
        bash.args(["--noprofile", "--norc", "-euc", &commands])
            .current_dir(self.work())
            .env("PATH", &self.path)
            .env("PYTHONPATH", &self.site)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NO_PROXY", "*");
        clients::run(what, &mut bash).await
    }
}

/// A folder of the repository.
pub(crate) fn of_repository(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}
