//! Placeholder.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    #[error("the guest is gone")]
    Gone,
}
