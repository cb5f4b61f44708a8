//! Completions and manual pages for a shell and its user, made from the flags themselves.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::args::Cli;
use super::output::{self, OutputError};
use common::hinted::Hinted;

/// Why pages of the manual are not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManError {
    #[error(transparent)]
    Foreign(#[from] OutputError),
    #[error("cannot write the manual into {}: {source}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
}

impl Hinted for ManError {
    fn inner(&self) -> Option<&dyn Hinted> {
        match self {
            Self::Foreign(error) => Some(error),
            Self::Folder { .. } => None,
        }
    }

    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Foreign(error) => error.hint(),
            Self::Folder { .. } => Some("`--out` names a folder that you may write".into()),
        }
    }
}

/// Completions for a shell, as text to source.
pub(super) fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sandtable", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page of the program.
pub(super) fn man() -> io::Result<String> {
    page(Cli::command())
}

/// Writes the manual pages of the program and of each command; the number of pages.
pub(super) fn write_man(folder: &Path) -> Result<usize, ManError> {
    let failed = |source| ManError::Folder {
        folder: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut root = Cli::command();
    // Names become `sandtable-image-build`, and flags come to where they hold.
    root.build();
    let mut waiting = vec![root];
    let mut pages = Vec::new();
    while let Some(command) = waiting.pop() {
        waiting.extend(
            command
                .get_subcommands()
                .filter(|command| command.get_name() != "help" && !command.is_hide_set())
                .cloned(),
        );
        let name = command
            .get_display_name()
            .unwrap_or_else(|| command.get_name());
        let path = folder.join(format!("{name}.1"));
        output::check_page(&path)?;
        pages.push((path, command));
    }
    let written = pages.len();
    for (path, command) in pages {
        let text = page(command).map_err(failed)?;
        std::fs::write(path, text).map_err(failed)?;
    }
    Ok(written)
}

fn page(command: Command) -> io::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
