//! `sandtable mcp`: a server that runs, as tools for a coding agent.

mod tools;

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::net::Ipv4Addr;

use axum::Router;
use rmcp::ServiceExt as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService, stdio};
use tokio::net::TcpListener;

use super::args::McpArgs;
use super::remote::RemoteError;
use super::signals::Signals;
use common::hinted::Hinted;
use tools::Tools;

/// Why there are no tools, or no longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum McpError {
    #[error(transparent)]
    Server(#[from] RemoteError),
    #[error("cannot listen on port {port}: {source}")]
    Listen { port: u16, source: io::Error },
    #[error("cannot talk to the client: {0}")]
    Client(#[source] Box<dyn Error + Send + Sync>),
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
}

impl Hinted for McpError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Server(error) => error.hint(),
            Self::Listen { .. } => Some("`--http 0` takes a free one".into()),
            Self::Client(_) | Self::Signals(_) => None,
        }
    }
}

/// Serves until the client leaves, or over HTTP until a signal.
pub(super) async fn run(args: McpArgs) -> Result<(), McpError> {
    let place = args.place;
    let tools = Tools::new(place.server.url, place.server.control_token, place.key);
    // A wrong address is told at once, not at the first call.
    tools.greet().await?;
    match args.http {
        None => over_pipes(tools).await,
        Some(port) => over_http(tools, port).await,
    }
}

async fn over_pipes(tools: Tools) -> Result<(), McpError> {
    let service = tools.serve(stdio()).await;
    let service = service.map_err(|error| McpError::Client(error.into()))?;
    let ended = service.waiting().await;
    ended.map_err(|error| McpError::Client(error.into()))?;
    Ok(())
}

async fn over_http(tools: Tools, port: u16) -> Result<(), McpError> {
    let mut signals = Signals::listen().map_err(McpError::Signals)?;
    let listen = |source| McpError::Listen { port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    // Loopback names alone are answered, and no page of a browser.
    let config = StreamableHttpServerConfig::default().enforce_origin_validation();
    let end = config.cancellation_token.clone();
    let service = StreamableHttpService::new(
        move || Ok(tools.clone()),
        LocalSessionManager::default().into(),
        config,
    );
    // Nobody need read it.
    super::print(&format!("http://{address}/mcp\n")).ok();
    let server = axum::serve(listener, Router::new().nest_service("/mcp", service));
    let server = server.with_graceful_shutdown(async move {
        signals.next().await;
        end.cancel();
    });
    server.await.map_err(|error| McpError::Client(error.into()))
}
