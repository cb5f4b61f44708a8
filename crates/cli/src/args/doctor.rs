//! Flags of the commands that help a newcomer.

use clap::Args;

use super::ServeArgs;

/// Flags of `doctor`: those of the server that it looks at, and its own.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print the `AppArmor` profile that lets this program make sandboxes as an ordinary user, and end.
    #[arg(long, conflicts_with = "json")]
    pub apparmor: bool,
    /// The server that is meant: what would keep it from starting is said.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// Flags of `docs`.
#[derive(Debug, Args)]
pub(crate) struct DocsArgs {
    /// The page, such as `cassettes`; without it the list of pages.
    pub page: Option<String>,
}
