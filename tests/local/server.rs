//! Whole servers, killed.
