//! The Skills API in both shapes.

use super::{holds_if, members, of_good, of_status, same};
use crate::conform::{Scene, Seen};

pub(in crate::conform) fn current(scene: &Scene<'_>) -> Seen {
    let skill = of_good!(scene).json();
    let version = skill["latest_version_id"].as_str().unwrap_or_default();
    let wanted = "`display_name`, a `latest_version_id` of `skver_`, and `source` as an object";
    let is_current = skill["display_name"].is_string()
        && version.starts_with("skver_")
        && skill["source"]["type"] == "custom";
    holds_if(is_current, wanted, &skill)
}

pub(in crate::conform) fn newer_list(scene: &Scene<'_>) -> Seen {
    let page = of_good!(scene).json();
    let is_newer = page["data"].is_array() && page.get("next_page").is_some();
    holds_if(is_newer, "`data` and `next_page`", &page)
}

pub(in crate::conform) fn older(scene: &Scene<'_>) -> Seen {
    let skill = of_good!(scene).json();
    let version = skill["latest_version"].as_str().unwrap_or_default();
    let is_older = skill.get("display_title").is_some()
        && version.parse::<u64>().is_ok()
        && skill["source"] == "custom";
    let wanted = "`display_title`, a number as `latest_version`, and `source` as text";
    holds_if(is_older, wanted, &skill)
}

pub(in crate::conform) fn older_version(scene: &Scene<'_>) -> Seen {
    let wanted = [
        "type",
        "skill_id",
        "id",
        "version",
        "directory",
        "name",
        "description",
        "created_at",
    ];
    members(&of_good!(scene).json(), &wanted)
}

pub(in crate::conform) fn too_many(scene: &Scene<'_>) -> Seen {
    let said = of_status!(scene, 400).json();
    let message = said["error"]["message"].as_str().unwrap_or_default();
    holds_if(
        message.contains("skills") && message.contains("20"),
        "a refusal that names `skills` and 20",
        message,
    )
}

pub(in crate::conform) fn no_manifest(scene: &Scene<'_>) -> Seen {
    says(
        scene,
        "SKILL.md file must be exactly in the top-level folder.",
    )
}

pub(in crate::conform) fn other_folder(scene: &Scene<'_>) -> Seen {
    let wanted = "The folder name 'other' must match the skill name 'conform' in SKILL.md.";
    says(scene, wanted)
}

fn says(scene: &Scene<'_>, wanted: &str) -> Seen {
    let said = of_status!(scene, 400).json();
    same(
        wanted,
        said["error"]["message"].as_str().unwrap_or_default(),
    )
}
