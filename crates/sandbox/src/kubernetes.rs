//! Sandboxes as pods of a Kubernetes cluster. The only user of kube and k8s-openapi.
//!
//! A pod holds the guest and, as a user of its own, a relay. The server reaches the relay by `exec`, whose bytes
//! no log keeps, and the relay the guest by a socket that lets only its user in. The stream may end whenever a
//! connection does: the guest has a lease, and the next stream takes it up. One watch tells of all pods.

#[cfg(feature = "kubernetes")]
mod api;
#[cfg(feature = "kubernetes")]
mod backend;
#[cfg(feature = "kubernetes")]
mod channel;
#[cfg(feature = "kubernetes")]
mod failure;
#[cfg(feature = "kubernetes")]
mod launch;
#[cfg(feature = "kubernetes")]
mod look;
#[cfg(feature = "kubernetes")]
mod names;
#[cfg(feature = "kubernetes")]
mod network;
#[cfg(feature = "kubernetes")]
mod pool;
#[cfg(feature = "kubernetes")]
mod reap;
pub mod rules;
pub mod settings;
#[cfg(feature = "kubernetes")]
mod spec;
#[cfg(feature = "kubernetes")]
mod warm;
#[cfg(feature = "kubernetes")]
mod watch;

#[cfg(feature = "kubernetes")]
pub use backend::{KubernetesBackend, KubernetesConfig};
#[cfg(feature = "kubernetes")]
pub use pool::template as pool_template;
