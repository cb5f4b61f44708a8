//! Command-line arguments. Those of a server become its configuration in `config`.

mod backend;
mod callers;
mod config;
mod doctor;
mod drift;
mod ground;
mod import;
mod isolation;
mod kubernetes;
mod reports;
mod running;
mod secrets;
mod several;
mod shell;
mod sweep;
mod values;

use std::borrow::Cow;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use backend::BackendArg;
use cassette::{Mode, Pace, Upstream};
use common::document::Diagnostic;
use common::hinted::{Hinted, Place};
use common::limits;
pub(super) use doctor::{DocsArgs, DoctorArgs};
pub(super) use drift::{ConformArgs, DriftArgs, SendArgs};
pub(super) use ground::{GroundArgs, backends_of};
pub(super) use import::ImportArgs;
use kubernetes::KubernetesArgs;
pub(super) use reports::{CoverageArgs, LiveArgs};
pub(super) use running::{McpArgs, ReportArgs, TailArgs, UsageArgs, VerifyArgs};
use sandbox::docker::image::Flavor;
use several::{Each, Several};
pub(super) use shell::{CompletionsArgs, InitArgs, ManArgs, Project};
pub(super) use sweep::{ShrinkArgs, SweepArgs, SweepCommand, SweepHow};
pub(super) use values::LogFormat;
use values::{UnmatchedArg, alias, collector, json_path, pattern, port, profile, quirk};
use workspace::quirks::Profile;
use workspace::rate::RateLimit;

/// Names the file of settings; the flag is `--config`.
pub(super) const CONFIG_VARIABLE: &str = "SANDTABLE_CONFIG";

/// A local emulator for the code execution side of Anthropic's API.
///
/// Without a command it serves: point an SDK's base URL at it and use any API key.
#[derive(Debug, Parser)]
#[command(
    name = "sandtable",
    version = VERSION,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    after_help = MORE
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
}

/// The version of this program and, in a release, the commit that it was built of.
pub(super) const VERSION: &str = env!("SANDTABLE_VERSION");

/// Where a server listens that is not told.
const DEFAULT_PORT: u16 = 4010;

const MORE: &str = "\
`-h` shows the flags used most, `--help` all of them. Each has an environment variable, and each but --config a line in
sandtable.toml without its dashes (`sandtable docs settings`).";

const EXIT_CODES: &str = "\
Exit code: the command's own if it is not 0 (128 and the signal's number if a signal ended it),
3 if the command ended well and the verdict is bad, 126 or 127 if the command cannot be started,
2 for a mistake in flags, scripts, or faults, 1 if the server does not start or a report cannot be written.";

const SWEEP_CODES: &str = "\
Exit code: 0 if all runs came out as they can, 3 if one did not (with --baseline: one that did before), or if the command
fails without faults; 130 after Ctrl-C, 126 or 127 if the command cannot be started, 2 for a mistake in flags, scripts, or
faults, 1 if the server does not start or a report cannot be written.";

const DRIFT_EXIT_CODES: &str = "\
The key is read from ANTHROPIC_API_KEY alone.
Exit code: 0 if nothing differs, 1 if something does, a recording has expired, or a report cannot be written,
2 for a mistake in what was given, and where nothing was sent for want of --yes.";

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start the server (also without a command).
    Serve(Box<ServeArgs>),
    /// Answer from recordings, without a sandbox; with --live, run what they recorded again.
    Replay(Box<ReplayArgs>),
    /// Pass requests on to the real service, or to any other server, and record what passes.
    Record(Box<RecordArgs>),
    /// Check script files and say what is wrong, with file, line, and column.
    Check(CheckArgs),
    /// Look after the image that Docker sandboxes run.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Say what works on this machine and what the next step is.
    Doctor(Box<DoctorArgs>),
    /// Print a page of the documentation, or the list of pages.
    Docs(DocsArgs),
    /// Print each turn of a server that runs: what was said and called, and what came of it.
    Tail(TailArgs),
    /// Let a coding agent look at and steer a server that runs, by the Model Context Protocol.
    Mcp(McpArgs),
    /// Write a first script, a test, and a CI file into a project.
    Init(InitArgs),
    /// Print the JSON schema of scripts, for editors.
    Schema,
    /// Print completions for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command.
    Man(ManArgs),
    /// Say what a running server's turns would have cost.
    Usage(UsageArgs),
    /// Turn others' recordings (VCR, HAR, bare bodies, aimock) into cassettes.
    Import(ImportArgs),
    /// Send recorded requests to the service again, and tell how the shape of its answers has changed.
    #[command(after_help = DRIFT_EXIT_CODES)]
    Drift(Box<DriftArgs>),
    /// Ask the service, or a server of this program, whether the facts hold that this program keeps to.
    #[command(after_help = DRIFT_EXIT_CODES)]
    Conform(Box<ConformArgs>),
    /// Start a server, run a command against it, and say whether all went as scripted.
    #[command(after_help = EXIT_CODES)]
    Run(Box<RunArgs>),
    /// Run a command once for each fault at each of its requests, and say what became of it.
    #[command(after_help = SWEEP_CODES)]
    Sweep(Box<SweepArgs>),
    /// Say whether all went as scripted on a server that runs.
    Verify(VerifyArgs),
    /// Say what of the service tests have met, and what would show them the rest.
    Coverage(CoverageArgs),
}

