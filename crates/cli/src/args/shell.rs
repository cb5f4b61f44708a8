//! Flags of the commands that serve a shell, an editor, or a new project.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The project's folder.
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// What runs the project's tests; told by its files without it.
    #[arg(long = "for", value_enum, value_name = "RUNNER")]
    pub project: Option<Project>,
}

/// The test runner of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Project {
    /// Python: there is a pyproject.toml, setup.py, setup.cfg, or requirements.txt.
    Pytest,
    /// JavaScript or TypeScript: there is a package.json.
    Vitest,
    /// Rust: there is a Cargo.toml.
    Cargo,
}

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    pub shell: clap_complete::Shell,
}

/// Flags of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write sandtable.1 and a page for each command into this folder instead.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
