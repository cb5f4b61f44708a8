//! The sandbox image: building it, and looking for it.

use super::engine::{Engine, Facts};
use super::recipe::state;
use super::{base, build};
use crate::{BoxFuture, SandboxError};

pub use super::recipe::{
    BuildArgs, Flavor, FlavorError, ImageError, ImageState, Progress, REQUIREMENTS,
};

/// A built image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    pub image: String,
    pub base: String,
    pub size_bytes: u64,
}

/// Connects to the engine and builds.
pub fn build<'a>(
    args: &'a BuildArgs,
    progress: &'a mut (dyn FnMut(Progress) + Send),
) -> BoxFuture<'a, Result<Built, ImageError>> {
    Box::pin(async move {
        let engine = Engine::connect(args.host.as_deref()).await?;
        build_with(&engine, args, progress).await
    })
}

/// Builds unless the image is there and from this binary's recipe; answers what it built.
pub async fn ensure(
    args: &BuildArgs,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Option<Built>, ImageError> {
    let engine = Engine::connect(args.host.as_deref()).await?;
    let image = args.tag.clone().unwrap_or_else(|| args.flavor.image());
    if let ImageState::Current { .. } = state(&engine, &image).await? {
        return Ok(None);
    }
    build_with(&engine, args, progress).await.map(Some)
}

/// Builds on a known engine.
pub(super) async fn build_with(
    engine: &Engine,
    args: &BuildArgs,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Built, ImageError> {
    let base = base::provide(engine, args, progress).await?;
    let image = args.tag.clone().unwrap_or_else(|| args.flavor.image());
    build::run(engine, args.flavor, &base, &image, progress).await?;
    // It is built, even if a busy engine does not say how large it is.
    let found = state(engine, &image).await;
    let size_bytes = match found.unwrap_or(ImageState::Missing) {
        ImageState::Missing => 0,
        ImageState::Current { size_bytes }
        | ImageState::Stale { size_bytes }
        | ImageState::Foreign { size_bytes } => size_bytes,
    };
    Ok(Built {
        image,
        base,
        size_bytes,
    })
}

/// A survey of an engine and of its images, for reports.
#[derive(Debug)]
pub struct Survey {
    pub facts: Facts,
    /// The state of each flavor.
    pub flavors: Vec<(Flavor, ImageState)>,
    /// The state of the image that was asked for.
    pub named: Option<ImageState>,
}

/// Looks at an engine, our images, and the one `named`.
pub fn survey<'a>(
    host: Option<&'a str>,
    named: Option<&'a str>,
) -> BoxFuture<'a, Result<Survey, SandboxError>> {
    Box::pin(surveyed(host, named))
}

async fn surveyed(host: Option<&str>, named: Option<&str>) -> Result<Survey, SandboxError> {
    let engine = Engine::connect(host).await?;
    let mut flavors = Vec::new();
    for flavor in [Flavor::Full, Flavor::Slim] {
        flavors.push((flavor, state(&engine, &flavor.image()).await?));
    }
    let named = match named {
        Some(name) => Some(state(&engine, name).await?),
        None => None,
    };
    Ok(Survey {
        facts: engine.facts,
        flavors,
        named,
    })
}
