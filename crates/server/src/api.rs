//! The emulated surface: routes, one handler per endpoint, and the shapes of failure.

pub(crate) mod batches;
mod caller;
mod coding;
mod cut;
mod era;
mod error;
mod exchange;
mod faults;
pub(crate) mod files;
mod guard;
mod identify;
mod json;
mod key;
mod linger;
mod messages;
mod models;
pub(crate) mod multipart;
mod paced;
mod paging;
mod record;
mod replay;
mod routes;
mod shaped;
pub(crate) mod skills;
mod turn;

pub(crate) use coding::coding;
pub(crate) use identify::INVALID_KEY;
pub(crate) use key::keys;
pub(crate) use linger::unfinished;
pub(crate) use record::REQUESTS;
pub(crate) use routes::{answer, front, is_below, through};
pub(crate) use shaped::Connection;
