//! Completions and manual pages for a shell and its user, made from the flags themselves.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::args::Cli;

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
pub(super) fn write_man(folder: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let mut root = Cli::command();
    // Names become `sandtable-image-build`, and flags come to where they hold.
    root.build();
    let mut waiting = vec![root];
    let mut written = 0;
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
        std::fs::write(path, page(command)?)?;
        written += 1;
    }
    Ok(written)
}

fn page(command: Command) -> io::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
