//! The versions of a skill, and their files as a zip.

use std::fmt::Display;

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tracing::Instrument as _;
use wire::refusal;

use super::page::SkillPage;
use super::shape::Shape;
use super::{Found, find, find_own, not_found, upload};
use crate::api::caller::Caller;
use crate::api::error::{ApiError, ApiResult};
use crate::api::exchange::{Exchange, Outcome};
use crate::app::App;
use crate::caught::joined;
use store::{SkillRow, SkillVersionRow, StoreError};
use workspace::skills::{VendorSkill, archive};

/// The skill version that an id and a version lead to.
enum FoundVersion {
    Own(SkillRow, SkillVersionRow),
    Vendor(VendorSkill, &'static str),
}

fn version_not_found(version: &str) -> ApiError {
    ApiError::not_found(format!("Skill version `{version}` not found."))
}

/// The use of a version: `latest` is a version to read alone, and a number one to download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Reading,
    Deleting,
    Downloading,
}

/// The form that a version's name has in this shape (recorded 2026-09-04).
fn check_form(shape: Shape, version: &str, purpose: Use) -> ApiResult<()> {
    let is_number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    let said: [(&str, &dyn Display); 1] = [("version", &version)];
    let doing: &dyn Display = match purpose {
        Use::Deleting => &"deleting",
        Use::Reading | Use::Downloading => &"downloading",
    };
    let refused = match shape {
        Shape::Beta if !is_number => refusal::SKILL_VERSION_FORMAT.say(&said),
        Shape::Current if version == "latest" && purpose != Use::Reading => {
            refusal::SKILL_LATEST.say(&[("doing", doing)])
        }
        Shape::Current
            if version != "latest"
                && !version.starts_with("skver_")
                && !(is_number && purpose == Use::Downloading) =>
        {
            refusal::SKILL_VERSION_ID.say(&said)
        }
        Shape::Beta | Shape::Current => return Ok(()),
    };
    Err(ApiError::invalid(refused))
}

async fn find_version(
    exchange: &Exchange,
    (id, version): (&str, &str),
    purpose: Use,
) -> ApiResult<FoundVersion> {
    let Exchange { app, caller, .. } = exchange;
    let found = find(app, caller, id).await?;
    if matches!(found, Found::Own(_)) || version == "latest" {
        check_form(Shape::of(caller), version, purpose)?;
    }
    match found {
        Found::Vendor(skill) => skill
            .resolve(Some(version))
            .map(|known| FoundVersion::Vendor(skill, known))
            .ok_or_else(|| version_not_found(version)),
        Found::Own(skill) => {
            let mut versions = app.store.skill_versions(skill.n).await?.into_iter();
            let found = versions.find(|row| version == "latest" || row.is_called(version));
            found
                .map(|row| FoundVersion::Own(skill, row))
                .ok_or_else(|| version_not_found(version))
        }
    }
}

/// Takes an upload for a new version: a whole snapshot.
pub(in crate::api) async fn create(exchange: &mut Exchange, id: &str) -> Outcome {
    let skill = find_own(&exchange.app, &exchange.caller, id).await?;
    let upload = upload::receive(exchange).await?;
    let (app, caller) = (exchange.app.clone(), exchange.caller.clone());
    caller.made.says(upload.content);
    // In a task of its own: of a client that leaves now it is known all the same what was made.
    let made = async move { keep(&app, &caller, &skill, &upload).await };
    let made = tokio::spawn(made.in_current_span());
    let made = joined(made)
        .await
        .map_err(|error| ApiError::internal(&error))??;
    Ok(Json(made).into_response())
}

