//! `sandtable serve`: the banner, and running until a signal.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::signals::{Came, Signals};
use crate::config::Config;
use crate::server::{Server, StartError};

/// Serves until SIGINT, SIGTERM, or SIGHUP, or the end of standard input. A second Ctrl-C does not wait for
/// the orderly end: what is left is the next server's to remove.
pub(super) async fn run(config: Config, stop_at_eof: bool) -> Result<(), ServeError> {
    let mut signals = Signals::listen().map_err(ServeError::Signals)?;
    let server = tokio::select! {
        started = Server::start(config) => started?,
        _ = signals.next() => return Ok(()),
    };
    // A closed stdout is no reason not to serve.
    io::stdout()
        .lock()
        .write_all(banner(&server).as_bytes())
        .ok();
    tokio::select! {
        _ = signals.next() => {}
        () = end_of_input(), if stop_at_eof => {}
    }
    tracing::info!("stopping; Ctrl-C ends at once");
    tokio::select! {
        () = server.stop() => Ok(()),
        came = again(&mut signals) => Err(ServeError::Ended(came)),
    }
}

/// A further Ctrl-C. A terminal that goes sends SIGHUP, and whoever ends a service may send SIGTERM twice.
async fn again(signals: &mut Signals) -> Came {
    loop {
        let came = signals.next().await;
        if came == Came::Interrupt {
            return came;
        }
    }
}

/// Why serving did not end in order.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("ended at once; what is left is removed by the next server")]
    Ended(Came),
}

impl ServeError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Signals(_) => super::FAILURE,
            Self::Start(error) => error.exit_code(),
            Self::Ended(came) => came.exit_code(),
        }
    }
}

fn banner(server: &Server) -> String {
    let chosen = server.chosen();
    let mut text = format!("sandtable {}\n\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {name:<9} {value}").expect("a String takes every write");
    };
    line("listening", server.url());
    line("backend", &chosen.why);
    if let Some(command) = &chosen.improve {
        line("", &format!("better with: {command}"));
    }
    if let Some(deck) = server.cassettes() {
        if !deck.tape().is_empty() || deck.closed {
            line(
                "replays",
                &format!("{} recorded exchanges", deck.tape().len()),
            );
        }
        if let Some(recorder) = deck.recorder() {
            let path = recorder.written().0;
            line(
                "records",
                &format!("{} into {}", recorder.upstream.url(), path.display()),
            );
        }
    }
    match server.scripts() {
        _ if server.cassettes().is_some() => {}
        0 => line(
            "answers",
            "no script is loaded: the tour answers the documents' prompts, `direct` runs fenced code (--script FILE loads one)",
        ),
        rules => line("answers", &format!("{rules} scripted rules")),
    }
    match server.data_dir() {
        (_, true) => line(
            "data",
            "temporary, gone when the server stops (--data-dir DIR keeps it)",
        ),
        (dir, false) => line("data", &dir.display().to_string()),
    }
    let url = server.url();
    writeln!(
        text,
        "\n  export ANTHROPIC_BASE_URL={url}\n  export ANTHROPIC_API_KEY=sk-ant-local\n"
    )
    .expect("a String takes every write");
    text
}

/// Returns when standard input has ended. A thread reads it, for the runtime would wait for its own.
async fn end_of_input() {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // An error is an end, too; nobody hears it if a signal was first.
        io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
        tell.send(()).ok();
    });
    told.await.ok();
}
