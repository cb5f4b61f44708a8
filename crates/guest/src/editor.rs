//! The text editor: view, create, replace.
//!
//! Works with the sandbox user's rights, on regular files only: a FIFO or a device gives an error at
//! once instead of holding up the loop.

mod diff;
mod path;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use guest_proto::{Edit, EditErrorKind, EditResult, FileType, MAX_PAYLOAD_BYTES, Settings};

use crate::environment::Places;

/// Why an edit is not possible.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: EditErrorKind,
    pub(crate) message: String,
}

impl Failure {
    fn new(kind: EditErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    fn io(path: &str, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                return Self::new(
                    EditErrorKind::FileNotFound,
                    format!("`{path}` does not exist"),
                );
            }
            io::ErrorKind::IsADirectory => return Self::directory(path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                EditErrorKind::PermissionDenied
            }
            io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => {
                EditErrorKind::InvalidInput
            }
            // ENXIO: a FIFO without a reader, or a socket.
            _ if error.raw_os_error() == Some(libc::ENXIO) => return Self::not_a_file(path),
            _ => EditErrorKind::Io,
        };
        Self::new(kind, format!("`{path}`: {error}"))
    }

    fn directory(path: &str) -> Self {
        Self::new(
            EditErrorKind::IsDirectory,
            format!("`{path}` is a directory"),
        )
    }

    fn not_a_file(path: &str) -> Self {
        Self::new(
            EditErrorKind::NotAFile,
            format!("`{path}` is not a regular file"),
        )
    }
}

/// Does one edit; gives the result and, for a view, the content.
pub(crate) fn edit(
    settings: &Settings,
    places: &Places,
    edit: &Edit,
    path: &str,
    payload: &[u8],
) -> Result<(EditResult, Vec<u8>), Failure> {
    let place = path::resolve(settings, places, path)?;
    match edit {
        Edit::View { view_range } => view(settings, &place, path, *view_range),
        Edit::Create {} => {
            let is_file_update =
                create(&place, payload).map_err(|e| reclassify(&place, path, &e))?;
            Ok((EditResult::Create { is_file_update }, Vec::new()))
        }
        Edit::StrReplace { old_bytes } => {
            let texts = usize::try_from(*old_bytes)
                .ok()
                .and_then(|old_bytes| payload.split_at_checked(old_bytes))
                .and_then(|(old, new)| {
                    Some((str::from_utf8(old).ok()?, str::from_utf8(new).ok()?))
                });
            let Some((old, new)) = texts else {
                return Err(Failure::new(
                    EditErrorKind::InvalidInput,
                    "`old_str` and `new_str` must be text",
                ));
            };
            let mut hunk = replace(settings, &place, path, old, new)?;
            // A line may be as long as a file, and a header may not.
            let lines = hunk.as_mut().map(|hunk| std::mem::take(&mut hunk.lines));
            let lines = lines.unwrap_or_default().join("\n").into_bytes();
            Ok((EditResult::StrReplace { hunk }, lines))
        }
    }
}

fn view(
    settings: &Settings,
    place: &Path,
    path: &str,
    view_range: Option<(i64, i64)>,
) -> Result<(EditResult, Vec<u8>), Failure> {
    let bytes = read(settings, place, path)?;
    if let Some(file_type) = media_type(&bytes) {
        if bytes.len() as u64 > settings.max_media_bytes {
            return Err(too_large(
                path,
                bytes.len() as u64,
                settings.max_media_bytes,
            ));
        }
        let result = EditResult::View {
            file_type,
            num_lines: None,
            start_line: None,
            total_lines: None,
        };
        return Ok((result, bytes));
    }
    let text = text(&bytes, path)?;
    let total_lines = count_lines(text);
    let (content, start_line) = match view_range {
        None => (text, 1),
        Some(range) => {
            let (first, last) = check_range(range, total_lines)?;
            (lines(text, first, last), first)
        }
    };
    let content_bytes = content.len() as u64;
    if content_bytes > settings.max_view_bytes {
        let mut failure = too_large(path, content_bytes, settings.max_view_bytes);
        failure.message.push_str(match view_range {
            _ if count_lines(content) == 1 => "; a program can show a part of this line",
            None => "; use `view_range` to see a part",
            Some(_) => "; use a smaller `view_range`",
        });
        return Err(failure);
    }
    let result = EditResult::View {
        file_type: FileType::Text,
        num_lines: Some(count_lines(content)),
        start_line: Some(start_line),
        total_lines: Some(total_lines),
    };
    Ok((result, content.as_bytes().to_vec()))
}

