//! sandtable: a local emulator for the code execution side of Anthropic's API.
//!
//! `docs/ARCHITECTURE.md` has the map and the invariants.

mod api;
mod app;
pub mod cli;
pub mod clock;
pub mod ids;
pub mod limits;
pub mod model;
pub mod sandbox;
pub mod store;
pub mod workspace;
