//! Flags of the commands that ask a server that runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// A server that runs.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:4010",
        env = "ANTHROPIC_BASE_URL"
    )]
    pub url: String,
    /// The server's control token, if it has one.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "SANDTABLE_CONTROL_TOKEN",
        hide_env_values = true
    )]
    pub(crate) control_token: Option<String>,
}

/// One workspace of a server that runs.
#[derive(Debug, Args)]
pub(crate) struct WorkspaceArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// The API key whose workspace is meant; needed where there are several.
    #[arg(
        long,
        value_name = "KEY",
        env = "ANTHROPIC_API_KEY",
        hide_env_values = true
    )]
    pub key: Option<String>,
}

/// Flags of `usage`.
#[derive(Debug, Args)]
pub(crate) struct UsageArgs {
    #[command(flatten)]
    pub place: WorkspaceArgs,
    /// Such as 2026-11; the present month of the workspace's clock without it.
    #[arg(long, value_name = "MONTH")]
    pub(crate) month: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// The API key whose workspace is meant; all workspaces without it.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// The workspace that is meant; all without it.
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    pub workspace: Option<String>,
    #[command(flatten)]
    pub report: ReportArgs,
}

/// The outputs of a verdict, and the strictness that it is judged with.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Write the verdict as XML for CI servers, as `JUnit` does.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the verdict as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write what of the service was met as JSON, and add it to what the file has already.
    #[arg(long, value_name = "FILE", env = "SANDTABLE_COVERAGE")]
    pub coverage: Option<PathBuf>,
    /// The mildest lint that makes the verdict bad.
    #[arg(
        long,
        value_enum,
        value_name = "LEVEL",
        default_value_t,
        env = "SANDTABLE_LINTS"
    )]
    pub lints: LintsArg,
    /// Take a run for good in which no API request was answered.
    #[arg(long, env = "SANDTABLE_ALLOW_EMPTY")]
    pub(crate) allow_empty: bool,
    /// Take it for good that a request whose answer was lost was carried out again.
    #[arg(long, env = "SANDTABLE_ALLOW_DUPLICATES")]
    pub(crate) allow_duplicates: bool,
    /// Take it for good that recorded exchanges were not asked for.
    #[arg(long, env = "SANDTABLE_ALLOW_UNUSED_RECORDINGS")]
    pub(crate) allow_unused_recordings: bool,
}

/// Values of `--lints`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintsArg {
    /// None does.
    Off,
    /// What the service punishes silently.
    #[default]
    Error,
    /// Also what may be meant so, such as an output file that nobody fetched.
    Warning,
}

impl LintsArg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Flags of `mcp`.
#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    #[command(flatten)]
    pub place: WorkspaceArgs,
    /// Serve over HTTP at /mcp on this port of the loopback address, instead of standard input and output; 0 takes a
    /// free one.
    #[arg(long, value_name = "PORT")]
    pub http: Option<u16>,
}

/// Flags of `tail`.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// The API key whose workspace is meant; all workspaces without it.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Requests of this path alone, such as /v1/messages.
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// Print texts, code, and outputs whole, not their first lines.
    #[arg(long)]
    pub full: bool,
}
