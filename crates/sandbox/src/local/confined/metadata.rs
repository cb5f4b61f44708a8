//! Modes, owners, times, and attributes. Landlock does not know them, so the kernel may not do as it is
//! told: the warden does it, with what it has found itself and holds fast.

use std::os::fd::OwnedFd;

use super::calls::{Change, Spot, Target};
use super::notify::{Verdict, Waiting, errno};
use super::space::Kind;
use super::sys;
use super::tracee::Caller;
use super::warden::{Act, Warden};

/// Targets of a descriptor that are no files, and harmless.
const HARMLESS: [&[u8]; 5] = [
    b"pipe:",
    b"socket:",
    b"/memfd:",
    b"anon_inode:",
    b"/dev/pts/",
];
/// Most bytes of an attribute.
const MOST_VALUE: usize = 65_536;

impl Warden {
    pub(super) fn change_file(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
        target: Target,
        change: Change,
    ) -> Result<Act, i32> {
        let file = match target {
            Target::Descriptor(place) => self.behind(caller, waiting.int(place))?,
            // Without a path, the times of a descriptor.
            Target::Path(spot) if waiting.argument(spot.path) == 0 => {
                let directory = spot.directory.ok_or(libc::EFAULT)?;
                self.behind(caller, waiting.int(directory))?
            }
            Target::Path(spot) => self.own_file(waiting, caller, spot)?,
        };
        // What was looked up by the caller's number is the caller's only if it still waits.
        if !waiting.is_valid() {
            return Err(libc::ESRCH);
        }
        self.apply(waiting, caller.thread, &file, change)?;
        Ok(Verdict::Answer(0).into())
    }

    /// The file behind a descriptor of the caller, if the sandbox may change that: `EPERM` else, `EBADF` for none.
    fn behind(&self, caller: &Caller<'_>, number: i32) -> Result<OwnedFd, i32> {
        if number < 0 {
            return Err(libc::EBADF);
        }
        let place = format!("/proc/{}/fd/{number}", caller.thread);
        let file = sys::open(place.as_bytes(), libc::O_PATH).map_err(|_| libc::EBADF)?;
        let real = sys::read_link(&sys::own_path(&file)).map_err(|error| errno(&error))?;
        let harmless = HARMLESS.iter().any(|start| real.starts_with(start));
        if harmless || self.space.is_own(&real) {
            return Ok(file);
        }
        Err(libc::EPERM)
    }

    fn own_file(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
        spot: Spot,
    ) -> Result<OwnedFd, i32> {
        let (found, path) = self.look(waiting, caller, spot, true)?;
        if path.is_empty() {
            // With the flag that says so, the descriptor itself.
            let directory = spot.directory.ok_or(libc::ENOENT)?;
            return self.behind(caller, waiting.int(directory));
        }
        let found = found.ok_or(libc::ENOENT)?;
        match found.kind {
            Kind::Own => self.space.open_own(&found, false),
            // `/dev/fd/1`, as programs name what they have open.
            Kind::Proc => {
                let number = found.real.rsplit(|byte| *byte == b'/').next();
                let number =
                    number.and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
                match number {
                    Some(number)
                        if found
                            .real
                            .ends_with(format!("/{}/fd/{number}", caller.process()).as_bytes()) =>
                    {
                        self.behind(caller, number)
                    }
                    _ => Err(libc::EPERM),
                }
            }
            Kind::Machine | Kind::Skeleton => {
                // What is not there has no mode.
                sys::open(&found.real, libc::O_PATH | libc::O_NOFOLLOW)
                    .map_err(|error| errno(&error))?;
                Err(libc::EPERM)
            }
        }
    }

    fn apply(
        &mut self,
        waiting: &Waiting<'_>,
        thread: i32,
        file: &OwnedFd,
        change: Change,
    ) -> Result<(), i32> {
        let at = |place: usize| waiting.argument(place);
        let number = |place: usize| waiting.int(place).cast_unsigned();
        let path = sys::own_path(file);
        let done = match change {
            Change::Mode(mode) => sys::chmod(&path, number(mode)),
            Change::Owner(user, group) => sys::chown(file, number(user), number(group)),
            Change::Seconds(times) => {
                let times = self.times(thread, at(times), 1, 0)?;
                sys::set_times(file, times.as_ref())
            }
            Change::Microseconds(times) => {
                let times = self.times(thread, at(times), 2, 1000)?;
                sys::set_times(file, times.as_ref())
            }
            Change::Nanoseconds(times) => {
                let times = self.times(thread, at(times), 2, 1)?;
                sys::set_times(file, times.as_ref())
            }
            Change::SetAttribute(name, value, size, flags) => {
                let name = self.memories.text(thread, at(name))?;
                let size = usize::try_from(at(size)).unwrap_or(usize::MAX);
                if size > MOST_VALUE {
                    return Err(libc::E2BIG);
                }
                let mut bytes = vec![0; size];
                self.memories.read(thread, at(value), &mut bytes)?;
                sys::set_attribute(&path, &name, &bytes, waiting.int(flags))
            }
            Change::RemoveAttribute(name) => {
                let name = self.memories.text(thread, at(name))?;
                sys::remove_attribute(&path, &name)
            }
        };
        done.map_err(|error| errno(&error))
    }

    /// Two times from a program's memory: pairs of seconds and a part, or seconds alone.
    fn times(
        &mut self,
        thread: i32,
        at: u64,
        width: usize,
        scale: i64,
    ) -> Result<Option<[libc::timespec; 2]>, i32> {
        if at == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; width * 16];
        self.memories.read(thread, at, &mut bytes)?;
        let mut numbers = bytes
            .chunks_exact(8)
            .map(|part| part.try_into().map(i64::from_ne_bytes).unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        let mut time = || libc::timespec {
            tv_sec: next(),
            tv_nsec: if width == 1 {
                0
            } else {
                next().saturating_mul(scale)
            },
        };
        Ok(Some([time(), time()]))
    }
}
