//! A workspace as a test sees it: its clock, scripts, faults, journal, containers, and cost.

pub(super) mod answers;

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::SandtableError;
use super::client::Client;
use answers::{ClockState, Container, Exchange, FaultState, RuleState, Verdict};

use crate::billing::Report;

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

    /// What a client's base URL must be.
    pub fn base_url(&self) -> &str {
        &self.client.url
    }

    /// What a client's API key must be.
    pub fn api_key(&self) -> &str {
        &self.client.key
    }

    /// Its time.
    pub fn clock(&self) -> Clock<'_> {
        Clock(&self.client)
    }

    /// What its model says.
    pub fn scripts(&self) -> Scripts<'_> {
        Scripts(&self.client)
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> Faults<'_> {
        Faults(&self.client)
    }

    /// What it was asked and answered.
    pub fn journal(&self) -> Journal<'_> {
        Journal(&self.client)
    }

    /// Its containers.
    pub fn containers(&self) -> Containers<'_> {
        Containers(&self.client)
    }

    /// What this month's turns would have cost.
    pub async fn usage(&self) -> Answer<Report> {
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

    /// Any other control call: the path below `/_sandtable/`, and a JSON body if it has one.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer<Value> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|error| SandtableError::silent(&self.client.url, &error))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        self.client.call(method, path, body).await
    }
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
        self.change(&json!({ "advance": span })).await
    }

    /// Stops the clock where it is.
    pub async fn freeze(&self) -> Answer<()> {
        self.change(&json!({ "freeze": true })).await
    }

    /// Lets it run on.
    pub async fn thaw(&self) -> Answer<()> {
        self.change(&json!({ "freeze": false })).await
    }

    /// Goes forward to a time.
    pub async fn set(&self, time: DateTime<Utc>) -> Answer<()> {
        let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
        self.change(&json!({ "set": time })).await
    }

    async fn change(&self, change: &Value) -> Answer<()> {
        self.0
            .call(Method::POST, "clock", change.to_string())
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
        self.0.call(Method::POST, "scripts", text).await.map(drop)
    }

    /// Replaces the workspace's own rules.
    pub async fn replace(&self, text: impl Into<String>) -> Answer<()> {
        let text: String = text.into();
        self.0.call(Method::PUT, "scripts", text).await.map(drop)
    }

    /// All rules in the order they are tried, with how often each was used.
    pub async fn list(&self) -> Answer<Vec<RuleState>> {
        self.0.list("scripts").await
    }

    /// Forgets the workspace's own rules.
    pub async fn clear(&self) -> Answer<()> {
        self.0.call(Method::DELETE, "scripts", "").await.map(drop)
    }
}

/// A workspace's faults.
#[derive(Debug, Clone, Copy)]
pub struct Faults<'a>(&'a Client);

impl Faults<'_> {
    /// Adds a fault, or a list of them.
    pub async fn add(&self, fault: &Value) -> Answer<()> {
        self.0
            .call(Method::POST, "faults", fault.to_string())
            .await
            .map(drop)
    }

    /// All faults with their counts.
    pub async fn list(&self) -> Answer<Vec<FaultState>> {
        self.0.list("faults").await
    }

    /// Forgets the workspace's own faults.
    pub async fn clear(&self) -> Answer<()> {
        self.0.call(Method::DELETE, "faults", "").await.map(drop)
    }
}

/// Which exchanges to list.
#[derive(Debug, Clone, Default)]
pub struct JournalQuery {
    /// What the path starts with.
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

    /// What fits, oldest first.
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
            let page: answers::Page = self.0.get(&next).await?;
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
        self.0.call(Method::DELETE, "journal", "").await.map(drop)
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

    async fn end(&self, id: &str, how: &str) -> Answer<()> {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let path = format!("containers/{id}/{how}");
        self.0.call(Method::POST, &path, "").await.map(drop)
    }
}
