//! The official SDKs, and libraries that are built on them, used the way their users use them, against a
//! fresh server with real sandboxes.
//!
//! Each test is a program of a folder here, run by a real interpreter with a server and an API key of
//! its own. What is missing (an SDK, an engine) is said aloud and skipped; with `sdk` or `docker` in
//! `SANDTABLE_TEST_REQUIRE` it is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

mod clients;
mod control;
mod examples;
mod front;
mod generated;
#[path = "../shared/image.rs"]
mod image;
mod init;
mod interpreter;
mod kubernetes;
mod libraries;
mod mcp;
mod program;
#[path = "../shared/programs.rs"]
mod programs;
#[path = "../shared/proxy.rs"]
mod proxy;
mod python;
mod readme;
mod recipes;
mod recorded;
mod run;
mod sdks;
mod server;
mod shell;
mod sweep;
mod typescript;
mod workshop;

use image::require;
