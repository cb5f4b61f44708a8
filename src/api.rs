//! The emulated surface: routes, one handler per endpoint, and the shapes of failure.

pub(crate) mod error;
pub(crate) mod extract;
pub(crate) mod files;
pub(crate) mod multipart;
