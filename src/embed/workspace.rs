//! A workspace as a test sees it: its clock, scripts, faults, journal, containers, and cost.

use std::fmt::Write as _;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use control_api::{
    ClockChange, ClockState, Container, ContainerFile, ContainerFiles, ContainerState, Exchange,
    FaultState, Forked, JournalPage, RuleState, Usage, Verdict, Waited,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::SandtableError;
use super::client::Client;

type Answer<T> = Result<T, SandtableError>;

/// All that belongs to one API key. Clones mean the same workspace.
#[derive(Debug, Clone)]
pub struct Workspace {
    client: Client,
}

impl Workspace {
    pub(super) fn new(url: &str, key: String) -> Self {
        let url = url.to_owned();
        Self {
            client: Client { url, key },
        }
    }

    /// The base URL for a client.
    pub fn base_url(&self) -> &str {
        &self.client.url
    }

    /// The API key for a client.
    pub fn api_key(&self) -> &str {
        &self.client.key
    }

    /// Its time.
    pub fn clock(&self) -> Clock<'_> {
        Clock(&self.client)
    }

    /// Its scripts, by which its model answers.
    pub fn scripts(&self) -> Scripts<'_> {
        Scripts(&self.client)
    }

    /// Its faults: failures on purpose.
    pub fn faults(&self) -> Faults<'_> {
        Faults(&self.client)
    }

    /// Its journal: requests and their answers.
    pub fn journal(&self) -> Journal<'_> {
        Journal(&self.client)
    }

    /// Its containers.
    pub fn containers(&self) -> Containers<'_> {
        Containers(&self.client)
    }

    /// The cost that this month's turns would have on the service.
    pub async fn usage(&self) -> Answer<Usage> {
        self.client.get("usage").await
    }

    /// Whether all that was scripted was used, and all that was asked was answered.
    pub async fn verify(&self) -> Answer<Verdict> {
        self.client.get("verify").await
    }

    /// Forgets all: files, containers, batches, skills, scripts, faults, clock, journal, cost.
    pub async fn reset(&self) -> Answer<()> {
        self.call("POST", "reset", None).await.map(drop)
    }

    /// A workspace of a new key that holds what this one does: files, containers with their files, skills,
    /// batches, scripts, faults, clock. Both go on by themselves.
    pub async fn fork(&self) -> Answer<Self> {
        let answer = self
            .client
            .bytes("POST", "state/fork", Bytes::new())
            .await?;
        let forked: Forked = self.client.read(&answer)?;
        Ok(Self::new(&self.client.url, forked.key))
    }

    /// Waits until something is so; `met` is false if it is not within half a minute.
    pub async fn wait(&self, until: Until<'_>) -> Answer<Waited> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let query = match until {
            Until::Requests(count) => format!("requests={count}"),
            Until::Event(kind) => format!("event={}", encoded(kind)),
            Until::Container(id, state) => format!("container={}&state={state}", encoded(id)),
        };
        self.client.get(&format!("wait?{query}")).await
    }

    /// Any other control call: the path below `/_sandtable/`, and a JSON body if it has one.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.client.call(method, path, body).await
    }
}

/// The condition to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until<'a> {
    /// The journal holds so many requests.
    Requests(u64),
    /// Such an event comes, as `GET /_sandtable/events` tells it.
    Event(&'a str),
    /// The container of this id is in this state.
    Container(&'a str, ContainerState),
}

/// A workspace's time.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a>(&'a Client);

impl Clock<'_> {
    /// The present time, and whether it stands still.
    pub async fn state(&self) -> Answer<ClockState> {
        self.0.get("clock").await
    }

    /// The present time.
    pub async fn now(&self) -> Answer<DateTime<Utc>> {
        Ok(self.state().await?.now)
    }

    /// Lets time pass: `30d`, `12h`, `5m`, `90s`, `1h30m`, or ISO 8601.
    pub async fn advance(&self, span: &str) -> Answer<()> {
        self.change(ClockChange {
            advance: Some(span.to_owned()),
            ..ClockChange::default()
        })
        .await
    }

    /// Stops the clock where it is.
    pub async fn freeze(&self) -> Answer<()> {
        self.change(ClockChange {
            freeze: Some(true),
            ..ClockChange::default()
        })
        .await
    }

    /// Lets it run on.
    pub async fn thaw(&self) -> Answer<()> {
        self.change(ClockChange {
            freeze: Some(false),
            ..ClockChange::default()
        })
        .await
    }

    /// Goes forward to a time.
    pub async fn set(&self, time: DateTime<Utc>) -> Answer<()> {
        self.change(ClockChange {
            set: Some(control_api::time_text(time)),
            ..ClockChange::default()
        })
        .await
    }

    async fn change(&self, change: ClockChange) -> Answer<()> {
        self.0
            .call("POST", "clock", json!(change).to_string())
            .await
            .map(drop)
    }
}

