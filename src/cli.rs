//! The commands, as functions.

pub mod doctor;
pub mod image;
