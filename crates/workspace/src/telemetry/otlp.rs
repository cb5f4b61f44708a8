//! Spans on their way to a collector: OTLP over HTTP, in batches, behind a bounded queue.
//!
//! A collector that is slow or gone costs spans, which are counted, and never a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::protobuf;
use super::span::Span;
use client::{self, Call, ClientError, Http, Reach};

/// Requests whose spans wait.
const QUEUE: usize = 1024;
/// Spans of one message.
const BATCH: usize = 512;
/// How long spans wait for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server that stops waits for what is left.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// A place for spans.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: mpsc::Sender<Order>,
    pub(super) counts: Arc<Sent>,
}

/// Counters of spans, by the outcome of their export.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) taken: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) dropped: AtomicU64,
}

#[derive(Debug)]
enum Order {
    Spans(Vec<Span>),
    Flush(oneshot::Sender<()>),
}

/// Where spans go: the URL as it was given, or its `/v1/traces`.
fn endpoint(url: &str) -> String {
    let (url, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let url = url.trim_end_matches('/');
    if url.ends_with("/v1/traces") {
        format!("{url}{query}")
    } else {
        format!("{url}/v1/traces{query}")
    }
}

/// A URL for the log, without what may be a secret: who asks, and the query.
fn shown(url: &str) -> String {
    let url = &url[..url.find('?').unwrap_or(url.len())];
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

impl Exporter {
    /// Sends to a collector, from a task of its own that ends with the exporter.
    pub(super) fn start(url: &str) -> Result<Self, ClientError> {
        let client = client::build(Reach::Anywhere)?;
        let (queue, orders) = mpsc::channel(QUEUE);
        let counts = Arc::new(Sent::default());
        let sender = Sender {
            client,
            url: endpoint(url),
            counts: Arc::clone(&counts),
            is_failing: false,
        };
        tokio::spawn(sender.run(orders));
        Ok(Self { queue, counts })
    }

    /// Takes spans at once, or drops them.
    pub(super) fn push(&self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        if self.queue.try_send(Order::Spans(spans)).is_err() {
            self.counts.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Waits until what was taken is sent, for a while.
    pub(super) async fn flush(&self) {
        let (done, told) = oneshot::channel();
        let flush = async {
            if self.queue.send(Order::Flush(done)).await.is_ok() {
                // An error says that the task is over.
                told.await.ok();
            }
        };
        timeout(LAST_PATIENCE, flush).await.ok();
    }
}

/// The task behind an [`Exporter`].
struct Sender {
    client: Http,
    url: String,
    counts: Arc<Sent>,
    is_failing: bool,
}

impl Sender {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut spans = Vec::new();
        while let Some(order) = orders.recv().await {
            let mut waiting = Vec::new();
            take(order, &mut spans, &mut waiting);
            let gather = async {
                while spans.len() < BATCH && waiting.is_empty() {
                    let Some(order) = orders.recv().await else {
                        break;
                    };
                    take(order, &mut spans, &mut waiting);
                }
            };
            timeout(GATHER, gather).await.ok();
            for batch in std::mem::take(&mut spans).chunks(BATCH) {
                self.send(batch).await;
            }
            for done in waiting {
                // Nobody waits any more if nobody hears it.
                done.send(()).ok();
            }
        }
    }

    async fn send(&mut self, batch: &[Span]) {
        let call = Call {
            method: "POST",
            url: &self.url,
            headers: &[("content-type", "application/x-protobuf")],
            body: Bytes::from(protobuf::request(batch)),
        };
        let answer = timeout(PATIENCE, client::send_with(&self.client, call)).await;
        let failure = match answer {
            Ok(Ok(answer)) if answer.is_success() => None,
            Ok(Ok(answer)) => Some(format!("it answers {}", answer.status)),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it does not answer".to_owned()),
        };
        let count = match failure {
            None => &self.counts.taken,
            Some(_) => &self.counts.failed,
        };
        count.fetch_add(batch.len() as u64, Ordering::Relaxed);
        match failure {
            // Once, until it works again.
            Some(reason) if !self.is_failing => {
                tracing::warn!(url = shown(&self.url), %reason, "spans are not taken");
                self.is_failing = true;
            }
            Some(_) => {}
            None => self.is_failing = false,
        }
    }
}

fn take(order: Order, spans: &mut Vec<Span>, waiting: &mut Vec<oneshot::Sender<()>>) {
    match order {
        Order::Spans(more) => spans.extend(more),
        Order::Flush(done) => waiting.push(done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_named_with_or_without_its_path() {
        for url in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            assert_eq!(endpoint(url), "http://c:4318/v1/traces");
        }
        let url = endpoint("https://us:pass@c/a/?key=K/");
        assert_eq!(url, "https://us:pass@c/a/v1/traces?key=K/");
        assert_eq!(shown(&url), "https://c/a/v1/traces");
        assert_eq!(shown("http://c@d:e@f:1"), "http://f:1");
    }
}
