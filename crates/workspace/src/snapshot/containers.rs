//! `containers`: what the API tells of them, what is mounted, and the files in them.

use base64::Engine as _;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::files::filename;
use super::put_content;
use super::reader::{Members, Node, Sink};
use crate::skills;
use common::clock::rfc3339_micros;
use common::ids::{self, Ids, Kind};
use common::limits;
use store::{
    ContainerRow, ContainerState, Contents, KeptContainer, MountedFile, MountedSkill, PLACES,
    TreeEntry, TreeKind,
};

const MEMBERS: [&str; 9] = [
    "id",
    "state",
    "created_at",
    "last_used_at",
    "expires_at",
    "input_dir",
    "uploads",
    "skills",
    "files",
];
const FILE_MEMBERS: [&str; 8] = [
    "path",
    "path_base64",
    "type",
    "mode",
    "content",
    "content_base64",
    "target",
    "target_base64",
];

/// A container's part of a document.
pub fn write(
    row: &ContainerRow,
    uploads: &[MountedFile],
    skills: &[MountedSkill],
    tree: Vec<TreeEntry>,
) -> Value {
    let state = match row.state {
        ContainerState::Expired => "expired",
        // What runs is not part of a state.
        ContainerState::Awake | ContainerState::Asleep => "asleep",
    };
    let upload = |file: &MountedFile| json!({ "file_id": file.file_id, "filename": file.filename, "in_place": file.in_place });
    let skill = |skill: &MountedSkill| {
        let kind = if skill.vendor { "anthropic" } else { "custom" };
        json!({ "type": kind, "skill_id": skill.skill_id, "version": skill.version })
    };
    json!({
        "id": row.id,
        "state": state,
        "created_at": rfc3339_micros(row.created_at),
        "last_used_at": rfc3339_micros(row.last_used_at),
        "expires_at": rfc3339_micros(row.expires_at),
        "input_dir": row.input_dir,
        "uploads": uploads.iter().map(upload).collect::<Vec<_>>(),
        "skills": skills.iter().map(skill).collect::<Vec<_>>(),
        "files": tree.into_iter().map(write_entry).collect::<Vec<_>>(),
    })
}

fn write_entry(entry: TreeEntry) -> Value {
    let mut file = json!({});
    put_content(&mut file, "path", entry.path);
    match entry.kind {
        TreeKind::File => file["mode"] = mode_text(entry.mode),
        TreeKind::Directory => {
            file["type"] = entry.kind.name().into();
            file["mode"] = mode_text(entry.mode);
        }
        TreeKind::Symlink => file["type"] = entry.kind.name().into(),
    }
    match entry.kind {
        TreeKind::File => put_content(&mut file, "content", entry.content.into()),
        TreeKind::Symlink => put_content(&mut file, "target", entry.content.into()),
        TreeKind::Directory => {}
    }
    file
}

fn mode_text(mode: u32) -> Value {
    format!("{mode:04o}").into()
}