/// Lines as the service counts them: a newline at the end starts one more.
fn count_lines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64 + 1
}

fn check_range((first, last): (i64, i64), total_lines: u64) -> Result<(u64, u64), Failure> {
    let first_line = u64::try_from(first)
        .ok()
        .filter(|line| (1..=total_lines).contains(line));
    let last_line = match last {
        -1 => Some(total_lines),
        // Beyond the end is the end: who asks for a screenful need not know the length.
        last => u64::try_from(last).ok().map(|line| line.min(total_lines)),
    };
    match (first_line, last_line) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(Failure::new(
            EditErrorKind::InvalidInput,
            format!(
                "`view_range` [{first}, {last}] does not fit: the file has {total_lines} lines"
            ),
        )),
    }
}

fn lines(text: &str, first: u64, last: u64) -> &str {
    // Byte offset where a line (counted from 1) starts; the end of the text for the line after the last.
    let start_of = |line: u64| match usize::try_from(line).unwrap_or(usize::MAX) {
        0 | 1 => 0,
        line => text
            .match_indices('\n')
            .nth(line - 2)
            .map_or(text.len(), |(at, _)| at + 1),
    };
    let part = &text[start_of(first)..start_of(last + 1)];
    if last < count_lines(text) {
        part.strip_suffix('\n').unwrap_or(part)
    } else {
        part
    }
}

fn media_type(bytes: &[u8]) -> Option<FileType> {
    const IMAGES: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"];
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    if webp || IMAGES.iter().any(|magic| bytes.starts_with(magic)) {
        Some(FileType::Image)
    } else if bytes.starts_with(b"%PDF-") {
        Some(FileType::Pdf)
    } else {
        None
    }
}

fn text<'a>(bytes: &'a [u8], path: &str) -> Result<&'a str, Failure> {
    str::from_utf8(bytes).map_err(|_| {
        Failure::new(
            EditErrorKind::NotText,
            format!("`{path}` is not UTF-8 text"),
        )
    })
}

fn too_large(path: &str, bytes: u64, most: u64) -> Failure {
    Failure::new(
        EditErrorKind::TooLarge,
        format!("`{path}` is too large: {bytes} bytes, at most {most}"),
    )
}

fn read(settings: &Settings, place: &Path, path: &str) -> Result<Vec<u8>, Failure> {
    let failure = |e: io::Error| Failure::io(path, &e);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(place)
        .map_err(failure)?;
    refuse_processes(&file).map_err(failure)?;
    let metadata = file.metadata().map_err(failure)?;
    if metadata.is_dir() {
        return Err(Failure::directory(path));
    }
    if !metadata.is_file() {
        return Err(Failure::not_a_file(path));
    }
    let most = settings.max_edit_bytes;
    if metadata.len() > most {
        return Err(too_large(path, metadata.len(), most));
    }
    // Files of `/proc` say 0 and have content; others may grow meanwhile.
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failure)?;
    if bytes.len() as u64 > most {
        return Err(too_large(path, bytes.len() as u64, most));
    }
    Ok(bytes)
}

/// The files of `/proc` about processes show and change what the code in the sandbox may not: the
/// kernel sees the guest open them, and to the guest it shows itself.
fn refuse_processes(file: &File) -> io::Result<()> {
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let mut parts = path.strip_prefix("/proc").into_iter().flat_map(Path::iter);
    let first = parts.next().and_then(|part| part.to_str());
    if first.is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

/// Writes a whole file, with its parent directories; says whether it was there before.
fn create(place: &Path, text: &[u8]) -> io::Result<bool> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(place) {
        Ok(mut file) => file.write_all(text).map(|()| false),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A link may lead to nothing yet.
            let is_update = fs::metadata(place).is_ok();
            overwrite(place, text).map(|()| is_update)
        }
        Err(error) => Err(error),
    }
}

/// Writes over a file in place: its mode, its other names, and links to it stay.
fn overwrite(place: &Path, text: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        // A link that leads nowhere yet is followed, as a shell's `>` would.
        .create(true)
        .truncate(false)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(place)?;
    refuse_processes(&file)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::ENXIO));
    }
    reserve(&file, text.len() as u64)?;
    file.write_all(text)?;
    file.set_len(text.len() as u64)
}

