//! A build of the sandbox image, its context put together in memory.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bollard::query_parameters::{BuildImageOptionsBuilder, RemoveImageOptions};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::engine::Engine;
use super::recipe::{
    DOCKERFILE, Flavor, ImageError, LABEL_FLAVOR, LABEL_RECIPE, Progress, REQUIREMENTS,
    recipe_digest,
};
use super::steps::StepReader;
use crate::SandboxError;
use common::limits::IMAGE_BUILD_TIMEOUT;

/// A bundle of certificates is about 0.2 MB; anything much larger is something else.
const MAX_CERTIFICATES_BYTES: u64 = 4 * 1024 * 1024;
const PIP_CONFIG_TIMEOUT: Duration = Duration::from_secs(5);

/// Builds `flavor` on `base` and calls it `image`.
pub(super) async fn run(
    engine: &Engine,
    flavor: Flavor,
    base: &str,
    image: &str,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), ImageError> {
    let certificates = certificates(progress).await;
    let context = context(certificates.as_deref()).map_err(ImageError::Context)?;
    let options = BuildImageOptionsBuilder::default()
        .dockerfile("Dockerfile")
        .t(image)
        .rm(true)
        .forcerm(true)
        .buildargs(&arguments(flavor, base))
        .labels(&HashMap::from([
            (LABEL_RECIPE.to_owned(), recipe_digest()),
            (LABEL_FLAVOR.to_owned(), flavor.to_string()),
            ("sandtable.base".to_owned(), base.to_owned()),
        ]))
        .build();
    let before = id_and_names(engine, image).await.map(|(id, _)| id);
    let docker = engine.docker.clone().with_timeout(IMAGE_BUILD_TIMEOUT);
    let mut output = docker.build_image(options, None, Some(bollard::body_full(context)));
    let mut reader = StepReader::default();
    let reading = async {
        while let Some(said) = output.next().await {
            reader.take(said, progress)?;
        }
        Ok::<(), ImageError>(())
    };
    match tokio::time::timeout(IMAGE_BUILD_TIMEOUT, reading).await {
        Ok(outcome) => outcome?,
        Err(_) => {
            return Err(ImageError::Sandbox(SandboxError::EngineTimeout {
                operation: "build the image",
                seconds: IMAGE_BUILD_TIMEOUT.as_secs(),
            }));
        }
    }
    if let Some(old) = before {
        forget(engine, image, &old).await;
    }
    Ok(())
}

async fn id_and_names(engine: &Engine, image: &str) -> Option<(String, Vec<String>)> {
    let look = engine.docker.inspect_image(image);
    let found = engine.ask("look for the image", look).await.ok()?;
    Some((found.id?, found.repo_tags.unwrap_or_default()))
}

/// Deletes what the name meant before, unless it has another name or a container needs it.
async fn forget(engine: &Engine, image: &str, old: &str) {
    let replaced = id_and_names(engine, image)
        .await
        .is_some_and(|(new, _)| new != old);
    let nameless = id_and_names(engine, old)
        .await
        .is_some_and(|(_, names)| names.is_empty());
    if !replaced || !nameless {
        return;
    }
    let removal = engine
        .docker
        .remove_image(old, None::<RemoveImageOptions>, None);
    if let Err(failure) = engine.ask("remove the image of before", removal).await {
        tracing::debug!(reason = %failure.error, "the image of before stays");
    }
}

fn arguments(flavor: Flavor, base: &str) -> HashMap<String, String> {
    let mut arguments = HashMap::from([
        ("BASE".to_owned(), base.to_owned()),
        ("FLAVOR".to_owned(), flavor.to_string()),
    ]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        for name in [name.to_owned(), name.to_ascii_lowercase()] {
            let value = std::env::var(&name).unwrap_or_default();
            // A proxy on this machine's loopback is somewhere else for the build.
            if !value.is_empty() && !value.contains("://127.") && !value.contains("://localhost") {
                arguments.insert(name, value);
            }
        }
    }
    arguments
}

fn context(certificates: Option<&[u8]>) -> io::Result<Bytes> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content)
    };
    add("Dockerfile", DOCKERFILE.as_bytes())?;
    add("requirements.txt", REQUIREMENTS.as_bytes())?;
    add("ca/.keep", b"")?;
    if let Some(certificates) = certificates {
        add("ca/host.crt", certificates)?;
    }
    Ok(archive.into_inner()?.into())
}

/// The certificates this machine's own tools are told to trust, if they are told so.
async fn certificates(progress: &mut (dyn FnMut(Progress) + Send)) -> Option<Vec<u8>> {
    let told = ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]
        .into_iter()
        .find_map(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
        .map(PathBuf::from);
    let path = match told {
        Some(path) => path,
        None => pip_certificates().await?,
    };
    match read_certificates(&path).await {
        Ok(bytes) => {
            let text = format!("the build trusts the certificates in `{}`", path.display());
            progress(Progress::Note(text));
            Some(bytes)
        }
        Err(error) => {
            let text = format!("certificates `{}` left out: {error}", path.display());
            progress(Progress::Note(text));
            None
        }
    }
}

async fn read_certificates(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = tokio::fs::metadata(path).await?;
    if !metadata.is_file() || metadata.len() > MAX_CERTIFICATES_BYTES {
        return Err(io::Error::other("not a file of at most 4 MiB"));
    }
    tokio::fs::read(path).await
}

async fn pip_certificates() -> Option<PathBuf> {
    let pip = tokio::process::Command::new("python3")
        .args(["-m", "pip", "config", "get", "global.cert"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PIP_CONFIG_TIMEOUT, pip)
        .await
        .ok()?
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let path = path.trim();
    (output.status.success() && !path.is_empty()).then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_holds_the_recipe_and_the_certificates() {
        let context = context(Some(b"PEM")).unwrap();
        let mut archive = tar::Archive::new(&context[..]);
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(
            names,
            ["Dockerfile", "requirements.txt", "ca/.keep", "ca/host.crt"]
        );
    }
}
