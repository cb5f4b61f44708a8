//! Sandboxes on a real Docker engine. Skipped, and said so, where none answers; with `docker` in
//! `SANDTABLE_TEST_REQUIRE` a missing engine is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

mod bench;
mod documented;
mod failure;
mod faults;
mod inside;
mod launcher;
mod life;
