//! The daemon inside a sandbox: one implementation for every backend.
//!
//! It speaks frames on stdin and stdout, runs programs, edits files, and moves files in and out. One
//! thread, one poll loop; nothing here may block, whatever user code puts into the file system.
#![cfg(target_os = "linux")]

pub mod bpf;
mod capture;
mod child;
mod daemon;
mod decoy;
mod directory;
mod disk;
mod door;
mod editor;
mod ended;
mod environment;
mod exec;
mod files;
mod filter;
mod lease;
pub mod notify;
mod out;
mod outputs;
mod pod;
mod probe;
mod repl;
pub mod room;
mod sinks;
mod skill;
mod sys;
mod tree;

pub use daemon::{run, run_confined};
pub use guest_proto::GENERATION;
pub use pod::{INSTALL, PROBE, REACHED, RELAY, WAIT, obey};
