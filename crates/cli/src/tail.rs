//! `sandtable tail`: a server that runs, turn by turn, in a terminal.

mod turn;

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

use super::args::TailArgs;
use super::log;
use super::output::StdoutError;
use super::remote::{Remote, RemoteError};
use super::signals::Signals;
use common::hinted::Hinted;
use turn::Look;

/// Why the turns end.
#[derive(Debug, thiserror::Error)]
pub(super) enum TailError {
    #[error(transparent)]
    Server(#[from] RemoteError),
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    #[error("the server is gone")]
    Gone,
    #[error(transparent)]
    Print(StdoutError),
}

impl Hinted for TailError {
    fn inner(&self) -> Option<&dyn Hinted> {
        match self {
            Self::Server(error) => Some(error),
            Self::Print(error) => Some(error),
            Self::Signals(_) | Self::Gone => None,
        }
    }
}

/// Prints until a signal, or until the server is gone.
pub(super) async fn run(args: &TailArgs) -> Result<(), TailError> {
    let mut signals = Signals::listen().map_err(TailError::Signals)?;
    tokio::select! {
        ended = follow(args) => ended,
        _ = signals.next() => Ok(()),
    }
}

async fn follow(args: &TailArgs) -> Result<(), TailError> {
    let remote = Remote {
        url: &args.server.url,
        key: args.key.as_deref(),
        token: args.server.control_token.as_deref(),
    };
    let colours = log::has_colours(
        io::stdout().is_terminal(),
        std::env::var_os("NO_COLOR").as_deref(),
    );
    let look = Look {
        colours,
        full: args.full,
    };
    let scope = if args.key.is_some() {
        ""
    } else {
        "?workspace=*"
    };
    let mut events = remote.listen(&format!("events{scope}")).await?;
    let ready = format!("listening to {}; Ctrl-C ends\n", args.server.url);
    io::stderr().lock().write_all(ready.as_bytes()).ok();
    while let Some(event) = events.next().await? {
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else {
            continue;
        };
        let text = match event.event.as_str() {
            "request_ended" if is_wanted(args, &data) => {
                look.turn(&data, exchange(&remote, &data).await?.as_ref())
            }
            "request_begun" | "request_ended" => continue,
            kind => look.event(kind, &data),
        };
        match io::stdout().lock().write_all(text.as_bytes()) {
            Ok(()) => {}
            // A reader that has left is no reason to fail.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(TailError::Print(error.into())),
        }
    }
    Err(TailError::Gone)
}

fn is_wanted(args: &TailArgs, data: &Value) -> bool {
    let path = args.path.as_deref();
    path.is_none_or(|path| data["path"] == path)
}

/// The journal's entry of a request, bodies and all; `None` if it is kept no more.
async fn exchange(remote: &Remote<'_>, data: &Value) -> Result<Option<Value>, TailError> {
    let (Some(id), Some(workspace)) = (data["request_id"].as_str(), data["workspace"].as_str())
    else {
        return Ok(None);
    };
    let call = format!("journal/{id}?workspace={workspace}");
    match remote.get::<Value>(&call).await {
        Ok(exchange) => Ok(Some(exchange)),
        // It made room for others meanwhile.
        Err(RemoteError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
