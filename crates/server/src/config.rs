//! The server's configuration, validated. The command line is in `cli`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use cassette::{Plan, Upstream};
use common::limits::{self, Timeouts};
use model::OnUnmatched;
pub use sandbox::Isolation;
use sandbox::kubernetes::settings::KubernetesSettings;
use workspace::billing::Prices;
use workspace::quirks::Layers;
use workspace::rate::RateLimit;

/// A server's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bound address; loopback unless there is a control token.
    pub host: Host,
    /// 0 takes a free port.
    pub port: u16,
    /// Where files, containers, and workspaces are kept; a temporary directory if `None`.
    pub data_dir: Option<PathBuf>,
    pub backend: BackendChoice,
    /// Whether missing libraries are installed for `local`.
    pub provision: Provision,
    pub isolation: Isolation,
    /// Script files and folders.
    pub scripts: Vec<PathBuf>,
    pub on_unmatched: OnUnmatched,
    /// Makes ids and random choices the same in every run.
    pub seed: Option<u64>,
    /// When every workspace's clock begins, standing still; the present, running, if `None`.
    pub frozen_at: Option<DateTime<Utc>>,
    /// The image Docker sandboxes run; the default flavor of ours if `None`.
    pub image: Option<String>,
    /// The engine's runtime for sandboxes, such as `runsc`; its usual one if `None`.
    pub docker_runtime: Option<String>,
    /// Which cluster, and how sandboxes run in it.
    pub kubernetes: KubernetesSettings,
    /// The program that `local` starts as a sandbox's first process; a copy of the running program if `None`.
    pub program: Option<PathBuf>,
    /// A container that was not used for so long falls asleep.
    pub idle: Duration,
    /// How long calls may take.
    pub timeouts: Timeouts,
    /// Docker sandboxes, or pods, that run already when a container needs one.
    pub warm: usize,
    /// Bytes of files one workspace may hold.
    pub quota_bytes: u64,
    /// Further names in `Host` that are answered.
    pub allow_hosts: Vec<String>,
    /// Origins of browser clients that are answered.
    pub allow_origins: Vec<String>,
    /// Where spans go.
    pub otlp: Option<String>,
    /// Guards `/_sandtable`; beyond loopback it is there unless the user opened that surface.
    pub control_token: Option<String>,
    /// Unknown versions and betas are refused instead of noted.
    pub strict_version: bool,
    /// Unknown betas are refused instead of noted.
    pub strict_betas: bool,
    /// Models that the list of models lacks are not found.
    pub strict_models: bool,
    /// Tool types that stand for others: `code_execution_20260104` → `code_execution_20250825`.
    pub tool_aliases: Vec<(String, String)>,
    /// The state that every workspace starts from.
    pub state: Option<PathBuf>,
    /// Files of faults under every workspace.
    pub faults: Vec<PathBuf>,
    /// The profile, and the rows that differ from it.
    pub quirks: Layers,
    /// The limits per minute; nothing is limited if empty.
    pub rates: Vec<RateLimit>,
    /// The prices of tokens.
    pub prices: Prices,
    /// Recordings under every workspace; nothing is emulated then.
    pub cassettes: Option<Plan>,
    /// Where the control API may mount and record cassettes.
    pub cassette_dir: Option<PathBuf>,
    /// The service that recordings are made of.
    pub upstream: Option<Upstream>,
    /// Regular expressions of what recordings in that folder keep out.
    pub redact: Vec<String>,
    /// The very texts that they keep out.
    pub secrets: Vec<String>,
    /// Calls whose result is known from another container with the same past do not run again.
    pub reuse_calls: bool,
    /// The journal has the digest of every file that is downloaded.
    pub note_digests: bool,
}

/// Where the server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// 127.0.0.1 and, where there is one, `::1`.
    Loopback,
    Address(IpAddr),
}

/// Every backend there is, a line each: its choice, its module below [`crate::backend`] with its entry, its word,
/// and what is said of it. Who adds one adds a line, the module, and its folder below [`sandbox`].
macro_rules! backends {
    ($then:ident) => {
        $then! {
            Docker docker "docker" "Docker; fail without an engine";
            Local local "local" "Namespaces of this Linux machine, without Docker; fail where it does not allow them";
            Kubernetes kubernetes "kubernetes" "Pods of a Kubernetes cluster; fail where it cannot be asked";
        }
    };
}
pub(crate) use backends;

macro_rules! choices {
    ($($choice:ident $module:ident $word:literal $help:literal;)+) => {
        /// The backend that launches sandboxes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum BackendChoice {
            /// Docker where its image is there, else `local` where that works, else Docker with the image built
            /// on first use, else nothing.
            #[default]
            Auto,
            $(#[doc = $help] $choice,)+
            /// Code is never run: calls answer `unavailable`.
            None,
        }

        impl BackendChoice {
            /// Every choice, with its word and what is said of it.
            pub const ALL: &[(Self, &str, &str)] = &[
                (Self::Auto, "auto", "Docker if its image is there, else local, else Docker with the image built on first use"),
                $((Self::$choice, $word, $help),)+
                (Self::None, "none", "Never run code; calls answer `unavailable`"),
            ];
        }
    };
}

backends!(choices);

/// Whether the documented libraries are installed for the `local` backend when they are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provision {
    /// Once, when the first sandbox starts.
    #[default]
    Auto,
    /// Never.
    Never,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: Host::Loopback,
            port: 4010,
            data_dir: None,
            backend: BackendChoice::Auto,
            provision: Provision::Auto,
            isolation: Isolation::Any,
            scripts: Vec::new(),
            on_unmatched: OnUnmatched::Fail,
            seed: None,
            frozen_at: None,
            image: None,
            docker_runtime: None,
            kubernetes: KubernetesSettings::default(),
            program: None,
            idle: limits::CONTAINER_IDLE,
            timeouts: Timeouts::default(),
            warm: 0,
            quota_bytes: limits::STORAGE_QUOTA_BYTES,
            allow_hosts: Vec::new(),
            allow_origins: Vec::new(),
            otlp: None,
            control_token: None,
            strict_version: false,
            strict_betas: false,
            strict_models: false,
            tool_aliases: Vec::new(),
            state: None,
            faults: Vec::new(),
            quirks: Layers::default(),
            rates: Vec::new(),
            prices: Prices::default(),
            cassettes: None,
            cassette_dir: None,
            upstream: None,
            redact: Vec::new(),
            secrets: Vec::new(),
            reuse_calls: false,
            note_digests: false,
        }
    }
}
