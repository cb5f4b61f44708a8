//! Sandboxes without Docker. Skipped, and said so, where this machine forbids them; with `local` in
//! `SANDTABLE_TEST_REQUIRE` that is a failure.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

mod bench;
mod contained;
mod forms;
mod hardening;
mod landlock;
mod limits;
#[path = "../shared/programs.rs"]
mod programs;
mod server;
mod user;

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
