//! The Skills API: `/v1/skills` in the current and the beta shape.

mod page;
mod shape;
mod upload;
pub(super) mod versions;

use axum::Json;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tracing::Instrument as _;
use wire::refusal;

use crate::api::caller::Caller;
use crate::api::error::{ApiError, ApiResult};
use crate::api::exchange::{Exchange, Outcome};
use crate::app::App;
use crate::caught::joined;
use common::ids::Kind;
use page::SkillPage;
use shape::Shape;
use store::{NewSkill, SkillRow, StoreError};
use workspace::skills::{self, VendorSkill};

pub(crate) use shape::BETA;

/// The skill that an id leads to.
enum Found {
    Own(SkillRow),
    Vendor(VendorSkill),
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(refusal::SKILL_NOT_FOUND.say(&[("id", &id)]))
}

/// The caller's skill of this id, or the vendor's.
async fn find(app: &App, caller: &Caller, id: &str) -> ApiResult<Found> {
    if let Some(vendor) = skills::vendor(id) {
        return Ok(Found::Vendor(vendor));
    }
    let own = app.store.skill(&caller.workspace.id, id).await?;
    own.map(Found::Own).ok_or_else(|| not_found(id))
}

/// The caller's own skill of this id: nobody changes the vendor's.
async fn find_own(app: &App, caller: &Caller, id: &str) -> ApiResult<SkillRow> {
    match find(app, caller, id).await? {
        Found::Own(row) => Ok(row),
        Found::Vendor(_) => Err(ApiError::invalid(format!(
            "Skill `{id}` is provided by Anthropic and cannot be changed."
        ))),
    }
}

/// Takes an upload for a new skill.
pub(super) async fn create(exchange: &mut Exchange) -> Outcome {
    let upload = upload::receive(exchange).await?;
    let (app, caller) = (exchange.app.clone(), exchange.caller.clone());
    caller.made.says(upload.content);
    // In a task of its own: of a client that leaves now it is known all the same what was made.
    let made = async move { keep(&app, &caller, &upload).await };
    let made = tokio::spawn(made.in_current_span());
    let made = joined(made)
        .await
        .map_err(|error| ApiError::internal(&error))??;
    Ok(Json(made).into_response())
}

async fn keep(app: &App, caller: &Caller, upload: &upload::Upload) -> ApiResult<Value> {
    let bundle = upload.bundle()?;
    let workspace = &caller.workspace;
    let ids = workspace.ids(&[b"skill", &upload.digest]);
    let shape = Shape::of(caller);
    loop {
        let new = NewSkill {
            id: ids.next(Kind::Skill),
            workspace: workspace.id.clone(),
            name: bundle.name.clone(),
            display_name: upload.display_name.clone(),
            // Parity: titles of the beta are unique (F104), names of the current shape are not.
            is_shown_alone: shape == Shape::Beta,
        };
        let version = upload::version(&bundle, &ids, workspace.clock.now());
        match app.store.insert_skill(new, version).await {
            // Seeded ids repeat over a restart.
            Err(StoreError::IdTaken { .. }) => {}
            Err(StoreError::NameTaken { name }) => {
                return Err(ApiError::invalid(
                    refusal::SKILL_TITLE_TAKEN.say(&[("title", &name)]),
                ));
            }
            row => {
                let row = row?;
                caller.made.note(&row.id);
                return Ok(shape.skill(&row));
            }
        }
    }
}

/// Lists the workspace's skills, newest first, and behind them the vendor's.
pub(super) async fn list(exchange: &Exchange) -> Outcome {
    let shape = Shape::of(&exchange.caller);
    let pairs = exchange.query()?;
    let page = SkillPage::parse(&pairs, shape)?;
    let source = pairs.iter().rev().find(|(name, _)| name == "source");
    let (own, vendors) = match source.map(|(_, value)| value.as_str()) {
        None | Some("") => (true, true),
        Some("custom") => (true, false),
        Some("anthropic") => (false, true),
        Some(_) => {
            return Err(ApiError::invalid(refusal::SKILL_SOURCE.say(&[])));
        }
    };
    let mut rows = Vec::new();
    if own {
        let workspace = &exchange.caller.workspace;
        let skills = exchange.app.store.skills(&workspace.id).await?;
        rows.extend(skills.iter().map(|row| (row.n, shape.skill(row))));
    }
    if vendors {
        let skills = (1..).zip(skills::vendors());
        rows.extend(skills.map(|(n, skill)| (-n, shape.vendor(*skill))));
    }
    Ok(Json(page.cut(rows, shape)).into_response())
}

/// One skill.
pub(super) async fn one(exchange: &Exchange, id: &str) -> Outcome {
    let Exchange { app, caller, .. } = exchange;
    let shape = Shape::of(caller);
    let skill = match find(app, caller, id).await? {
        Found::Own(row) => shape.skill(&row),
        Found::Vendor(skill) => shape.vendor(skill),
    };
    Ok(Json(skill).into_response())
}

/// Deletes a skill: with all its versions, or in the beta only when it has none.
pub(super) async fn delete(exchange: &Exchange, id: &str) -> Outcome {
    let Exchange { app, caller, .. } = exchange;
    let row = find_own(app, caller, id).await?;
    if Shape::of(caller) == Shape::Beta && row.latest.is_some() {
        return Err(ApiError::invalid(refusal::SKILL_HAS_VERSIONS.say(&[])));
    }
    if !app.store.delete_skill(row.n).await? {
        return Err(not_found(id));
    }
    Ok(Json(json!({ "id": id, "type": "skill_deleted" })).into_response())
}
