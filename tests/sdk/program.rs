//! Running one program against one server, and showing all that was said when it fails.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::image::image_ready;
use crate::interpreter::{Interpreter, modules};
use crate::server::Server;
use cli::image::Flavor;

/// Long enough for two busy cores; a program that hangs is a failure, not a lost night.
const TIMEOUT: Duration = Duration::from_mins(10);

/// The needs of a program beside an interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The server alone.
    Server,
    /// Sandboxes with the documented libraries.
    Sandbox,
}

/// Runs `file` of the interpreter's folder against a fresh server; the program's exit code decides.
pub(crate) async fn run(interpreter: Interpreter, file: &str, needs: Needs) {
    run_with(interpreter, file, needs, &[]).await;
}

/// As [`run`], with flags for the server.
pub(crate) async fn run_with(interpreter: Interpreter, file: &str, needs: Needs, flags: &[&str]) {
    if interpreter.find().is_none() {
        return;
    }
    let backend = match needs {
        Needs::Server => "none",
        Needs::Sandbox if image_ready(Flavor::Full).await => "docker",
        Needs::Sandbox => return,
    };
    let server = Server::start(&[&["--backend", backend], flags].concat()).await;
    against(&server, interpreter, file).await;
    server.stop().await;
}

/// Runs `file` against a server that is there.
pub(crate) async fn against(server: &Server, interpreter: Interpreter, file: &str) {
    in_folder(server, interpreter, file, &Folder::of(interpreter)).await;
}

/// The same for a program that reads what it is given from `given.json`.
pub(crate) async fn given(server: &Server, interpreter: Interpreter, file: &str, what: &Value) {
    let folder = Folder::of(interpreter);
    std::fs::write(folder.work.path().join("given.json"), what.to_string()).unwrap();
    in_folder(server, interpreter, file, &folder).await;
}

async fn in_folder(server: &Server, interpreter: Interpreter, file: &str, folder: &Folder) {
    let Some(command) = interpreter.find() else {
        return;
    };
    let mut child = Command::new(&command[0]);
    child
        .args(&command[1..])
        .arg(folder.program(file))
        .current_dir(folder.work.path())
        .env("ANTHROPIC_BASE_URL", &server.url)
        .env("ANTHROPIC_API_KEY", format!("sk-ant-{file}"))
        .env("NO_PROXY", "*")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for other in [
        "ANTHROPIC_API_BASE",
        "ANTHROPIC_API_URL",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_CUSTOM_HEADERS",
        "ANTHROPIC_LOG",
        "LANGCHAIN_TRACING_V2",
        "LANGSMITH_TRACING",
        "PYTHONPATH",
    ] {
        child.env_remove(other);
    }
    let output = tokio::time::timeout(TIMEOUT, child.output()).await;
    let (ended, said) = match output {
        Ok(output) => {
            let output = output.unwrap();
            let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
            (Some(output.status), said)
        }
        Err(_) => (None, String::new()),
    };
    if ended.is_none_or(|status| !status.success()) {
        let mut report = match ended {
            Some(status) => format!("{file}: {status}\n"),
            None => format!("{file} did not end within {TIMEOUT:?}\n"),
        };
        write!(
            report,
            "--- the program\n{said}--- the server\n{}",
            server.log()
        )
        .unwrap();
        panic!("{report}");
    }
}

/// A fresh working directory, and where the programs are.
struct Folder {
    work: TempDir,
    programs: PathBuf,
}

impl Folder {
    fn of(interpreter: Interpreter) -> Self {
        let work = tempfile::tempdir().unwrap();
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
        let programs = match interpreter {
            Interpreter::Python | Interpreter::Python075 | Interpreter::PythonLibraries => {
                tests.join("python")
            }
            Interpreter::Bash => tests.join("shell"),
            // Node looks for packages beside the program: a copy sees them wherever they are.
            Interpreter::Node => {
                let copies = work.path().join(".programs");
                std::fs::create_dir(&copies).unwrap();
                for entry in std::fs::read_dir(tests.join("typescript")).unwrap() {
                    let entry = entry.unwrap();
                    if entry.file_type().unwrap().is_file() {
                        std::fs::copy(entry.path(), copies.join(entry.file_name())).unwrap();
                    }
                }
                std::os::unix::fs::symlink(modules(), copies.join("node_modules")).unwrap();
                copies
            }
        };
        Self { work, programs }
    }

    fn program(&self, file: &str) -> PathBuf {
        self.programs.join(file)
    }
}
