//! A container's files as a list: read from its sandbox, or put there when it is first used.
//!
//! Both ways go as an archive, packed and unpacked by the sandbox's own `tar`: what it says is user
//! code's word, so it is read with care. Only the places that a container writes to are looked at.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{Cursor, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use guest_proto::Settings;
use tokio::io::AsyncReadExt as _;

use super::{Container, Containers, Lease, store_failed};
use common::ids::{OWN_HEX, own_hex16};
use common::limits;
use sandbox::guest::{ExecCall, ExecKind, ExecResult, Guest, Outcome, PutFile};
use sandbox::{Cause, SandboxError};
use store::{ContainerRow, ContainerState, PLACES, StoreError, TreeEntry, TreeKind};
use workspace::Workspace;

/// Why the files of a container cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("its files are larger than {} MiB", limits::MAX_STATE_BYTES / 1024 / 1024)]
    TooLarge,
    #[error("its files cannot be read")]
    Archive(#[from] std::io::Error),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

const READ: &str = "read the files of the container";

fn failed(operation: &'static str, cause: impl Into<Cause>) -> SandboxError {
    SandboxError::Engine {
        operation,
        cause: cause.into(),
    }
}

/// Where a sandbox of these settings has the [`PLACES`].
pub(super) fn roots(settings: &Settings) -> [&str; 3] {
    [&settings.files_root, &settings.work_dir, &settings.tmp_root]
}

impl Containers {
    /// The files of a container, by path. One that sleeps is woken for it, and sleeps again.
    pub async fn tree(
        &self,
        workspace: &Workspace,
        row: ContainerRow,
    ) -> Result<Vec<TreeEntry>, TreeError> {
        if row.state == ContainerState::Expired {
            return Ok(Vec::new());
        }
        if row.tree_waits {
            return Ok(self.0.store.container_tree(&row.workspace, &row.id).await?);
        }
        if !row.started && !self.follows_pasts() {
            return Ok(Vec::new());
        }
        let visit = self.visit(workspace, row).await?;
        let most = limits::MAX_STATE_BYTES as u64;
        let tree = self
            .pack(&visit.container, visit.lease(), &visit.tag, most)
            .await;
        visit.end().await?;
        tree
    }

    /// The files of a sandbox, if they are no more bytes than that. What this leaves in the sandbox lies in the
    /// output directory `tag`.
    pub(super) async fn pack(
        &self,
        container: &Container,
        guest: &Guest,
        tag: &str,
        most: u64,
    ) -> Result<Vec<TreeEntry>, TreeError> {
        let settings = self.0.backend.settings(&self.spec(container));
        let mut script = PACK.to_owned();
        for (n, root) in roots(&settings).into_iter().enumerate() {
            let own = if root == settings.files_root {
                format!(" --exclude='./output/{OWN_HEX}*' --exclude='./input/{OWN_HEX}*'")
            } else {
                String::new()
            };
            let line = format!("pack '{root}' {n} {}{own}\n", most + 1);
            script.push_str(&line);
        }
        let packed = run(guest, container, tag, script).await?;
        if packed.outcome != Outcome::Exited || packed.return_code != 0 {
            return Err(failed(READ, said(&packed)).into());
        }
        if !packed.stderr.is_empty() {
            tracing::warn!(container.id = %container.id, reason = %said(&packed), "some files are left out of the state");
        }
        let mut entries = Vec::new();
        let mut rest = most;
        // A second name of a file is a few bytes in an archive, and a file of its own in a state.
        let mut room = most;
        for (n, place) in PLACES.into_iter().enumerate() {
            let archive = get(guest, tag, &format!("{n}.tar"), &mut rest).await?;
            let modes = get(guest, tag, &format!("{n}.modes"), &mut rest).await?;
            let found = unpack(&archive, &modes, place, &mut room)?;
            entries.extend(found);
        }
        let input_dir = format!("/files/input/{}", container.input_dir);
        entries.retain(|entry| is_kept(entry, &input_dir));
        drop_empty_outputs(&mut entries);
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// Puts the files of an imported state into a sandbox in which nothing has run.
    pub(super) async fn put_tree(
        &self,
        container: &Arc<Container>,
        lease: &Lease,
    ) -> Result<(), SandboxError> {
        const OPERATION: &str = "put the files of the state into the container";
        let (workspace, id) = (&container.workspace, &container.id);
        let entries = self.0.store.container_tree(workspace, id).await;
        let entries = entries.map_err(store_failed)?;
        if !entries.is_empty() {
            let settings = self.0.backend.settings(&self.spec(container));
            let mtime = container.last_used_at.timestamp().try_into().unwrap_or(0);
            let archive = archive(&entries, &settings, mtime)
                .map_err(|error| failed(OPERATION, Cause::of(error)))?;
            let own = [own_hex16(), own_hex16()];
            container.left().extend(own.clone());
            let [input, output] = own.clone();
            let name = format!("state-{input}.tar");
            let target = PutFile {
                name: &name,
                input_dir: &input,
            };
            lease.put_file(target, &mut Cursor::new(archive)).await?;
            let script = format!(
                "rm -f -- './{name}'\n\
                 tar -xpof \"$INPUT_DIR/{name}\" -C /; status=$?\n\
                 rm -rf -- \"$INPUT_DIR\"; rmdir -- \"$OUTPUT_DIR\"; exit $status"
            );
            let call = ExecCall {
                kind: ExecKind::Bash(script),
                input_dir: input,
                output_dir: output,
                timeout: limits::STATE_TREE_TIMEOUT,
                env: Vec::new(),
            };
            let done = lease.exec(call).await?;
            if done.outcome != Outcome::Exited || done.return_code != 0 {
                return Err(failed(OPERATION, said(&done)));
            }
            container.left().retain(|tag| !own.contains(tag));
        }
        let stays = !self.0.backend.capabilities().keeps_files;
        let placed = self
            .0
            .store
            .container_tree_placed(workspace, id, stays)
            .await;
        placed.map_err(store_failed)
    }
}

/// Packs `$1` into `$OUTPUT_DIR/$2.tar`, cut after `$3` bytes, so that the disk need not hold everything
/// twice. What its owner has closed to himself is opened for that long, and its modes are told: in `$2.open` before
/// anything is opened, for whoever clears up if this is cut off. A file that changes meanwhile is no reason to fail,
/// nor is one that cannot be had: it is said.
const PACK: &str = r#"command -v tar > /dev/null || { echo 'there is no tar' >&2; exit 3; }
pack() {
    : > "$OUTPUT_DIR/$2.tar"
    : > "$OUTPUT_DIR/$2.modes"
    cd "$1" 2> /dev/null || return 0
    local closed=() round mode path n
    for round in {1..64}; do
        n=${#closed[@]}
        while IFS= read -r -d '' mode && IFS= read -r -d '' path; do
            printf '%s\0' "$mode" "$path" >> "$OUTPUT_DIR/$2.open" \
                && chmod u+rwx -- "$path" && closed+=("$mode" "$path")
        done < <(find . \( -type d ! \( -readable -executable \) -o -type f ! -readable \) \
            -printf '%m\0%p\0' 2> /dev/null)
        [ ${#closed[@]} -gt "$n" ] || break
    done
    tar -cf - "${@:4}" . | head -c "$3" > "$OUTPUT_DIR/$2.tar"
    for ((n = ${#closed[@]} - 2; n >= 0; n -= 2)); do
        chmod -- "${closed[n]}" "${closed[n + 1]}"
        printf '%s\0' "${closed[@]:n:2}" >> "$OUTPUT_DIR/$2.modes"
    done
    rm -f -- "$OUTPUT_DIR/$2.open"
}
"#;

/// A file of an output directory; `rest` is what may still come.
pub(super) async fn get(
    guest: &Guest,
    tag: &str,
    name: &str,
    rest: &mut u64,
) -> Result<Vec<u8>, TreeError> {
    let stream = guest.get_file(tag, name).await;
    let stream = stream.map_err(SandboxError::from)?;
    let mut content = Vec::new();
    let read = stream.take(*rest + 1).read_to_end(&mut content).await;
    read.map_err(|error| failed(READ, Cause::of(error)))?;
    *rest = rest
        .checked_sub(content.len() as u64)
        .ok_or(TreeError::TooLarge)?;
    Ok(content)
}

pub(super) async fn run(
    guest: &Guest,
    container: &Container,
    output_dir: &str,
    script: String,
) -> Result<ExecResult, SandboxError> {
    let call = ExecCall {
        kind: ExecKind::Bash(script),
        input_dir: container.input_dir.clone(),
        output_dir: output_dir.to_owned(),
        timeout: limits::STATE_TREE_TIMEOUT,
        env: Vec::new(),
    };
    Ok(guest.exec(call).await?)
}

/// How a script of the server's own ended, and what it said.
pub(super) fn said(done: &ExecResult) -> String {
    let end = match &done.outcome {
        Outcome::Exited => format!("exit code {}", done.return_code),
        Outcome::TimedOut => "it took too long".to_owned(),
        Outcome::Cancelled => "it was ended".to_owned(),
        Outcome::CouldNotStart { message } => message.clone(),
    };
    let text = String::from_utf8_lossy(&done.stderr);
    match text.trim() {
        "" => end,
        text => end + ": " + &text.chars().take(300).collect::<String>(),
    }
}

/// The directories that every container has are no news, nor are caches and what this very reading makes.
fn is_kept(entry: &TreeEntry, input_dir: &str) -> bool {
    let path = entry.path.as_slice();
    let is_or_below = |place: &str| {
        path.strip_prefix(place.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let usual = [
        b"/files/input".as_slice(),
        b"/files/output",
        input_dir.as_bytes(),
    ];
    let is_usual = usual.contains(&path) && entry.kind == TreeKind::Directory;
    !(is_usual || is_own(path) || is_or_below("/tmp/matplotlib"))
}

/// Whether a path of a container is of a stay of the server's own.
pub(super) fn is_own(path: &[u8]) -> bool {
    ["/files/output/", "/files/input/"].iter().any(|place| {
        path.strip_prefix(place.as_bytes())
            .is_some_and(|name| name.starts_with(OWN_HEX.as_bytes()))
    })
}

/// Most calls leave an empty output directory.
fn drop_empty_outputs(entries: &mut Vec<TreeEntry>) {
    const OUTPUTS: &[u8] = b"/files/output/";
    let holding: Vec<Vec<u8>> = entries
        .iter()
        .filter_map(|entry| {
            let below = entry.path.strip_prefix(OUTPUTS)?;
            let end = below.iter().position(|byte| *byte == b'/')?;
            Some(entry.path[..OUTPUTS.len() + end].to_vec())
        })
        .collect();
    entries.retain(|entry| {
        let is_output = entry.kind == TreeKind::Directory
            && entry
                .path
                .strip_prefix(OUTPUTS)
                .is_some_and(|name| !name.contains(&b'/'));
        !is_output || holding.contains(&entry.path)
    });
}

/// The entries of an archive of `place`. A second name of a file becomes a file of its own; sockets, pipes, and
/// devices are left out. `modes` are those that had to be changed. `room` is the bytes that the contents may still
/// take.
fn unpack(
    archive: &[u8],
    modes: &[u8],
    place: &str,
    room: &mut u64,
) -> Result<Vec<TreeEntry>, TreeError> {
    let mut files: HashMap<Vec<u8>, Bytes> = HashMap::new();
    let mut entries = Vec::new();
    let words: Vec<&[u8]> = modes.split(|byte| *byte == 0).collect();
    // The outermost comes last, and what was there first counts.
    let modes: HashMap<Vec<u8>, u32> = words
        .chunks_exact(2)
        .filter_map(|pair| {
            let mode = std::str::from_utf8(pair[0]).ok()?;
            Some((below(pair[1])?, u32::from_str_radix(mode, 8).ok()? & 0o7777))
        })
        .collect();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let name = entry.path_bytes().into_owned();
        let Some(below) = below(&name) else {
            continue;
        };
        let mut path = format!("{place}/").into_bytes();
        path.extend_from_slice(&below);
        let (kind, content) = if kind.is_dir() {
            (TreeKind::Directory, Bytes::new())
        } else if kind.is_symlink() {
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            (TreeKind::Symlink, target.into())
        } else if kind.is_hard_link() {
            let first = entry.link_name_bytes().unwrap_or_default();
            let content = self::below(&first).and_then(|first| files.get(&first).cloned());
            (TreeKind::File, content.unwrap_or_default())
        } else if kind.is_file() || kind.is_contiguous() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            let content = Bytes::from(content);
            files.insert(below.clone(), content.clone());
            (TreeKind::File, content)
        } else {
            continue;
        };
        let mode = match kind {
            // Links have none.
            TreeKind::Symlink => 0o777,
            TreeKind::File | TreeKind::Directory => match modes.get(&below) {
                Some(mode) => *mode,
                None => entry.header().mode()? & 0o7777,
            },
        };
        *room = room
            .checked_sub(content.len() as u64)
            .ok_or(TreeError::TooLarge)?;
        entries.push(TreeEntry {
            path,
            kind,
            mode,
            content,
        });
    }
    Ok(entries)
}

/// `./a/b/` is `a/b`; `None` for the place itself, and for what would lead out of it.
fn below(name: &[u8]) -> Option<Vec<u8>> {
    let parts: Vec<&[u8]> = name
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    (!parts.is_empty() && parts.iter().all(|part| *part != b"..")).then(|| parts.join(&b'/'))
}

/// An archive to be unpacked at `/`.
fn archive(entries: &[TreeEntry], settings: &Settings, mtime: u64) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(mtime);
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        let path = real(&entry.path, settings);
        let path = Path::new(OsStr::from_bytes(&path));
        match entry.kind {
            TreeKind::File => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(entry.content.len() as u64);
                builder.append_data(&mut header, path, entry.content.as_ref())?;
            }
            TreeKind::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                builder.append_data(&mut header, path, std::io::empty())?;
            }
            TreeKind::Symlink => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                let target = Path::new(OsStr::from_bytes(&entry.content));
                builder.append_link(&mut header, path, target)?;
            }
        }
    }
    builder.into_inner()
}

/// Where a path of a state lies in a sandbox of these settings, relative to its root.
fn real(path: &[u8], settings: &Settings) -> Vec<u8> {
    let mut real = path.to_vec();
    for (place, root) in PLACES.into_iter().zip(roots(settings)) {
        if let Some(rest) = path.strip_prefix(place.as_bytes())
            && (rest.is_empty() || rest.starts_with(b"/"))
        {
            real = [root.as_bytes(), rest].concat();
        }
    }
    let start = real.iter().position(|byte| *byte != b'/');
    real.split_off(start.unwrap_or(real.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &[u8], kind: TreeKind, mode: u32, content: &[u8]) -> TreeEntry {
        TreeEntry {
            path: path.to_vec(),
            kind,
            mode,
            content: Bytes::copy_from_slice(content),
        }
    }

    #[test]
    fn the_end_of_a_script_is_told_in_words() {
        let told = |outcome, stderr: &str| {
            said(&ExecResult {
                outcome,
                return_code: 1,
                stdout: Vec::new(),
                stderr: stderr.as_bytes().to_vec(),
                outputs: Vec::new(),
                too_large: Vec::new(),
                refused: Vec::new(),
                left_out: 0,
            })
        };
        let message = "making `$OUTPUT_DIR`: Permission denied".to_owned();
        let outcome = Outcome::CouldNotStart {
            message: message.clone(),
        };
        assert_eq!(told(outcome, ""), message);
        assert_eq!(
            told(Outcome::TimedOut, " tar: no \n"),
            "it took too long: tar: no"
        );
    }

    #[test]
    fn what_is_packed_comes_out_again_whatever_its_name() {
        let settings = Settings {
            work_dir: "/somewhere/else".to_owned(),
            ..Settings::default()
        };
        let long = [b"/home/user/".as_slice(), &[b'x'; 200], b"/", &[b'y'; 200]].concat();
        let entries = [
            entry(b"/home/user/\xff\n \"", TreeKind::File, 0o4755, b"\x00\xff"),
            entry(b"/home/user/d", TreeKind::Directory, 0o555, b""),
            entry(&long, TreeKind::Symlink, 0o777, &[b'z'; 300]),
        ];
        let archive = archive(&entries, &settings, 0).unwrap();
        let found = unpack(&archive, b"", "", &mut u64::MAX.clone()).unwrap();
        let moved = entries.map(|entry| TreeEntry {
            path: [b"/".as_slice(), &real(&entry.path, &settings)].concat(),
            ..entry
        });
        assert!(moved[0].path.starts_with(b"/somewhere/else/\xff"));
        assert_eq!(found, moved);
    }

    #[test]
    fn further_names_of_a_file_count_as_files_of_their_own() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(1000);
        builder
            .append_data(&mut header, "first", [b'x'; 1000].as_slice())
            .unwrap();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        for n in 0..9 {
            let name = format!("name-{n}");
            builder.append_link(&mut header, name, "first").unwrap();
        }
        let archive = builder.into_inner().unwrap();
        let names = |mut room: u64| unpack(&archive, b"", "/tmp", &mut room);
        assert_eq!(names(10_000).unwrap().len(), 10);
        assert!(matches!(names(9_999), Err(TreeError::TooLarge)));
    }

    #[test]
    fn an_archive_leads_nowhere_else() {
        for name in ["", ".", "./", "/", "..", "./../x", "a/../../b"] {
            assert_eq!(below(name.as_bytes()), None, "{name}");
        }
        assert_eq!(below(b"./a//b/").unwrap(), b"a/b");
    }

    #[test]
    fn only_output_directories_that_hold_something_are_kept() {
        let mut entries = vec![
            entry(b"/files/output/1", TreeKind::Directory, 0o755, b""),
            entry(b"/files/output/2", TreeKind::Directory, 0o755, b""),
            entry(b"/files/output/2/x", TreeKind::Directory, 0o755, b""),
        ];
        drop_empty_outputs(&mut entries);
        assert_eq!(entries.len(), 2);
        assert!(is_kept(&entries[1], "/files/input/1"));
        let own = format!("/files/output/{}/0.tar", own_hex16());
        let own = entry(own.as_bytes(), TreeKind::File, 0o644, b"");
        assert!(!is_kept(&own, "/files/input/1"));
    }
}
