//! Engines over SSH, as the `docker` command reaches them: `ssh HOST docker system dial-stdio`.
//!
//! The `ssh` of the machine connects, so that the user's configuration, agent, and known hosts count. It
//! never asks: a host that is not known is refused.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use http::{HeaderValue, Response, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::refused;
use crate::SandboxError;

/// Most of what `ssh` says that is kept.
const WORDS_BYTES: u64 = 4096;
/// How long `ssh` may take to say why it gave up.
const WORDS_TIMEOUT: Duration = Duration::from_secs(2);

/// Whom to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// The engine's socket over there; its usual one if `None`.
    socket: Option<String>,
}

impl Destination {
    /// Reads `[user@]host[:port][/path/of/the/socket]`.
    pub(super) fn parse(text: &str) -> Result<Self, SandboxError> {
        let wrong = |why: &str| {
            let hint =
                "write it as `ssh://user@host:port`; keys and the rest belong into `~/.ssh/config`";
            refused(&format!("ssh://{text}"), why, hint)
        };
        let (authority, path) = match text.find('/') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(wrong("a password has no place in it"));
        }
        let (host, port) = match (place.strip_prefix('['), place.rsplit_once(':')) {
            (Some(bare), _) => {
                let (host, behind) = bare
                    .split_once(']')
                    .ok_or_else(|| wrong("`]` is missing"))?;
                (host, behind.strip_prefix(':'))
            }
            (None, Some((host, port))) => (host, Some(port)),
            (None, None) => (place, None),
        };
        let port = port.map(str::parse).transpose();
        let port = port.map_err(|_| wrong("the port is no number"))?;
        // What begins with a dash would be an option.
        let is_word = |text: &str, more: &[char]| {
            let plain = |c: char| c.is_ascii_alphanumeric() || more.contains(&c);
            text.starts_with(|c: char| c.is_ascii_alphanumeric() || "_:/".contains(c))
                && text.chars().all(plain)
        };
        if !is_word(host, &['.', '-', '_', ':', '%']) {
            return Err(wrong("there is no host in it"));
        }
        if !user.is_none_or(|user| is_word(user, &['.', '-', '_', '\\', '+'])) {
            return Err(wrong("the user is none"));
        }
        // A shell reads it over there.
        let socket = Some(path).filter(|path| !matches!(*path, "" | "/"));
        if !socket.is_none_or(|path| is_word(path, &['/', '.', '-', '_', '+', '@'])) {
            return Err(wrong(
                "the path is not one of letters, digits, and `/._-+@`",
            ));
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            socket: socket.map(str::to_owned),
        })
    }

    /// Of `ssh`.
    fn arguments(&self) -> Vec<String> {
        let mut all: Vec<String> = ["-T", "-o", "BatchMode=yes"].map(str::to_owned).into();
        if let Some(user) = &self.user {
            all.extend(["-l".to_owned(), user.clone()]);
        }
        if let Some(port) = self.port {
            all.extend(["-p".to_owned(), port.to_string()]);
        }
        let socket = self.socket.as_ref();
        let socket = socket.map_or_else(String::new, |path| format!("--host unix://{path} "));
        all.extend([
            "--".to_owned(),
            self.host.clone(),
            format!("docker {socket}system dial-stdio"),
        ]);
        all
    }
}

/// An engine, with a connection of its own for each request.
pub(super) fn open(destination: Destination, timeout_s: u64) -> Result<Docker, BollardError> {
    let destination = Arc::new(destination);
    let transport = move |request: BollardRequest| {
        let destination = Arc::clone(&destination);
        async move { send(&destination, request).await }
    };
    // The name is only for the `Host` of requests.
    let name = Some("http://docker");
    Docker::connect_with_custom_transport(transport, name, timeout_s, API_DEFAULT_VERSION)
}

async fn send(
    destination: &Destination,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, BollardError> {
    let (pipe, stderr) = Pipe::start(destination)?;
    let words = tokio::spawn(words(stderr));
    let (mut sender, connection) = http1::handshake(TokioIo::new(pipe)).await?;
    tokio::spawn(async move {
        // Its request is told the error.
        connection.with_upgrades().await.ok();
    });
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    let host = HeaderValue::from_static("docker");
    request.headers_mut().insert(header::HOST, host);
    match sender.send_request(request).await {
        Ok(response) => Ok(response),
        Err(error) => {
            let said = tokio::time::timeout(WORDS_TIMEOUT, words).await;
            let said = said.ok().and_then(Result::ok).unwrap_or_default();
            if said.is_empty() {
                return Err(error.into());
            }
            Err(io::Error::other(format!("ssh: {said}")).into())
        }
    }
}

/// The standard error of `ssh`, read to its end, in one line.
async fn words(stderr: ChildStderr) -> String {
    let mut said = Vec::new();
    let mut stderr = stderr.take(WORDS_BYTES);
    stderr.read_to_end(&mut said).await.ok();
    // The pipe is emptied, so that nothing over there waits for it.
    tokio::io::copy(&mut stderr.into_inner(), &mut tokio::io::sink())
        .await
        .ok();
    let said = String::from_utf8_lossy(&said);
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// A running `ssh`, which ends with it.
#[derive(Debug)]
struct Pipe {
    _child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
}

impl Pipe {
    fn start(destination: &Destination) -> io::Result<(Self, ChildStderr)> {
        let mut command = Command::new("ssh");
        command
            .args(destination.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C is the server's: it still has to remove its sandboxes.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| {
            let missing = error.kind() == io::ErrorKind::NotFound;
            let why = if missing {
                "there is no `ssh` on this machine".to_owned()
            } else {
                format!("`ssh` cannot be started: {error}")
            };
            io::Error::other(why)
        })?;
        let taken = || io::Error::other("a pipe to `ssh` is missing");
        let stdin = Some(child.stdin.take().ok_or_else(taken)?);
        let stdout = child.stdout.take().ok_or_else(taken)?;
        let stderr = child.stderr.take().ok_or_else(taken)?;
        let pipe = Self {
            _child: child,
            stdin,
            stdout,
        };
        Ok((pipe, stderr))
    }

    fn stdin(self: Pin<&mut Self>) -> io::Result<Pin<&mut ChildStdin>> {
        let stdin = self.get_mut().stdin.as_mut();
        stdin
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stdout).poll_read(context, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stdin()?.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stdin.is_none() {
            return Poll::Ready(Ok(()));
        }
        std::task::ready!(self.as_mut().stdin()?.poll_shutdown(context))?;
        // The engine hears that no more comes when the pipe is closed.
        drop(self.get_mut().stdin.take());
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_becomes_arguments_that_are_no_options() {
        let all = Destination::parse("me@[::1]:2222/run/user/1000/docker.sock").unwrap();
        let line = all.arguments().join(" ");
        assert_eq!(
            line,
            "-T -o BatchMode=yes -l me -p 2222 -- ::1 docker --host unix:///run/user/1000/docker.sock system dial-stdio"
        );
        let bare = Destination::parse("build-7.example/").unwrap();
        assert!(bare.arguments().ends_with(&[
            "build-7.example".to_owned(),
            "docker system dial-stdio".to_owned()
        ]));
    }
}
