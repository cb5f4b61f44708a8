//! The service of every connection: requests of the emulated surface go there at once, the others through the
//! router. A message has one path among a few that is asked for again and again; the router finds it by clones and
//! boxes that cost as much as the handler.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use axum::serve::IncomingStream;
use tower::Service;

use super::wire::Listening;
use crate::api::{self, Connection};
use crate::app::App;

/// Makes a [`Front`] for each connection.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    app: App,
    router: Router,
}

impl Connections {
    pub(super) fn new(app: App, router: Router) -> Self {
        Self { app, router }
    }
}

impl Service<IncomingStream<'_, Listening>> for Connections {
    type Response = Front;
    type Error = Infallible;
    type Future = Ready<Result<Front, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, stream: IncomingStream<'_, Listening>) -> Self::Future {
        ready(Ok(Front {
            app: self.app.clone(),
            router: self.router.clone(),
            connection: stream.io().connection(),
        }))
    }
}

/// Both surfaces, over one connection.
#[derive(Debug, Clone)]
pub(super) struct Front {
    app: App,
    router: Router,
    connection: Connection,
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let connection = self.connection.clone();
        if api::is_below(request.uri().path()) {
            let app = self.app.clone();
            return Box::pin(async move { Ok(api::through(app, connection, request).await) });
        }
        request.extensions_mut().insert(ConnectInfo(connection));
        Box::pin(self.router.call(request))
    }
}
