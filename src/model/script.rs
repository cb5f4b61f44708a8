//! Placeholder.
use super::{Model, ModelError, TurnRequest};
#[derive(Debug, Clone, Default)]
pub struct Scripts;
impl Scripts {
    pub fn is_empty(&self) -> bool {
        true
    }
    pub fn resume(&self, _: &TurnRequest) -> Result<Option<Box<dyn Model>>, ModelError> {
        Ok(None)
    }
    pub fn start(&self, _: &TurnRequest) -> Result<Box<dyn Model>, ModelError> {
        Err(ModelError {
            message: String::new(),
        })
    }
}
