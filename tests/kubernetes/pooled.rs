//! The contract of every backend, in sandboxes of a pool.

use crate::talk;

pub(crate) mod bench {
    use cli::image::Flavor;

    pub(crate) use crate::bench::Bench;
    use crate::bench::{image_ready, pooled};
    use crate::cluster::Kind;

    pub(crate) async fn contract() -> Option<Bench> {
        if !image_ready(Flavor::Slim).await {
            return None;
        }
        Some(pooled(Kind::Docker, 1, |_| {}).await)
    }
}

#[expect(clippy::duplicate_mod, reason = "the same tests on another bench")]
#[path = "../contract/calls.rs"]
mod calls;
#[expect(clippy::duplicate_mod, reason = "the same tests on another bench")]
#[path = "../contract/cells.rs"]
mod cells;
