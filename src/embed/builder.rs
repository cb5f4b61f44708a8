//! The builder: settings that an embedded server is started with.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;

use super::{Sandtable, SandtableError, start};
use common::hinted::Mistake;
use common::private;
use model::OnUnmatched;
use sandbox::Backend;
use server::config::{BackendChoice, Config};
use workspace::billing::Prices;
use workspace::quirks::{Layer, Layers};
use workspace::rate::{RateLimit, RateLimitError};

/// A server still to be started. Mistakes in what is set are told by [`Builder::start`].
#[derive(Debug, Clone, Default)]
#[must_use = "nothing runs until `start`"]
pub struct Builder {
    scripts: Vec<Given>,
    faults: Vec<Given>,
    prices: Option<Given>,
    seed: Option<u64>,
    frozen_at: Option<String>,
    backend: BackendChoice,
    own_backend: Option<Arc<dyn Backend>>,
    program: Option<PathBuf>,
    image: Option<String>,
    data_dir: Option<PathBuf>,
    port: u16,
    direct: bool,
    quirks: Vec<(String, String)>,
    rates: Vec<String>,
}

/// Something the server reads from a file.
#[derive(Debug, Clone)]
enum Given {
    File(PathBuf),
    Text(String),
}

/// All that the server's thread needs.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) config: Config,
    pub(super) own_backend: Option<Arc<dyn Backend>>,
    /// Holds what was given as text.
    pub(super) folder: Option<TempDir>,
}

impl Builder {
    /// Adds the rules of a YAML or JSON text under every workspace; `docs/SCRIPTS.md` has the language.
    pub fn script(mut self, text: impl Into<String>) -> Self {
        self.scripts.push(Given::Text(text.into()));
        self
    }

    /// Adds the rules of a file or a folder of files under every workspace; edits are picked up.
    pub fn script_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.scripts.push(Given::File(path.into()));
        self
    }

    /// Lets `direct`, which runs the fenced blocks of a prompt, answer what no rule matches. Without it
    /// such a request is a 400 that names the nearest rule.
    pub fn direct_if_unmatched(mut self) -> Self {
        self.direct = true;
        self
    }

    /// Adds a fault, or a list of them, under every workspace; `docs/FAULTS.md` has the words.
    pub fn fault(mut self, fault: &Value) -> Self {
        let list = if fault.is_array() {
            fault.to_string()
        } else {
            format!("[{fault}]")
        };
        self.faults.push(Given::Text(list));
        self
    }

    /// Adds the faults of a YAML or JSON file under every workspace.
    pub fn fault_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.faults.push(Given::File(path.into()));
        self
    }

    /// Makes ids and random choices the same in every run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Lets every workspace's clock begin at this time (RFC 3339) and stand still, also after a reset.
    pub fn frozen_at(mut self, time: impl Into<String>) -> Self {
        self.frozen_at = Some(time.into());
        self
    }

    /// Chooses what runs code. `Auto` if not called.
    pub fn backend(mut self, backend: BackendChoice) -> Self {
        self.backend = backend;
        self
    }

    /// Runs code in sandboxes of the caller's own.
    #[doc(hidden)]
    pub fn own_backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.own_backend = Some(backend);
        self
    }

    /// Names the `sandtable` program for the `local` backend; see [`crate::sandbox_entry`].
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Names the image of Docker sandboxes, instead of the one `sandtable image build` makes.
    pub fn image(mut self, name: impl Into<String>) -> Self {
        self.image = Some(name.into());
        self
    }

    /// Keeps files, containers, batches, and skills in this folder over restarts.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Listens on this port instead of a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Puts prices over the shipped ones: `{"claude-opus-4-7": {"input": 15, "output": 75}}`, in dollars
    /// for a million tokens.
    pub fn prices(mut self, prices: &Value) -> Self {
        self.prices = Some(Given::Text(prices.to_string()));
        self
    }

    /// The same from a JSON file.
    pub fn prices_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.prices = Some(Given::File(path.into()));
        self
    }

    /// Sets `profile`, or one row of `docs/QUIRKS.md`.
    pub fn quirk(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.quirks.push((name.into(), value.into()));
        self
    }

    /// Adds a rate limit for every key, such as `requests=50,input_tokens=30000`.
    pub fn rate_limit(mut self, limit: impl Into<String>) -> Self {
        self.rates.push(limit.into());
        self
    }

    /// Starts the server; it answers when this returns.
    pub async fn start(self) -> Result<Sandtable, SandtableError> {
        start(self.prepare()?).await
    }

    fn prepare(self) -> Result<Prepared, SandtableError> {
        let mut texts = Texts::default();
        let scripts = texts.files("script", "yaml", &self.scripts)?;
        let faults = texts.files("faults", "json", &self.faults)?;
        let prices = match texts
            .files("prices", "json", self.prices.as_slice())?
            .first()
        {
            Some(path) => Prices::load(path).map_err(|error| SandtableError::setup(&error))?,
            None => Prices::default(),
        };
        let config = Config {
            port: self.port,
            data_dir: self.data_dir,
            backend: self.backend,
            scripts,
            on_unmatched: if self.direct {
                OnUnmatched::Direct
            } else {
                OnUnmatched::Fail
            },
            seed: self.seed,
            frozen_at: self.frozen_at.as_deref().map(time).transpose()?,
            image: self.image,
            program: self.program,
            faults,
            quirks: quirks(&self.quirks)?,
            rates: rates(&self.rates)?,
            prices,
            ..Config::default()
        };
        Ok(Prepared {
            config,
            own_backend: self.own_backend,
            folder: texts.folder,
        })
    }
}

