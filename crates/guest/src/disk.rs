//! The watch over a sandbox's disk, where nothing below it sets a limit.
//!
//! It walks the places user code can write to, a slice at a time, and counts what it finds: blocks of
//! files, deleted ones that are still open too, and at least [`ENTRY_BYTES`] for each name. Not exact:
//! between two walks a program may write as much as the disk takes in that time.
//!
//! A walk takes as long as there are files, so the end of a call waits for one only where the file
//! systems below have lost room worth a look since the last, or the limit is near.

use std::collections::HashSet;
use std::fs::{self, DirEntry, Metadata, Permissions, ReadDir};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest_proto::Settings;

use crate::directory::Directory;
use crate::{decoy, room, sys, tree};

/// The least that an entry counts: an empty file uses up an inode.
pub(crate) const ENTRY_BYTES: u64 = 4096;
/// From the end of a walk to the start of the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// A walk goes on for so long, then the loop gets a turn of the same length.
const SLICE: Duration = Duration::from_millis(10);
/// How long the end of a call may wait for a walk.
const PATIENCE: Duration = Duration::from_millis(50);
/// The part of the limit that a call may have written without a walk at its end: one divided by this.
const UNCOUNTED_PART: u64 = 64;
/// How much fuller a disk that is too full must get before that is told again: each call leaves a
/// directory, and may write a word about its end.
const SLACK_BYTES: u64 = 1024 * 1024;
/// Directories in one another that are looked into; each costs two descriptors.
const MAX_DEPTH: usize = 2000;
/// How long a file on its way in may wait for a walk that decides whether there is room.
const RECOUNT: Duration = Duration::from_secs(1);
/// Entries between two looks at the clock.
const ENTRIES_A_LOOK: usize = 64;

/// Knows how much a sandbox holds.
#[derive(Debug)]
pub(crate) struct Watch {
    limit: u64,
    roots: Vec<PathBuf>,
    used: u64,
    /// The use that was last told to be too much, or less after that.
    told: Option<u64>,
    /// Whether the next walk only finds out how full the disk is: what was told came from a walk during
    /// which more was written, and who wrote has been killed since.
    settling: bool,
    walk: Option<Walk>,
    next: Instant,
    /// Whether something may have been written before the last walk came by, and nothing later counts it.
    owed: bool,
    /// The state of the file systems below when the last walk that came to its end began.
    mark: Option<Below>,
    /// How much of what is used no walk has counted: the most that it can be.
    guessed: u64,
    /// Room on the disk when a process was first seen that hides what it has open.
    room_before_hiding: Option<u64>,
}

