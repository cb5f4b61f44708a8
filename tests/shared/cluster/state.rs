//! The objects of the cluster, their versions, and what watches are told of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::Inner;

/// How the API server refuses.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// A status of the API's own.
    Status {
        code: u16,
        reason: &'static str,
        message: String,
    },
    /// The answer is lost: what was asked for is done.
    Lost,
    /// As its fairness does: plain text, and a header that says when to come again.
    TooMany { retry_after: &'static str },
}

#[derive(Default)]
pub(crate) struct State {
    version: u64,
    /// Versions before it are forgotten.
    pub(crate) oldest: u64,
    objects: HashMap<String, BTreeMap<String, Value>>,
    /// The events so far: version, resource, type, object.
    pub(crate) events: Vec<(u64, String, &'static str, Value)>,
    refusals: HashMap<String, VecDeque<Refusal>>,
}

impl State {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn refuse(&mut self, what: &str, refusal: Refusal, times: usize) {
        let refusals = self.refusals.entry(what.to_owned()).or_default();
        refusals.extend(std::iter::repeat_n(refusal, times));
    }

    /// Whether the next answer of this kind is lost.
    pub(crate) fn loses(&self, what: &str) -> bool {
        let next = self.refusals.get(what).and_then(VecDeque::front);
        matches!(next, Some(Refusal::Lost))
    }

    pub(crate) fn refusal(&mut self, what: &str) -> Option<Refusal> {
        self.refusals.get_mut(what)?.pop_front()
    }

    pub(crate) fn all(&self, resource: &str) -> impl Iterator<Item = &Value> {
        self.objects
            .get(resource)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    pub(crate) fn get(&self, resource: &str, name: &str) -> Option<&Value> {
        self.objects.get(resource)?.get(name)
    }

    pub(crate) fn compact(&mut self) {
        self.version += 1;
        self.oldest = self.version;
        self.events.clear();
    }

    fn note(&mut self, resource: &str, kind: &'static str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.events
            .push((self.version, resource.to_owned(), kind, object.clone()));
        object
    }
}

/// Whether an object has the labels of a selector.
pub(crate) fn selects(selector: &str, object: &Value) -> bool {
    selector
        .split(',')
        .filter(|term| !term.is_empty())
        .all(|term| {
            let (key, value) = term.split_once('=').unwrap();
            object["metadata"]["labels"][key] == value
        })
}

impl Inner {
    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    pub(crate) fn put(&self, resource: &str, object: Value, kind: &'static str) -> Value {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let mut state = self.state.lock().unwrap();
        let object = state.note(resource, kind, object);
        let objects = state.objects.entry(resource.to_owned()).or_default();
        objects.insert(name, object.clone());
        drop(state);
        self.tell();
        object
    }

    /// Changes an object that is there, at once.
    pub(crate) fn change(
        &self,
        resource: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Option<Value> {
        let mut state = self.state.lock().unwrap();
        let mut object = state.get(resource, name).cloned()?;
        change(&mut object);
        let object = state.note(resource, "MODIFIED", object);
        let objects = state.objects.entry(resource.to_owned()).or_default();
        objects.insert(name.to_owned(), object.clone());
        drop(state);
        self.tell();
        Some(object)
    }

    /// Takes an object away.
    pub(crate) fn remove(&self, resource: &str, name: &str) -> Option<Value> {
        let mut state = self.state.lock().unwrap();
        let object = state.objects.get_mut(resource)?.remove(name)?;
        let object = state.note(resource, "DELETED", object);
        drop(state);
        self.tell();
        Some(object)
    }

    /// The node says how a pod is.
    pub(crate) fn set_status(&self, name: &str, status: Value) {
        self.change("pods", name, |pod| pod["status"] = status);
    }

    /// First it is told to end, then it is gone.
    pub(crate) fn delete_pod(self: &Arc<Self>, name: &str) -> Option<Value> {
        let pod = self.change("pods", name, |pod| {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        })?;
        let (inner, name) = (Arc::clone(self), name.to_owned());
        tokio::spawn(async move {
            inner.node.stop(&name).await;
            inner.remove("pods", &name);
        });
        Some(pod)
    }
}
