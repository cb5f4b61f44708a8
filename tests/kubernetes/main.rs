//! Sandboxes as pods: of a fake cluster whose pods are real, and of a real one where `KUBECONFIG` leads to it and
//! `SANDTABLE_TEST_KUBERNETES` says so, or `SANDTABLE_TEST_REQUIRE` names `kubernetes`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

mod bench;
mod budget;
#[path = "../shared/cluster.rs"]
mod cluster;
mod failures;
#[path = "../shared/image.rs"]
mod image;
mod life_of_pods;
mod network;
mod pool;
mod pooled;
#[path = "../shared/programs.rs"]
mod programs;
mod server;
mod streams;
mod talk_light;

#[path = "../contract/calls.rs"]
mod calls;
#[path = "../contract/cells.rs"]
mod cells;
#[path = "../contract/inside.rs"]
mod inside;
#[path = "../contract/life.rs"]
mod life;
#[path = "../contract/talk.rs"]
mod talk;

/// The functions that other suites have elsewhere.
mod ready {
    pub(crate) use crate::image::image_ready;
    pub(crate) use crate::image::require::skip;
}
