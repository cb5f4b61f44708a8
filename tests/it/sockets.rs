//! Behavior that only a real socket shows: arrival times, clients that leave or dawdle, and HTTP at its edges.

mod bodies;
mod browsers;
mod halves;
mod streams;
