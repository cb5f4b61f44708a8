//! Clearing up: sandboxes whose server is gone, and our own at the end.

use std::collections::HashMap;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};

use super::DockerBackend;
use super::lease::{LABEL_CONTAINER, LABEL_SERVER, Verdict};
use crate::SandboxError;
use common::limits::CONCURRENT_STARTS;

impl DockerBackend {
    /// Removes sandboxes nobody will come back to, and answers how many.
    ///
    /// Those are: of a server that is gone and whose data directory was temporary; past their expiry at
    /// `now` (wall clock); and of our own data directory, if `is_known` does not know the container. What
    /// belongs to another live server, or might, is never touched.
    pub async fn reap_at(
        &self,
        now: DateTime<Utc>,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<usize, SandboxError> {
        let all = self.sandboxes(LABEL_CONTAINER.to_owned()).await?;
        let condemned = all.into_iter().filter(|sandbox| {
            let labels = sandbox.labels.clone().unwrap_or_default();
            // By its name: one that was warm got a container, and kept its label.
            let container = self.container_of(sandbox);
            match self.lease.judge(&labels, container.is_some(), now) {
                Verdict::Keep => false,
                Verdict::Orphan => true,
                Verdict::Ours => !container.is_some_and(&is_known),
            }
        });
        self.delete_all(condemned.filter_map(|sandbox| sandbox.id).collect())
            .await
    }

    /// Removes every sandbox of one run of a server, files and all, and answers how many.
    pub async fn remove_all_of(&self, server_id: &str) -> Result<usize, SandboxError> {
        let all = self
            .sandboxes(format!("{LABEL_SERVER}={server_id}"))
            .await?;
        self.delete_all(all.into_iter().filter_map(|sandbox| sandbox.id).collect())
            .await
    }

    /// Removes every sandbox of the data directory, files and all, and answers how many.
    pub async fn remove_all_of_this_directory(&self) -> Result<usize, SandboxError> {
        self.delete_all(self.own().await?).await
    }

    pub(super) async fn end(&self) -> Result<(), SandboxError> {
        self.close_pool().await?;
        if self.lease.is_temporary() {
            self.remove_all_of(&self.lease.server).await?;
            return Ok(());
        }
        // Of the data directory, not of this run: some were taken up from an earlier one.
        let stopped = stream::iter(self.own().await?)
            .map(async |id| self.kill(&id).await)
            .buffer_unordered(CONCURRENT_STARTS);
        stopped.collect::<Vec<_>>().await.into_iter().collect()
    }

    /// The container of ours whose sandbox it is.
    fn container_of<'a>(&self, sandbox: &'a ContainerSummary) -> Option<&'a str> {
        let own = self.sandbox_name("");
        let mut names = sandbox.names.iter().flatten();
        names.find_map(|name| name.strip_prefix('/').unwrap_or(name).strip_prefix(&own))
    }

    /// The ids of the data directory's sandboxes.
    async fn own(&self) -> Result<Vec<String>, SandboxError> {
        let all = self.sandboxes(LABEL_CONTAINER.to_owned()).await?;
        let own = all
            .into_iter()
            .filter(|sandbox| self.container_of(sandbox).is_some());
        Ok(own.filter_map(|sandbox| sandbox.id).collect())
    }

    async fn sandboxes(&self, label: String) -> Result<Vec<ContainerSummary>, SandboxError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let listing = self.engine.docker.list_containers(Some(options));
        Ok(self.engine.ask("list the sandboxes", listing).await?)
    }

    async fn delete_all(&self, ids: Vec<String>) -> Result<usize, SandboxError> {
        let count = ids.len();
        let removals = stream::iter(ids)
            .map(async |id| self.delete(&id).await)
            .buffer_unordered(CONCURRENT_STARTS);
        let outcomes: Result<Vec<()>, SandboxError> =
            removals.collect::<Vec<_>>().await.into_iter().collect();
        outcomes.map(|_| count)
    }
}
