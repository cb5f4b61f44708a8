//! The base of all other crates: time, ids, limits, errors in words, documents, files, and reports.

pub mod bounded;
pub mod clock;
pub mod document;
pub mod filename;
pub mod header;
pub mod hinted;
pub mod ids;
pub mod input;
pub mod json;
pub mod junit;
pub mod limits;
pub mod lossy;
pub mod private;
pub mod terminal;
pub mod work;
pub mod xml;
