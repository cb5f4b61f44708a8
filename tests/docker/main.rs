//! Sandboxes on a real Docker engine. Skipped, and said so, where none answers; with `docker` in
//! `SANDTABLE_TEST_REQUIRE` a missing engine is a failure.

mod bench;
mod documented;
mod failure;
mod inside;
mod launcher;
mod life;