async fn keep(
    app: &App,
    caller: &Caller,
    skill: &SkillRow,
    upload: &upload::Upload,
) -> ApiResult<Value> {
    let id = &skill.id;
    let bundle = upload.bundle()?;
    if bundle.name != skill.name {
        let names: [(&str, &dyn Display); 2] = [("name", &bundle.name), ("expected", &skill.name)];
        return Err(ApiError::invalid(refusal::SKILL_NAME_CHANGED.say(&names)));
    }
    let workspace = &caller.workspace;
    let ids = workspace.ids(&[b"skill version", id.as_bytes(), &upload.digest]);
    loop {
        let version = upload::version(&bundle, &ids, workspace.clock.now());
        match app.store.insert_skill_version(skill, version).await {
            // Seeded ids repeat over a restart.
            Err(StoreError::IdTaken { .. }) => {}
            row => {
                let row = row?.ok_or_else(|| not_found(id))?;
                let answer = Shape::of(caller).version(skill, &row);
                let version = answer["version"].as_str().unwrap_or(&row.id);
                caller.made.note(format!("{id}/versions/{version}"));
                return Ok(answer);
            }
        }
    }
}

/// Lists the versions, newest first.
pub(in crate::api) async fn list(exchange: &Exchange, id: &str) -> Outcome {
    let Exchange { app, caller, .. } = exchange;
    let shape = Shape::of(caller);
    let page = SkillPage::parse(&exchange.query()?, shape)?;
    let rows = match find(app, caller, id).await? {
        Found::Own(skill) => {
            let versions = app.store.skill_versions(skill.n).await?;
            let rows = versions
                .iter()
                .map(|row| (row.n, shape.version(&skill, row)));
            rows.collect()
        }
        Found::Vendor(skill) => (1..)
            .zip(skill.versions)
            .map(|(n, version)| (-n, shape.vendor_version(skill, version)))
            .collect(),
    };
    Ok(Json(page.cut(rows, shape)).into_response())
}

/// One version.
pub(in crate::api) async fn one(exchange: &Exchange, names: (&str, &str)) -> Outcome {
    let shape = Shape::of(&exchange.caller);
    let version = match find_version(exchange, names, Use::Reading).await? {
        FoundVersion::Own(skill, row) => shape.version(&skill, &row),
        FoundVersion::Vendor(skill, version) => shape.vendor_version(skill, version),
    };
    Ok(Json(version).into_response())
}

/// Deletes a version; outside the beta the last one stays.
pub(in crate::api) async fn delete(exchange: &Exchange, names: (&str, &str)) -> Outcome {
    let shape = Shape::of(&exchange.caller);
    let FoundVersion::Own(_, row) = find_version(exchange, names, Use::Deleting).await? else {
        return Err(ApiError::invalid(
            "The versions of a skill that Anthropic provides cannot be deleted.",
        ));
    };
    if !exchange
        .app
        .store
        .delete_skill_version(row.n, shape == Shape::Current)
        .await?
    {
        // It may be gone meanwhile, and not the last.
        find_version(exchange, names, Use::Deleting).await?;
        return Err(ApiError::invalid(refusal::SKILL_ONLY_VERSION.say(&[])));
    }
    let id = match shape {
        Shape::Current => row.id,
        Shape::Beta => row.epoch_us.to_string(),
    };
    Ok(Json(json!({ "id": id, "type": "skill_version_deleted" })).into_response())
}

/// The files of a version, as a zip.
pub(in crate::api) async fn content(exchange: &Exchange, names: (&str, &str)) -> Outcome {
    let Exchange { app, caller, .. } = exchange;
    let (name, bytes) = match find_version(exchange, names, Use::Downloading).await? {
        FoundVersion::Own(skill, row) => {
            let files = app.store.skill_files(&caller.workspace.id, &row.id).await?;
            let files = files
                .iter()
                .map(|(path, content)| (path.as_str(), content.as_slice()));
            let bytes = archive::pack(&skill.name, files);
            (skill.name, bytes)
        }
        FoundVersion::Vendor(skill, _) => {
            let files = skill.files.iter();
            let files = files.map(|(path, content)| (*path, content.as_bytes()));
            (skill.id.to_owned(), archive::pack(skill.id, files))
        }
    };
    let bytes = bytes.map_err(|error| ApiError::internal(&error))?;
    let name = format!("attachment; filename*=utf-8''{name}.zip");
    let disposition = HeaderValue::try_from(name).expect("the name of a skill is ASCII");
    Ok((
        [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/zip"),
            ),
            (header::CONTENT_DISPOSITION, disposition),
        ],
        bytes,
    )
        .into_response())
}
