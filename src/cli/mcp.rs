//! `sandtable mcp`: a server that runs, as tools for a coding agent.

mod tools;

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
use tools::Tools;

/// Why there are no tools, or no longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum McpError {
    #[error(transparent)]
    Server(#[from] RemoteError),
    #[error("cannot listen on port {port}: {source}\n  hint: `--http 0` takes a free one")]
    Listen { port: u16, source: io::Error },
    #[error("cannot talk to the client: {0}")]
    Client(String),
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
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
    let client = |error: &dyn std::fmt::Display| McpError::Client(error.to_string());
    let service = tools.serve(stdio()).await.map_err(|error| client(&error))?;
    service.waiting().await.map_err(|error| client(&error))?;
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
    super::print(&format!("http://{address}/mcp\n"));
    let server = axum::serve(listener, Router::new().nest_service("/mcp", service));
    let server = server.with_graceful_shutdown(async move {
        signals.next().await;
        end.cancel();
    });
    server
        .await
        .map_err(|error| McpError::Client(error.to_string()))
}
