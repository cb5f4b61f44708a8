//! The steps of a start that may refuse it: a server takes them, `sandtable doctor` looks at them.

use std::net::SocketAddr;

use super::{StartError, bind, temporary};
use crate::backend;
use crate::config::{BackendChoice, Config};
use cassette::Deck;
use common::ids::Ids;
use common::input::Named;
use common::private;
use model::script::Base;
use sandbox::BoxFuture;
use store::{Options, Store};
use workspace::fault::{self, Fault};
use workspace::snapshot::Document;

/// The subject of the step that opens the store.
pub const DATA_DIR: &str = "data directory";

/// One step, and what became of it.
#[derive(Debug)]
pub struct Step {
    /// The name of the part that is looked at.
    pub subject: &'static str,
    /// A description of it, or why no server starts.
    pub outcome: Result<String, StartError>,
}

/// Reads the script files, unless recordings answer and nothing asks them.
pub(super) fn scripts(config: &Config) -> Result<Base, StartError> {
    if config.cassettes.is_some() {
        return Ok(Base::default());
    }
    Base::load(&config.scripts).map_err(StartError::Scripts)
}

/// Reads the files of faults, each once.
pub(super) fn faults(config: &Config) -> Result<Vec<Fault>, StartError> {
    let mut faults = Vec::new();
    let mut named = Named::default();
    for path in config.faults.iter().filter(|path| named.is_new(path)) {
        faults.extend(fault::load(path)?);
    }
    Ok(faults)
}

/// Reads the state that workspaces start from.
pub(super) fn state(config: &Config) -> Result<Option<Document>, StartError> {
    let path = config.state.as_ref();
    let read = path.map(|path| Document::load(path, config.quota_bytes));
    Ok(read.transpose()?)
}

/// The options of a server's store.
pub(super) fn options(config: &Config) -> Options {
    Options {
        quota_bytes: config.quota_bytes,
        ..Options::default()
    }
}

/// Every step that applies, taken without a change to what is there: what a server would be refused for.
pub fn examine(config: &Config) -> BoxFuture<'_, Vec<Step>> {
    Box::pin(examined(config))
}

async fn examined(config: &Config) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |subject, outcome| steps.push(Step { subject, outcome });
    if !config.scripts.is_empty() {
        add(
            "scripts",
            scripts(config).map(|base| match &config.cassettes {
                Some(_) => "passed over: beside recordings nothing asks them".to_owned(),
                None => format!("{} rules", base.len()),
            }),
        );
    }
    if !config.faults.is_empty() {
        add(
            "faults",
            faults(config).map(|faults| format!("{} faults", faults.len())),
        );
    }
    if let Some(path) = &config.state {
        add(
            "state",
            state(config).map(|_| format!("`{}` can be read", path.display())),
        );
    }
    if config.cassettes.is_some() {
        add("cassettes", cassettes(config));
    }
    add(DATA_DIR, data_dir(config));
    add("port", port(config));
    if let Some(outcome) = chosen(config).await {
        add("backend", outcome);
    }
    steps
}

fn cassettes(config: &Config) -> Result<String, StartError> {
    let Some(plan) = &config.cassettes else {
        return Ok("none".to_owned());
    };
    let (exchanges, records) = Deck::examine(plan)?;
    Ok(match records {
        None => format!("{exchanges} recorded exchanges"),
        Some(path) => format!(
            "{exchanges} recorded exchanges; records into `{}`",
            path.display()
        ),
    })
}

fn data_dir(config: &Config) -> Result<String, StartError> {
    let Some(dir) = &config.data_dir else {
        let place = std::env::temp_dir();
        // A server's own, gone at once.
        temporary::open(options(config))?;
        return Ok(format!("a temporary one in {}, writable", place.display()));
    };
    Store::examine(dir)?;
    Ok(format!("{}, writable", dir.display()))
}

fn port(config: &Config) -> Result<String, StartError> {
    let listeners = bind(config.host, config.port)?;
    let address = listeners.first().and_then(|first| first.local_addr().ok());
    Ok(match address {
        Some(_) if config.port == 0 => "any free one".to_owned(),
        Some(address) if address.ip().is_loopback() => format!("{} is free", config.port),
        Some(address) => format!("{} is free", SocketAddr::new(address.ip(), config.port)),
        None => "none".to_owned(),
    })
}

/// The backend that was asked for; a choice of the server's own refuses nothing.
async fn chosen(config: &Config) -> Option<Result<String, StartError>> {
    if matches!(config.backend, BackendChoice::Auto | BackendChoice::None) {
        return None;
    }
    let folder = match private::temp_dir(temporary::PREFIX) {
        Ok(folder) => folder,
        // Told of the data directory.
        Err(error) => return Some(Err(StartError::Temporary(error))),
    };
    let server_id = Ids::random().next_hex16();
    let tried = backend::examine(config, &server_id, folder.path()).await;
    Some(tried.map_err(StartError::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_faults_that_is_named_again_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("faults.yaml");
        std::fs::write(&file, "- {at: http, status: 529}\n").unwrap();
        let again = folder.path().join(".").join("faults.yaml");
        let config = Config {
            faults: vec![file, again],
            ..Config::default()
        };
        assert_eq!(faults(&config).unwrap().len(), 1);
    }
}
