//! Flags of every command that starts a server: where its settings are, and what runs code.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::CONFIG_VARIABLE;
use super::backend::BackendArg;
use super::isolation::IsolationArg;
use super::values::path_or_none;
use server::config::BackendChoice;

/// Flags of `serve`, of the commands that take its flags, and of `conform`.
#[derive(Debug, Args)]
pub(crate) struct GroundArgs {
    /// Take flags from this file; without it from `sandtable.toml` in the working directory, if there is one.
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, value_parser = path_or_none(), help_heading = "Server")]
    pub(crate) config: Option<PathBuf>,
    /// What runs code.
    #[arg(
        long,
        value_enum,
        default_value_t,
        env = "SANDTABLE_BACKEND",
        help_heading = "Sandboxes"
    )]
    pub(crate) backend: BackendArg,
    /// What may confine sandboxes without Docker.
    #[arg(
        long,
        value_enum,
        default_value_t,
        env = "SANDTABLE_ISOLATION",
        help_heading = "Sandboxes",
        hide_short_help = true
    )]
    pub(crate) isolation: IsolationArg,
    /// Image for sandboxes on Docker, instead of the one `sandtable image build` makes, or on Kubernetes.
    #[arg(
        long,
        value_name = "IMAGE",
        env = "SANDTABLE_IMAGE",
        help_heading = "Sandboxes",
        hide_short_help = true
    )]
    pub(crate) image: Option<String>,
    /// Runtime of the Docker engine that runs sandboxes, such as runsc or kata; implies --backend docker.
    #[arg(long, value_name = "NAME", env = "SANDTABLE_DOCKER_RUNTIME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Sandboxes", hide_short_help = true)]
    pub(crate) docker_runtime: Option<String>,
}

impl GroundArgs {
    /// The backend that is asked for: for a runtime of Docker nothing less strict.
    pub(crate) fn choice(&self) -> BackendChoice {
        if self.backend.0 == BackendChoice::Auto && self.docker_runtime.is_some() {
            BackendChoice::Docker
        } else {
            self.backend.0
        }
    }
}

/// The backends that a flag does something for, if these are not all.
pub(crate) fn backends_of(id: &str) -> Option<&'static [BackendChoice]> {
    match id {
        "docker_runtime" => Some(&[BackendChoice::Auto, BackendChoice::Docker]),
        "image" | "warm" => Some(&[
            BackendChoice::Auto,
            BackendChoice::Docker,
            BackendChoice::Kubernetes,
        ]),
        "isolation" | "provision" => Some(&[BackendChoice::Auto, BackendChoice::Local]),
        _ if id.starts_with("k8s_") => Some(&[BackendChoice::Kubernetes]),
        _ => None,
    }
}
