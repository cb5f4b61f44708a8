//! Sandboxes on a real Docker engine. Skipped, and said so, where none answers; with `docker` in
//! `SANDTABLE_TEST_REQUIRE` a missing engine is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

#[macro_use]
#[path = "../shared/backend.rs"]
mod backend;

mod bare;
mod bench;
mod documented;
mod failure;
mod faults;
mod images;
mod launcher;
mod lease;
mod remote;

#[path = "../contract/calls.rs"]
mod calls;
#[path = "../contract/cells.rs"]
mod cells;
#[path = "../contract/inside.rs"]
mod inside;
#[path = "../contract/life.rs"]
mod life;
#[path = "../contract/talk.rs"]
mod talk;
