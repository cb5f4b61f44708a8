//! A container's files for whoever looks at them from outside: a list, and the bytes of one.
//!
//! The sandbox's own `find` and `cat` do the work, as the code's user: what they say is user code's word.
//! The directories that a container writes to are looked at, nothing else.

use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::io::{AsyncRead, ReadBuf};

use super::Containers;
use super::tree::{TreeError, get, is_own, roots};
use super::visit::Visit;
use common::limits;
use sandbox::SandboxError;
use sandbox::guest::FileStream;
use store::{ContainerRow, PLACES, StoreError, TreeEntry, TreeKind};
use workspace::Workspace;

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("there is no such file")]
    Missing,
    #[error("it is a directory")]
    Directory,
    #[error("it is larger than {} MiB", limits::CONTAINER_FILE_BYTES / 1024 / 1024)]
    TooLarge,
    #[error("the sandbox cannot show it: {0}")]
    Refused(String),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TreeError> for FilesError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::TooLarge => Self::TooLarge,
            TreeError::Archive(error) => Self::Refused(error.to_string()),
            TreeError::Sandbox(error) => error.into(),
            TreeError::Store(error) => error.into(),
        }
    }
}

/// Something in a container's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Absolute, and any bytes.
    pub path: Vec<u8>,
    pub kind: TreeKind,
    pub size_bytes: u64,
    pub mode: u32,
    pub modified_at: Option<DateTime<Utc>>,
    /// Of a link.
    pub target: Option<Vec<u8>>,
}

/// The bytes of a file. Dropping it clears up behind it.
#[derive(Debug)]
pub enum Opened {
    /// Of an imported state that no sandbox has yet.
    Kept(Bytes),
    Streamed(Box<Streamed>),
}

/// A file on its way out of a sandbox.
#[derive(Debug)]
pub struct Streamed {
    stream: FileStream,
    _visit: Visit,
}

impl Streamed {
    pub fn size(&self) -> u64 {
        self.stream.size()
    }
}

impl AsyncRead for Streamed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Containers {
    /// The files of a container in which something has run, or that has files of a state; by path. `true` if
    /// there are more than can be told. One that sleeps is woken.
    pub async fn list_files(
        &self,
        workspace: &Workspace,
        row: ContainerRow,
    ) -> Result<(Vec<Listed>, bool), FilesError> {
        if row.tree_waits {
            let tree = self.0.store.container_tree(&row.workspace, &row.id).await?;
            return Ok((tree.into_iter().map(listed).collect(), false));
        }
        let visit = self.visit(workspace, row).await?;
        let settings = self.0.backend.settings(&self.spec(&visit.container));
        let mut script = LIST.to_owned();
        for root in roots(&settings) {
            writeln!(script, "list '{root}'").expect("a String takes every write");
        }
        let most = limits::CONTAINER_LIST_BYTES;
        writeln!(script, "}} | head -c {} > \"$OUTPUT_DIR/list\"", most + 1)
            .expect("a String takes every write");
        let (code, said) = visit.run(script).await?;
        if code != 0 {
            return Err(FilesError::Refused(said));
        }
        let mut room = most + 1;
        let list = get(visit.lease(), &visit.tag, "list", &mut room).await?;
        let mut found = read_list(&list, &roots(&settings));
        found.retain(|entry| !is_own(&entry.path));
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((found, list.len() as u64 > most))
    }

    /// The bytes of a file, by its absolute path. A container that sleeps is woken.
    pub async fn open_file(
        &self,
        workspace: &Workspace,
        row: ContainerRow,
        path: &[u8],
    ) -> Result<Opened, FilesError> {
        let place = place(path).ok_or(FilesError::Missing)?;
        if row.tree_waits {
            let tree = self.0.store.container_tree(&row.workspace, &row.id).await?;
            let entry = tree.into_iter().find(|entry| entry.path == path);
            return match entry.ok_or(FilesError::Missing)? {
                TreeEntry {
                    kind: TreeKind::Directory,
                    ..
                } => Err(FilesError::Directory),
                TreeEntry {
                    kind: TreeKind::Symlink,
                    ..
                } => Err(FilesError::Refused(
                    "a link of a state is followed when the container has run".to_owned(),
                )),
                entry => Ok(Opened::Kept(entry.content)),
            };
        }
        let visit = self.visit(workspace, row).await?;
        let settings = self.0.backend.settings(&self.spec(&visit.container));
        let real = [
            roots(&settings)[place].as_bytes(),
            &path[PLACES[place].len()..],
        ]
        .concat();
        let script = format!(
            "f={}\nmost={}\n{READ}",
            shell_word(&real),
            limits::CONTAINER_FILE_BYTES
        );
        match visit.run(script).await? {
            (0, _) => {}
            (20, _) => return Err(FilesError::Missing),
            (21, _) => return Err(FilesError::Directory),
            (22, _) => return Err(FilesError::TooLarge),
            (_, said) => return Err(FilesError::Refused(said)),
        }
        let stream = visit.lease().get_file(&visit.tag, "file").await;
        let stream = stream.map_err(SandboxError::from)?;
        Ok(Opened::Streamed(Box::new(Streamed {
            stream,
            _visit: visit,
        })))
    }
}

