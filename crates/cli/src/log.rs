//! The log that goes to stderr while a server runs: lines without what looks like a key.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

use super::args::{Cli, Command, LogFormat};
use cassette::Redactor;
use common::hinted::{self, Mistake};

/// Chooses what is logged, in `tracing`'s language.
const VARIABLE: &str = "SANDTABLE_LOG";

/// Starts the log of this process.
pub(super) fn start(cli: &Cli) {
    let (format, usual) = choice(cli);
    let filter = filter(usual);
    let redactor = Redactor::default();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Lines {
            to: io::stderr(),
            redactor: redactor.clone(),
        });
    match format {
        LogFormat::Text => builder
            .with_ansi(has_colours(
                io::stderr().is_terminal(),
                std::env::var_os("NO_COLOR").as_deref(),
            ))
            .init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .init(),
    }
}

/// The form, and what is logged unless the variable says otherwise: what a command prints that runs
/// against a server of ours is its own.
fn choice(cli: &Cli) -> (LogFormat, &'static str) {
    const ALL: &str = "warn,sandtable=info";
    const QUIET: &str = "warn";
    // What goes wrong there is meant to.
    const SILENT: &str = "off";
    match &cli.command {
        None => (cli.serve.log_format, ALL),
        Some(Command::Serve(args)) => (args.log_format, ALL),
        Some(Command::Replay(args)) if args.live.live => (args.serve.log_format, QUIET),
        Some(Command::Replay(args)) => (args.serve.log_format, ALL),
        Some(Command::Record(args)) => (
            args.serve.log_format,
            if args.command.is_empty() { ALL } else { QUIET },
        ),
        Some(Command::Run(args)) => (args.serve.log_format, QUIET),
        Some(Command::Sweep(args)) => (args.serve.log_format, SILENT),
        Some(_) => (LogFormat::Text, ALL),
    }
}

fn filter(usual: &str) -> EnvFilter {
    let Some(wanted) = std::env::var_os(VARIABLE).filter(|wanted| !wanted.is_empty()) else {
        return EnvFilter::new(usual);
    };
    let wanted = wanted.to_string_lossy();
    EnvFilter::try_new(&*wanted).unwrap_or_else(|error| {
        let what = format!("{VARIABLE}=`{wanted}` is not understood");
        let wrong = Mistake::caused(what, error)
            .with_hint("such as `debug`, `warn`, or `warn,sandtable=debug`");
        crate::eprint(&format!("warning: {}\n", hinted::told(&wrong)));
        EnvFilter::new(usual)
    })
}

/// <https://no-color.org>: any value but an empty one means none.
pub(super) fn has_colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Takes a whole line at once, as it is given by the subscriber.
#[derive(Debug)]
struct Lines<W> {
    to: W,
    redactor: Redactor,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.to.write_all(self.redactor.text(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_and_for_those_who_want_them() {
        assert!(has_colours(true, None) && has_colours(true, Some(OsStr::new(""))));
        assert!(!has_colours(true, Some(OsStr::new("1"))) && !has_colours(false, None));
    }

    #[test]
    fn a_line_loses_its_key_and_nothing_else() {
        let mut lines = Lines {
            to: Vec::new(),
            redactor: Redactor::default(),
        };
        let key = "sk-ant-api03-aBcDeFgHiJk";
        write!(lines, "{}", format_args!("GET /v1/{key} path=\"{key}\"\n")).unwrap();
        lines
            .write_all(format!("all of {key} at once\n").as_bytes())
            .unwrap();
        let said = String::from_utf8(lines.to).unwrap();
        assert!(!said.contains(key), "{said}");
        assert!(
            said.starts_with("GET /v1/") && said.ends_with(" at once\n"),
            "{said}"
        );
    }
}
