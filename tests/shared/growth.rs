//! Many containers of which few are awake, on a cluster whose answers take their time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sandbox::guest::{Guest, HELLO_TIMEOUT, Settings};
use sandbox::kubernetes::KubernetesBackend;
use sandbox::{Launcher as _, Limits, SandboxSpec};
use tokio::sync::Mutex;

/// The costs of a part of the containers.
#[derive(Debug)]
pub(crate) struct Part {
    /// Containers so far.
    pub(crate) containers: usize,
    /// Waits for a new sandbox, sorted.
    pub(crate) waits: Vec<Duration>,
    /// Turns, sorted.
    pub(crate) turns: Vec<Duration>,
    pub(crate) calls: u64,
    /// Resident memory of this process, the cluster included.
    pub(crate) memory_kib: u64,
}

/// One container after the other has a new sandbox and some turns, `at_once` side by side; the longest awake sleeps
/// when there are more than `awake`. Told in parts.
pub(crate) async fn grow(
    backend: &KubernetesBackend,
    spec: impl Fn(usize) -> SandboxSpec,
    (containers, parts): (usize, usize),
    (awake, at_once, turns): (usize, usize, usize),
) -> Vec<Part> {
    let sleepers: Mutex<VecDeque<(SandboxSpec, Guest)>> = Mutex::default();
    let mut told = Vec::new();
    for part in 0..parts {
        let before = backend.calls();
        let next = AtomicUsize::new(part * containers / parts);
        let end = (part + 1) * containers / parts;
        let work = (0..at_once).map(|_| async {
            let (mut waits, mut spans) = (Vec::new(), Vec::new());
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= end {
                    return (waits, spans);
                }
                let spec = spec(n);
                let begun = Instant::now();
                let launched = backend.launch(&spec).await.unwrap();
                let resumed = Guest::resume(launched, Settings::default(), HELLO_TIMEOUT).await;
                let (guest, _) = resumed.unwrap();
                waits.push(begun.elapsed());
                for _ in 0..turns {
                    let begun = Instant::now();
                    guest.ping().await.unwrap();
                    spans.push(begun.elapsed());
                }
                let tired = {
                    let mut sleepers = sleepers.lock().await;
                    sleepers.push_back((spec, guest));
                    if sleepers.len() > awake {
                        sleepers.pop_front()
                    } else {
                        None
                    }
                };
                if let Some((spec, guest)) = tired {
                    drop(guest);
                    backend.stop(&spec.sandbox_id).await.unwrap();
                }
            }
        });
        let done = futures_util::future::join_all(work).await;
        let (mut waits, mut spans): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
        for (more_waits, more_spans) in done {
            waits.extend(more_waits);
            spans.extend(more_spans);
        }
        waits.sort();
        spans.sort();
        told.push(Part {
            containers: end,
            waits,
            turns: spans,
            calls: backend.calls() - before,
            memory_kib: memory_kib(),
        });
    }
    told
}

/// Limits do not matter here.
pub(crate) fn limits() -> Limits {
    Limits::default()
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}