/// A workspace's rules.
#[derive(Debug, Clone, Copy)]
pub struct Scripts<'a>(&'a Client);

impl Scripts<'_> {
    /// Adds the rules of a YAML or JSON text after the workspace's own.
    pub async fn add(&self, text: impl Into<String>) -> Answer<()> {
        let text: String = text.into();
        self.0.call("POST", "scripts", text).await.map(drop)
    }

    /// Replaces the workspace's own rules.
    pub async fn replace(&self, text: impl Into<String>) -> Answer<()> {
        let text: String = text.into();
        self.0.call("PUT", "scripts", text).await.map(drop)
    }

    /// All rules in the order they are tried, with how often each was used.
    pub async fn list(&self) -> Answer<Vec<RuleState>> {
        self.0.list("scripts").await
    }

    /// Forgets the workspace's own rules.
    pub async fn clear(&self) -> Answer<()> {
        self.0.call("DELETE", "scripts", "").await.map(drop)
    }
}

/// A workspace's faults.
#[derive(Debug, Clone, Copy)]
pub struct Faults<'a>(&'a Client);

impl Faults<'_> {
    /// Adds a fault, or a list of them.
    pub async fn add(&self, fault: &Value) -> Answer<()> {
        self.0
            .call("POST", "faults", fault.to_string())
            .await
            .map(drop)
    }

    /// All faults with their counts.
    pub async fn list(&self) -> Answer<Vec<FaultState>> {
        self.0.list("faults").await
    }

    /// Forgets the workspace's own faults.
    pub async fn clear(&self) -> Answer<()> {
        self.0.call("DELETE", "faults", "").await.map(drop)
    }
}

/// Which exchanges to list.
#[derive(Debug, Clone, Default)]
pub struct JournalQuery {
    /// The prefix of the path.
    pub path: Option<String>,
    /// Such as `404` or `4xx`.
    pub status: Option<String>,
}

/// A workspace's journal.
#[derive(Debug, Clone, Copy)]
pub struct Journal<'a>(&'a Client);

impl Journal<'_> {
    /// Everything that is kept, oldest first.
    pub async fn entries(&self) -> Answer<Vec<Exchange>> {
        self.find(&JournalQuery::default()).await
    }

    /// The exchanges that match the query, oldest first.
    pub async fn find(&self, query: &JournalQuery) -> Answer<Vec<Exchange>> {
        let mut call = "journal?limit=1000".to_owned();
        for (name, value) in [("path", &query.path), ("status", &query.status)] {
            if let Some(value) = value {
                let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                write!(call, "&{name}={value}").expect("a String takes every write");
            }
        }
        let mut entries = Vec::new();
        let mut next = call.clone();
        loop {
            let page: JournalPage = self.0.get(&next).await?;
            entries.extend(page.data);
            match page.next_cursor {
                Some(cursor) => next = format!("{call}&cursor={cursor}"),
                None => break,
            }
        }
        entries.reverse();
        Ok(entries)
    }

    /// Forgets it.
    pub async fn clear(&self) -> Answer<()> {
        self.0.call("DELETE", "journal", "").await.map(drop)
    }
}

/// A workspace's containers.
#[derive(Debug, Clone, Copy)]
pub struct Containers<'a>(&'a Client);

impl Containers<'_> {
    /// All of them, newest first.
    pub async fn list(&self) -> Answer<Vec<Container>> {
        self.0.list("containers").await
    }

    /// Ends one now, as if its 30 days were over.
    pub async fn expire(&self, id: &str) -> Answer<()> {
        self.end(id, "expire").await
    }

    /// Ends its processes; its files stay, and the next use starts it again.
    pub async fn sleep(&self, id: &str) -> Answer<()> {
        self.end(id, "sleep").await
    }

    /// Its files below `/files`, `/home/user`, and `/tmp`, by path. One that sleeps is woken for it.
    pub async fn files(&self, id: &str) -> Answer<Vec<ContainerFile>> {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let path = format!("containers/{id}/files?wake=true&limit=10000");
        let files: ContainerFiles = self.0.get(&path).await?;
        Ok(files.data)
    }

    /// The bytes of a file of [`Containers::files`]; a directory or a link has none.
    pub async fn read(&self, file: &ContainerFile) -> Answer<Bytes> {
        let href = file
            .href
            .as_deref()
            .ok_or_else(|| SandtableError::Refused {
                status: 404,
                message: format!("`{}` is no file", file.path),
                hint: "directories and links have no bytes".to_owned(),
            })?;
        let path = href.trim_start_matches("/_sandtable/");
        let path = format!("{path}?wake=true");
        self.0.bytes("GET", &path, Bytes::new()).await
    }

    async fn end(&self, id: &str, how: &str) -> Answer<()> {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let path = format!("containers/{id}/{how}");
        self.0.call("POST", &path, "").await.map(drop)
    }
}
