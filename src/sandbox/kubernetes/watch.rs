//! The one watch: it tells of every pod of the data directory, and nobody asks for one.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::look::Look;
use crate::ids::SandboxId;

/// The pods that there are.
#[derive(Debug)]
pub(super) struct Pods {
    known: Arc<Known>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Known {
    pods: Mutex<HashMap<String, watch::Sender<Option<Look>>>>,
    /// Whether all were told of once.
    is_complete: watch::Sender<bool>,
    /// Why the watch does not get through, while it does not.
    trouble: Mutex<Option<String>>,
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pods {
    /// Watches what a selector finds, from now on.
    pub(super) fn watch(api: Api<Pod>, selector: &str) -> Self {
        let known = Arc::new(Known {
            pods: Mutex::default(),
            is_complete: watch::Sender::new(false),
            trouble: Mutex::default(),
        });
        let config = watcher::Config::default().labels(selector);
        let task = tokio::spawn(follow(api, config, Arc::clone(&known)));
        Self { known, task }
    }

    /// Waits until all pods were told of once; the reason if that takes too long.
    pub(super) async fn complete(&self, limit: Duration) -> Result<(), String> {
        let mut complete = self.known.is_complete.subscribe();
        let wait = complete.wait_for(|complete| *complete);
        match tokio::time::timeout(limit, wait).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(self.trouble()),
        }
    }

    /// Why the watch does not get through.
    pub(super) fn trouble(&self) -> String {
        let trouble = self.known.trouble.lock();
        let trouble = trouble.unwrap_or_else(PoisonError::into_inner);
        trouble
            .clone()
            .unwrap_or_else(|| "the list of pods does not come".to_owned())
    }

    /// The pods of a container: one, or none, or two while one takes the other's place.
    pub(super) fn of(&self, sandbox: &SandboxId) -> Vec<Look> {
        let pods = self.known.lock();
        let own = pods.values().filter_map(|sender| {
            let look = sender.borrow();
            let is_own = |look: &&Look| look.sandbox.as_ref() == Some(sandbox);
            look.as_ref().filter(is_own).cloned()
        });
        own.collect()
    }

    /// How a pod changes, from before it is there until it is gone (`None`).
    pub(super) fn follow(&self, name: &str) -> watch::Receiver<Option<Look>> {
        let mut pods = self.known.lock();
        let sender = pods
            .entry(name.to_owned())
            .or_insert_with(|| watch::Sender::new(None));
        sender.subscribe()
    }

    /// Waits until a pod is as it should be; the last look at it if that takes too long.
    pub(super) async fn until<T>(
        pod: &mut watch::Receiver<Option<Look>>,
        limit: Duration,
        mut done: impl FnMut(Option<&Look>) -> Option<T>,
    ) -> Result<T, Option<Look>> {
        let waiting = async {
            loop {
                if let Some(done) = done(pod.borrow_and_update().as_ref()) {
                    return Some(done);
                }
                pod.changed().await.ok()?;
            }
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(Some(done)) => Ok(done),
            Ok(None) | Err(_) => Err(pod.borrow().clone()),
        }
    }

    /// Takes a pod for this container's before the watch says so: the server itself has made it so.
    pub(super) fn give(&self, name: &str, sandbox: &SandboxId) {
        if let Some(sender) = self.known.lock().get(name) {
            sender.send_modify(|look| {
                if let Some(look) = look {
                    look.sandbox = Some(sandbox.clone());
                }
            });
        }
    }
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<Option<Look>>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, pod: &Pod) {
        let Some(look) = Look::of(pod) else {
            return;
        };
        let mut pods = self.lock();
        let sender = pods
            .entry(look.name.clone())
            .or_insert_with(|| watch::Sender::new(None));
        sender.send_replace(Some(look));
    }

    fn forget(&self, name: &str) {
        let mut pods = self.lock();
        if let Some(sender) = pods.get(name) {
            sender.send_replace(None);
            if sender.receiver_count() == 0 {
                pods.remove(name);
            }
        }
    }

    /// What was told of before and is not any more is gone.
    fn forget_all_but(&self, listed: &HashSet<String>) {
        let gone: Vec<String> = {
            let pods = self.lock();
            let known = pods.iter().filter(|(_, sender)| sender.borrow().is_some());
            known
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
async fn follow(api: Api<Pod>, config: watcher::Config, known: Arc<Known>) {
    let mut events = pin!(watcher::watcher(api, config).default_backoff());
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(pod)) => known.tell(&pod),
            Ok(Event::Delete(pod)) => {
                known.forget(pod.metadata.name.as_deref().unwrap_or_default());
            }
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod)) => {
                listed.extend(pod.metadata.name.clone());
                known.tell(&pod);
            }
            Ok(Event::InitDone) => {
                known.forget_all_but(&listed);
                known.set_trouble(None);
                known.is_complete.send_replace(true);
            }
            Err(error) => {
                let reason = super::failure::reason(&error);
                tracing::debug!(%reason, "the watch of the pods begins anew");
                known.set_trouble(Some(reason));
            }
        }
    }
}
