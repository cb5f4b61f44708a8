//! The Files API in both shapes.

use super::{differs, holds_if, of_good, of_status, same};
use crate::conform::{Scene, Seen};

pub(in crate::conform) fn metadata(scene: &Scene<'_>) -> Seen {
    let file = of_good!(scene).json();
    let got = file
        .get("expires_at")
        .map_or_else(|| "absent".to_owned(), ToString::to_string);
    holds_if(got == "null", "\"expires_at\": null", got)
}

pub(in crate::conform) fn name(scene: &Scene<'_>) -> Seen {
    let file = of_good!(scene).json();
    same("conform.txt", file["filename"].as_str().unwrap_or_default())
}

pub(in crate::conform) fn no_download(scene: &Scene<'_>) -> Seen {
    let id = scene.json(0)["id"].as_str().unwrap_or_default().to_owned();
    let said = of_status!(scene, 400).json();
    let wanted = format!("File '{id}' is not downloadable");
    same(
        &wanted,
        said["error"]["message"].as_str().unwrap_or_default(),
    )
}

pub(in crate::conform) fn list(scene: &Scene<'_>) -> Seen {
    let page = of_good!(scene).json();
    if !page["data"].is_array() {
        return differs("`data`, a list", &page);
    }
    holds_if(
        page.get("next_page").is_some() && page.get("has_more").is_none(),
        "`next_page`, and no `has_more`",
        &page,
    )
}

pub(in crate::conform) fn is_gone(scene: &Scene<'_>) -> Seen {
    let id = scene.json(0)["id"].as_str().unwrap_or_default().to_owned();
    let said = of_status!(scene, 404).json();
    same(
        &format!("File `{id}` not found."),
        said["error"]["message"].as_str().unwrap_or_default(),
    )
}

pub(in crate::conform) fn older_metadata(scene: &Scene<'_>) -> Seen {
    let file = of_good!(scene).json();
    let older = file["id"].is_string() && file.get("expires_at").is_none();
    holds_if(
        older,
        "a file without `expires_at`",
        super::names(&file).join(", "),
    )
}

pub(in crate::conform) fn older_list(scene: &Scene<'_>) -> Seen {
    super::answers::list_of(scene, &["data", "has_more", "first_id", "last_id"])
}

pub(in crate::conform) fn download(scene: &Scene<'_>) -> Seen {
    let heard = of_good!(scene);
    same(
        "text/csv, attachment; filename*=utf-8''conform.csv",
        &format!(
            "{}, {}",
            heard.media_type(),
            heard.header("content-disposition").unwrap_or("absent")
        ),
    )
}
