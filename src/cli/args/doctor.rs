//! Flags of the commands that help a newcomer.

use clap::Args;

use super::ServeArgs;

/// Flags of `doctor`: those of the server that it looks at, and its own.
#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Print the `AppArmor` profile that lets this program make sandboxes as an ordinary user, and end.
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) apparmor: bool,
    /// The server that is meant: what would keep it from starting is said.
    #[command(flatten)]
    pub(in crate::cli) serve: ServeArgs,
}

/// Flags of `docs`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DocsArgs {
    /// The page, such as `cassettes`; without it the list of pages.
    pub(in crate::cli) page: Option<String>,
}
