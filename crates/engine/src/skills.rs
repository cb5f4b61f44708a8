//! `container.skills`: which skills a request wants in its container, and how they are told again.

use wire::block::ContainerSkill;
use wire::refusal::{self, Invalid};
use wire::request::SkillParam;

use crate::{Engine, TurnError, TurnInput, programmatic};
use store::{MountedSkill, StoreError};
use workspace::skills;

/// Finds every skill that the request names, in the version it means.
pub(super) async fn resolve(
    engine: &Engine,
    input: &TurnInput,
) -> Result<Vec<MountedSkill>, TurnError> {
    let container = input.request.container.as_ref();
    let params = container.map_or(&[][..], |container| &container.skills);
    let runs_code = programmatic::is_provided(&input.request.tools);
    // A container that is not named is asked for its skills, even if it names none.
    let is_of_skills = container.is_some_and(|container| container.id.is_none());
    if (is_of_skills || !params.is_empty()) && !runs_code && !input.skills_beta {
        return Err(refusal::SKILLS_WITHOUT_CODE.refuse(&[]).into());
    }
    // Counting runs nothing.
    if input.skills_beta && !runs_code && !input.request.is_counted() {
        return Err(refusal::SKILLS_BETA_WITHOUT_CODE.refuse(&[]).into());
    }
    let mut found: Vec<MountedSkill> = Vec::new();
    for (index, param) in params.iter().enumerate() {
        let path = format!("container.skills.{index}");
        let skill = if param.vendor {
            vendor(&path, param)?
        } else {
            own(engine, input, &path, param).await?
        };
        if found.iter().any(|other| other.name == skill.name) {
            return Err(Invalid::new(format!(
                "{path}: another skill of the request is called `{}` too",
                skill.name
            ))
            .into());
        }
        found.push(skill);
    }
    Ok(found)
}

fn unknown(path: &str, param: &SkillParam) -> TurnError {
    let text = match &param.version {
        Some(version) => format!(
            "{path}: Skill `{}` version `{version}` not found.",
            param.skill_id
        ),
        None => format!("{path}: Skill `{}` not found.", param.skill_id),
    };
    Invalid::new(text).into()
}

fn vendor(path: &str, param: &SkillParam) -> Result<MountedSkill, TurnError> {
    let skill = skills::vendor(&param.skill_id).ok_or_else(|| unknown(path, param))?;
    let version = skill
        .resolve(param.version.as_deref())
        .ok_or_else(|| unknown(path, param))?;
    Ok(MountedSkill {
        name: skill.id.to_owned(),
        vendor: true,
        skill_id: skill.id.to_owned(),
        version: version.to_owned(),
        in_place: false,
    })
}

async fn own(
    engine: &Engine,
    input: &TurnInput,
    path: &str,
    param: &SkillParam,
) -> Result<MountedSkill, TurnError> {
    let row = engine
        .store
        .skill(&input.workspace.id, &param.skill_id)
        .await?
        .ok_or_else(|| unknown(path, param))?;
    let versions = engine.store.skill_versions(row.n).await?;
    let wanted = param.version.as_deref().unwrap_or("latest");
    let mut versions = versions.into_iter();
    let version = versions
        .find(|version| wanted == "latest" || version.is_called(wanted))
        .ok_or_else(|| unknown(path, param))?;
    Ok(MountedSkill {
        name: row.name,
        vendor: false,
        skill_id: row.id,
        version: version.id,
        in_place: false,
    })
}

/// The skills of a container, as an answer tells them.
pub(super) async fn told(
    engine: &Engine,
    input: &TurnInput,
    container: &str,
) -> Result<Vec<ContainerSkill>, StoreError> {
    let workspace = &input.workspace.id;
    let mounted = engine.store.mounted_skills(workspace, container).await?;
    let mut told = Vec::with_capacity(mounted.len());
    for skill in mounted {
        let version = if input.skills_beta && !skill.vendor {
            epoch(engine, workspace, &skill)
                .await?
                .unwrap_or(skill.version)
        } else {
            skill.version
        };
        told.push(ContainerSkill {
            kind: if skill.vendor { "anthropic" } else { "custom" },
            skill_id: skill.skill_id,
            version,
        });
    }
    Ok(told)
}

/// The epoch, in microseconds, that the beta calls a version by; `None` if it was deleted meanwhile.
async fn epoch(
    engine: &Engine,
    workspace: &str,
    skill: &MountedSkill,
) -> Result<Option<String>, StoreError> {
    let Some(row) = engine.store.skill(workspace, &skill.skill_id).await? else {
        return Ok(None);
    };
    let mut versions = engine.store.skill_versions(row.n).await?.into_iter();
    let version = versions.find(|version| version.id == skill.version);
    Ok(version.map(|version| version.epoch_us.to_string()))
}