/// Flags of `serve`. Each has an environment variable; a flag wins over it.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) ground: GroundArgs,
    /// Address to listen on; beyond loopback --control-token or --open-control is required.
    #[arg(
        long,
        value_name = "IP",
        env = "SANDTABLE_HOST",
        help_heading = "Server"
    )]
    pub(super) host: Option<IpAddr>,
    /// Port to listen on; 0 takes a free one [default: 4010; a free one for a command behind `--`].
    #[arg(long, env = "SANDTABLE_PORT", value_parser = port, help_heading = "Server")]
    pub(super) port: Option<u16>,
    /// Keep files and containers in this directory; otherwise they end with the server.
    #[arg(
        long,
        value_name = "DIR",
        env = "SANDTABLE_DATA_DIR",
        help_heading = "Server"
    )]
    pub(super) data_dir: Option<PathBuf>,
    /// Whether `local` installs the documented libraries when they are missing.
    #[arg(
        long,
        value_enum,
        default_value_t,
        env = "SANDTABLE_PROVISION",
        help_heading = "Sandboxes",
        hide_short_help = true
    )]
    pub(super) provision: ProvisionArg,
    /// Script file or folder of scripts; may be given again. Edits are picked up.
    #[arg(
        long = "script",
        value_name = "PATH",
        env = "SANDTABLE_SCRIPT",
        value_delimiter = ',',
        help_heading = "Scripts and time"
    )]
    pub(super) scripts: Vec<PathBuf>,
    /// What answers a turn that no rule matches while scripts are loaded.
    #[arg(
        long,
        value_enum,
        default_value_t,
        env = "SANDTABLE_ON_UNMATCHED",
        help_heading = "Scripts and time",
        hide_short_help = true
    )]
    pub(super) on_unmatched: UnmatchedArg,
    /// Make ids the same in every run.
    #[arg(
        long,
        value_name = "NUMBER",
        env = "SANDTABLE_SEED",
        help_heading = "Scripts and time"
    )]
    pub(super) seed: Option<u64>,
    /// Let every clock begin at this time (RFC 3339) and stand still, also after a reset.
    #[arg(
        long,
        value_name = "TIME",
        env = "SANDTABLE_FROZEN_AT",
        value_parser = values::time,
        help_heading = "Scripts and time",
        hide_short_help = true
    )]
    pub(super) frozen_at: Option<DateTime<Utc>>,
    #[command(flatten)]
    pub(super) kubernetes: KubernetesArgs,
    /// Seconds without use after which a container's processes end; its files stay.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, env = "SANDTABLE_IDLE_TIMEOUT", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Sandboxes", hide_short_help = true)]
    pub(super) idle_timeout: u64,
    /// Seconds after which a command or program gets `execution_time_exceeded`.
    #[arg(long, value_name = "SECONDS", default_value_t = limits::BASH_TIMEOUT.as_secs(), env = "SANDTABLE_CALL_TIMEOUT", value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "Sandboxes", hide_short_help = true)]
    pub(super) call_timeout: u64,
    /// Seconds after which a cell of Python is ended; waiting for the client does not count.
    #[arg(long, value_name = "SECONDS", default_value_t = limits::CELL_TIMEOUT.as_secs(), env = "SANDTABLE_CELL_TIMEOUT", value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "Sandboxes", hide_short_help = true)]
    pub(super) cell_timeout: u64,
    /// Seconds that a cell waits for those before it; then it gets `too_many_requests`.
    #[arg(long, value_name = "SECONDS", default_value_t = limits::CELL_QUEUE_TIMEOUT.as_secs(), env = "SANDTABLE_CELL_QUEUE_TIMEOUT", value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "Sandboxes", hide_short_help = true)]
    pub(super) cell_queue_timeout: u64,
    /// Docker sandboxes, or pods, that are started ahead, so that a new container has one at once.
    #[arg(long, value_name = "COUNT", default_value_t = 0, env = "SANDTABLE_WARM", value_parser = clap::value_parser!(u64).range(0..=limits::MAX_WARM as u64), help_heading = "Sandboxes", hide_short_help = true)]
    pub(super) warm: u64,
    /// Bytes of files one workspace may hold.
    #[arg(long, value_name = "BYTES", default_value_t = limits::STORAGE_QUOTA_BYTES, env = "SANDTABLE_STORAGE_QUOTA", value_parser = values::bytes, help_heading = "Server", hide_short_help = true)]
    pub(super) storage_quota: u64,
    /// Answer this host name, too; may be given again.
    #[arg(
        long = "allow-host",
        value_name = "NAME",
        value_parser = callers::host,
        env = "SANDTABLE_ALLOW_HOST",
        value_delimiter = ',',
        help_heading = "Server",
        hide_short_help = true
    )]
    pub(super) allow_hosts: Vec<String>,
    /// Answer browsers on pages of this origin; may be given again.
    #[arg(
        long = "allow-origin",
        value_name = "ORIGIN",
        value_parser = callers::origin,
        env = "SANDTABLE_ALLOW_ORIGIN",
        value_delimiter = ',',
        help_heading = "Server",
        hide_short_help = true
    )]
    pub(super) allow_origins: Vec<String>,
    /// Hand a span of each request, turn, and call on to this collector (OTLP over HTTP).
    #[arg(
        long,
        value_name = "URL",
        value_parser = collector,
        env = "SANDTABLE_OTLP",
        hide_env_values = true,
        help_heading = "Server",
        hide_short_help = true
    )]
    pub(super) otlp: Option<String>,
    /// Calls under /_sandtable must carry this token.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "SANDTABLE_CONTROL_TOKEN",
        hide_env_values = true,
        help_heading = "Server",
        hide_short_help = true
    )]
    pub(super) control_token: Option<String>,
    /// Let whoever reaches the port make calls under /_sandtable: for containers, where whoever publishes the port
    /// says who that is.
    #[arg(
        long,
        env = "SANDTABLE_OPEN_CONTROL",
        help_heading = "Server",
        hide_short_help = true
    )]
    pub(super) open_control: bool,
    /// Refuse an unknown anthropic-version, and unknown values of anthropic-beta, instead of noting them.
    #[arg(
        long,
        env = "SANDTABLE_STRICT_VERSION",
        help_heading = "Behaviour of the service",
        hide_short_help = true
    )]
    pub(super) strict_version: bool,
    /// Refuse unknown values of anthropic-beta instead of noting them.
    #[arg(
        long,
        env = "SANDTABLE_STRICT_BETAS",
        help_heading = "Behaviour of the service"
    )]
    pub(super) strict_betas: bool,
    /// Answer 404 for models that the list of models lacks instead of taking them.
    #[arg(
        long,
        env = "SANDTABLE_STRICT_MODELS",
        help_heading = "Behaviour of the service"
    )]
    pub(super) strict_models: bool,
    /// Take one tool type for another, such as
    /// `code_execution_20260104=code_execution_20250825`; may be given again.
    #[arg(long = "tool-alias", value_name = "TYPE=TYPE", value_parser = alias, env = "SANDTABLE_TOOL_ALIAS", value_delimiter = ',', help_heading = "Behaviour of the service", hide_short_help = true)]
    pub(super) tool_aliases: Vec<(String, String)>,
    /// State that every new workspace starts from, and returns to on a reset: a file in JSON or YAML, such as
    /// `GET /_sandtable/state` gives.
    #[arg(
        long,
        value_name = "FILE",
        env = "SANDTABLE_STATE",
        help_heading = "Server"
    )]
    pub(super) state: Option<PathBuf>,
    /// File of faults (YAML or JSON) under every workspace; may be given again.
    #[arg(
        long = "faults",
        value_name = "FILE",
        env = "SANDTABLE_FAULTS",
        value_delimiter = ',',
        help_heading = "Behaviour of the service"
    )]
    pub(super) faults: Vec<PathBuf>,
    /// Which source decides where the documents and recorded traffic differ: documented or observed.
    #[arg(long, value_name = "PROFILE", default_value = "documented", value_parser = profile, env = "SANDTABLE_PROFILE", help_heading = "Behaviour of the service", hide_short_help = true)]
    pub(super) profile: Profile,
    /// Set one row of `sandtable docs quirks` apart from the profile; may be given again.
    #[arg(long = "quirk", value_name = "NAME=VALUE", value_parser = quirk, env = "SANDTABLE_QUIRK", value_delimiter = ',', help_heading = "Behaviour of the service", hide_short_help = true)]
    pub(super) quirks: Vec<(String, String)>,
    /// Limit each key, such as `requests=50,input_tokens=30000,output_tokens=8000`, a minute and model;
    /// `model=PREFIX` limits some models only, `files=500` the Files API; may be given again.
    #[arg(
        long = "rate-limit",
        value_name = "LIMIT",
        env = "SANDTABLE_RATE_LIMIT",
        value_delimiter = ';',
        help_heading = "Behaviour of the service",
        hide_short_help = true
    )]
    pub(super) rates: Vec<RateLimit>,
    /// JSON file of token prices over the shipped ones, in dollars for a million tokens.
    #[arg(
        long,
        value_name = "FILE",
        env = "SANDTABLE_PRICES",
        help_heading = "Behaviour of the service",
        hide_short_help = true
    )]
    pub(super) prices: Option<PathBuf>,
    /// Answer from recordings instead of emulating: a cassette or a folder of them; may be given again.
    #[arg(
        long = "cassette",
        value_name = "PATH",
        env = "SANDTABLE_CASSETTE",
        value_delimiter = ',',
        help_heading = "Recordings"
    )]
    pub(super) cassettes: Vec<PathBuf>,
    /// When to record into the cassette: none, once (if there is none yet), new (what it lacks), all
    /// [default: none; all for the command `record`].
    #[arg(
        long = "record",
        value_name = "MODE",
        env = "SANDTABLE_RECORD",
        help_heading = "Recordings",
        hide_short_help = true
    )]
    pub(super) mode: Option<Mode>,
    /// The service that is recorded, such as <https://api.anthropic.com>.
    #[arg(long, value_name = "URL", env = "SANDTABLE_UPSTREAM", hide_env_values = true, value_parser = Upstream::new, help_heading = "Recordings")]
    pub(super) upstream: Option<Upstream>,
    /// How fast recordings answer: none (at once), recorded, or a factor of the recorded times.
    #[arg(
        long,
        value_name = "PACE",
        default_value = "none",
        env = "SANDTABLE_PACE",
        help_heading = "Recordings",
        hide_short_help = true
    )]
    pub(super) pace: Pace,
    /// Let what this JSON path names differ from the recording, such as `$.system`; may be given again. In the
    /// variable commas outside of brackets separate several.
    #[arg(long, value_name = "PATH", env = "SANDTABLE_IGNORE", value_parser = Each(json_path), help_heading = "Recordings")]
    pub(super) ignore: Vec<Several>,
    /// Keep what this regular expression matches out of recordings; may be given again. In the variable commas that
    /// are in no brackets and behind no `\` separate several.
    #[arg(
        long = "redact",
        value_name = "REGEX",
        env = "SANDTABLE_REDACT",
        hide_env_values = true,
        value_parser = Each(pattern),
        help_heading = "Recordings",
        hide_short_help = true
    )]
    pub(super) redact: Vec<Several>,
    /// Keep the value of this environment variable out of recordings; may be given again.
    #[arg(
        long = "redact-env",
        value_name = "NAME",
        env = "SANDTABLE_REDACT_ENV",
        value_delimiter = ',',
        help_heading = "Recordings",
        hide_short_help = true
    )]
    pub(super) redact_env: Vec<String>,
    /// Let tests mount cassettes of this folder through the control API.
    #[arg(
        long,
        value_name = "DIR",
        env = "SANDTABLE_CASSETTE_DIR",
        help_heading = "Recordings",
        hide_short_help = true
    )]
    pub(super) cassette_dir: Option<PathBuf>,
    /// Pass requests of others on the network on to the recorded service.
    #[arg(
        long,
        env = "SANDTABLE_ALLOW_OPEN_PROXY",
        help_heading = "Recordings",
        hide_short_help = true
    )]
    pub(super) allow_open_proxy: bool,
    /// Form of the log on stderr; `SANDTABLE_LOG` chooses what is in it (`sandtable docs logging`).
    #[arg(
        long,
        value_enum,
        default_value_t,
        env = "SANDTABLE_LOG_FORMAT",
        help_heading = "Server",
        hide_short_help = true
    )]
    pub(super) log_format: LogFormat,
    /// Stop when standard input ends, as it does when the program that started this one is gone.
    #[arg(
        long,
        env = "SANDTABLE_STOP_AT_EOF",
        help_heading = "Server",
        hide_short_help = true
    )]
    pub(super) stop_at_eof: bool,
}

