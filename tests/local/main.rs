//! Sandboxes without Docker.
