//! Files on their way in and out.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use guest_proto::{
    AnswerBody, CHUNK_BYTES, ErrorKind, Settings, WINDOW_CHUNKS, is_directory_tag, is_file_name,
};

use crate::directory::{self, Directory};
use crate::environment::{INPUT, is_full, open_output, own_input};
use crate::out::Out;

/// Why a file cannot move.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Invalid,
            message: message.into(),
        }
    }

    pub(crate) fn io(what: &str, name: &str, error: &io::Error) -> Self {
        Self {
            kind: match error.kind() {
                _ if is_full(error) => ErrorKind::NoSpace,
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Io,
            },
            message: format!("{what} `{name}`: {error}"),
        }
    }
}

/// A file that is being written into `$INPUT_DIR` or a skill. Dropped early, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Put {
    file: File,
    name: String,
    directory: Directory,
    temporary: PathBuf,
    /// Where programs will find it, if it is to be linked there.
    target: Option<PathBuf>,
    in_place: Cell<bool>,
}

impl Put {
    pub(crate) fn start(settings: &Settings, input_dir: &str, name: &str) -> Result<Self, Failure> {
        let (directory, target) = place_of(settings, input_dir, name)?;
        let put = Self::create(directory, name.to_owned(), 0o644, Some(target));
        put.map_err(|e| Failure::io("writing", name, &e))
    }

    /// A file of a skill, which programs may read, and change only where they mean to.
    pub(crate) fn start_skill(
        settings: &Settings,
        path: &str,
        executable: bool,
    ) -> Result<Self, Failure> {
        let mut folders: Vec<&str> = path.split('/').collect();
        let name = folders.pop().unwrap_or_default();
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if folders.is_empty() || !folders.iter().all(|part| plain(part)) || !plain(name) {
            return Err(Failure::invalid(format!("`{path}` is no file of a skill")));
        }
        let failure = |e: &io::Error| Failure::io("writing", path, e);
        let enter = || {
            let mut directory = Directory::own(Path::new(&settings.skills_root))?;
            for folder in folders {
                directory = directory.enter_own(folder)?;
            }
            Ok(directory)
        };
        let directory = enter().map_err(|e| failure(&e))?;
        let mode = if executable { 0o555 } else { 0o444 };
        let put = Self::create(directory, name.to_owned(), mode, None);
        put.map_err(|e| failure(&e))
    }

