//! The one watch of a kind: it tells of every pod of the data directory, and nobody asks for one.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::failure::Trouble;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::look::Look;
use common::ids::SandboxId;

/// The record that is kept of an object that is watched.
pub(super) trait Seen: Clone + Send + Sync + 'static {
    type Object: Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static;

    /// `None` of what is not ours to see.
    fn of(object: &Self::Object) -> Option<Self>;

    fn name(&self) -> &str;
}

impl Seen for Look {
    type Object = Pod;

    fn of(pod: &Pod) -> Option<Self> {
        Self::of(pod)
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// The pods that there are.
pub(super) type Pods = Watched<Look>;

/// The objects of a kind that there are.
#[derive(Debug)]
pub(super) struct Watched<T: Seen> {
    known: Arc<Known<T>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Known<T> {
    objects: Mutex<HashMap<String, watch::Sender<Option<T>>>>,
    /// Whether all were told of once.
    is_complete: watch::Sender<bool>,
    /// Why the watch does not get through, while it does not.
    trouble: Mutex<Option<String>>,
}

impl<T: Seen> Drop for Watched<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Seen> Watched<T> {
    /// Watches what a selector finds, from now on.
    pub(super) fn watch(api: Api<T::Object>, selector: &str) -> Self
    where
        <T::Object as Resource>::DynamicType: Send,
    {
        let known = Arc::new(Known {
            objects: Mutex::default(),
            is_complete: watch::Sender::new(false),
            trouble: Mutex::default(),
        });
        let config = watcher::Config::default().labels(selector);
        let task = tokio::spawn(follow(api, config, Arc::clone(&known)));
        Self { known, task }
    }

    /// Waits until all were told of once; the reason if that takes too long.
    pub(super) async fn complete(&self, limit: Duration) -> Result<(), Trouble> {
        let mut complete = self.known.is_complete.subscribe();
        let wait = complete.wait_for(|complete| *complete);
        match tokio::time::timeout(limit, wait).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Trouble::new(self.trouble())),
        }
    }

    /// Why the watch does not get through.
    pub(super) fn trouble(&self) -> String {
        let trouble = self.known.trouble.lock();
        let trouble = trouble.unwrap_or_else(PoisonError::into_inner);
        trouble
            .clone()
            .unwrap_or_else(|| "the list does not come".to_owned())
    }

    /// Those that are so.
    pub(super) fn those(&self, mut are_so: impl FnMut(&T) -> bool) -> Vec<T> {
        let objects = self.known.lock();
        let found = objects.values().filter_map(|sender| {
            let seen = sender.borrow();
            seen.as_ref().filter(|seen| are_so(seen)).cloned()
        });
        found.collect()
    }

    /// The one of this name.
    pub(super) fn called(&self, name: &str) -> Option<T> {
        self.known.lock().get(name)?.borrow().clone()
    }

    /// How one changes, from before it is there until it is gone (`None`).
    pub(super) fn follow(&self, name: &str) -> watch::Receiver<Option<T>> {
        let mut objects = self.known.lock();
        let sender = objects
            .entry(name.to_owned())
            .or_insert_with(|| watch::Sender::new(None));
        sender.subscribe()
    }

    /// Waits until one is as it should be; the last look at it if that takes too long.
    pub(super) async fn until<D>(
        one: &mut watch::Receiver<Option<T>>,
        limit: Duration,
        mut done: impl FnMut(Option<&T>) -> Option<D>,
    ) -> Result<D, Option<T>> {
        let waiting = async {
            loop {
                if let Some(done) = done(one.borrow_and_update().as_ref()) {
                    return Some(done);
                }
                one.changed().await.ok()?;
            }
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(Some(done)) => Ok(done),
            Ok(None) | Err(_) => Err(one.borrow().clone()),
        }
    }
}

impl Pods {
    /// The pods of a container: one, or none, or two while one takes the other's place.
    pub(super) fn of(&self, sandbox: &SandboxId) -> Vec<Look> {
        self.those(|look| look.is_of(sandbox))
    }

    /// Takes a pod for this container's before the watch says so: the server itself has made it so.
    pub(super) fn give(&self, name: &str, sandbox: &SandboxId) {
        if let Some(sender) = self.known.lock().get(name) {
            sender.send_modify(|look| {
                if let Some(whose) = look.as_mut().and_then(|look| look.whose.as_mut()) {
                    whose.sandbox = Some(sandbox.clone());
                }
            });
        }
    }
}

impl<T: Seen> Known<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<Option<T>>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, object: &T::Object) {
        let Some(seen) = T::of(object) else {
            return;
        };
        let mut objects = self.lock();
        let sender = objects
            .entry(seen.name().to_owned())
            .or_insert_with(|| watch::Sender::new(None));
        sender.send_replace(Some(seen));
    }

    fn forget(&self, name: &str) {
        let mut objects = self.lock();
        if let Some(sender) = objects.get(name) {
            sender.send_replace(None);
            if sender.receiver_count() == 0 {
                objects.remove(name);
            }
        }
    }

    /// Forgets the objects that were told of before and are not listed any more.
    fn forget_all_but(&self, listed: &HashSet<String>) {
        let gone: Vec<String> = {
            let objects = self.lock();
            let there = objects
                .iter()
                .filter(|(_, sender)| sender.borrow().is_some());
            there
                .map(|(name, _)| name.clone())
                .filter(|name| !listed.contains(name))
                .collect()
        };
        for name in gone {
            self.forget(&name);
        }
        // Those that nobody waits for and that never came.
        self.lock()
            .retain(|_, sender| sender.receiver_count() > 0 || sender.borrow().is_some());
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// Restarts, expired versions (410), and refusals are the watcher's care: it lists anew and goes on.
async fn follow<T: Seen>(api: Api<T::Object>, config: watcher::Config, known: Arc<Known<T>>)
where
    <T::Object as Resource>::DynamicType: Send,
{
    let mut events = pin!(watcher::watcher(api, config).default_backoff());
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object)) => known.tell(&object),
            Ok(Event::Delete(object)) => {
                known.forget(object.meta().name.as_deref().unwrap_or_default());
            }
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.extend(object.meta().name.clone());
                known.tell(&object);
            }
            Ok(Event::InitDone) => {
                known.forget_all_but(&listed);
                known.set_trouble(None);
                known.is_complete.send_replace(true);
            }
            Err(error) => {
                let reason = super::failure::reason(&error);
                tracing::debug!(%reason, "a watch begins anew");
                known.set_trouble(Some(reason));
            }
        }
    }
}
