//! Tests of the server over a real socket, without Docker: one binary, one file per subject.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

mod harness;

mod answers;
mod containers;
mod continuations;
mod failures;
mod faults;
mod fixtures;
mod fold;
mod house;
mod programmatic;
mod quirks;
mod recordings;
mod refusals;
mod sockets;
mod tools;