    /// A new file beside its place, under a name that user code cannot have taken.
    fn create(
        directory: Directory,
        name: String,
        mode: u32,
        target: Option<PathBuf>,
    ) -> io::Result<Self> {
        let temporary = directory::unguessable_beside(&directory.entry(&name))?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        Ok(Self {
            file,
            name,
            directory,
            temporary,
            target,
            in_place: Cell::new(false),
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file
            .write_all(bytes)
            .map_err(|e| Failure::io("writing", &self.name, &e))
    }

    /// Why it cannot go on where the disk is full without the kernel knowing.
    pub(crate) fn no_room(&self) -> Failure {
        let full = io::Error::from_raw_os_error(libc::ENOSPC);
        Failure::io("writing", &self.name, &full)
    }

    /// Puts the file in its place, whatever is there, and links it; says whether the link is there.
    pub(crate) fn finish(&self, settings: &Settings) -> Result<bool, Failure> {
        self.place()
            .map_err(|e| Failure::io("placing", &self.name, &e))?;
        self.in_place.set(true);
        Ok(self.target.as_ref().is_some_and(|target| {
            link(settings, &self.name, target, &self.directory).unwrap_or(false)
        }))
    }
}

impl Put {
    fn place(&self) -> io::Result<()> {
        // Its owner may have closed it while the bytes came.
        directory::make_usable(&self.directory.path());
        directory::put_in_place(&self.temporary, &self.directory.entry(&self.name))
    }
}

impl Drop for Put {
    fn drop(&mut self) {
        if !self.in_place.get() {
            drop(fs::remove_file(&self.temporary));
        }
    }
}

/// The directory of an input file, and where programs find it.
fn place_of(
    settings: &Settings,
    input_dir: &str,
    name: &str,
) -> Result<(Directory, PathBuf), Failure> {
    if !is_directory_tag(input_dir) {
        return Err(Failure::invalid("`input_dir` is not 16 hex digits"));
    }
    if !is_file_name(name) {
        return Err(Failure::invalid(format!("`{name}` cannot name a file")));
    }
    let root = Path::new(&settings.files_root);
    let directory = own_input(root, input_dir).map_err(|e| Failure::io("writing", name, &e))?;
    Ok((directory, root.join(INPUT).join(input_dir).join(name)))
}

/// Looks for an input file in its place, and links it again if its link is gone; says whether the link is there.
/// `None`: the file is not.
pub(crate) fn find_input(
    settings: &Settings,
    input_dir: &str,
    name: &str,
) -> Result<Option<bool>, Failure> {
    let (directory, target) = place_of(settings, input_dir, name)?;
    directory::make_usable(&directory.path());
    let lies = fs::symlink_metadata(directory.entry(name)).is_ok_and(|found| found.is_file());
    Ok(lies.then(|| link(settings, name, &target, &directory).unwrap_or(false)))
}

/// Links an input file by its name in the working directory: over nothing but an earlier link of ours.
fn link(settings: &Settings, name: &str, target: &Path, directory: &Directory) -> io::Result<bool> {
    let work_dir = Path::new(&settings.work_dir);
    directory::make_usable(work_dir);
    let place = work_dir.join(name);
    match symlink(target, &place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result.map(|()| true),
    }
    let inputs = Path::new(&settings.files_root).join(INPUT);
    let old = fs::read_link(&place).ok();
    let ours = old.as_ref().is_some_and(|old| old.starts_with(inputs));
    if ours && old.as_deref() != Some(target) {
        let temporary = directory::unguessable_beside(&directory.entry(name))?;
        symlink(target, &temporary)?;
        // Two file systems: then there is a moment without the link.
        if fs::rename(&temporary, &place).is_err() {
            drop(fs::remove_file(&temporary));
            fs::remove_file(&place)?;
            symlink(target, &place)?;
        }
    }
    Ok(ours)
}

/// A file that is being read.
#[derive(Debug)]
pub(crate) struct Get {
    file: File,
    rest: u64,
    /// Chunks the host has asked for and not got.
    wanted: u32,
}

impl Get {
    /// Opens a file; gives its size too.
    pub(crate) fn start(
        settings: &Settings,
        output_dir: &str,
        name: &str,
    ) -> Result<(Self, u64), Failure> {
        if !is_directory_tag(output_dir) {
            return Err(Failure::invalid("`output_dir` is not 16 hex digits"));
        }
        if !is_file_name(name) {
            return Err(Failure::invalid(format!("`{name}` cannot name a file")));
        }
        let failure = |e: &io::Error| Failure::io("reading", name, e);
        let root = Path::new(&settings.files_root);
        let directory = open_output(root, output_dir).map_err(|e| failure(&e))?;
        let file = open(&directory.entry(name)).map_err(|e| failure(&e))?;
        let metadata = file.metadata().map_err(|e| failure(&e))?;
        if !metadata.is_file() {
            return Err(Failure::invalid(format!("`{name}` is not a regular file")));
        }
        let size = metadata.len();
        let get = Self {
            file,
            rest: size,
            wanted: WINDOW_CHUNKS,
        };
        Ok((get, size))
    }

    pub(crate) fn more(&mut self, chunks: u32) {
        self.wanted = self.wanted.saturating_add(chunks);
    }

    /// Queues chunks while the host wants them and the queue is short; `true` once the last is queued.
    pub(crate) fn pump(&mut self, call: u64, out: &mut Out) -> bool {
        let mut buffer = Vec::new();
        while self.wanted > 0 && !out.is_full() {
            buffer.resize(CHUNK_BYTES, 0);
            let most = usize::try_from(self.rest).map_or(CHUNK_BYTES, |rest| rest.min(CHUNK_BYTES));
            let read = match self.file.read(&mut buffer[..most]) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    out.error(call, ErrorKind::Io, format!("reading the file: {error}"));
                    return true;
                }
            };
            self.rest -= read as u64;
            self.wanted -= 1;
            // The size is what it was when opened, unless something has cut the file since.
            let last = read == 0 || self.rest == 0;
            out.answer(call, AnswerBody::Chunk { last }, &buffer[..read]);
            if last {
                return true;
            }
        }
        false
    }
}

/// Opens a file for reading: no link, no wait for a FIFO's writer.
fn open(path: &Path) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
    };
    match open() {
        // The user's program may write files it may not read; they count as output all the same.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            if !fs::symlink_metadata(path)?.is_file() {
                return Err(error);
            }
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            open()
        }
        result => result,
    }
}
