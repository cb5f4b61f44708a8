//! Where the calls of a turn run: the container it was given, or makes.

use std::sync::Arc;

use wire::block::Container as WireContainer;

use super::{Turn, cuts};
use crate::container::Container;
use crate::{TurnError, lints, skills};
use common::clock::rfc3339_micros;
use model::TurnRequest;
use workspace::coverage::ContainerMet;
use workspace::quirks::PauseContainer;

/// Where the turn's calls run.
pub(super) enum Place {
    /// Nowhere yet.
    None,
    Alive(Arc<Container>),
    /// The named container is past its 30 days.
    Expired,
}

impl Turn<'_> {
    /// Files and skills named in the request count as a use of the container even if nothing runs (F180).
    pub(super) async fn preload(&mut self, request: &TurnRequest) -> Result<(), TurnError> {
        self.meter.uses_container();
        self.used_container = true;
        if let Some(container) = self.container().await? {
            let goes_on = request.resumes_pause || !request.answered.is_empty();
            self.engine
                .containers
                .add_uploads(&container, &request.uploads, !goes_on)
                .await?;
            self.engine
                .containers
                .add_skills(&container, &self.skills)
                .await?;
        }
        Ok(())
    }

    /// The turn's container, made if there is none; `None` if the named one has expired.
    pub(super) async fn container(&mut self) -> Result<Option<Arc<Container>>, TurnError> {
        self.used_container = true;
        let now = self.input.workspace.clock.now();
        self.used_since.get_or_insert(now);
        match &self.place {
            Place::Alive(container) => Ok(Some(Arc::clone(container))),
            Place::Expired => Ok(None),
            Place::None => {
                let Self {
                    engine, input, ids, ..
                } = &*self;
                let made = async {
                    lints::dropped_container(engine, input, None).await?;
                    let containers = &engine.containers;
                    Ok::<_, TurnError>(containers.create(&input.workspace, ids).await?)
                };
                let container = Box::pin(made).await?;
                if let Ok(mut report) = self.input.report.lock() {
                    report.made_container = Some(container.id.to_string());
                    report.container = Some(container.id.to_string());
                }
                let coverage = &self.input.workspace.watch.coverage;
                coverage.container(ContainerMet::New);
                self.place = Place::Alive(Arc::clone(&container));
                Ok(Some(container))
            }
        }
    }

    pub(super) async fn container_of_answer(&mut self) -> Result<Option<WireContainer>, TurnError> {
        let Place::Alive(container) = &self.place else {
            if matches!(self.place, Place::Expired)
                && !self.used_container
                && !cuts::has_expired(self.input)
            {
                lints::expired_container(self.input);
            }
            return Ok(None);
        };
        if !self.used_container && !self.resumed_only {
            return Ok(None);
        }
        let expires_at = Box::pin(self.engine.containers.touch(
            &self.input.workspace,
            container,
            self.input.quirks.container_expires_at,
            self.code_stands,
        ))
        .await?;
        if !self.used_container {
            return Ok(None);
        }
        if (self.code_waits || self.code_stands)
            && self.input.quirks.pause_container == PauseContainer::Omit
        {
            return Ok(None);
        }
        Ok(Some(WireContainer {
            id: container.id.to_string(),
            expires_at: rfc3339_micros(expires_at),
            skills: Box::pin(skills::told(self.engine, self.input, &container.id)).await?,
        }))
    }
}
