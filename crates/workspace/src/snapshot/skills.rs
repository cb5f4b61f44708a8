//! `skills`: the workspace's own, with all their versions. What `SKILL.md` says is not said again.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::put_content;
use super::reader::{Members, Node, Sink, check_id};
use crate::skills::{self, Bundle};
use common::clock::rfc3339_micros;
use common::ids::{Ids, Kind};
use common::limits;
use store::{KeptSkill, KeptVersion, SkillRow, SkillVersionRow};

const MEMBERS: [&str; 6] = [
    "id",
    "name",
    "display_name",
    "created_at",
    "updated_at",
    "versions",
];
const VERSION_MEMBERS: [&str; 4] = ["id", "epoch", "created_at", "files"];
const FILE_MEMBERS: [&str; 3] = ["path", "content", "content_base64"];

/// A skill's part of a document; `versions` have the oldest first.
pub fn write(row: &SkillRow, versions: Vec<Value>) -> Value {
    let mut skill = json!({ "id": row.id, "name": row.name });
    if let Some(name) = &row.display_name {
        skill["display_name"] = name.as_str().into();
    }
    skill["created_at"] = rfc3339_micros(row.created_at).into();
    skill["updated_at"] = rfc3339_micros(row.updated_at).into();
    skill["versions"] = Value::Array(versions);
    skill
}

/// A version's part of a document.
pub fn write_version(row: &SkillVersionRow, files: Vec<(String, Vec<u8>)>) -> Value {
    let file = |(path, content)| {
        let mut file = json!({ "path": path });
        put_content(&mut file, "content", content);
        file
    };
    json!({
        "id": row.id,
        "epoch": row.epoch_us,
        "created_at": rfc3339_micros(row.created_at),
        "files": files.into_iter().map(file).collect::<Vec<_>>(),
    })
}

pub(super) fn read(sink: &Sink, root: &Members<'_>, now: DateTime<Utc>) -> Vec<KeptSkill> {
    let (mut seen, mut seen_versions) = (Vec::new(), Vec::new());
    let mut found = Vec::new();
    for node in root.items(sink, "skills") {
        let Some(members) = node.object(sink, &MEMBERS) else {
            continue;
        };
        let id = members.id(sink, &mut seen);
        if skills::vendor(&id).is_some() {
            let message = format!("`{id}` is one of Anthropic's skills");
            sink.add(&members.at("id"), message, "take another id");
        }
        let created_at = members.time(sink, "created_at").unwrap_or(now);
        let mut names = Vec::new();
        let mut versions: Vec<KeptVersion> = Vec::new();
        for (n, node) in members.items(sink, "versions").into_iter().enumerate() {
            let default_at = created_at + TimeDelta::microseconds(i64::try_from(n).unwrap_or(0));
            let Some((version, name)) = read_version(sink, &node, &id, n, default_at) else {
                continue;
            };
            if versions
                .iter()
                .any(|other| other.epoch_us == version.epoch_us)
            {
                let message = format!("{} is there twice", version.epoch_us);
                sink.add(&format!("{}.epoch", node.path), message, "");
            }
            if seen_versions.contains(&version.id) {
                let message = format!("`{}` is there twice", version.id);
                sink.add(&format!("{}.id", node.path), message, "");
            }
            seen_versions.push(version.id.clone());
            names.push(name);
            versions.push(version);
        }
        let name = members.text(sink, "name").map(str::to_owned);
        let wanted = name.or_else(|| names.first().cloned());
        if let Some(other) = names.iter().find(|name| Some(*name) != wanted.as_ref()) {
            sink.add(
                &members.path,
                format!("a version's SKILL.md calls the skill `{other}`"),
                "all versions of a skill have its name",
            );
        }
        found.push(KeptSkill {
            name: wanted.unwrap_or_else(|| id.clone()),
            display_name: display_name(sink, &members),
            updated_at: members
                .time(sink, "updated_at")
                .or_else(|| versions.last().map(|version| version.created_at))
                .unwrap_or(created_at),
            id,
            created_at,
            versions,
        });
    }
    found
}

fn display_name(sink: &Sink, members: &Members<'_>) -> Option<String> {
    let name = members.text(sink, "display_name")?;
    let length = name.chars().count();
    if length > limits::MAX_SKILL_DISPLAY_NAME_CHARS || name.chars().any(char::is_control) {
        sink.add(
            &members.at("display_name"),
            "this cannot be a skill's display name",
            format!(
                "one line of at most {} characters",
                limits::MAX_SKILL_DISPLAY_NAME_CHARS
            ),
        );
    }
    Some(name.to_owned())
}

fn read_version(
    sink: &Sink,
    node: &Node<'_>,
    skill: &str,
    n: usize,
    default_at: DateTime<Utc>,
) -> Option<(KeptVersion, String)> {
    let members = node.object(sink, &VERSION_MEMBERS)?;
    let id = if let Some(id) = members.text(sink, "id") {
        check_id(sink, &members.at("id"), id);
        id.to_owned()
    } else {
        let scope: [&[u8]; 3] = [b"state", skill.as_bytes(), &n.to_le_bytes()];
        Ids::seeded(0, &scope).next(Kind::SkillVersion)
    };
    if id == "latest" {
        let hint = "it means the newest version, whatever its id";
        sink.add(&members.at("id"), "`latest` cannot be an id", hint);
    }
    let mut files = Vec::new();
    for node in members.items(sink, "files") {
        let Some(file) = node.object(sink, &FILE_MEMBERS) else {
            continue;
        };
        match file.text(sink, "path") {
            Some(path) => files.push((path.to_owned(), file.content(sink).to_vec())),
            None => sink.add(&file.path, "`path` is missing", "below the skill's folder"),
        }
    }
    let bundle = match Bundle::new(files) {
        Ok(bundle) => bundle,
        Err(invalid) => {
            sink.add(&members.at("files"), invalid.to_string(), "");
            return None;
        }
    };
    let created_at = members.time(sink, "created_at").unwrap_or(default_at);
    let epoch_us = members
        .count(sink, "epoch")
        .and_then(|epoch| i64::try_from(epoch).ok())
        .unwrap_or_else(|| created_at.timestamp_micros());
    let version = KeptVersion {
        id,
        epoch_us,
        directory: bundle.directory,
        description: bundle.description,
        created_at,
        files: bundle
            .files
            .into_iter()
            .map(|(path, content)| (path, Bytes::from(content)))
            .collect(),
    };
    Some((version, bundle.name))
}