impl Watch {
    /// `None` where the disk needs no watch.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        let roots = [
            &settings.files_root,
            &settings.skills_root,
            &settings.tmp_root,
            &settings.work_dir,
        ];
        let mut roots = roots.map(PathBuf::from).to_vec();
        if sys::confinement().is_some() {
            // Without mounts it is no memory, but a directory like the others.
            roots.push("/dev/shm".into());
        }
        room::note(settings.max_disk_bytes, 0);
        room::stand_on(Path::new(&settings.files_root));
        (settings.max_disk_bytes > 0).then(|| Self {
            limit: settings.max_disk_bytes,
            roots,
            used: 0,
            told: None,
            settling: false,
            walk: None,
            next: Instant::now(),
            // What lay there before the guest came.
            owed: true,
            mark: None,
            guessed: 0,
            room_before_hiding: None,
        })
    }

    /// When to walk on, while there is anything that may write or a call to be counted.
    pub(crate) fn next_look(&self) -> Instant {
        self.next
    }

    /// Something runs that may write.
    pub(crate) fn owe(&mut self) {
        self.owed = true;
    }

    /// Whether a walk is due, though nothing may run any more.
    pub(crate) fn is_owed(&self) -> bool {
        self.owed || self.walk.is_some()
    }

    /// Nothing runs, and all is counted: there will be nothing to look for until something has run.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.next = self.next.max(now + INTERVAL);
    }

    /// At the end of a call: counts at once if the disk may be too full, or much was written. Else the
    /// next walk does, in a second at most, so that the answer does not wait for it.
    pub(crate) fn look_at_end(&mut self) -> Option<String> {
        self.owed = true;
        let Some(bytes) = self.little_growth() else {
            return self.look_now();
        };
        // Programs are told of it, and files that come in find as much room less.
        let counted = self.used.saturating_sub(self.guessed);
        self.guessed = bytes;
        self.set_used(counted.saturating_add(bytes));
        None
    }

    /// How much may have been written since the last walk, if it is little and leaves the disk below its limit.
    /// Bytes that others write below count as the sandbox's. Room that they free would hide as much until the
    /// next walk, if programs that have ended had not been seen to write it.
    fn little_growth(&self) -> Option<u64> {
        let few = self.limit / UNCOUNTED_PART;
        let bytes = Below::of(&self.roots)?.grown_since(self.mark.as_ref()?)?;
        let counted = self.used.saturating_sub(self.guessed);
        (bytes <= few && counted.saturating_add(few) <= self.limit).then_some(bytes)
    }

    /// Walks on if it is time; says so if the disk is too full and got fuller.
    pub(crate) fn look(&mut self, now: Instant) -> Option<String> {
        (self.next <= now).then(|| self.walk_on(SLICE)).flatten()
    }

    /// Walks anew, as far as there is patience for it.
    pub(crate) fn look_now(&mut self) -> Option<String> {
        self.walk = None;
        self.walk_on(PATIENCE)
    }

    /// Whether so much may be written; counts anew before it says no.
    pub(crate) fn has_room(&mut self, bytes: u64) -> bool {
        if self.room() < bytes {
            self.walk = None;
            // What it tells is for a program, and none is to blame here.
            drop(self.walk_on(RECOUNT));
        }
        self.room() >= bytes
    }

    fn room(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Counts what the guest itself writes.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.set_used(self.used.saturating_add(bytes));
    }

    fn set_used(&mut self, bytes: u64) {
        self.used = bytes;
        room::note(self.limit, bytes);
    }

    fn walk_on(&mut self, patience: Duration) -> Option<String> {
        let start = Instant::now();
        let walk = self.walk.get_or_insert_with(|| {
            self.owed = false;
            Walk::new(&self.roots)
        });
        if !walk.go(start + patience) {
            self.next = Instant::now() + SLICE;
            return None;
        }
        let mut walk = self.walk.take()?;
        self.next = Instant::now() + INTERVAL;
        // What is hidden or too deep is not known well enough to go without a walk.
        let is_known = !walk.hidden && !walk.too_deep;
        self.mark = walk.mark.take().filter(|_| is_known);
        self.guessed = 0;
        let mut used = walk.bytes;
        if walk.hidden {
            let room = self.roots.first().map_or(0, |root| sys::disk_room(root));
            let before = *self.room_before_hiding.get_or_insert(room);
            // Who else writes to the same disk counts too: a price for hiding.
            used = used.max(before.saturating_sub(room));
        } else {
            self.room_before_hiding = None;
        }
        self.set_used(used);
        if walk.too_deep {
            self.set_used(used.max(self.limit));
            return Some(
                "sandtable: disk full: directories lie too deep in one another".to_owned(),
            );
        }
        if used <= self.limit {
            self.told = None;
            self.settling = false;
            return None;
        }
        if std::mem::take(&mut self.settling) {
            self.told = Some(used);
            return None;
        }
        // A program that makes room is let be, even if it takes its time.
        if let Some(told) = &mut self.told
            && used <= told.saturating_add(SLACK_BYTES)
        {
            *told = used.min(*told);
            return None;
        }
        self.told = Some(used);
        self.settling = true;
        Some(format!(
            "sandtable: disk full: the container holds {used} bytes, at most {} are allowed",
            self.limit
        ))
    }
}

/// The state of the file systems below the sandbox, as the kernel has it.
#[derive(Debug)]
struct Below {
    disks: Vec<Mark>,
    /// By programs that have ended; nothing where the kernel does not count it.
    written: u64,
}

/// The free space of a file system.
#[derive(Debug, Clone, Copy)]
struct Mark {
    device: u64,
    bytes: u64,
    inodes: u64,
}

