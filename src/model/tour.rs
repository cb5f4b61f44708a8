//! Placeholder.
use super::{Model, TurnRequest};
pub fn answer(_: &TurnRequest) -> Option<Box<dyn Model>> {
    None
}
