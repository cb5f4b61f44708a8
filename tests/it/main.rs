//! Tests of the server over a real socket, without Docker: one binary, one file per subject.

mod harness;

mod answers;
mod containers;
mod continuations;
mod failures;
mod faults;
mod fixtures;
mod fold;
mod house;
mod quirks;
mod recordings;
mod refusals;
mod sockets;
mod tools;
