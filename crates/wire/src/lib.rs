//! The API's types and SSE framing. No I/O, nothing of the server.
//!
//! Output types serialise with the key order of the recordings. Input is decoded by [`decode`], which
//! reports the service's own paths and texts.

pub mod block;
pub mod decode;
pub mod event;
pub mod files;
pub mod hosted;
pub mod kinds;
pub mod member;
pub mod refusal;
pub mod request;
pub mod sse;
pub mod timestamp;
mod tool_error;
pub mod usage;
pub mod usual;
pub mod web;
mod words;

pub use tool_error::{
    OF_ADVISOR, OF_BASH, OF_EDITOR, OF_FETCH, OF_PYTHON, OF_SEARCH, OF_TOOL_SEARCH, ToolErrorCode,
};
