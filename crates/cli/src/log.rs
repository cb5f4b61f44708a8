//! The log that goes to stderr while a server runs: lines without what looks like a key.

mod behind;
mod fields;

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::{Cli, Command, LogFormat};
pub(super) use behind::flush;
use cassette::Redactor;
use common::hinted::{self, Mistake};
use common::lossy;

/// Chooses what is logged, in `tracing`'s language.
const VARIABLE: &str = "SANDTABLE_LOG";

/// The log of this process, for as long as it is held.
#[derive(Debug)]
#[must_use]
pub(super) struct Log;

impl Drop for Log {
    fn drop(&mut self) {
        behind::flush();
    }
}

/// Starts the log of this process.
pub(super) fn start(cli: &Cli) -> Log {
    let (format, usual) = choice(cli);
    let (targets, filter) = match filter() {
        Some(filter) => (None, Some(filter)),
        None => (Some(usual), None),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(Stderr::default());
    let registry = tracing_subscriber::registry().with(targets).with(filter);
    match format {
        LogFormat::Text => {
            let no_colour = std::env::var_os("NO_COLOR");
            let colours = has_colours(io::stderr().is_terminal(), no_colour.as_deref());
            registry
                .with(layer.with_ansi(colours).fmt_fields(fields::Fields))
                .init();
        }
        LogFormat::Json => registry
            .with(layer.json().flatten_event(true).with_span_list(false))
            .init(),
    }
    Log
}

/// The form, and what is logged unless the variable says otherwise: what a command prints that runs
/// against a server of ours is its own.
fn choice(cli: &Cli) -> (LogFormat, Targets) {
    let quiet = || Targets::new().with_default(LevelFilter::WARN);
    let all = || quiet().with_target("sandtable", LevelFilter::INFO);
    match &cli.command {
        None => (cli.serve.log_format, all()),
        Some(Command::Serve(args)) => (args.log_format, all()),
        Some(Command::Replay(args)) if args.live.live => (args.serve.log_format, quiet()),
        Some(Command::Replay(args)) => (args.serve.log_format, all()),
        Some(Command::Record(args)) => (
            args.serve.log_format,
            if args.command.is_empty() {
                all()
            } else {
                quiet()
            },
        ),
        Some(Command::Run(args)) => (args.serve.log_format, quiet()),
        // What goes wrong there is meant to.
        Some(Command::Sweep(args)) => (args.serve.log_format, Targets::new()),
        Some(_) => (LogFormat::Text, all()),
    }
}

/// What the variable asks for; what cannot be understood is told, and asks for nothing.
fn filter() -> Option<EnvFilter> {
    let wanted = std::env::var_os(VARIABLE).filter(|wanted| !wanted.is_empty())?;
    let wanted = wanted.to_string_lossy();
    let what = || format!("{VARIABLE}=`{wanted}` is not understood");
    let wrong = match (no_level(&wanted), EnvFilter::try_new(&*wanted)) {
        (None, Ok(filter)) => return Some(filter),
        (Some(word), _) => Mistake::new(format!("{}: `{word}` is no level", what())),
        (None, Err(error)) => Mistake::caused(what(), error),
    };
    let wrong = wrong.with_hint("such as `debug`, `warn`, or `warn,sandtable=debug`");
    crate::eprint(&format!("warning: {}\n", hinted::told(&wrong)));
    None
}

/// A word that stands alone and is neither a level nor a part of sandtable: a misspelt level would be taken for the
/// name of somebody's part, and silence everything else.
fn no_level(wanted: &str) -> Option<&str> {
    let mut words = wanted.split(',').map(str::trim);
    words.find(|word| {
        let is_word =
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_word && !word.starts_with("sandtable") && word.parse::<LevelFilter>().is_err()
    })
}

/// <https://no-color.org>: any value but an empty one means none.
pub(super) fn has_colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Where lines go: those of a warning, or of what is worse, are there before the program goes on.
#[derive(Debug, Default)]
struct Stderr {
    redactor: Redactor,
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Lines<behind::To>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines {
            to: behind::To::Now,
            redactor: self.redactor.clone(),
        }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Self::Writer {
        let to = if *of.level() > Level::WARN {
            behind::To::Soon
        } else {
            behind::To::Now
        };
        Lines {
            to,
            redactor: self.redactor.clone(),
        }
    }
}

/// Takes a whole line at once, as it is given by the subscriber.
#[derive(Debug)]
struct Lines<W> {
    to: W,
    redactor: Redactor,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = lossy::text(line);
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
    fn a_word_alone_is_a_level_or_a_part_of_sandtable() {
        for good in [
            "INFO",
            "off",
            "warn,sandtable=debug",
            "sandtable_engine",
            "hyper=info",
            "3",
            "[request]=debug",
        ] {
            assert_eq!(no_level(good), None, "{good}");
        }
        assert_eq!(no_level("INFOO"), Some("INFOO"));
        assert_eq!(no_level("warn, hyper"), Some("hyper"));
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
