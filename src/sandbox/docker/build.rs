//! A build of the sandbox image: the context in memory, the engine's output read as steps.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptionsBuilder, RemoveImageOptions};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::engine::{Engine, reason};
use super::image::{
    DOCKERFILE, Flavor, ImageError, LABEL_FLAVOR, LABEL_RECIPE, Progress, REQUIREMENTS,
    recipe_digest,
};
use crate::limits::IMAGE_BUILD_TIMEOUT;
use crate::sandbox::SandboxError;

/// How much of a failing step's output an error shows.
const KEPT_LINES: usize = 20;
/// A bundle of certificates is about 0.2 MB; anything much larger is something else.
const MAX_CERTIFICATES_BYTES: u64 = 4 * 1024 * 1024;
const PIP_CONFIG_TIMEOUT: Duration = Duration::from_secs(5);

/// Builds `flavor` on `base` and calls it `image`.
pub(super) async fn run(
    engine: &Engine,
    flavor: Flavor,
    base: &str,
    image: &str,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), ImageError> {
    let certificates = certificates(progress).await;
    let context = context(certificates.as_deref()).map_err(ImageError::Context)?;
    let options = BuildImageOptionsBuilder::default()
        .dockerfile("Dockerfile")
        .t(image)
        .rm(true)
        .forcerm(true)
        .buildargs(&arguments(flavor, base))
        .labels(&HashMap::from([
            (LABEL_RECIPE.to_owned(), recipe_digest()),
            (LABEL_FLAVOR.to_owned(), flavor.to_string()),
            ("sandtable.base".to_owned(), base.to_owned()),
        ]))
        .build();
    let before = id_and_names(engine, image).await.map(|(id, _)| id);
    let docker = engine.docker.clone().with_timeout(IMAGE_BUILD_TIMEOUT);
    let mut output = docker.build_image(options, None, Some(bollard::body_full(context)));
    let mut reader = StepReader::default();
    let reading = async {
        while let Some(said) = output.next().await {
            reader.take(said, progress)?;
        }
        Ok::<(), ImageError>(())
    };
    match tokio::time::timeout(IMAGE_BUILD_TIMEOUT, reading).await {
        Ok(outcome) => outcome?,
        Err(_) => {
            return Err(ImageError::Sandbox(SandboxError::EngineTimeout {
                operation: "build the image",
                seconds: IMAGE_BUILD_TIMEOUT.as_secs(),
            }));
        }
    }
    if let Some(old) = before {
        forget(engine, image, &old).await;
    }
    Ok(())
}

async fn id_and_names(engine: &Engine, image: &str) -> Option<(String, Vec<String>)> {
    let look = engine.docker.inspect_image(image);
    let found = engine.ask("look for the image", look).await.ok()?;
    Some((found.id?, found.repo_tags.unwrap_or_default()))
}

/// Deletes what the name meant before, unless it has another name or a container needs it.
async fn forget(engine: &Engine, image: &str, old: &str) {
    let replaced = id_and_names(engine, image)
        .await
        .is_some_and(|(new, _)| new != old);
    let nameless = id_and_names(engine, old)
        .await
        .is_some_and(|(_, names)| names.is_empty());
    if !replaced || !nameless {
        return;
    }
    let removal = engine
        .docker
        .remove_image(old, None::<RemoveImageOptions>, None);
    if let Err(failure) = engine.ask("remove the image of before", removal).await {
        tracing::debug!(reason = %failure.error, "the image of before stays");
    }
}

fn arguments(flavor: Flavor, base: &str) -> HashMap<String, String> {
    let mut arguments = HashMap::from([
        ("BASE".to_owned(), base.to_owned()),
        ("FLAVOR".to_owned(), flavor.to_string()),
    ]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        for name in [name.to_owned(), name.to_ascii_lowercase()] {
            let value = std::env::var(&name).unwrap_or_default();
            // A proxy on this machine's loopback is somewhere else for the build.
            if !value.is_empty() && !value.contains("://127.") && !value.contains("://localhost") {
                arguments.insert(name, value);
            }
        }
    }
    arguments
}

fn context(certificates: Option<&[u8]>) -> io::Result<Bytes> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content)
    };
    add("Dockerfile", DOCKERFILE.as_bytes())?;
    add("requirements.txt", REQUIREMENTS.as_bytes())?;
    add("ca/.keep", b"")?;
    if let Some(certificates) = certificates {
        add("ca/host.crt", certificates)?;
    }
    Ok(archive.into_inner()?.into())
}

/// The certificates this machine's own tools are told to trust, if they are told so.
async fn certificates(progress: &mut (dyn FnMut(Progress) + Send)) -> Option<Vec<u8>> {
    let told = ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]
        .into_iter()
        .find_map(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
        .map(PathBuf::from);
    let path = match told {
        Some(path) => path,
        None => pip_certificates().await?,
    };
    match read_certificates(&path).await {
        Ok(bytes) => {
            let text = format!("the build trusts the certificates in `{}`", path.display());
            progress(Progress::Note(text));
            Some(bytes)
        }
        Err(error) => {
            let text = format!("certificates `{}` left out: {error}", path.display());
            progress(Progress::Note(text));
            None
        }
    }
}

async fn read_certificates(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = tokio::fs::metadata(path).await?;
    if !metadata.is_file() || metadata.len() > MAX_CERTIFICATES_BYTES {
        return Err(io::Error::other("not a file of at most 4 MiB"));
    }
    tokio::fs::read(path).await
}

async fn pip_certificates() -> Option<PathBuf> {
    let pip = tokio::process::Command::new("python3")
        .args(["-m", "pip", "config", "get", "global.cert"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PIP_CONFIG_TIMEOUT, pip)
        .await
        .ok()?
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let path = path.trim();
    (output.status.success() && !path.is_empty()).then(|| path.into())
}

/// Makes steps and lines of the engine's output, and keeps the end of it for an error.
#[derive(Debug, Default)]
struct StepReader {
    step: String,
    partial: String,
    kept: VecDeque<String>,
}

impl StepReader {
    fn take(
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

/// What to do about a failure, by what the failing program said.
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
            .unwrap_err()
            .to_string();
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

    #[test]
    fn the_context_holds_the_recipe_and_the_certificates() {
        let context = context(Some(b"PEM")).unwrap();
        let mut archive = tar::Archive::new(&context[..]);
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(
            names,
            ["Dockerfile", "requirements.txt", "ca/.keep", "ca/host.crt"]
        );
    }
}
