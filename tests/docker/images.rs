//! Building the image: what a build replaces, what it says when it cannot, and the doctor's view of it.

use bollard::Docker;
use bollard::query_parameters::{RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use cli::doctor::{State, report};
use cli::image::{BuildArgs, Flavor, ImageError};
use common::hinted;
use sandbox::docker::image;
use server::config::Config;

use crate::bench::image_ready;

const TAG: &str = "sandtable-test-replaced:latest";

async fn id(docker: &Docker, name: &str) -> Option<String> {
    docker.inspect_image(name).await.ok()?.id
}

#[tokio::test]
async fn a_build_takes_away_what_it_replaces_but_nothing_that_has_another_name() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let docker = Docker::connect_with_defaults()
        .unwrap()
        .negotiate_version()
        .await
        .unwrap();
    let args = BuildArgs {
        tag: Some(TAG.to_owned()),
        flavor: Flavor::Slim,
        ..BuildArgs::default()
    };
    let base = image::build(&args, &mut |_| ()).await.unwrap().base;
    let mut ids = Vec::new();
    // The same base under other names: other labels, and so other images, from the same layers.
    for name in [
        "sandtable-test-base-1",
        "sandtable-test-base-2",
        "sandtable-test-base-3",
    ] {
        let tag = TagImageOptionsBuilder::default()
            .repo(name)
            .tag("latest")
            .build();
        docker.tag_image(&base, Some(tag)).await.unwrap();
        let args = BuildArgs {
            base: Some(format!("{name}:latest")),
            ..args.clone()
        };
        image::build(&args, &mut |_| ()).await.unwrap();
        ids.push(id(&docker, TAG).await.unwrap());
        if ids.len() == 1 {
            let tag = TagImageOptionsBuilder::default()
                .repo("sandtable-test-kept")
                .tag("latest")
                .build();
            docker.tag_image(TAG, Some(tag)).await.unwrap();
        }
    }
    let kept = id(&docker, "sandtable-test-kept:latest").await;
    let replaced = id(&docker, &ids[1]).await;
    for name in [
        "test-base-1",
        "test-base-2",
        "test-base-3",
        "test-kept",
        "test-replaced",
    ] {
        let options = RemoveImageOptionsBuilder::default().build();
        docker
            .remove_image(&format!("sandtable-{name}:latest"), Some(options), None)
            .await
            .unwrap();
    }
    assert_eq!(kept.as_ref(), Some(&ids[0]));
    assert_eq!(replaced, None);
    assert!(id(&docker, &Flavor::Slim.image()).await.is_some());
}

#[tokio::test]
async fn a_base_that_is_not_there_is_told_without_a_build() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let args = BuildArgs {
        base: Some("sandtable-no-such-base:1".to_owned()),
        offline: true,
        ..BuildArgs::default()
    };
    let error = image::build(&args, &mut |_| ()).await.unwrap_err();
    assert!(matches!(error, ImageError::Base { .. }), "{error}");
    assert_eq!(
        hinted::told(&error),
        "get the base image `sandtable-no-such-base:1`: not on the engine\n  \
         hint: bring it to the engine first, or build without `--offline`"
    );
}

#[tokio::test]
async fn the_doctor_sees_the_engine_and_its_image() {
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let config = Config {
        port: 0,
        ..Config::default()
    };
    let report = report(&config, None).await;
    assert_eq!(report.exit_code(), 0, "{report}");
    let state = |subject: &str| {
        report
            .findings
            .iter()
            .find(|f| f.subject == subject)
            .map(|f| f.state)
    };
    assert_eq!(state("engine"), Some(State::Ok), "{report}");
    assert_eq!(state("image `slim`"), Some(State::Ok), "{report}");
}
