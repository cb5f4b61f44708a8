//! The Skills API: `/v1/skills` in the current and the beta shape.

mod page;
mod shape;
mod upload;
mod versions;

use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use wire::refusal;

use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Caller;
use crate::api::paging;
use crate::app::App;
use crate::ids::Kind;
use crate::skills::{self, VendorSkill};
use crate::store::{NewSkill, SkillRow, StoreError};
use page::SkillPage;
use shape::Shape;

pub(crate) use shape::BETA;

/// The routes.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/v1/skills", get(list).post(create))
        .route("/v1/skills/{id}", get(one).delete(delete))
        .route(
            "/v1/skills/{id}/versions",
            get(versions::list).post(versions::create),
        )
        .route(
            "/v1/skills/{id}/versions/{version}",
            get(versions::one).delete(versions::delete),
        )
        .route(
            "/v1/skills/{id}/versions/{version}/content",
            get(versions::content),
        )
        .layer(DefaultBodyLimit::disable())
}

type SkillId = Result<Path<String>, PathRejection>;

/// What an id leads to.
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
async fn create(
    State(app): State<App>,
    caller: Caller,
    request: Request,
) -> ApiResult<Json<Value>> {
    let upload = upload::receive(request, Shape::of(&caller)).await?;
    caller.made.says(upload.content);
    // In a task of its own: of a client that leaves now it is known all the same what was made.
    let made = tokio::spawn(async move { keep(&app, &caller, &upload).await });
    made.await.map_err(|error| ApiError::internal(&error))?
}

async fn keep(app: &App, caller: &Caller, upload: &upload::Upload) -> ApiResult<Json<Value>> {
    let bundle = upload.bundle()?;
    let workspace = &caller.workspace;
    let ids = workspace.ids(&[b"skill", &upload.digest]);
    loop {
        let new = NewSkill {
            id: ids.next(Kind::Skill),
            workspace: workspace.id.clone(),
            name: bundle.name.clone(),
            display_name: upload.display_name.clone(),
        };
        let version = upload::version(&bundle, &ids, workspace.clock.now());
        match app.store.insert_skill(new, version).await {
            // Seeded ids repeat over a restart.
            Err(StoreError::IdTaken { .. }) => {}
            row => {
                let row = row?;
                caller.made.note(&row.id);
                return Ok(Json(Shape::of(caller).skill(&row)));
            }
        }
    }
}

/// Lists the workspace's skills, newest first, and behind them the vendor's.
async fn list(
    State(app): State<App>,
    caller: Caller,
    query: paging::PairsResult,
) -> ApiResult<Json<Value>> {
    let shape = Shape::of(&caller);
    let pairs = paging::pairs(query)?;
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
        let skills = app.store.skills(&caller.workspace.id).await?;
        rows.extend(skills.iter().map(|row| (row.n, shape.skill(row))));
    }
    if vendors {
        let skills = (1..).zip(skills::vendors());
        rows.extend(skills.map(|(n, skill)| (-n, shape.vendor(*skill))));
    }
    Ok(Json(page.cut(rows, shape)))
}

/// One skill.
async fn one(State(app): State<App>, caller: Caller, id: SkillId) -> ApiResult<Json<Value>> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let shape = Shape::of(&caller);
    Ok(Json(match find(&app, &caller, &id).await? {
        Found::Own(row) => shape.skill(&row),
        Found::Vendor(skill) => shape.vendor(skill),
    }))
}

/// Deletes a skill: with all its versions, or in the beta only when it has none.
async fn delete(State(app): State<App>, caller: Caller, id: SkillId) -> ApiResult<Json<Value>> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let row = find_own(&app, &caller, &id).await?;
    if Shape::of(&caller) == Shape::Beta && row.latest.is_some() {
        return Err(ApiError::invalid(refusal::SKILL_HAS_VERSIONS.say(&[])));
    }
    if !app.store.delete_skill(row.n).await? {
        return Err(not_found(&id));
    }
    Ok(Json(json!({ "id": id, "type": "skill_deleted" })))
}
