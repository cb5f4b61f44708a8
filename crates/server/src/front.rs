//! Connections, and the service of every one: requests of the emulated surface go there at once, the others through
//! the router. A message has one path among a few that is asked for again and again; the router finds it by clones and
//! boxes that cost as much as the handler.
//!
//! hyper is called without `axum::serve`, which asks each connection first whether it speaks HTTP/2: to look at the answer
//! it reads the first bytes apart, and hyper then makes a buffer of twice the size, which stays as long as the connection.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use axum::serve::Listener as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tower::Service as _;

use super::wire::{Listening, Wire};
use crate::api::{self, Connection};
use crate::app::App;

/// The service of all connections.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    app: App,
    router: Router,
}

impl Connections {
    pub(super) fn new(app: App, router: Router) -> Self {
        Self { app, router }
    }

    /// Takes connections until the server stops, and then serves the requests that are open to their ends.
    pub(super) async fn serve(self, mut listener: Listening, stopped: watch::Receiver<bool>) {
        // Every connection holds one of these.
        let (all, open) = watch::channel(());
        let mut stop = pin!(until(stopped.clone()));
        loop {
            let (wire, _) = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            let front = Front {
                app: self.app.clone(),
                router: self.router.clone(),
                connection: wire.connection(),
            };
            let (stopped, open) = (stopped.clone(), open.clone());
            tokio::spawn(async move {
                connection(wire, front, stopped).await;
                drop(open);
            });
        }
        drop((listener, open));
        all.closed().await;
    }
}

async fn connection(wire: Wire, front: Front, stopped: watch::Receiver<bool>) {
    let mut builder = http1::Builder::new();
    // What ends with its client, the wire ends.
    builder.half_close(true);
    let mut served = pin!(builder.serve_connection(TokioIo::new(wire), front));
    let done = tokio::select! {
        biased;
        done = &mut served => done,
        () = until(stopped) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    match done {
        // hyper has answered it, with a status and no body, or not at all.
        Err(error) if error.is_parse() => {
            tracing::info!(target: api::REQUESTS, %error, "refused: no HTTP/1.1 that can be read");
        }
        Err(error) => tracing::trace!(%error, "a connection ends"),
        Ok(()) => {}
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the server is gone: stop as well.
    stopped.wait_for(|stop| *stop).await.ok();
}

/// Both surfaces, over one connection.
#[derive(Debug)]
struct Front {
    app: App,
    router: Router,
    connection: Connection,
}

impl hyper::service::Service<hyper::Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let connection = self.connection.clone();
        if api::is_below(request.uri().path()) {
            let app = self.app.clone();
            return Box::pin(async move { Ok(api::through(app, connection, request).await) });
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(connection));
        Box::pin(self.router.clone().call(request))
    }
}