fn time(text: &str) -> Result<DateTime<Utc>, SandtableError> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|error| {
        let wrong = Mistake::caused(format_args!("`{text}` is no RFC 3339 time"), error);
        SandtableError::setup(&wrong.with_hint("such as 2026-01-04T20:47:05Z"))
    })?;
    Ok(time.to_utc())
}

fn quirks(rows: &[(String, String)]) -> Result<Layers, SandtableError> {
    let mut layer = Layer::default();
    for (name, value) in rows {
        let set = layer.set(name, value);
        set.map_err(|error| SandtableError::setup(&error))?;
    }
    Ok(Layers::default().with(&layer))
}

fn rates(limits: &[String]) -> Result<Vec<RateLimit>, SandtableError> {
    let parse = |limit: &String| {
        limit
            .parse()
            .map_err(|error: RateLimitError| SandtableError::setup(&error))
    };
    limits.iter().map(parse).collect()
}

/// Puts texts into files.
#[derive(Debug, Default)]
struct Texts {
    folder: Option<TempDir>,
}

impl Texts {
    /// The paths of all; those of texts are called `script-1.yaml` and so on.
    fn files(
        &mut self,
        name: &str,
        extension: &str,
        given: &[Given],
    ) -> Result<Vec<PathBuf>, SandtableError> {
        let paths = given.iter().enumerate().map(|(index, given)| match given {
            Given::File(path) => Ok(path.clone()),
            Given::Text(text) => {
                let name = format!("{name}-{}.{extension}", index + 1);
                let path = self.folder()?.join(name);
                private::create_new(&path)
                    .and_then(|mut file| file.write_all(text.as_bytes()))
                    .map_err(|error| no_folder(&error))?;
                Ok(path)
            }
        });
        paths.collect()
    }

    fn folder(&mut self) -> Result<&Path, SandtableError> {
        if self.folder.is_none() {
            self.folder =
                Some(private::temp_dir("sandtable-texts-").map_err(|error| no_folder(&error))?);
        }
        Ok(self.folder.as_ref().expect("it was just made").path())
    }
}

fn no_folder(error: &std::io::Error) -> SandtableError {
    let wrong = Mistake::new(format!("cannot write a temporary file: {error}"));
    SandtableError::setup(&wrong.with_hint("TMPDIR names another folder"))
}