impl Below {
    /// `None` where it cannot be told: a file system that does not count its inodes does not show empty
    /// files, and a warden's answer is what the last walk has found.
    fn of(roots: &[PathBuf]) -> Option<Self> {
        if sys::confinement().is_some() {
            return None;
        }
        let mut disks: Vec<Mark> = Vec::new();
        for root in roots {
            let device = match fs::metadata(root) {
                Ok(metadata) => metadata.dev(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => return None,
            };
            if disks.iter().all(|disk| disk.device != device) {
                let told = sys::file_system_of(root).ok()?;
                let block = u64::try_from(told.f_bsize).ok()?;
                if told.f_files == 0 {
                    return None;
                }
                disks.push(Mark {
                    device,
                    bytes: told.f_bfree.saturating_mul(block),
                    inodes: told.f_ffree,
                });
            }
        }
        Some(Self {
            disks,
            written: sys::written_by_children(),
        })
    }

    /// How much may have been written, an inode taken as [`ENTRY_BYTES`]; `None` if the places lie elsewhere.
    fn grown_since(&self, before: &Self) -> Option<u64> {
        if before.disks.len() != self.disks.len() {
            return None;
        }
        let mut fallen: u64 = 0;
        for (before, now) in before.disks.iter().zip(&self.disks) {
            if before.device != now.device {
                return None;
            }
            let inodes = before.inodes.saturating_sub(now.inodes);
            fallen = fallen
                .saturating_add(before.bytes.saturating_sub(now.bytes))
                .saturating_add(inodes.saturating_mul(ENTRY_BYTES));
        }
        Some(fallen.max(self.written.saturating_sub(before.written)))
    }
}

/// A walk under way.
#[derive(Debug)]
struct Walk {
    /// As of its beginning.
    mark: Option<Below>,
    stack: Vec<Place>,
    /// Files with more than one name, and open ones without any.
    seen: HashSet<(u64, u64)>,
    bytes: u64,
    /// Whether there are directories too deep to look into.
    too_deep: bool,
    /// Whether a process does not show what it has open.
    hidden: bool,
}

#[derive(Debug)]
enum Place {
    /// Held open, so that it may lie deeper than a path reaches.
    Tree(Directory, ReadDir),
    /// `/proc`, for the processes in it.
    Processes(ReadDir),
    /// The open files of a process.
    Open(ReadDir),
    Close(Opened),
}

/// What looking into a directory needs: reading its names, and searching it for what they are.
const LOOK: u32 = 0o500;
const SEARCH: u32 = 0o100;

/// A directory that was closed to us, to be closed again.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    closed: u32,
}

impl Opened {
    /// Nothing can be looked at below a directory that its owner has closed; one that may only not be written to is let be.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        let closed = metadata.mode() & 0o7777;
        if !metadata.is_dir() || closed & LOOK == LOOK {
            return None;
        }
        fs::set_permissions(path, Permissions::from_mode(closed | LOOK)).ok()?;
        Some(Self {
            path: path.to_owned(),
            closed,
        })
    }

    /// Unless somebody has changed it meanwhile.
    fn close(self) {
        if let Ok(metadata) = fs::symlink_metadata(&self.path)
            && metadata.is_dir()
            && metadata.mode() & 0o7777 == self.closed | LOOK
        {
            drop(fs::set_permissions(
                self.path,
                Permissions::from_mode(self.closed),
            ));
        }
    }
}

impl Walk {
    fn new(roots: &[PathBuf]) -> Self {
        let mut walk = Self {
            mark: Below::of(roots),
            stack: Vec::new(),
            seen: HashSet::new(),
            bytes: 0,
            too_deep: false,
            hidden: false,
        };
        // Last, so that it comes first: what is deleted during the walk is then counted twice, not never.
        for root in roots {
            match list(root) {
                Ok(tree) => walk.stack.push(tree),
                Err(error) => walk.miss(&error),
            }
        }
        // Elsewhere they would be the whole machine's.
        if sys::is_init()
            && let Ok(processes) = fs::read_dir("/proc")
        {
            walk.stack.push(Place::Processes(processes));
        }
        walk
    }

