//! Tests of the client against the real guest, as an ordinary process.