/// The last line closes what this opens. What cannot be looked into is passed over.
const LIST: &str = r#"command -v find > /dev/null || { echo 'there is no find' >&2; exit 3; }
list() { find "$1" -mindepth 1 \( -type f -o -type d -o -type l \) -printf '%y\0%s\0%T@\0%m\0%l\0%p\0' 2> /dev/null || :; }
{
"#;

/// Copies `$f`: the guest hands out what lies in an output directory.
const READ: &str = r#"[ ! -d "$f" ] || exit 21
[ -f "$f" ] || exit 20
[ "$(stat -Lc %s -- "$f")" -le "$most" ] || exit 22
head -c "$most" -- "$f" > "$OUTPUT_DIR/file" || exit 23
"#;

/// In which of the [`PLACES`] a path lies; `None` for all others, and for what would lead out of them.
fn place(path: &[u8]) -> Option<usize> {
    let mut parts = path.split(|byte| *byte == b'/');
    if parts.any(|part| part == b"..") || path.contains(&0) {
        return None;
    }
    PLACES.iter().position(|place| {
        path.strip_prefix(place.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"/"))
    })
}

/// A word of bash that means these bytes, whatever they are.
fn shell_word(bytes: &[u8]) -> String {
    let mut word = "$'".to_owned();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-') {
            word.push(char::from(*byte));
        } else {
            write!(word, "\\{byte:03o}").expect("a String takes every write");
        }
    }
    word + "'"
}

fn listed(entry: TreeEntry) -> Listed {
    let TreeEntry {
        path,
        kind,
        mode,
        content,
    } = entry;
    Listed {
        path,
        kind,
        size_bytes: content.len() as u64,
        mode,
        modified_at: None,
        target: (kind == TreeKind::Symlink).then(|| content.to_vec()),
    }
}

/// Reads the output of `find`; a record that is cut off at the end is left out.
fn read_list(list: &[u8], roots: &[&str; 3]) -> Vec<Listed> {
    let fields: Vec<&[u8]> = list.split(|byte| *byte == 0).collect();
    let records = fields.chunks_exact(6);
    records
        .filter_map(|record| read_record(record, roots))
        .collect()
}

fn read_record(record: &[&[u8]], roots: &[&str; 3]) -> Option<Listed> {
    let text = |at: usize| std::str::from_utf8(record[at]).ok();
    let kind = match record[0] {
        b"f" => TreeKind::File,
        b"d" => TreeKind::Directory,
        b"l" => TreeKind::Symlink,
        _ => return None,
    };
    let (seconds, fraction) = text(2)?.split_once('.').unwrap_or((text(2)?, "0"));
    let nanos: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let modified_at = DateTime::from_timestamp(seconds.parse().ok()?, nanos.parse().ok()?);
    let real = record[5];
    let path = roots.iter().zip(PLACES).find_map(|(root, place)| {
        let rest = real.strip_prefix(root.as_bytes())?;
        rest.starts_with(b"/")
            .then(|| [place.as_bytes(), rest].concat())
    })?;
    Some(Listed {
        path,
        kind,
        size_bytes: text(1)?.parse().ok()?,
        mode: u32::from_str_radix(text(3)?, 8).ok()? & 0o7777,
        modified_at,
        target: (kind == TreeKind::Symlink).then(|| record[4].to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_places_are_opened() {
        assert_eq!(place(b"/files/output/1/x"), Some(0));
        assert_eq!(place(b"/tmp/\xff"), Some(2));
        for path in [
            "/tmp",
            "/tmpx/a",
            "/etc/passwd",
            "/tmp/../etc/passwd",
            "tmp/a",
            "/tmp/a\0b",
        ] {
            assert_eq!(place(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn a_word_of_the_shell_means_its_bytes_alone() {
        assert_eq!(
            shell_word(b"/tmp/a'$(x)\n\xff"),
            r"$'/tmp/a\047\044\050x\051\012\377'"
        );
    }

    #[test]
    fn a_list_that_is_cut_off_or_forged_gives_what_can_be_read() {
        let roots = ["/files", "/somewhere", "/tmp"];
        let list = b"f\x005\x001.5000\x00644\x00\x00/somewhere/a\nb\x00l\x001\x002.0\x00777\x00a\x00/tmp/l\x00f\x00x\x00y\x00z\x00\x00/tmp/bad\x00f\x001\x002.0\x00644\x00\x00/etc/x\x00f\x001\x00";
        let found = read_list(list, &roots);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].path, b"/home/user/a\nb");
        assert_eq!(found[0].modified_at.unwrap().timestamp_millis(), 1500);
        assert_eq!(found[1].target.as_deref(), Some(b"a".as_slice()));
    }
}
