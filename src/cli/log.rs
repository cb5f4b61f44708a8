//! The log: lines on stderr, without what looks like a key.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

use crate::cassette::Redactor;

/// Starts it; `RUST_LOG` or `SANDTABLE_LOG` chooses what is said.
pub(super) fn start(usual: &str) {
    let filter = EnvFilter::try_from_env("SANDTABLE_LOG")
        .or_else(|_| EnvFilter::try_from_default_env())
        .unwrap_or_else(|_| EnvFilter::new(usual));
    let redactor = Redactor::default();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_writer(move || Lines {
            to: io::stderr(),
            redactor: redactor.clone(),
        })
        .init();
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
