//! `GET /_sandtable/wait`: returns when something is so, instead of being asked again and again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use control_api::{ContainerState, Event, Waited};

use super::containers::{state, unknown};
use super::error::ControlError;
use super::journal;
use super::target::Claim;
use crate::app::App;
use common::clock::span;
use common::limits;
use workspace::Workspace;
use workspace::events::Heard;
use workspace::journal::Filter;

const HINT: &str = "one of `requests=2` (with `path`, `method`, `status`), `event=fault_fired` (with `count`), and `container=ID` with `state=asleep`; and perhaps `timeout=30s`";

/// The condition that is waited for.
#[derive(Debug)]
enum Condition {
    Requests { filter: Filter, least: u64 },
    Event { kind: String, least: u64 },
    Container { id: String, wanted: ContainerState },
}

/// Waits until it is so, or the time is over.
pub(super) async fn wait(
    State(app): State<App>,
    claim: Claim,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Waited>, ControlError> {
    let condition = Condition::read(&query)?;
    let patience = patience(&query)?;
    let workspace = claim.made(&app).await?;
    let began = Instant::now();
    let heard = app
        .containers
        .events()
        .subscribe(Some(vec![workspace.id.clone()]));
    // Before the first look: what happens after it is heard.
    let mut heard = heard.ok_or_else(super::events::too_many)?;
    let mut came = 0;
    loop {
        let (met, count) = condition.look(&app, &workspace, came).await?;
        let waited = began.elapsed();
        if met || waited >= patience {
            let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            return Ok(Json(Waited {
                met,
                count,
                waited_ms,
            }));
        }
        let pause = condition.pause().min(patience.saturating_sub(waited));
        match tokio::time::timeout(pause, heard.next()).await {
            Ok(Some(Heard::Event(event))) => came += u64::from(condition.wants(event.kind)),
            Ok(Some(Heard::Dropped(_))) | Err(_) => {}
            Ok(None) => {
                return Err(ControlError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the server stops",
                    "start it again",
                ));
            }
        }
    }
}

fn bad(message: impl Into<String>) -> ControlError {
    ControlError::bad(message, HINT)
}

fn patience(query: &HashMap<String, String>) -> Result<Duration, ControlError> {
    let Some(text) = query.get("timeout") else {
        return Ok(limits::WAIT_DEFAULT);
    };
    let given = span(text).and_then(|span| span.to_std().ok());
    let given = given.ok_or_else(|| bad(format!("`timeout={text}` is no span of time")))?;
    if given > limits::WAIT_MAX {
        let most = limits::WAIT_MAX.as_secs();
        return Err(bad(format!(
            "`timeout={text}` is too long: at most {most}s"
        )));
    }
    Ok(given)
}

/// A count of at least 1; 1 if it is not given.
fn count(query: &HashMap<String, String>, name: &str) -> Result<u64, ControlError> {
    let Some(text) = query.get(name) else {
        return Ok(1);
    };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| bad(format!("`{name}={text}` is no number from 1")))
}

impl Condition {
    fn read(query: &HashMap<String, String>) -> Result<Self, ControlError> {
        let asked = ["requests", "event", "container"];
        let asked: Vec<&str> = asked
            .into_iter()
            .filter(|name| query.contains_key(*name))
            .collect();
        let [what] = asked.as_slice() else {
            return Err(bad(match asked.len() {
                0 => "it is not said what is waited for",
                _ => "one thing is waited for at a time",
            }));
        };
        let takes: &[&str] = match *what {
            "requests" => &["path", "method", "status"],
            "event" => &["count"],
            _ => &["state"],
        };
        let always = ["timeout", "workspace", what];
        if let Some(other) = query
            .keys()
            .find(|name| !takes.contains(&name.as_str()) && !always.contains(&name.as_str()))
        {
            return Err(bad(format!("`{other}` does not go with `{what}`")));
        }
        match *what {
            "requests" => Self::requests(query),
            "event" => Self::event(query),
            _ => Self::container(query),
        }
    }

    fn requests(query: &HashMap<String, String>) -> Result<Self, ControlError> {
        let status = match query.get("status") {
            Some(text) => Some(text.parse().map_err(|error| bad(format!("{error}")))?),
            None => None,
        };
        let filter = Filter {
            path: query
                .get("path")
                .map(|text| journal::path(text))
                .transpose()?,
            method: query
                .get("method")
                .map(|text| journal::method(text))
                .transpose()?,
            status,
            ..Filter::default()
        };
        let least = count(query, "requests")?;
        Ok(Self::Requests { filter, least })
    }

    fn event(query: &HashMap<String, String>) -> Result<Self, ControlError> {
        let kind = query["event"].clone();
        if !Event::KINDS.contains(&kind.as_str()) {
            return Err(ControlError::bad(
                format!("no event `{kind}`"),
                format!("there are: {}", Event::KINDS.join(", ")),
            ));
        }
        let least = count(query, "count")?;
        Ok(Self::Event { kind, least })
    }

    fn container(query: &HashMap<String, String>) -> Result<Self, ControlError> {
        let states = [
            ContainerState::Awake,
            ContainerState::Asleep,
            ContainerState::Expired,
        ];
        let wanted = query.get("state").map(String::as_str);
        let wanted = states
            .into_iter()
            .find(|state| wanted == Some(state.as_str()));
        let wanted =
            wanted.ok_or_else(|| bad("`state` must be `awake`, `asleep`, or `expired`"))?;
        let id = query["container"].clone();
        Ok(Self::Container { id, wanted })
    }

    fn wants(&self, event: &str) -> bool {
        matches!(self, Self::Event { kind, .. } if kind == event)
    }

    /// How long nothing need be looked at while nothing is told.
    fn pause(&self) -> Duration {
        match self {
            Self::Container { .. } | Self::Requests { .. } => limits::WAIT_LOOK_INTERVAL,
            Self::Event { .. } => limits::WAIT_MAX,
        }
    }

    /// Whether it is so, and how often.
    async fn look(
        &self,
        app: &App,
        workspace: &Workspace,
        came: u64,
    ) -> Result<(bool, u64), ControlError> {
        Ok(match self {
            Self::Requests { filter, least } => {
                let count = workspace.journal.count(filter) as u64;
                (count >= *least, count)
            }
            Self::Event { least, .. } => (came >= *least, came),
            Self::Container { id, wanted } => {
                let row = app.store.container(&workspace.id, id).await?;
                let row = row.ok_or_else(|| unknown(id))?;
                let met = state(app, workspace, &row) == *wanted;
                (met, u64::from(met))
            }
        })
    }
}