pub(super) fn read(
    sink: &Sink,
    root: &Members<'_>,
    workspace: &str,
    now: DateTime<Utc>,
    others: &Contents,
) -> Vec<KeptContainer> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for node in root.items(sink, "containers") {
        let Some(members) = node.object(sink, &MEMBERS) else {
            continue;
        };
        let id = members.id(sink, &mut seen);
        let state = match members.word(sink, "state", &["asleep", "expired"]) {
            Some("expired") => ContainerState::Expired,
            _ => ContainerState::Asleep,
        };
        let created_at = members.time(sink, "created_at");
        let last_used_at = members.time(sink, "last_used_at").or(created_at);
        let last_used_at = last_used_at.unwrap_or(now);
        let input_dir = input_dir(sink, &members, workspace, &id);
        let mut tree = Vec::new();
        for node in members.items(sink, "files") {
            let entry = read_entry(sink, &node, &input_dir);
            tree.extend(entry.map(|entry| (entry, node.path)));
        }
        refuse_below_leaves(sink, &mut tree);
        let tree = tree.into_iter().map(|(entry, _)| entry);
        let mut tree: Vec<TreeEntry> = tree.collect();
        tree.sort_by(|a, b| a.path.cmp(&b.path));
        if let Some(twice) = tree.windows(2).find(|pair| pair[0].path == pair[1].path) {
            let path = String::from_utf8_lossy(&twice[0].path);
            sink.add(&members.at("files"), format!("`{path}` is there twice"), "");
        }
        if state == ContainerState::Expired && !tree.is_empty() {
            let hint = "leave them out, or the `state`";
            sink.add(
                &members.at("files"),
                "an expired container has no files",
                hint,
            );
        }
        let expires_at = members.time(sink, "expires_at");
        let rolling = TimeDelta::minutes(limits::CONTAINER_ROLLING_MINUTES);
        found.push(KeptContainer {
            uploads: read_uploads(sink, &members, others),
            skills: read_skills(sink, &members, others),
            row: ContainerRow {
                workspace: workspace.to_owned(),
                created_at: created_at.unwrap_or(last_used_at),
                expires_at: expires_at.unwrap_or(last_used_at + rolling),
                last_used_at,
                state,
                input_dir,
                // The id may be another workspace's, too, or that of the container it replaces.
                sandbox: Ids::random().next(Kind::Container),
                started: false,
                tree_waits: !tree.is_empty(),
                id,
            },
            tree,
        });
    }
    found
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

/// Whether a path leads through another entry that is no directory: nothing can lie there.
fn refuse_below_leaves(sink: &Sink, tree: &mut [(TreeEntry, String)]) {
    // What lies below an entry comes right behind it.
    tree.sort_by(|(a, _), (b, _)| parts(&a.path).cmp(parts(&b.path)));
    let mut leaf: Option<&TreeEntry> = None;
    for (entry, at) in tree.iter() {
        let above = leaf.filter(|leaf| {
            let rest = entry.path.strip_prefix(leaf.path.as_slice());
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        });
        let Some(above) = above else {
            leaf = (entry.kind != TreeKind::Directory).then_some(entry);
            continue;
        };
        let path = String::from_utf8_lossy(&above.path);
        sink.add(
            &format!("{at}.path"),
            format!(
                "`{path}` is a {}, and nothing lies below it",
                above.kind.name()
            ),
            "give the path that it has itself, or leave one of the two out",
        );
    }
}

fn input_dir(sink: &Sink, members: &Members<'_>, workspace: &str, id: &str) -> String {
    let Some(text) = members.text(sink, "input_dir") else {
        let digest = Sha256::digest(format!("{workspace}/{id}"));
        return ids::hex(&digest[..8]);
    };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 16 || !text.bytes().all(is_digit) {
        let message = format!("`{}` is not 16 hexadecimal digits", text.escape_debug());
        sink.add(&members.at("input_dir"), message, "it may be left out");
    }
    text.to_owned()
}

fn read_uploads(sink: &Sink, members: &Members<'_>, others: &Contents) -> Vec<MountedFile> {
    let mut uploads: Vec<MountedFile> = Vec::new();
    for node in members.items(sink, "uploads") {
        let Some(upload) = node.object(sink, &["file_id", "filename", "in_place"]) else {
            continue;
        };
        let Some(file_id) = upload.text(sink, "file_id") else {
            sink.add(
                &upload.path,
                "`file_id` is missing",
                "the id of one of the `files`",
            );
            continue;
        };
        let file = others.files.iter().find(|kept| kept.file.id == *file_id);
        let in_place = upload.flag(sink, "in_place").unwrap_or(false);
        let filename = filename(sink, &upload, "filename");
        let filename = filename.or_else(|| file.map(|kept| kept.file.filename.as_str()));
        let gone = file.is_none() && !in_place;
        match filename {
            Some(filename) if !gone => uploads.push(MountedFile {
                file_id: file_id.into(),
                filename: filename.to_owned(),
                in_place,
            }),
            _ => sink.add(
                &upload.at("file_id"),
                format!("there is no file `{file_id}` in the state"),
                "add it to `files`",
            ),
        }
    }
    uploads
}