/// Makes sure that a file can be as long as that before anything in it is written over: where the disk is full, it stays as
/// it was.
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::io::Errno;
    let before = file.metadata()?.len();
    if bytes == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes) {
        // A file system that cannot reserve finds out when it writes.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => {
            // What was reserved behind the end is given back.
            file.set_len(before)?;
            Err(error.into())
        }
    }
}

/// Says what is at the place where nothing could be written, or above it.
fn reclassify(place: &Path, path: &str, error: &io::Error) -> Failure {
    // As it was spelt: the two end alike.
    let above = place.ancestors().zip(Path::new(path).ancestors()).skip(1);
    for (place, path) in above {
        if fs::metadata(place).is_ok_and(|found| !found.is_dir()) {
            return Failure::new(
                EditErrorKind::InvalidInput,
                format!("`{}` is not a directory", path.display()),
            );
        }
    }
    match fs::metadata(place) {
        Ok(metadata) if metadata.is_dir() => Failure::directory(path),
        Ok(metadata) if metadata.file_type().is_socket() => Failure::not_a_file(path),
        _ if error.kind() == io::ErrorKind::NotFound => {
            // Nothing is missing that `create` would not make: the name itself is no good.
            Failure::new(EditErrorKind::Io, format!("`{path}`: {error}"))
        }
        _ => Failure::io(path, error),
    }
}

fn replace(
    settings: &Settings,
    place: &Path,
    path: &str,
    old: &str,
    new: &str,
) -> Result<Option<guest_proto::Hunk>, Failure> {
    if old.is_empty() {
        return Err(Failure::new(
            EditErrorKind::InvalidInput,
            "`old_str` must not be empty",
        ));
    }
    let bytes = read(settings, place, path)?;
    let before = text(&bytes, path)?;
    let at = match occurrences(before, old) {
        (_, 0) => {
            return Err(Failure::new(
                EditErrorKind::StringNotFound,
                format!("`old_str` does not occur in `{path}`"),
            ));
        }
        (at, 1) => at,
        (_, count) => {
            return Err(Failure::new(
                EditErrorKind::InvalidInput,
                format!("`old_str` occurs {count} times in `{path}`; it must occur exactly once"),
            ));
        }
    };
    let after = [&before[..at], new, &before[at + old.len()..]].concat();
    let hunk = diff::hunk(before, &after);
    let told: usize = hunk
        .iter()
        .flat_map(|hunk| &hunk.lines)
        .map(|line| line.len() + 1)
        .sum();
    if told > MAX_PAYLOAD_BYTES {
        // What cannot be told is not done.
        return Err(Failure::new(
            EditErrorKind::Io,
            format!(
                "`{path}`: the change takes {told} bytes to tell, and {MAX_PAYLOAD_BYTES} are the most"
            ),
        ));
    }
    if after != before {
        overwrite(place, after.as_bytes()).map_err(|e| reclassify(place, path, &e))?;
    }
    Ok(hunk)
}

/// Where a text occurs first, and how often. Overlapping ones count: which one is meant is unclear.
fn occurrences(text: &str, wanted: &str) -> (usize, usize) {
    let Some(first) = text.find(wanted) else {
        return (0, 0);
    };
    let step = wanted.chars().next().map_or(1, char::len_utf8);
    let rest = &text[first + step..];
    if rest.contains(wanted) {
        (first, 1 + count(rest.as_bytes(), wanted.as_bytes()))
    } else {
        (first, 1)
    }
}

/// How often bytes occur in others, in time that grows with the length of both alone (Knuth, Morris, Pratt): a search that
/// begins again behind each takes as many times as long as there are of them.
fn count(text: &[u8], wanted: &[u8]) -> usize {
    // How much of `wanted` its first bytes end with, but for all of them.
    let mut ends = vec![0; wanted.len()];
    let mut matched = 0;
    for at in 1..wanted.len() {
        while matched > 0 && wanted[at] != wanted[matched] {
            matched = ends[matched - 1];
        }
        matched += usize::from(wanted[at] == wanted[matched]);
        ends[at] = matched;
    }
    let (mut count, mut matched) = (0, 0);
    for byte in text {
        while matched > 0 && (matched == wanted.len() || *byte != wanted[matched]) {
            matched = ends[matched - 1];
        }
        matched += usize::from(*byte == wanted[matched]);
        count += usize::from(matched == wanted.len());
    }
    count
}