/// Values of `--provision`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ProvisionArg {
    /// Install them once, when code is first run.
    #[default]
    Auto,
    /// Do without; imports of missing libraries fail.
    Never,
}

/// Arguments that make no sense.
#[derive(Debug, thiserror::Error)]
pub(super) enum UsageError {
    /// Together.
    #[error("{message}")]
    Flags { message: String, hint: &'static str },
    #[error(transparent)]
    Prices(#[from] Diagnostic),
}

impl Hinted for UsageError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Flags { hint, .. } => Some((*hint).into()),
            Self::Prices(error) => error.hint(),
        }
    }

    fn place(&self) -> Option<Place<'_>> {
        match self {
            Self::Flags { .. } => None,
            Self::Prices(error) => error.place(),
        }
    }
}

/// Flags of `replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Cassettes, or folders of them.
    #[arg(required = true)]
    pub(super) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) live: LiveArgs,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    /// None: who writes one, as for `record`, is told how it is run.
    #[arg(last = true, hide = true)]
    pub(super) command: Vec<OsString>,
}

impl ReplayArgs {
    /// As flags of `serve`. What the file or a variable says of recording is of other commands.
    pub(super) fn into_serve(self) -> Result<ServeArgs, UsageError> {
        self.refuse_command()?;
        let mut serve = self.serve;
        serve.mode = None;
        serve.cassettes.extend(self.paths);
        Ok(serve)
    }