fn read_skills(sink: &Sink, members: &Members<'_>, others: &Contents) -> Vec<MountedSkill> {
    let mut mounted: Vec<MountedSkill> = Vec::new();
    for node in members.items(sink, "skills") {
        let Some(skill) = node.object(sink, &["type", "skill_id", "version"]) else {
            continue;
        };
        let Some(id) = skill.text(sink, "skill_id") else {
            let hint = "the id of one of the `skills`, or of Anthropic's";
            sink.add(&skill.path, "`skill_id` is missing", hint);
            continue;
        };
        let kind = skill.word(sink, "type", &["custom", "anthropic"]);
        let version = skill.text(sink, "version");
        let own = others.skills.iter().find(|skill| skill.id == id);
        let is_latest = version.is_none_or(|version| version == "latest");
        let found = if kind == Some("anthropic") || (kind.is_none() && own.is_none()) {
            skills::vendor(id).and_then(|vendor| {
                let version = vendor.resolve(version)?.to_owned();
                Some((vendor.id.to_owned(), version))
            })
        } else {
            own.and_then(|own| {
                let mut newest_first = own.versions.iter().rev();
                let found =
                    newest_first.find(|found| is_latest || Some(found.id.as_str()) == version)?;
                Some((own.name.clone(), found.id.clone()))
            })
        };
        let Some((name, version)) = found else {
            let of = version.map_or(String::new(), |version| format!(" version `{version}`"));
            let message = format!("there is no skill `{id}`{of} in the state");
            sink.add(&skill.path, message, "add it to `skills`");
            continue;
        };
        if mounted.iter().any(|other| other.name == name) {
            let message = format!("another skill of the container is called `{name}` too");
            sink.add(&skill.path, message, "");
        }
        mounted.push(MountedSkill {
            vendor: own.is_none() || kind == Some("anthropic"),
            name,
            skill_id: id.to_owned(),
            version,
            // The next call puts it there.
            in_place: false,
        });
    }
    mounted
}

fn read_entry(sink: &Sink, node: &Node<'_>, input_dir: &str) -> Option<TreeEntry> {
    let members = node.object(sink, &FILE_MEMBERS)?;
    let path = bytes(sink, &members, "path");
    let Some(path) = path else {
        let hint = "below /home/user, /tmp, or /files; $INPUT_DIR may be its first part";
        sink.add(&members.path, "`path` is missing", hint);
        return None;
    };
    let path = place(sink, &members, &path, input_dir);
    let kind = members.word(sink, "type", &["file", "directory", "symlink"]);
    let kind = kind.and_then(TreeKind::of).unwrap_or(TreeKind::File);
    let target = bytes(sink, &members, "target");
    let has_content = members.get("content").is_some() || members.get("content_base64").is_some();
    let content = match (kind, target) {
        (TreeKind::Symlink, Some(target)) if target.len() >= limits::MAX_PATH_BYTES => {
            let most = limits::MAX_PATH_BYTES - 1;
            let message = format!("it has {} bytes, and may have {most}", target.len());
            sink.add(
                &members.at("target"),
                message,
                "no container takes a longer one",
            );
            Bytes::new()
        }
        (TreeKind::Symlink, Some(target)) if !target.is_empty() && !target.contains(&0) => {
            target.into()
        }
        (TreeKind::Symlink, _) => {
            sink.add(&members.path, "`target` is missing", "where the link leads");
            Bytes::new()
        }
        (_, Some(_)) => {
            let hint = "add \"type\": \"symlink\", or leave `target` out";
            sink.add(&members.path, "only a link has a `target`", hint);
            Bytes::new()
        }
        (_, None) => members.content(sink),
    };
    if has_content && kind != TreeKind::File {
        let message = format!("a {} has no content", kind.name());
        sink.add(&members.path, message, "");
    }
    if kind != TreeKind::Directory && is_of_every_container(&path, input_dir) {
        let message = format!(
            "`{}` is a directory of every container",
            path.escape_ascii()
        );
        let hint = "leave it out, or add \"type\": \"directory\"";
        sink.add(&members.at("path"), message, hint);
    }
    Some(TreeEntry {
        path,
        kind,
        mode: mode(sink, &members, kind),
        content,
    })
}

