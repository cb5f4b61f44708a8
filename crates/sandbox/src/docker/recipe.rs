//! The sandbox image: its flavors, its recipe, and whether it is there.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bollard::models::ImageInspect;
use sha2::{Digest as _, Sha256};

use super::engine::Engine;
use crate::SandboxError;
use common::hinted::Hinted;
use common::ids::hex;

/// The recipe, as in the checkout this binary was built from.
pub(super) const DOCKERFILE: &str = include_str!("../../../../Dockerfile.sandbox");
/// The pinned libraries.
pub const REQUIREMENTS: &str = include_str!("../../../../images/requirements.txt");

/// On an image: the digest of the recipe it was built from.
pub(super) const LABEL_RECIPE: &str = "sandtable.recipe";
/// On an image: its flavor.
pub(super) const LABEL_FLAVOR: &str = "sandtable.flavor";

/// The contents of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flavor {
    /// Every documented library and tool.
    #[default]
    Full,
    /// Python and the tools, no libraries.
    Slim,
}

/// Options of an image build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildArgs {
    pub flavor: Flavor,
    /// The image to build on, instead of the official Python one.
    pub base: Option<String>,
    /// Make the base on this machine from Debian packages, without an image registry.
    pub offline: bool,
    /// The name of the result, instead of `sandtable-sandbox:<flavor>`.
    pub tag: Option<String>,
    /// The engine's address; `None` for `DOCKER_HOST` or the usual sockets.
    pub host: Option<String>,
}

/// Messages of a build while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A new step of so many has begun.
    Step { number: u32, of: u32, text: String },
    /// A line of a step's output.
    Line(String),
    /// Something worth knowing, for people.
    Note(String),
}

/// Whether an image is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    Missing,
    /// Built from this binary's recipe.
    Current {
        size_bytes: u64,
    },
    /// Built from another version's recipe.
    Stale {
        size_bytes: u64,
    },
    /// Not built by sandtable.
    Foreign {
        size_bytes: u64,
    },
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The base is not to be had.
    #[error("get the base image `{base}`: {reason}")]
    Base {
        base: String,
        reason: String,
        hint: String,
    },
    /// A step of the build failed; `output` is the end of what it said.
    #[error("build the image: {step} failed: {reason}\n{output}")]
    Step {
        step: String,
        reason: String,
        output: String,
        hint: String,
    },
    /// The context could not be put together.
    #[error("put the build context together")]
    Context(#[source] std::io::Error),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl Hinted for ImageError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Base { hint, .. } | Self::Step { hint, .. } => Some(Cow::Borrowed(hint)),
            Self::Context(_) => None,
            Self::Sandbox(error) => error.hint(),
        }
    }
}

/// Whether an image is there, and from which recipe.
pub(super) async fn state(engine: &Engine, image: &str) -> Result<ImageState, SandboxError> {
    let look = engine.docker.inspect_image(image);
    match engine.ask("look for the image", look).await {
        Ok(found) => Ok(state_of(&found)),
        Err(failure) => failure.unless(&[404]).map(|()| ImageState::Missing),
    }
}

fn state_of(image: &ImageInspect) -> ImageState {
    let size_bytes = image
        .size
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or(0);
    let labels = image
        .config
        .as_ref()
        .and_then(|config| config.labels.as_ref());
    match labels.and_then(|labels| labels.get(LABEL_RECIPE)) {
        Some(digest) if *digest == recipe_digest() => ImageState::Current { size_bytes },
        Some(_) => ImageState::Stale { size_bytes },
        None => ImageState::Foreign { size_bytes },
    }
}

/// Tells one recipe from another.
pub(super) fn recipe_digest() -> String {
    let mut digest = Sha256::new();
    for part in [DOCKERFILE, REQUIREMENTS] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())[..16].to_owned()
}

impl Flavor {
    /// The name of the flavor's image.
    pub fn image(self) -> String {
        format!("sandtable-sandbox:{self}")
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Slim => "slim",
        })
    }
}

/// Not a flavor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a flavor: `full` or `slim`")]
pub struct FlavorError(String);

impl FromStr for Flavor {
    type Err = FlavorError;

    fn from_str(text: &str) -> Result<Self, FlavorError> {
        match text {
            "full" => Ok(Self::Full),
            "slim" => Ok(Self::Slim),
            other => Err(FlavorError(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bollard::models::ImageConfig;

    use super::*;

    fn image(labels: &[(&str, &str)]) -> ImageInspect {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        ImageInspect {
            size: Some(7),
            config: Some(ImageConfig {
                labels: Some(labels.collect::<HashMap<_, _>>()),
                ..ImageConfig::default()
            }),
            ..ImageInspect::default()
        }
    }

    #[test]
    fn an_image_of_another_recipe_is_stale() {
        let current = image(&[(LABEL_RECIPE, &recipe_digest())]);
        assert_eq!(state_of(&current), ImageState::Current { size_bytes: 7 });
        let stale = image(&[(LABEL_RECIPE, "0123456789abcdef")]);
        assert_eq!(state_of(&stale), ImageState::Stale { size_bytes: 7 });
        assert_eq!(state_of(&image(&[])), ImageState::Foreign { size_bytes: 7 });
    }

    #[test]
    fn every_library_is_pinned_exactly_and_once() {
        let mut names = Vec::new();
        for line in REQUIREMENTS.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, version) = line.split_once("==").expect("`name==version`");
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{line}");
            assert!(!names.contains(&name), "{name} twice");
            names.push(name);
        }
        assert!(names.len() > 30, "{names:?}");
    }
}
