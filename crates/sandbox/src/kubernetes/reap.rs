//! Clearing up: what servers that are gone have left, and our own at the end.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use kube::api::ListParams;

use super::backend::KubernetesBackend;
use super::look::{Look, Whose};
use super::names::{MANAGED_BY, MANAGER};
use super::pool::Ticket;
use super::watch::Seen as _;
use crate::SandboxError;
use common::ids::SandboxId;
use common::limits::{CONCURRENT_POD_STARTS, POD_ENDED_LIFE};

impl KubernetesBackend {
    /// Removes what nobody will come back to, and answers how many.
    ///
    /// Those are: of our own data directory, if its container is not known; past their expiry; and pods of temporary
    /// servers that have ended a while ago, since a server that lives removes its own at once. What belongs to
    /// another live server, or might, is never touched.
    pub(super) async fn reap_at(
        &self,
        now: DateTime<Utc>,
        known: &HashSet<SandboxId>,
    ) -> Result<usize, SandboxError> {
        let all = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
        let pods = self.cluster.pods.list(&all);
        let pods = self.cluster.ask("list the pods", pods).await?;
        let condemned: Vec<String> = pods
            .iter()
            .filter_map(Look::of)
            .filter(|look| {
                let whose = look.whose.as_ref();
                whose.is_some_and(|whose| self.is_left(whose, look.stage.ended(), now, known))
            })
            .map(|look| look.name)
            .collect();
        let mut removed = condemned.len();
        let ends = condemned.iter().map(|name| self.cluster.end_pod(name));
        all_of(ends).await?;
        if self.keeps_files() {
            removed += self.reap_claims(&all, now, known).await?;
        }
        if self.pool.is_some() {
            removed += self.reap_tickets(&all, now, known).await?;
        }
        Ok(removed)
    }

    fn is_left(
        &self,
        whose: &Whose,
        ended: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        known: &HashSet<SandboxId>,
    ) -> bool {
        if whose.server == self.mould.owner.server {
            return false;
        }
        if whose.expires.is_some_and(|end| end < now) {
            return true;
        }
        if whose.scope == self.mould.owner.scope {
            return whose.sandbox.as_ref().is_none_or(|id| !known.contains(id));
        }
        let long = TimeDelta::from_std(POD_ENDED_LIFE).unwrap_or(TimeDelta::MAX);
        whose.temporary && ended.is_some_and(|at| now - at > long)
    }

    /// With a claim goes its pod, which nobody else may end: its pool would start another in its place.
    async fn reap_tickets(
        &self,
        all: &ListParams,
        now: DateTime<Utc>,
        known: &HashSet<SandboxId>,
    ) -> Result<usize, SandboxError> {
        let tickets = self.cluster.tickets.list(all);
        let tickets = self.cluster.ask("list the claims", tickets).await?;
        let condemned: Vec<String> = tickets
            .iter()
            .filter_map(Ticket::of)
            .filter(|ticket| self.is_left(&ticket.whose, ticket.ended, now, known))
            .map(|ticket| ticket.name)
            .collect();
        let removed = condemned.len();
        let ends = condemned.iter().map(|name| self.cluster.end_ticket(name));
        all_of(ends).await?;
        Ok(removed)
    }

    async fn reap_claims(
        &self,
        all: &ListParams,
        now: DateTime<Utc>,
        known: &HashSet<SandboxId>,
    ) -> Result<usize, SandboxError> {
        let claims = self.cluster.claims.list(all);
        let claims = self.cluster.ask("list the claims", claims).await?;
        let condemned: Vec<String> = claims
            .iter()
            .filter(|claim| {
                Whose::of(&claim.metadata).is_some_and(|whose| {
                    let is_known = whose.sandbox.is_some_and(|id| known.contains(&id));
                    let is_ours = whose.scope == self.mould.owner.scope;
                    whose.expires.is_some_and(|end| end < now) || (is_ours && !is_known)
                })
            })
            .map(kube::ResourceExt::name_any)
            .collect();
        let removed = condemned.len();
        let ends = condemned.iter().map(|name| self.cluster.remove_claim(name));
        all_of(ends).await?;
        Ok(removed)
    }

    /// The end of the server.
    pub(super) async fn end(&self) -> Result<(), SandboxError> {
        self.close_pool().await;
        // All of the data directory: some were taken up from an earlier run.
        let selector = self.mould.owner.selector();
        if self.pool.is_some() {
            self.cluster.end_tickets(&selector).await
        } else {
            self.cluster.end_pods(&selector).await
        }
    }
}

/// Some at a time.
async fn all_of(
    ends: impl Iterator<Item = impl Future<Output = Result<(), SandboxError>>>,
) -> Result<(), SandboxError> {
    let ends: Vec<_> = ends.collect();
    let ends = stream::iter(ends).buffer_unordered(CONCURRENT_POD_STARTS);
    ends.collect::<Vec<_>>().await.into_iter().collect()
}
