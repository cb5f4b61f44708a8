//! Helpers that the tests share: a server of their own, a client that sees every byte, two kinds of sandbox, and
//! transcripts.

pub(crate) mod canned;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod sse;
pub(crate) mod transcript;

pub(crate) use canned::Canned;
pub(crate) use http::{Connection, Request, Response};
pub(crate) use process::Processes;
pub(crate) use server::TestServer;
