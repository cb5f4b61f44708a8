//! Calls with paths, and those that tell of the machine.

use guest::room;

use super::calls::{Follow, Spot, Target};
use super::notify::{Verdict, Waiting, errno};
use super::space::{self, Base, Found, Kind, climbs};
use super::tracee::{Caller, New};
use super::warden::{Act, Warden};
use super::{proc, sys};

/// As every sandbox is called.
const NAME: &[u8] = b"sandbox";
/// The device that gives a new terminal, by both of its names.
const TERMINALS: [&[u8]; 2] = [b"/dev/ptmx", b"/dev/pts/ptmx"];

/// Whether a link in the last place is followed in this call.
pub(super) fn follows(waiting: &Waiting<'_>, follow: Follow) -> bool {
    let has = |place: usize, flag: u64| waiting.argument(place) & flag != 0;
    match follow {
        Follow::Always => true,
        Follow::Never => false,
        Follow::Unless(place, flag) => !has(place, flag),
        Follow::If(place, flag) => has(place, flag),
        Follow::Open(place) => {
            let flags = waiting.int(place);
            let new = libc::O_CREAT | libc::O_EXCL;
            flags & libc::O_NOFOLLOW == 0 && flags & new != new
        }
    }
}

/// The call as it stands, or with the path of what was found.
fn exchange(spot: Spot, found: Found) -> Act {
    if found.is_plain {
        Act::GoOn
    } else {
        Act::Change(vec![New::Text(spot.path, found.real)])
    }
}

impl Warden {
    /// Reads a path and follows it. Nothing is found where the kernel finds the way alone; `always`: it is
    /// followed all the same, for who has to know where it ends.
    pub(super) fn look(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
        spot: Spot,
        always: bool,
    ) -> Result<(Option<Found>, Vec<u8>), i32> {
        let path = match self
            .memories
            .text(caller.thread, waiting.argument(spot.path))
        {
            Ok(path) => path,
            // The kernel says what is wrong with it.
            Err(libc::EFAULT) if !always => return Ok((None, Vec::new())),
            Err(errno) => return Err(errno),
        };
        // The guest sees all of it, and looks often.
        let is_guests = caller.is_guest() && path.starts_with(b"/proc/");
        let is_absolute = path.starts_with(b"/");
        if !always && (path.is_empty() || is_guests || is_absolute && self.space.is_same(&path)) {
            return Ok((None, path));
        }
        let mut base = None;
        if !is_absolute {
            let directory = spot.directory.map(|place| waiting.int(place));
            base = caller.base(&self.space, directory);
            match &base {
                None => return Ok((None, path)),
                Some(base) if !always && self.space.is_same(&base.real) && !climbs(&path) => {
                    return Ok((None, path));
                }
                Some(_) => {}
            }
        }
        let follow = follows(waiting, spot.follow);
        let mut found = match self.space.find(caller, base.as_ref(), &path, follow) {
            // Deeper than a whole path reaches, only the kernel finds its way.
            Err(libc::ENAMETOOLONG) if !is_absolute && !always => return Ok((None, path)),
            found => found?,
        };
        if is_absolute {
            let is_the_kernels = found.kind == Kind::Proc
                && path.starts_with(b"/proc/")
                && !space::is_below(&path, b"/proc/1");
            found.is_plain = found.real == path || is_the_kernels;
        }
        Ok((Some(found), path))
    }

    /// Calls that the kernel does once the paths are right.
    pub(super) fn paths(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
        spots: &[Spot],
    ) -> Result<Act, i32> {
        let mut new = Vec::new();
        for spot in spots {
            if self.is_plain_name(waiting, caller, *spot) {
                continue;
            }
            if let (Some(found), _) = self.look(waiting, caller, *spot, false)?
                && !found.is_plain
            {
                new.push(New::Text(spot.path, found.real));
            }
        }
        Ok(if new.is_empty() {
            Act::GoOn
        } else {
            Act::Change(new)
        })
    }

    /// `statfs` and `fstatfs`: programs are told of the sandbox's disk, the guest of the machine's.
    pub(super) fn file_system(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
        target: Target,
    ) -> Result<Act, i32> {
        let real = match target {
            Target::Descriptor(_) if caller.is_guest() => return Ok(Act::GoOn),
            Target::Path(spot) if caller.is_guest() => {
                return self.paths(waiting, caller, &[spot]);
            }
            Target::Descriptor(place) => {
                let number = waiting.int(place);
                format!("/proc/{}/fd/{number}", caller.thread).into_bytes()
            }
            Target::Path(spot) => {
                let (found, _) = self.look(waiting, caller, spot, true)?;
                found.ok_or(libc::ENOENT)?.real
            }
        };
        let file = sys::open(&real, libc::O_PATH).map_err(|error| match target {
            Target::Descriptor(_) => libc::EBADF,
            Target::Path(_) => errno(&error),
        })?;
        let record = room::of(&file).map_err(|error| errno(&error))?;
        if !waiting.is_valid() {
            return Err(libc::ESRCH);
        }
        let told = room::told(&record).unwrap_or(record);
        let to = waiting.argument(1);
        self.memories
            .write(caller.thread, to, room::record(&told))?;
        Ok(Verdict::Answer(0).into())
    }

