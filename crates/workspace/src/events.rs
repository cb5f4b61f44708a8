//! Everything as it happens, for whoever listens: bounded queues that a slow reader cannot fill.
//!
//! Telling costs one load while nobody listens.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use common::limits;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Such as `request_ended`.
    pub kind: &'static str,
    /// The workspace's id.
    pub workspace: String,
    /// The payload, an object.
    pub data: Value,
}

/// Where events are told and heard. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Events(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: AtomicUsize,
    listeners: Mutex<Vec<Listener>>,
}

#[derive(Debug)]
struct Listener {
    /// `None`: all workspaces.
    workspaces: Option<Vec<String>>,
    queue: mpsc::Sender<(u64, Arc<Event>)>,
    offered: Arc<AtomicU64>,
}

/// One reader's queue.
#[derive(Debug)]
pub struct Subscription {
    queue: mpsc::Receiver<(u64, Arc<Event>)>,
    offered: Arc<AtomicU64>,
    /// How many were offered or are known to be lost.
    seen: u64,
    held: Option<(u64, Arc<Event>)>,
}

/// An item that a reader receives.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Event(Arc<Event>),
    /// So many were lost here, because the reader was slow.
    Dropped(u64),
}

impl Events {
    /// Tells those who listen; `data` is made only if somebody does.
    pub fn tell(&self, workspace: &str, kind: &'static str, data: impl FnOnce() -> Value) {
        if self.0.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut listeners = self.lock();
        listeners.retain(|listener| !listener.queue.is_closed());
        self.0.count.store(listeners.len(), Ordering::Relaxed);
        let mut wanted = listeners
            .iter()
            .filter(|listener| listener.wants(workspace))
            .peekable();
        if wanted.peek().is_none() {
            return;
        }
        let event = Arc::new(Event {
            kind,
            workspace: workspace.to_owned(),
            data: data(),
        });
        for listener in wanted {
            let number = listener.offered.fetch_add(1, Ordering::Relaxed);
            // A full queue: the reader finds the gap in the numbers.
            listener.queue.try_send((number, Arc::clone(&event))).ok();
        }
    }

    /// Listens from now on; without `workspaces` to all. `None` if too many do already.
    pub fn subscribe(&self, workspaces: Option<Vec<String>>) -> Option<Subscription> {
        let (sender, queue) = mpsc::channel(limits::EVENT_QUEUE);
        let offered = Arc::new(AtomicU64::new(0));
        let mut listeners = self.lock();
        listeners.retain(|listener| !listener.queue.is_closed());
        if listeners.len() >= limits::EVENT_READERS {
            return None;
        }
        listeners.push(Listener {
            workspaces,
            queue: sender,
            offered: Arc::clone(&offered),
        });
        self.0.count.store(listeners.len(), Ordering::Relaxed);
        Some(Subscription {
            queue,
            offered,
            seen: 0,
            held: None,
        })
    }

    /// Ends every subscription.
    pub fn close(&self) {
        self.lock().clear();
        self.0.count.store(0, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    fn wants(&self, workspace: &str) -> bool {
        self.workspaces
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == workspace))
    }
}

impl Subscription {
    /// The next event, or how many were lost before it; `None` when the server stops.
    pub async fn next(&mut self) -> Option<Heard> {
        if let Some((_, event)) = self.held.take() {
            return Some(Heard::Event(event));
        }
        // Lost ones at the very end have no event behind them that would tell.
        if self.queue.is_empty() {
            let offered = self.offered.load(Ordering::Relaxed);
            if self.queue.is_empty() && offered > self.seen {
                let lost = offered - self.seen;
                self.seen = offered;
                return Some(Heard::Dropped(lost));
            }
        }
        let (number, event) = self.queue.recv().await?;
        let lost = number.saturating_sub(self.seen);
        self.seen = self.seen.max(number + 1);
        if lost > 0 {
            self.held = Some((number, event));
            return Some(Heard::Dropped(lost));
        }
        Some(Heard::Event(event))
    }
}

impl Event {
    /// The object of the `data:` line.
    pub fn to_json(&self) -> Value {
        let mut all = json!({ "type": self.kind, "workspace": self.workspace });
        if let (Some(all), Some(data)) = (all.as_object_mut(), self.data.as_object()) {
            all.extend(data.clone());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn heard(subscription: &mut Subscription, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(match subscription.next().await.unwrap() {
                Heard::Event(event) => event.data["n"].to_string(),
                Heard::Dropped(lost) => format!("lost {lost}"),
            });
        }
        all
    }

    fn tell(events: &Events, range: std::ops::Range<usize>) {
        for n in range {
            events.tell("a", "tick", || json!({ "n": n }));
        }
    }

    #[tokio::test]
    async fn a_slow_reader_loses_the_newest_and_is_told_how_many() {
        let events = Events::default();
        let mut slow = events.subscribe(None).unwrap();
        let queue = limits::EVENT_QUEUE;
        tell(&events, 0..queue + 5);
        let first = heard(&mut slow, queue).await;
        assert_eq!(first.last().unwrap(), &(queue - 1).to_string());
        assert_eq!(heard(&mut slow, 1).await, ["lost 5"]);
        tell(&events, 7..8);
        assert_eq!(heard(&mut slow, 1).await, ["7"]);
        // Room in the middle: the gap is told where it is.
        tell(&events, 0..queue + 2);
        heard(&mut slow, 1).await;
        tell(&events, 9..10);
        heard(&mut slow, queue - 1).await;
        assert_eq!(heard(&mut slow, 2).await, ["lost 2", "9"]);
    }

    #[tokio::test]
    async fn readers_hear_their_workspaces_alone_until_the_end() {
        let events = Events::default();
        let mut own = events.subscribe(Some(vec!["b".to_owned()])).unwrap();
        tell(&events, 0..1);
        events.tell("b", "tick", || json!({ "n": 5 }));
        assert_eq!(heard(&mut own, 1).await, ["5"]);
        events.close();
        assert_eq!(own.next().await, None);
    }

    #[test]
    fn nobody_listens_and_nothing_is_made() {
        let events = Events::default();
        events.tell("a", "tick", || panic!("made for nobody"));
        drop(events.subscribe(None));
        events.tell("a", "tick", || panic!("made for somebody who left"));
    }
}