    /// Goes on until then; whether it has come to the end.
    fn go(&mut self, until: Instant) -> bool {
        let mut entries = 0;
        while let Some(place) = self.stack.last_mut() {
            entries += 1;
            if entries % ENTRIES_A_LOOK == 0 && Instant::now() >= until {
                return false;
            }
            match place {
                Place::Tree(directory, entries) => match entries.next() {
                    Some(Ok(entry)) => {
                        let Ok(metadata) = entry.metadata() else {
                            continue;
                        };
                        let below = metadata.is_dir().then(|| entry_of(directory, &entry));
                        self.count(&metadata);
                        if let Some(below) = below {
                            self.enter(&below);
                        }
                    }
                    // An error ends the listing: there is nothing more to learn.
                    Some(Err(_)) | None => drop(self.stack.pop()),
                },
                Place::Processes(entries) => match entries.next() {
                    Some(Ok(entry)) => {
                        let name = entry.file_name();
                        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
                            && tree::is_in_sandbox(pid)
                        {
                            self.enter_process(pid);
                        }
                    }
                    Some(Err(_)) | None => drop(self.stack.pop()),
                },
                Place::Open(entries) => match entries.next() {
                    Some(Ok(entry)) => {
                        // Follows the link to the open file itself, whatever became of its name.
                        if let Ok(metadata) = fs::metadata(entry.path())
                            && metadata.is_file()
                            && metadata.nlink() == 0
                        {
                            self.count(&metadata);
                        }
                    }
                    Some(Err(_)) | None => drop(self.stack.pop()),
                },
                Place::Close(_) => {
                    if let Some(Place::Close(opened)) = self.stack.pop() {
                        opened.close();
                    }
                }
            }
        }
        true
    }

    fn count(&mut self, metadata: &Metadata) {
        let first_seen = metadata.is_dir()
            || metadata.nlink() == 1
            || self.seen.insert((metadata.dev(), metadata.ino()));
        if first_seen {
            let bytes = metadata.blocks().saturating_mul(512).max(ENTRY_BYTES);
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    fn enter(&mut self, path: &Path) {
        if self.stack.len() > MAX_DEPTH {
            self.too_deep = true;
            return;
        }
        let opened = Opened::of(path);
        let listed = list(path);
        match opened {
            // What is open can be read on; only what is to be searched has to stay so.
            Some(opened) if opened.closed & SEARCH != 0 => opened.close(),
            Some(opened) => self.stack.push(Place::Close(opened)),
            None => {}
        }
        match listed {
            Ok(tree) => self.stack.push(tree),
            Err(error) => self.miss(&error),
        }
    }

    /// Notes a miss: a file that is gone needs no count; one that cannot be opened for want of descriptors does.
    fn miss(&mut self, error: &io::Error) {
        self.too_deep |= error.raw_os_error() == Some(libc::EMFILE);
    }

    fn enter_process(&mut self, pid: u32) {
        let number = i32::try_from(pid).unwrap_or(0);
        if pid == std::process::id() || decoy::is_decoy(number) {
            return;
        }
        match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(entries) => self.stack.push(Place::Open(entries)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // The dead show nothing either, and have nothing open.
                self.hidden |= !is_dead(pid);
            }
            Err(_) => {}
        }
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        while let Some(place) = self.stack.pop() {
            if let Place::Close(opened) = place {
                opened.close();
            }
        }
    }
}

fn list(path: &Path) -> io::Result<Place> {
    let directory = Directory::open(path)?;
    let entries = fs::read_dir(directory.path())?;
    Ok(Place::Tree(directory, entries))
}

fn entry_of(directory: &Directory, entry: &DirEntry) -> PathBuf {
    directory.path().join(entry.file_name())
}

fn is_dead(pid: u32) -> bool {
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else {
        return true;
    };
    let stat = String::from_utf8_lossy(&stat);
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('Z' | 'X' | 'x'))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn watch(root: &Path, limit: u64) -> Watch {
        let place = |name: &str| root.join(name).to_string_lossy().into_owned();
        for name in ["files", "tmp", "home"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let settings = Settings {
            files_root: place("files"),
            skills_root: place("skills"),
            tmp_root: place("tmp"),
            work_dir: place("home"),
            max_disk_bytes: limit,
            ..Settings::default()
        };
        Watch::new(&settings).unwrap()
    }

    /// Walks to the end.
    fn look(watch: &mut Watch) -> Option<String> {
        watch.walk = None;
        watch.walk_on(Duration::from_mins(1))
    }

    fn write(path: &Path, bytes: u64) -> File {
        let mut file = File::create_new(path).unwrap();
        let bytes = vec![1; usize::try_from(bytes).unwrap()];
        file.write_all(&bytes).unwrap();
        file
    }

    #[test]
    fn only_a_disk_that_is_too_full_and_gets_fuller_is_told_of() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(root.path(), 2 * MIB);
        write(&root.path().join("files/a"), MIB);
        assert_eq!(look(&mut watch), None);
        write(&root.path().join("tmp/b"), 2 * MIB);
        let line = look(&mut watch).unwrap();
        assert!(line.contains("at most 2097152"), "{line}");
        assert_eq!((look(&mut watch), watch.room()), (None, 0));
        fs::remove_file(root.path().join("files/a")).unwrap();
        assert_eq!(look(&mut watch), None);
        write(&root.path().join("home/c"), 2 * MIB);
        assert!(look(&mut watch).is_some());
    }