    /// Whether a path is one name in a directory, and what it names is meant, be it a link: nothing
    /// leads elsewhere then, but for the empty places of the skeleton.
    fn is_plain_name(&mut self, waiting: &Waiting<'_>, caller: &Caller<'_>, spot: Spot) -> bool {
        let number = match spot.directory.map(|place| waiting.int(place)) {
            None | Some(libc::AT_FDCWD) => return false,
            Some(number) => number,
        };
        if follows(waiting, spot.follow) {
            return false;
        }
        let path = self
            .memories
            .text(caller.thread, waiting.argument(spot.path));
        if !path.is_ok_and(|path| !path.contains(&b'/') && path != b"..") {
            return false;
        }
        let place = format!("/proc/{}/fd/{number}", caller.thread);
        sys::read_link(place.as_bytes()).is_ok_and(|real| !self.space.is_skeleton(&real))
    }

    /// Nothing but the container's own can be written to, whoever it belongs to.
    pub(super) fn access(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
        spot: Spot,
        what: usize,
    ) -> Result<Act, i32> {
        let (Some(found), _) = self.look(waiting, caller, spot, false)? else {
            return Ok(Act::GoOn);
        };
        if found.kind == Kind::Skeleton && waiting.int(what) & libc::W_OK != 0 {
            return Err(libc::EROFS);
        }
        Ok(exchange(spot, found))
    }

    /// Programs have `/proc` opened for them: only what is theirs.
    pub(super) fn open(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
        spot: Spot,
        flags: Option<usize>,
    ) -> Result<Act, i32> {
        let (Some(found), _) = self.look(waiting, caller, spot, false)? else {
            return Ok(Act::GoOn);
        };
        // Opened here, so that no two are opened on one count.
        let is_terminal = TERMINALS.contains(&found.real.as_slice());
        if is_terminal && !self.may_have_a_terminal(caller) {
            return Err(libc::ENOSPC);
        }
        if !is_terminal && (found.kind != Kind::Proc || caller.is_guest()) {
            return Ok(exchange(spot, found));
        }
        let flags = flags.map_or(libc::O_WRONLY, |place| waiting.int(place));
        if !is_terminal && flags & libc::O_ACCMODE != libc::O_RDONLY {
            proc::may_write(caller, &found.real)?;
        }
        let asked = flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC);
        // The warden waits for nobody: not for the other end of a pipe.
        let file =
            sys::open(&found.real, asked | libc::O_NONBLOCK).map_err(|error| errno(&error))?;
        if flags & (libc::O_NONBLOCK | libc::O_PATH) == 0 {
            sys::set_waiting(&file, true).ok();
        }
        waiting
            .hand_over(&file, flags & libc::O_CLOEXEC != 0)
            .map_err(|error| errno(&error))?;
        Ok(Verdict::Settled.into())
    }

    /// Links of `/proc` that show where something really lies show its name instead.
    pub(super) fn read_link(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
        spot: Spot,
    ) -> Result<Act, i32> {
        let (Some(found), _) = self.look(waiting, caller, spot, false)? else {
            return Ok(Act::GoOn);
        };
        if found.kind != Kind::Proc {
            return Ok(exchange(spot, found));
        }
        let target = sys::read_link(&found.real).map_err(|error| errno(&error))?;
        if caller.is_guest() || !target.starts_with(b"/") {
            return Ok(exchange(spot, found));
        }
        let mut name = if found.real.ends_with(b"/root") {
            b"/".to_vec()
        } else {
            self.space.name(&target).ok_or(libc::ENOENT)?
        };
        if name.is_empty() {
            name.push(b'/');
        }
        let room = usize::try_from(waiting.argument(spot.path + 2)).unwrap_or(0);
        name.truncate(room);
        self.memories
            .write(caller.thread, waiting.argument(spot.path + 1), &name)?;
        Ok(Verdict::Answer(i64::try_from(name.len()).unwrap_or(0)).into())
    }

    /// Whether one more terminal may be opened: here the sandboxes of a machine have them from one number.
    fn may_have_a_terminal(&self, caller: &Caller<'_>) -> bool {
        let own = caller.members.all();
        let open = own.iter().map(|process| terminals_of(process.pid));
        open.sum::<u32>() < self.terminals
    }

    pub(super) fn working_directory(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
    ) -> Result<Act, i32> {
        let Some(Base { mut name, .. }) = caller.base(&self.space, None) else {
            return Ok(Act::GoOn);
        };
        if name.ends_with(b" (deleted)") {
            return Err(libc::ENOENT);
        }
        if name.is_empty() {
            name.push(b'/');
        }
        name.push(0);
        if (name.len() as u64) > waiting.argument(1) {
            return Err(libc::ERANGE);
        }
        self.memories
            .write(caller.thread, waiting.argument(0), &name)?;
        Ok(Verdict::Answer(i64::try_from(name.len()).unwrap_or(0)).into())
    }

    pub(super) fn machine(&mut self, waiting: &Waiting<'_>) -> Result<Act, i32> {
        let record = sys::machine(NAME);
        self.memories
            .write(waiting.thread(), waiting.argument(0), &record)?;
        Ok(Verdict::Answer(0).into())
    }
}

/// How many terminals a process holds.
fn terminals_of(pid: i32) -> u32 {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let links = descriptors.into_iter().flatten().flatten();
    let targets = links.filter_map(|link| std::fs::read_link(link.path()).ok());
    let held = targets.filter(|target| target.ends_with("ptmx")).count();
    u32::try_from(held).unwrap_or(u32::MAX)
}
