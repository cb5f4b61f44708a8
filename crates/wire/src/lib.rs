//! The API's types. serde only, no I/O.

pub mod files;
pub mod timestamp;