    pub(super) fn refuse_command(&self) -> Result<(), UsageError> {
        if self.command.is_empty() {
            return Ok(());
        }
        Err(UsageError::Flags {
            message: "`replay` runs no command".to_owned(),
            hint: "`sandtable run --cassette PATH -- COMMAND` runs one against recordings",
        })
    }

    /// The paths, their flags, and those of a server that answers from none of them.
    pub(super) fn into_live(self) -> (Vec<PathBuf>, LiveArgs, ServeArgs) {
        let serve = ServeArgs {
            mode: None,
            cassettes: Vec::new(),
            ..self.serve
        };
        (self.paths, self.live, serve)
    }
}

/// Flags of `record`.
#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// The cassette, or a folder for it: `DIR` means DIR/recording.yaml.
    #[arg(long, value_name = "PATH", env = "SANDTABLE_RECORD_OUT")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    /// Run this command with the server's URL in its environment, and stop when it ends.
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

impl RecordArgs {
    /// As flags of `serve`, and the command.
    pub(super) fn into_serve(self) -> Result<(ServeArgs, Vec<OsString>), UsageError> {
        let mut serve = self.serve;
        if serve.upstream.is_none() {
            return Err(UsageError::Flags {
                message: "`record` needs to know whom".to_owned(),
                hint: "add `--upstream https://api.anthropic.com`, or any other server's URL",
            });
        }
        let is_file = self
            .out
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        serve.cassettes = vec![if is_file {
            self.out
        } else {
            self.out.join("recording.yaml")
        }];
        if serve.mode == Some(Mode::None) {
            return Err(UsageError::Flags {
                message: "`record` with `--record none` would record nothing".to_owned(),
                hint: "leave `--record` out for all, or give it `once` or `new`",
            });
        }
        serve.mode.get_or_insert(Mode::All);
        if !self.command.is_empty() {
            serve.port = serve.port.or(Some(0));
        }
        Ok((serve, self.command))
    }
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Script files or folders.
    #[arg(required = true)]
    pub(super) paths: Vec<PathBuf>,
}

/// Commands of `image`.
#[derive(Debug, Subcommand)]
pub(super) enum ImageCommand {
    /// Build the image.
    Build(ImageBuildArgs),
}

/// Flags of `image build`.
#[derive(Debug, Args)]
pub(super) struct ImageBuildArgs {
    /// `full` has the documented libraries and tools, `slim` the tools alone.
    #[arg(long, default_value = "full")]
    pub(super) flavor: Flavor,
    /// Build on this image instead of the official Python one.
    #[arg(long, value_name = "IMAGE")]
    pub(super) base: Option<String>,
    /// Make the base from Debian packages with mmdebstrap, without an image registry.
    #[arg(long, conflicts_with = "base")]
    pub(super) offline: bool,
    /// Name of the result.
    #[arg(long, value_name = "NAME")]
    pub(super) tag: Option<String>,
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) report: ReportArgs,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    /// The command and its arguments, behind `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

#[cfg(test)]
mod tests;
