//! One request: what comes in, and what goes out beside its answer.
//!
//! The layers of `routes.rs` hand it on to each other and to a handler. A handler returns its answer or an
//! [`ApiError`]; what the journal is to know of the two is put into [`Noted`], and nothing travels in an answer's
//! extensions.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, HttpBody as _};
use axum::extract::Query;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;

use crate::api::caller::Caller;
use crate::api::coding;
use crate::api::error::{ApiError, ApiResult};
use crate::api::shaped::Connection;
use crate::app::App;
use engine::Report;
use workspace::journal::Mark;
use workspace::lint::Lint;

/// The result of a handler or a layer for an exchange.
pub(super) type Outcome = ApiResult<Response>;

/// The parameters of a query, decoded.
pub(crate) type Pairs = Vec<(String, String)>;

/// A request under `/v1` whose caller is known.
#[derive(Debug)]
pub(super) struct Exchange {
    pub app: App,
    pub connection: Connection,
    pub caller: Caller,
    pub head: Parts,
    /// Until somebody reads it; what nobody reads goes with the exchange. Never locked: a body alone could not be
    /// looked at from two threads, and handlers share the rest.
    body: Mutex<Body>,
    pub noted: Noted,
}

/// The parts of an exchange that go into the journal.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    pub request: Option<Bytes>,
    pub response: Option<Bytes>,
    /// The answer's body is noted as it passes by, though it is no stream.
    pub passes: bool,
    /// The service that is recorded has given it, and says itself whom it serves.
    pub of_service: bool,
    /// A fault may change what leaves of a turn's answer: coverage counts what was sent.
    pub as_sent: bool,
    /// The answer's length, where it was not noted, or not all of it.
    pub passed_bytes: Option<u64>,
    /// The file that came, or that leaves: its length, and its SHA-256.
    pub file: Option<(u64, [u8; 32])>,
    /// The turn's own report; read when the answer is complete.
    pub report: Option<Arc<Mutex<Report>>>,
    /// Mistakes that are seen where nothing is carried out.
    pub lints: Vec<Lint>,
    /// When which part of a stream was out.
    pub(crate) marks: Vec<Mark>,
}

impl Exchange {
    pub(super) fn new(
        (app, connection): (App, Connection),
        caller: Caller,
        (head, body): (Parts, Body),
    ) -> Self {
        Self {
            app,
            connection,
            caller,
            head,
            body: Mutex::new(body),
            noted: Noted::default(),
        }
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The body, for whoever reads it; the 400 for one with a coding, which nobody undoes.
    pub(crate) fn take_body(&mut self) -> ApiResult<Body> {
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !body.is_end_stream() {
            coding::check(&self.head.headers)?;
        }
        Ok(std::mem::take(body))
    }

    /// Gives a body back that was looked at.
    pub(crate) fn put_body(&mut self, body: Body) {
        self.body = Mutex::new(body);
    }

    /// The parameters, or the 400 for a query that cannot be decoded.
    pub(super) fn query(&self) -> ApiResult<Pairs> {
        Query::try_from_uri(&self.head.uri)
            .map(|Query(pairs)| pairs)
            .map_err(|error| ApiError::invalid(error.body_text()))
    }
}
