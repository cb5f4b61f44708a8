//! From the flags of `serve` to a server's configuration.

use std::time::Duration;

use super::{DEFAULT_PORT, ProvisionArg, ServeArgs, UnmatchedArg, UsageError, secrets, several};
use cassette::{Mode, Plan};
use common::limits::{self, Timeouts};
use model::OnUnmatched;
use server::config::{BackendChoice, Config, Host, Provision};
use workspace::billing::Prices;
use workspace::quirks::{Layer, Layers, Profile};

impl ServeArgs {
    /// The configuration, if the flags go together.
    pub(crate) fn into_config(self) -> Result<Config, UsageError> {
        let (config, mistakes) = self.examined();
        mistakes.into_iter().next().map_or(Ok(config), Err)
    }

    /// Checks the flags against each other. What goes with the others is in the configuration all the same, to be
    /// looked at.
    pub(crate) fn examined(self) -> (Config, Vec<UsageError>) {
        let mut mistakes = Vec::new();
        mistakes.extend(self.checked().err());
        let mut or_usual = |error: UsageError| mistakes.push(error);
        let records = !self.cassettes.is_empty() || self.cassette_dir.is_some();
        let named: &[String] = if records { &self.redact_env } else { &[] };
        let secrets = secrets::of_variables(named).unwrap_or_else(|error| {
            or_usual(error);
            Vec::new()
        });
        let cassettes = plan(&self, &secrets).unwrap_or_else(|error| {
            or_usual(error);
            None
        });
        let prices = self.prices.as_ref().map(|path| Prices::load(path));
        let prices = prices.transpose().unwrap_or_else(|error| {
            or_usual(error.into());
            None
        });
        let config = self.configured(cassettes, secrets, prices.unwrap_or_default());
        (config, mistakes)
    }

    /// That no flag forbids another.
    fn checked(&self) -> Result<(), UsageError> {
        let host = self.bound();
        if let Some(address) = self.host
            && !(address.is_loopback() || self.control_token.is_some() || self.open_control)
        {
            return Err(UsageError::Flags {
                message: format!("`--host {address}` lets others on the network drive this server"),
                hint: "add `--control-token TOKEN`, or leave `--host` out; in a container whose port is published for few, `--open-control` will do",
            });
        }
        if self.control_token.as_deref() == Some("") {
            return Err(UsageError::Flags {
                message: "the control token is empty".to_owned(),
                hint: "give `--control-token` a secret",
            });
        }
        // As the header of a call can have it.
        let can_be_sent = |token: &String| {
            token.bytes().all(|byte| matches!(byte, b' '..=b'~')) && token.trim() == token
        };
        if !self.control_token.as_ref().is_none_or(can_be_sent) {
            return Err(UsageError::Flags {
                message: "no header can carry the control token: it has a line end, a blank at an end, or characters that are not ASCII".to_owned(),
                hint: "give `--control-token` (`SANDTABLE_CONTROL_TOKEN`) another; of a file, without its last line end",
            });
        }
        for (at, limit) in self.rates.iter().enumerate() {
            limit
                .check(&self.rates[..at])
                .map_err(|error| UsageError::Flags {
                    message: format!("`--rate-limit` {}: {error}", at + 1),
                    hint: "a limit has all that is to be limited for its models: `requests=50,output_tokens=8000`",
                })?;
        }
        let reachable = matches!(host, Host::Address(address) if !address.is_loopback());
        if reachable && self.upstream.is_some() {
            if !self.allow_open_proxy {
                return Err(UsageError::Flags {
                    message: "a recording server beyond loopback passes anybody's requests on"
                        .to_owned(),
                    hint: "leave `--host` out, or add `--allow-open-proxy`",
                });
            }
            if self.control_token.is_none() {
                return Err(UsageError::Flags {
                    message: "a recording server beyond loopback is driven by nobody but you"
                        .to_owned(),
                    hint: "add `--control-token TOKEN`; `--open-control` does not do here",
                });
            }
        }
        Ok(())
    }

    fn bound(&self) -> Host {
        self.host.map_or(Host::Loopback, Host::Address)
    }

    fn configured(self, cassettes: Option<Plan>, secrets: Vec<String>, prices: Prices) -> Config {
        Config {
            host: self.bound(),
            port: self.port.unwrap_or(DEFAULT_PORT),
            data_dir: self.data_dir,
            backend: if self.ground.backend.0 == BackendChoice::Auto && !self.cassettes.is_empty() {
                // Recordings need no sandbox.
                BackendChoice::None
            } else {
                self.ground.choice()
            },
            kubernetes: self.kubernetes.into(),
            provision: match self.provision {
                ProvisionArg::Auto => Provision::Auto,
                ProvisionArg::Never => Provision::Never,
            },
            isolation: self.ground.isolation.into(),
            scripts: self.scripts,
            on_unmatched: match self.on_unmatched {
                UnmatchedArg::Fail => OnUnmatched::Fail,
                UnmatchedArg::Direct => OnUnmatched::Direct,
            },
            seed: self.seed,
            frozen_at: self.frozen_at,
            image: self.ground.image,
            docker_runtime: self.ground.docker_runtime,
            program: None,
            idle: Duration::from_secs(self.idle_timeout),
            timeouts: Timeouts {
                call: Duration::from_secs(self.call_timeout),
                cell: Duration::from_secs(self.cell_timeout),
                cell_queue: Duration::from_secs(self.cell_queue_timeout),
            },
            warm: usize::try_from(self.warm).unwrap_or(limits::MAX_WARM),
            quota_bytes: self.storage_quota,
            allow_hosts: self.allow_hosts,
            allow_origins: self.allow_origins,
            otlp: self.otlp,
            control_token: self.control_token,
            strict_version: self.strict_version,
            strict_betas: self.strict_betas,
            strict_models: self.strict_models,
            tool_aliases: self.tool_aliases,
            state: self.state,
            faults: self.faults,
            quirks: layers(self.profile, &self.quirks),
            rates: self.rates,
            prices,
            cassettes,
            cassette_dir: self.cassette_dir,
            upstream: self.upstream,
            redact: several::all(&self.redact),
            secrets,
            // Of sweeps alone, which set them themselves.
            reuse_calls: false,
            note_digests: false,
        }
    }
}

/// The cassettes to mount, if any.
fn plan(args: &ServeArgs, secrets: &[String]) -> Result<Option<Plan>, UsageError> {
    let mode = args.mode.unwrap_or_default();
    if args.cassettes.is_empty() {
        if mode != Mode::None && args.cassette_dir.is_none() {
            return Err(UsageError::Flags {
                message: "`--record` needs a cassette to record into".to_owned(),
                hint: "add `--cassette FILE`",
            });
        }
        return Ok(None);
    }
    Ok(Some(Plan {
        paths: args.cassettes.clone(),
        mode,
        upstream: args.upstream.clone(),
        pace: args.pace,
        ignore: several::all(&args.ignore),
        redact: several::all(&args.redact),
        secrets: secrets.to_vec(),
        now: Some(
            common::clock::Clock::default()
                .now()
                .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        ),
    }))
}

fn layers(profile: Profile, quirks: &[(String, String)]) -> Layers {
    let mut layer = Layer::default();
    let rows = quirks.iter().map(|(name, value)| (&**name, &**value));
    for (name, value) in std::iter::once(("profile", profile.name())).chain(rows) {
        layer
            .set(name, value)
            .expect("the flag's parser took the same text");
    }
    Layers::default().with(&layer)
}
