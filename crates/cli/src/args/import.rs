//! Arguments of `import`.

use std::path::PathBuf;

use clap::Args;

use super::values::json_path;

/// Flags of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Recordings, or folders of them.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Folder for the cassettes.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Let what this JSON path names differ on replay, such as `$.system`; may be given again.
    #[arg(long, value_name = "PATH", value_parser = json_path)]
    pub ignore: Vec<String>,
}
