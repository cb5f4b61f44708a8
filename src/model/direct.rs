//! Placeholder.
use super::{CallResult, Model, ModelError, Step, TurnRequest};
#[derive(Debug)]
struct Direct;
impl Model for Direct {
    fn source(&self) -> &str {
        "direct"
    }
    fn next(&mut self, _: &[CallResult]) -> Result<Option<Step>, ModelError> {
        Ok(None)
    }
    fn park(self: Box<Self>, _: &[String]) {}
}
pub fn answer(_: &TurnRequest) -> Box<dyn Model> {
    Box::new(Direct)
}
