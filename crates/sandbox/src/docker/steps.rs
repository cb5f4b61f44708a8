//! The engine's output of a build, read as steps and lines, and made an error with a hint when one fails.

use std::collections::VecDeque;

use bollard::errors::Error as BollardError;
use bollard::models::BuildInfo;

use super::engine::reason;
use super::recipe::{ImageError, Progress};

/// How much of a failing step's output an error shows.
const KEPT_LINES: usize = 20;
/// Makes steps and lines of the engine's output, and keeps the end of it for an error.
#[derive(Debug, Default)]
pub(super) struct StepReader {
    step: String,
    partial: String,
    kept: VecDeque<String>,
}

impl StepReader {
    pub(super) fn take(
        &mut self,
        said: Result<BuildInfo, BollardError>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), ImageError> {
        let info = said.map_err(|error| self.failed(&reason(&error)))?;
        let mut text = info.stream.unwrap_or_default();
        if let Some(status) = info.status {
            text.push_str(&status);
            text.push('\n');
        }
        self.partial.push_str(&text);
        while let Some(end) = self.partial.find(['\n', '\r']) {
            let rest = self.partial.split_off(end + 1);
            let line = std::mem::replace(&mut self.partial, rest);
            self.line(plain(&line).trim_end(), progress);
        }
        Ok(())
    }

    fn line(&mut self, line: &str, progress: &mut (dyn FnMut(Progress) + Send)) {
        // The builder's own bookkeeping.
        if line.is_empty() || line.starts_with(" --->") || line.starts_with("Removing interm") {
            return;
        }
        if let Some((number, of, text)) = step(line) {
            self.step = format!("step {number} of {of}");
            self.kept.clear();
            let text = summary(text);
            progress(Progress::Step { number, of, text });
            return;
        }
        if self.kept.len() == KEPT_LINES {
            self.kept.pop_front();
        }
        self.kept.push_back(line.to_owned());
        progress(Progress::Line(line.to_owned()));
    }

    fn failed(&self, reason: &str) -> ImageError {
        let lines: Vec<&str> = self.kept.iter().map(String::as_str).collect();
        let output = lines.join("\n");
        // The engine repeats the whole command before it comes to the point.
        let reason = match reason.rsplit_once("returned a non-zero code: ") {
            Some((_, code)) => format!("exit code {code}"),
            None => reason.to_owned(),
        };
        let hint = hint(&format!("{output}\n{reason}"));
        let step = if self.step.is_empty() {
            "the start"
        } else {
            &self.step
        };
        ImageError::Step {
            step: step.to_owned(),
            reason,
            output,
            hint: hint.to_owned(),
        }
    }
}

/// A line without the colours the builder adds, and cut where nobody would read on.
fn plain(line: &str) -> String {
    const MAX_CHARS: usize = 400;
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once('m').map_or("", |(_, text)| text));
    let whole: String = std::iter::once(first).chain(rest).collect();
    whole.chars().take(MAX_CHARS).collect()
}

/// `Step 3/16 : RUN …` as its parts.
fn step(line: &str) -> Option<(u32, u32, &str)> {
    let (count, text) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, of) = count.split_once('/')?;
    Some((number.parse().ok()?, of.parse().ok()?, text))
}

/// A step in a few words.
fn summary(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    let all = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match all.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{} …", all[..end].trim_end()),
        None => all,
    }
}

/// The hint for a failure, by the output of the failing program.
pub(super) fn hint(said: &str) -> &'static str {
    const HINTS: [(&[&str], &str); 5] = [
        (
            &[
                "certificate_verify_failed",
                "self-signed",
                "self signed",
                "unknown authority",
            ],
            "set `PIP_CERT` to the certificates this network needs, and build again",
        ),
        (
            &["no space left"],
            "free some disk space: the full image needs about 4 GB while it is built",
        ),
        (
            &[
                "temporary failure resolving",
                "could not resolve",
                "no such host",
                "name resolution",
                "network is unreachable",
                "i/o timeout",
                "connection refused",
            ],
            "the build needs a way to the package servers; check the network and `HTTP_PROXY`, or give an image that has all with `--base`",
        ),
        (
            &["no matching distribution found", "requires-python"],
            "the base needs Python 3.11: the pinned libraries are chosen for it",
        ),
        (
            &[
                "apt-get: not found",
                "apt-get: command not found",
                "unable to find user root",
                "executable file not found",
            ],
            "the base must be Debian or made from it",
        ),
    ];
    let said = said.to_ascii_lowercase();
    HINTS
        .iter()
        .find(|(signs, _)| signs.iter().any(|sign| said.contains(sign)))
        .map_or(
            "`--flavor slim` builds without the libraries; `sandtable doctor` looks at the engine",
            |(_, hint)| hint,
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> BuildInfo {
        BuildInfo {
            stream: Some(text.to_owned()),
            ..BuildInfo::default()
        }
    }

    #[test]
    fn output_in_odd_pieces_is_read_as_steps_and_lines() {
        let mut seen = Vec::new();
        let mut reader = StepReader::default();
        for piece in [
            "Step 2/16 : RUN set",
            " -eu;     true\n",
            "\u{1b}[91ma\u{1b}[0m\nb",
            "c\r\n",
            "\n",
        ] {
            reader
                .take(Ok(said(piece)), &mut |event| seen.push(event))
                .unwrap();
        }
        let step = Progress::Step {
            number: 2,
            of: 16,
            text: "RUN set -eu; true".to_owned(),
        };
        let lines = ["a", "bc"].map(|line| Progress::Line(line.to_owned()));
        assert_eq!(seen, [&[step], &lines[..]].concat());
    }

    #[test]
    fn a_failing_step_is_told_by_its_last_lines_and_a_hint() {
        let mut reader = StepReader::default();
        reader
            .take(Ok(said("Step 1/2 : RUN x\nold\n")), &mut |_| ())
            .unwrap();
        reader
            .take(Ok(said("Step 2/2 : RUN pip\n")), &mut |_| ())
            .unwrap();
        for n in 0..30 {
            reader
                .take(Ok(said(&format!("line {n}\n"))), &mut |_| ())
                .unwrap();
        }
        reader
            .take(
                Ok(said("SSLError CERTIFICATE_VERIFY_FAILED\n")),
                &mut |_| (),
            )
            .unwrap();
        let error = "The command '/bin/sh -c pip' returned a non-zero code: 1".to_owned();
        let error = reader
            .take(Err(BollardError::DockerStreamError { error }), &mut |_| ())
            .unwrap_err();
        let error = common::hinted::told(&error);
        assert!(
            error.starts_with("build the image: step 2 of 2 failed: exit code 1\nline 11\n"),
            "{error}"
        );
        assert!(
            error.ends_with(
                "hint: set `PIP_CERT` to the certificates this network needs, and build again"
            ),
            "{error}"
        );
    }
}
