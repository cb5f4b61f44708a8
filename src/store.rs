//! Rows in SQLite, bytes in a directory.

/// A cheap handle to the store.
#[derive(Debug, Clone)]
pub struct Store;
