//! Where a turn's calls run: the container that its request names.

use std::sync::Arc;

use crate::container::{Container, Found};
use crate::engine::{Engine, TurnError, TurnInput};
use crate::model::ServiceError;
use crate::quirks::{ExpiredContainer, UnknownContainer};

/// Where the turn's calls run.
pub(super) enum Place {
    /// Nowhere yet.
    None,
    Alive(Arc<Container>),
    /// The named container is past its 30 days.
    Expired,
}

/// With code that `waits` in it, a container that is over fails the request (spec 03 §5).
pub(super) async fn find_container(
    engine: &Engine,
    input: &TurnInput,
    waits: bool,
) -> Result<Place, TurnError> {
    let Some(id) = input
        .request
        .container
        .as_ref()
        .and_then(|container| container.id.as_deref())
    else {
        return Ok(Place::None);
    };
    let quirks = &input.quirks;
    let idle = quirks.container_idle.0;
    match engine.containers.find(&input.workspace, id, idle).await? {
        Found::Alive(container) => Ok(Place::Alive(container)),
        Found::Missing if quirks.unknown_container == UnknownContainer::NotFound => {
            Err(TurnError::NotFound {
                message: format!("Container `{id}` not found."),
                code: None,
            })
        }
        Found::Expired | Found::Missing => match quirks.expired_container {
            ExpiredContainer::ToolError if !waits => Ok(Place::Expired),
            // Parity: what a dead id gave in 2026-08 (FACTS §9).
            ExpiredContainer::ServerError => Err(TurnError::Service(Box::new(ServiceError {
                status: 500,
                kind: "api_error".to_owned(),
                message: "Internal server error".to_owned(),
                details: None,
                headers: Vec::new(),
                after_events: None,
            }))),
            ExpiredContainer::ToolError | ExpiredContainer::RequestError => {
                Err(TurnError::Invalid(format!("container: `{id}` has expired")))
            }
        },
    }
}
