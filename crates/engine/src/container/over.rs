//! When a container is over, and what a request gets that names one that is: for turns and for replay.

use chrono::{DateTime, TimeDelta, Utc};

use common::limits;
use model::ServiceError;
use workspace::quirks::{ExpiredContainer, Quirks};

/// The outcome of a request whose container is over.
#[derive(Debug)]
pub enum Over {
    /// It runs; each call gets `container_expired`.
    Calls,
    /// It is refused: 400, with this message.
    Refused(String),
    /// It fails as the service failed.
    Failed(Box<ServiceError>),
}

/// When a container is over for good: 30 days after it was made.
pub fn ends_at(created_at: DateTime<Utc>) -> DateTime<Utc> {
    created_at + TimeDelta::days(limits::CONTAINER_LIFE_DAYS)
}

/// Whether a container has ended: by its age, or, with `idle`, by not being used.
pub fn is_over(
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    now: DateTime<Utc>,
    idle: Option<TimeDelta>,
) -> bool {
    ends_at(created_at) <= now || idle.is_some_and(|idle| last_used_at + idle <= now)
}

/// The outcome of a request that names the container `id`, which is over. With code that `waits` in it, the request
/// fails whatever its calls would get (F059).
pub fn outcome(quirks: &Quirks, id: &str, waits: bool) -> Over {
    match quirks.expired_container {
        ExpiredContainer::ToolError if !waits => Over::Calls,
        // Parity: what a dead id gave in 2026-08 (F055).
        ExpiredContainer::ServerError => Over::Failed(Box::new(ServiceError {
            status: 500,
            kind: "api_error".to_owned(),
            message: "Internal server error".to_owned(),
            details: None,
            headers: Vec::new(),
            after_events: None,
        })),
        // Parity: by its beginning a client knows that it has to go on without the container (F061).
        ExpiredContainer::NotFound => Over::Failed(Box::new(ServiceError {
            status: 404,
            kind: "not_found_error".to_owned(),
            message: format!("Container not found: {id}"),
            details: None,
            headers: Vec::new(),
            after_events: None,
        })),
        ExpiredContainer::ToolError | ExpiredContainer::RequestError => {
            Over::Refused(format!("container: `{id}` has expired"))
        }
    }
}