    #[test]
    fn what_was_written_during_the_walk_that_told_is_nobody_elses() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(root.path(), MIB);
        write(&root.path().join("home/a"), 2 * MIB);
        assert!(look(&mut watch).is_some());
        write(&root.path().join("home/b"), 2 * MIB);
        assert_eq!(look(&mut watch), None);
        write(&root.path().join("home/c"), 2 * MIB);
        assert!(look(&mut watch).is_some());
    }

    #[test]
    fn a_file_counts_once_whatever_its_names() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(root.path(), 64 * MIB);
        look(&mut watch);
        let before = watch.used;
        write(&root.path().join("home/a"), MIB);
        fs::hard_link(root.path().join("home/a"), root.path().join("tmp/b")).unwrap();
        look(&mut watch);
        let with_names = watch.used - before;
        assert!((MIB..MIB + 65536).contains(&with_names), "{with_names}");
    }

    #[test]
    fn empty_files_count_too() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(root.path(), MIB);
        for n in 0..300 {
            write(&root.path().join(format!("home/{n}")), 0);
        }
        assert!(look(&mut watch).is_some());
    }

    #[test]
    fn closed_directories_are_looked_into_and_closed_again() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(root.path(), MIB);
        let closed = root.path().join("home/closed");
        fs::create_dir(&closed).unwrap();
        write(&closed.join("a"), 2 * MIB);
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        assert!(look(&mut watch).is_some());
        let mode = fs::metadata(&closed).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0);
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn a_walk_under_way_changes_no_mode_that_it_can_do_with() {
        let root = tempfile::tempdir().unwrap();
        let mut modes = [0o500, 0o555, 0o311, 0o000].map(|mode| {
            let path = root.path().join(format!("{mode:o}"));
            fs::create_dir(&path).unwrap();
            for n in 0..2 * ENTRIES_A_LOOK {
                write(&path.join(n.to_string()), 0);
            }
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            (path, mode)
        });
        let mode_of = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let mut walk = Walk::new(&[root.path().to_owned()]);
        let now = Instant::now();
        let mut was_open = false;
        while !walk.go(now) {
            for (path, mode) in &mut modes {
                let is_open = *mode == 0 && mode_of(path) == LOOK;
                assert!(is_open || mode_of(path) == *mode, "{}", path.display());
                if is_open {
                    // What its owner says meanwhile stays.
                    was_open = true;
                    *mode = 0o711;
                    fs::set_permissions(&*path, Permissions::from_mode(*mode)).unwrap();
                }
            }
        }
        assert!(was_open);
        for (path, mode) in &modes {
            assert_eq!(mode_of(path), *mode, "{}", path.display());
            fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn directories_deeper_than_a_path_reaches_are_looked_into() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(root.path(), MIB);
        let mut directory = Directory::open(&root.path().join("home")).unwrap();
        for _ in 0..30 {
            directory = directory.enter_own(&"d".repeat(200)).unwrap();
        }
        assert_eq!(look(&mut watch), None);
        write(&directory.entry("a"), 2 * MIB);
        assert!(look(&mut watch).is_some());
    }

    /// Simulates a change by others only: more room than before, whatever is written meanwhile.
    fn pretend_nothing_was_written(watch: &mut Watch) {
        for mark in &mut watch.mark.as_mut().unwrap().disks {
            (mark.bytes, mark.inodes) = (0, 0);
        }
    }

    #[test]
    fn a_call_that_wrote_little_is_counted_after_its_answer() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(root.path(), 64 * MIB);
        look(&mut watch);
        assert!(!watch.is_owed());
        let before = watch.used;
        write(&root.path().join("home/a"), 2 * MIB);
        pretend_nothing_was_written(&mut watch);
        assert_eq!((watch.look_at_end(), watch.used), (None, before));
        // What the disk has lost is taken for what the call wrote, once.
        watch.mark = Below::of(&watch.roots);
        watch.mark.as_mut().unwrap().disks[0].bytes += MIB / 2;
        for _ in 0..2 {
            assert_eq!(watch.look_at_end(), None);
            let guessed = watch.used - before;
            assert!((MIB / 4..=MIB).contains(&guessed), "{guessed}");
        }
        assert!(watch.is_owed() && watch.next_look() <= Instant::now() + INTERVAL);
        watch.look(watch.next_look());
        while watch.walk.is_some() {
            watch.look(watch.next_look());
        }
        assert!(!watch.is_owed() && watch.used >= before + 2 * MIB);
    }

    #[test]
    fn a_call_that_wrote_much_or_came_near_the_limit_is_counted_at_once() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(root.path(), 64 * MIB);
        look(&mut watch);
        let before = watch.used;
        // As a mark of more room than there is now.
        watch.mark.as_mut().unwrap().disks[0].bytes = u64::MAX;
        watch.look_at_end();
        assert!(!watch.is_owed());
        write(&root.path().join("home/a"), 65 * MIB);
        pretend_nothing_was_written(&mut watch);
        watch.set_used(64 * MIB - 1);
        assert!(watch.look_at_end().is_some() && watch.used > before + 64 * MIB);
    }

    #[test]
    fn a_walk_that_began_before_a_call_ended_does_not_count_it() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(root.path(), 64 * MIB);
        look(&mut watch);
        watch.walk = Some(Walk::new(&watch.roots));
        pretend_nothing_was_written(&mut watch);
        assert_eq!(watch.look_at_end(), None);
        watch.walk_on(Duration::from_mins(1));
        assert!(watch.walk.is_none() && watch.is_owed());
    }

    #[test]
    fn growth_is_lost_bytes_and_inodes_or_what_programs_wrote() {
        let mark = |device, bytes, inodes| Mark {
            device,
            bytes,
            inodes,
        };
        let below = |disks: &[Mark], written| Below {
            disks: disks.to_vec(),
            written,
        };
        let before = below(&[mark(1, 10 * MIB, 100), mark(2, MIB, 10)], MIB);
        let now = [mark(1, 9 * MIB, 98), mark(2, 2 * MIB, 10)];
        let grown = |disks: &[Mark], written| below(disks, written).grown_since(&before);
        assert_eq!(grown(&now, MIB), Some(MIB + 2 * ENTRY_BYTES));
        assert_eq!(grown(&now, 9 * MIB), Some(8 * MIB));
        assert_eq!(grown(&now[..1], MIB), None);
        assert_eq!(grown(&[now[1], now[0]], MIB), None);
    }

    #[test]
    fn a_walk_may_be_cut_into_slices() {
        let root = tempfile::tempdir().unwrap();
        let watch = watch(root.path(), MIB);
        for n in 0..300 {
            write(&root.path().join(format!("home/{n}")), 0);
        }
        let mut walk = Walk::new(&watch.roots);
        let mut slices = 1;
        while !walk.go(Instant::now()) {
            slices += 1;
        }
        assert!(slices > 3 && walk.bytes >= 300 * ENTRY_BYTES, "{slices}");
    }
}
