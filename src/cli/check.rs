//! Stub.
#[derive(Debug)]
pub struct Report;
impl Report {
    pub fn exit_code(&self) -> u8 {
        0
    }
}
impl std::fmt::Display for Report {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
pub fn check(_: &[std::path::PathBuf]) -> Report {
    Report
}
