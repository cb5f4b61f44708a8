//! Clearing up: what servers that are gone have left, and our own at the end.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::ListParams;

use super::backend::KubernetesBackend;
use super::look::{Look, Stage};
use super::names::{EXPIRES, MANAGED_BY, MANAGER, SANDBOX, SCOPE};
use crate::ids::SandboxId;
use crate::limits::{CONCURRENT_POD_STARTS, POD_ENDED_LIFE};
use crate::sandbox::SandboxError;

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
            .filter(|look| self.is_left(look, now, known))
            .map(|look| look.name)
            .collect();
        let mut removed = condemned.len();
        let ends = condemned.iter().map(|name| self.cluster.end_pod(name));
        all_of(ends).await?;
        if self.keeps_files() {
            removed += self.reap_claims(&all, now, known).await?;
        }
        Ok(removed)
    }

    fn is_left(&self, look: &Look, now: DateTime<Utc>, known: &HashSet<SandboxId>) -> bool {
        if look.server == self.mould.owner.server {
            return false;
        }
        if look.expires.is_some_and(|end| end < now) {
            return true;
        }
        if look.scope == self.mould.owner.scope {
            return look.sandbox.as_ref().is_none_or(|id| !known.contains(id));
        }
        let ended = match &look.stage {
            Stage::Ended { at, .. } => *at,
            Stage::Pending(_) | Stage::Broken(_) | Stage::Running | Stage::Ending => None,
        };
        let long = TimeDelta::from_std(POD_ENDED_LIFE).unwrap_or(TimeDelta::MAX);
        look.temporary && ended.is_some_and(|at| now - at > long)
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
                let expires = claim.annotations().get(EXPIRES);
                let expires = expires.and_then(|at| at.parse::<DateTime<Utc>>().ok());
                let sandbox = claim.labels().get(SANDBOX);
                let is_known = sandbox.is_some_and(|id| known.contains(id.as_str()));
                let is_ours = claim.labels().get(SCOPE) == Some(&self.mould.owner.scope);
                expires.is_some_and(|end| end < now) || (is_ours && !is_known)
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
        self.close_pool();
        // All of the data directory: some were taken up from an earlier run.
        self.cluster.end_pods(&self.mould.owner.selector()).await
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
