//! sandtable: a local emulator for the code execution side of Anthropic's API.
//!
//! `docs/ARCHITECTURE.md` has the map and the invariants.

mod api;
mod app;
mod backend;
mod batch;
pub mod billing;
pub mod cassette;
pub mod cli;
pub mod clock;
pub mod config;
mod container;
mod control;
pub mod engine;
pub mod events;
pub mod fault;
pub mod ids;
pub mod journal;
pub mod limits;
pub mod lint;
pub mod model;
pub mod quirks;
pub mod rate;
pub mod sandbox;
pub mod server;
mod skills;
pub mod store;
pub mod verify;
pub mod workspace;
