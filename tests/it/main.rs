//! Tests of the server over a real socket, without Docker: one binary, one file per subject.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

#[macro_use]
#[path = "../shared/backend.rs"]
mod backend;
#[macro_use]
mod launches;

mod harness;

mod answers;
mod batches;
mod billing;
mod blocks;
mod cassettes;
mod circles;
mod compactions;
mod compiler;
mod conforming;
mod containers;
mod continuations;
mod control;
mod coverage;
mod depth;
mod determinism;
mod duplicates;
mod ended;
mod error_types;
mod errors;
mod events;
mod expiry;
mod failures;
mod faults;
mod files;
mod fixtures;
mod fold;
mod generated;
mod house;
mod isolation;
mod journal;
mod links;
mod lints;
mod models;
#[path = "../openapi.rs"]
mod openapi;
mod pages;
mod programmatic;
#[path = "../shared/programs.rs"]
mod programs;
mod quirks;
mod rates;
mod recordings;
mod refusals;
mod results;
mod reuse;
mod runs;
mod service;
mod skills;
mod sockets;
mod state;
mod threads;
mod today;
mod tools;
mod toolsets;
mod tour;
mod turn_faults;
mod turns;
mod uploads;
mod verify;
mod web;
mod wildcards;
mod wires;
