//! Cells that wait for the client's tools: since when, and what ends their patience.
//!
//! The code stands still in the guest, which knows what it waits for. Here is only what the clock has
//! to know; after a restart it comes back from the guest and the container's row.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Container, Containers, Lease, Purpose};
use common::limits;
use sandbox::guest::{Answered, CellStep, ToolAnswer, ToolCall};
use store::{ContainerRow, ContainerState, StoreError};
use workspace::Workspace;

/// A cell that stands still.
#[derive(Debug)]
pub(super) struct Pending {
    tag: String,
    since: DateTime<Utc>,
    calls: Vec<(u64, String)>,
}

impl Pending {
    fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.since + TimeDelta::seconds(limits::CODE_CALL_SECONDS) <= now
    }
}

/// The result of calls that nobody has answered, as the service words it (F060).
pub fn timed_out<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    format!(
        "Calling tool [{}] timed out (no response after {}s).",
        names.join(", "),
        limits::CODE_CALL_SECONDS
    )
}

/// When a container expires that waits for a client's tool (F052).
pub(super) fn expires_at(last_used_at: DateTime<Utc>) -> DateTime<Utc> {
    last_used_at + TimeDelta::minutes(limits::CONTAINER_PENDING_MINUTES)
}

/// Whether a cell waited when the container was last used.
fn may_wait(row: &ContainerRow) -> bool {
    row.state == ContainerState::Awake && row.expires_at == expires_at(row.last_used_at)
}

impl Container {
    fn pending(&self) -> std::sync::MutexGuard<'_, Option<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cell `tag` stands still from now on.
    pub fn waits(&self, tag: &str, calls: &[ToolCall]) {
        self.waits_since(tag.to_owned(), calls, self.clock.now());
    }

    /// A cell that an earlier server has left: it stands still since the container was last used.
    pub(super) fn found_waiting(&self, (tag, calls): (String, Vec<ToolCall>)) {
        self.waits_since(tag, &calls, self.last_used_at);
    }

    fn waits_since(&self, tag: String, calls: &[ToolCall], since: DateTime<Utc>) {
        let calls = calls
            .iter()
            .map(|call| (call.n, call.name.clone()))
            .collect();
        *self.pending() = Some(Pending { tag, since, calls });
    }

    /// Takes the cell `tag` up again; `true` if it has waited for too long.
    pub fn goes_on(&self, tag: &str) -> bool {
        let pending = self.pending().take_if(|pending| pending.tag == tag);
        pending.is_some_and(|pending| pending.is_over(self.clock.now()))
    }

    /// The code of the cell `tag` has searched the web.
    pub(crate) fn has_searched(&self, tag: &str) {
        let mut searched = self.searched.lock().unwrap_or_else(PoisonError::into_inner);
        if searched.len() >= limits::KEPT_WEB_CELLS {
            searched.pop_front();
        }
        searched.push_back(tag.to_owned());
    }

    /// Whether it has, as far as this is remembered.
    pub(crate) fn did_search(&self, tag: &str) -> bool {
        let searched = self.searched.lock().unwrap_or_else(PoisonError::into_inner);
        searched.iter().any(|own| own == tag)
    }

    /// The interpreter has ended.
    pub(super) fn waits_no_more(&self) {
        *self.pending() = None;
        let calls = self.web_calls.lock();
        calls.unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Containers {
    /// Whether a cell in this sandbox waits for the client.
    pub fn is_pending(&self, sandbox: &str) -> bool {
        let container = self.0.lock().get(sandbox).cloned();
        container.is_some_and(|container| container.pending().is_some())
    }

    /// Lets the calls time out that nobody has answered for too long.
    pub fn time_out_calls(&self) {
        let known: Vec<Arc<Container>> = self.0.lock().values().cloned().collect();
        for container in known {
            let now = container.clock.now();
            let is_over = |pending: &mut Pending| pending.is_over(now);
            if !container.pending().as_mut().is_some_and(is_over) {
                continue;
            }
            // Where nothing runs there is nobody to tell: who comes back late learns it then.
            let Some(lease) = Self::enter_awake(&container, Purpose::Visit) else {
                continue;
            };
            let over = container.pending().take_if(is_over);
            if let Some(pending) = over {
                tokio::spawn(time_out(lease, container, pending, self.timeouts().cell));
            }
        }
    }

    /// Ends a cell that stands still and that nobody will come back for.
    pub(crate) fn end_cell(container: &Container, tag: &str) {
        container.goes_on(tag);
        // Held: the sandbox is about to be stopped, or filled by somebody who waits for the cell's end.
        if let Ok(sandbox) = container.sandbox.try_lock()
            && let Some(guest) = &sandbox.guest
        {
            guest.end_cell(tag);
        }
    }

    /// After a restart: the sandboxes in which code waits are taken up at once, before their lease ends.
    pub async fn take_up_waiting(&self, workspace: &Workspace) -> Result<(), StoreError> {
        for row in self.0.store.containers(&workspace.id).await? {
            // Files that nobody else has go with the lease, too.
            let is_urgent =
                row.state == ContainerState::Awake && !self.0.backend.capabilities().keeps_files;
            if !may_wait(&row) && !is_urgent {
                continue;
            }
            let container = self.know(row, &workspace.clock);
            self.take_up_uploads(&container).await?;
            let mut sandbox = container.sandbox.lock().await;
            if sandbox.guest.is_none() {
                sandbox.guest = self.take_up(&container).await.unwrap_or_else(|error| {
                    tracing::warn!(container.id = %container.id, %error, "the sandbox of an earlier server is out of reach");
                    None
                });
            }
        }
        Ok(())
    }
}

/// Tells the code; what it does then is there for a client that comes late.
async fn time_out(lease: Lease, container: Arc<Container>, pending: Pending, limit: Duration) {
    let text = timed_out(pending.calls.iter().map(|(_, name)| name.as_str()));
    tracing::info!(container.id = %container.id, cell = %pending.tag, "{text}");
    let answers: Vec<ToolAnswer> = pending
        .calls
        .iter()
        .map(|(n, _)| ToolAnswer {
            n: *n,
            outcome: Answered::TimedOut(text.clone()),
        })
        .collect();
    match lease.go_on(&pending.tag, &answers, limit).await {
        Ok(CellStep::Waits(calls)) => container.waits(&pending.tag, &calls),
        Ok(CellStep::Done(_)) => {}
        Err(error) => {
            tracing::debug!(container.id = %container.id, %error, "a late cell does not go on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_is_worded_as_the_service_words_it() {
        assert_eq!(
            timed_out(["query_database"].into_iter()),
            "Calling tool ['query_database'] timed out (no response after 270s)."
        );
        assert!(timed_out(["a", "b"].into_iter()).starts_with("Calling tool ['a', 'b'] timed out"));
    }
}