/// Whether calls have a directory of their own there, so that nothing else could be put in its place.
fn is_of_every_container(path: &[u8], input_dir: &str) -> bool {
    let [files, ..] = PLACES;
    let below = path
        .strip_prefix(files.as_bytes())
        .and_then(|path| path.strip_prefix(b"/"));
    below.is_some_and(|below| match below.strip_prefix(b"input/") {
        Some(name) => name == input_dir.as_bytes(),
        None => below == b"input" || below == b"output",
    })
}

/// A text, or the bytes under the same name with `_base64`.
fn bytes(sink: &Sink, members: &Members<'_>, name: &str) -> Option<Vec<u8>> {
    let coded = format!("{name}_base64");
    let Some(text) = members.text(sink, &coded) else {
        return members
            .text(sink, name)
            .map(|text| text.as_bytes().to_vec());
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    if let Err(error) = &bytes {
        sink.add(&members.at(&coded), format!("no base64: {error}"), "");
    }
    Some(bytes.unwrap_or_default())
}

/// Where a file lies: relative paths begin in the working directory.
fn place(sink: &Sink, members: &Members<'_>, path: &[u8], input_dir: &str) -> Vec<u8> {
    let [files, work, _] = PLACES;
    let absolute = match path.strip_prefix(b"$INPUT_DIR/") {
        Some(rest) => [format!("{files}/input/{input_dir}/").as_bytes(), rest].concat(),
        None if path.starts_with(b"/") => path.to_vec(),
        None => [format!("{work}/").as_bytes(), path].concat(),
    };
    let below = PLACES.iter().find_map(|place| {
        let rest = absolute.strip_prefix(place.as_bytes())?;
        rest.strip_prefix(b"/")
    });
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0);
    if !below.is_some_and(|below| below.split(|byte| *byte == b'/').all(plain)) {
        sink.add(
            &members.at("path"),
            format!("`{}` is no place of a container", path.escape_ascii()),
            "below /home/user, /tmp, or /files, without `.` and `..`",
        );
    }
    let longest = parts(&absolute).map(<[u8]>::len).max();
    for (what, bytes, most) in [
        (
            "a name in the path",
            longest.unwrap_or(0),
            limits::MAX_NAME_BYTES,
        ),
        ("the path", absolute.len(), limits::MAX_PATH_BYTES - 1),
    ] {
        if bytes > most {
            let message = format!("{what} has {bytes} bytes, and may have {most}");
            sink.add(
                &members.at("path"),
                message,
                "no container takes a longer one",
            );
        }
    }
    absolute
}

fn mode(sink: &Sink, members: &Members<'_>, kind: TreeKind) -> u32 {
    let usual = match kind {
        TreeKind::File => 0o644,
        TreeKind::Directory => 0o755,
        TreeKind::Symlink => 0o777,
    };
    let Some(text) = members.text(sink, "mode") else {
        return usual;
    };
    let mode = u32::from_str_radix(text, 8).ok();
    let mode = mode.filter(|mode| *mode <= 0o7777);
    if mode.is_none() {
        let message = format!("`{}` is no octal mode", text.escape_debug());
        sink.add(&members.at("mode"), message, "such as \"0644\"");
    }
    mode.unwrap_or(usual)
}
