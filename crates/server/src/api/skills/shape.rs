//! Skills and versions as the two shapes of the API print them (F100).

use serde_json::{Value, json};

use crate::api::caller::Caller;
use common::clock::rfc3339_micros;
use store::{SkillRow, SkillVersionRow};
use workspace::skills::VendorSkill;

/// The beta that selects the older shape.
pub(crate) const BETA: &str = "skills-2025-10-02";

/// Which shape the caller expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Current,
    Beta,
}

impl Shape {
    pub(super) fn of(caller: &Caller) -> Self {
        if caller.betas.has(BETA) {
            Self::Beta
        } else {
            Self::Current
        }
    }

    pub(super) fn skill(self, row: &SkillRow) -> Value {
        let (created_at, updated_at) = (
            rfc3339_micros(row.created_at),
            rfc3339_micros(row.updated_at),
        );
        let shown = row.display_name.as_ref().unwrap_or(&row.name);
        match self {
            Self::Current => json!({
                "id": row.id,
                "type": "skill",
                "display_name": shown,
                "latest_version_id": row.latest.as_ref().map(|(id, _)| id),
                "source": { "type": "custom" },
                "created_at": created_at,
                "updated_at": updated_at,
            }),
            Self::Beta => json!({
                "id": row.id,
                "type": "skill",
                "display_title": shown,
                "latest_version": row.latest.as_ref().map(|(_, epoch)| epoch.to_string()),
                "source": "custom",
                "created_at": created_at,
                "updated_at": updated_at,
            }),
        }
    }

    pub(super) fn vendor(self, skill: VendorSkill) -> Value {
        let versions = skill.versions;
        let (oldest, newest) = (versions[versions.len() - 1], versions[0]);
        let (created_at, updated_at) = (day(oldest), day(newest));
        match self {
            Self::Current => json!({
                "id": skill.id,
                "type": "skill",
                "display_name": skill.display_name,
                "latest_version_id": newest,
                "source": { "type": "anthropic" },
                "created_at": created_at,
                "updated_at": updated_at,
            }),
            Self::Beta => json!({
                "id": skill.id,
                "type": "skill",
                "display_title": skill.display_name,
                "latest_version": newest,
                "source": "anthropic",
                "created_at": created_at,
                "updated_at": updated_at,
            }),
        }
    }

    pub(super) fn version(self, skill: &SkillRow, row: &SkillVersionRow) -> Value {
        let created_at = rfc3339_micros(row.created_at);
        match self {
            Self::Current => json!({
                "id": row.id,
                "type": "skill_version",
                "skill_id": skill.id,
                "name": skill.name,
                "description": row.description,
                "created_at": created_at,
            }),
            // Parity: this key order as recorded (F101).
            Self::Beta => json!({
                "type": "skill_version",
                "skill_id": skill.id,
                "id": row.beta_id(),
                "version": row.epoch_us.to_string(),
                "directory": row.directory,
                "name": skill.name,
                "description": row.description,
                "created_at": created_at,
            }),
        }
    }

    pub(super) fn vendor_version(self, skill: VendorSkill, version: &str) -> Value {
        match self {
            Self::Current => json!({
                "id": version,
                "type": "skill_version",
                "skill_id": skill.id,
                "name": skill.id,
                "description": skill.description,
                "created_at": day(version),
            }),
            // Parity: this key order as recorded (F101).
            Self::Beta => json!({
                "type": "skill_version",
                "skill_id": skill.id,
                "id": version,
                "version": version,
                "directory": skill.id,
                "name": skill.id,
                "description": skill.description,
                "created_at": day(version),
            }),
        }
    }
}

/// Midnight of a day written `20251013`.
fn day(version: &str) -> String {
    let (year, rest) = version.split_at(4);
    let (month, day) = rest.split_at(2);
    format!("{year}-{month}-{day}T00:00:00.000000Z")
}
