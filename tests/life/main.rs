//! The life of a server and its containers, with the real program: killed, restarted, left by its
//! clients. Skipped, and said so, where nothing runs code; with the backend's name in
//! `SANDTABLE_TEST_REQUIRE` a missing one is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

mod batches;
mod belongings;
mod clients;
mod coverage;
mod doctor;
mod drift;
mod ends;
mod front;
mod http;
mod import;
mod kills;
mod leaving;
mod ledger;
mod live;
mod outputs;
#[path = "../shared/programs.rs"]
mod programs;
#[path = "../shared/proxy.rs"]
mod proxy;
mod recording;
#[path = "../shared/require.rs"]
mod require;
mod restart;
mod server;
mod signals;
mod sizes;
mod small;
mod state;
mod sweep;
mod tail;
mod traces;
