//! Sockets of the family UNIX. Landlock does not know to whom they connect, and their paths have no room
//! for where things really lie: the warden binds and connects a new socket, and puts it in the place
//! of the caller's.

use std::os::fd::OwnedFd;

use super::notify::{Verdict, Waiting, errno};
use super::space::{Found, Kind};
use super::sys;
use super::tracee::Caller;
use super::warden::{Act, Warden};

/// The longest address, with its family.
const MOST_BYTES: usize = 110;
const FAMILY_BYTES: usize = 2;
/// Bound sockets whose names are kept.
const MOST_SOCKETS: usize = 4096;

/// A socket of the caller's that has not been connected or bound.
struct Socket {
    number: u32,
    waits: bool,
    close_on_exec: bool,
}

impl Warden {
    pub(super) fn connect(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
    ) -> Result<Act, i32> {
        let Some(name) = self.address(waiting, caller)? else {
            return Ok(Act::GoOn);
        };
        let old = socket(waiting, caller)?;
        let new = sys::unix_socket().map_err(|error| errno(&error))?;
        if !waiting.is_valid() {
            return Err(libc::ESRCH);
        }
        if name.first() == Some(&0) {
            self.connect_abstract(caller, &new, &name)?;
        } else {
            let found = self.place(caller, &name, true)?;
            let file = self.space.open_own(&found, false)?;
            sys::connect(&new, &sys::own_path(&file)).map_err(|error| errno(&error))?;
        }
        replace(waiting, &old, &new)
    }

    /// Only to a name that this sandbox has bound: nobody else's is there. Before its sixth generation
    /// Landlock would not hold a name that another has bound since, so it is looked who listens.
    fn connect_abstract(&self, caller: &Caller<'_>, new: &OwnedFd, name: &[u8]) -> Result<(), i32> {
        if !self.names.contains(name) {
            return Err(libc::ECONNREFUSED);
        }
        sys::connect(new, name).map_err(|error| errno(&error))?;
        let listener = sys::peer(new).map_err(|error| errno(&error))?;
        if self.scopes_sockets || caller.members.has(listener) {
            Ok(())
        } else {
            Err(libc::ECONNREFUSED)
        }
    }

    pub(super) fn bind(&mut self, waiting: &Waiting<'_>, caller: &Caller<'_>) -> Result<Act, i32> {
        // Without a name the kernel chooses one.
        let name = self.address(waiting, caller)?.unwrap_or_default();
        let old = socket(waiting, caller)?;
        let new = sys::unix_socket().map_err(|error| errno(&error))?;
        if matches!(name.first(), None | Some(0)) {
            sys::bind(&new, &name).map_err(|error| errno(&error))?;
            if self.names.len() >= MOST_SOCKETS {
                self.names.clear();
            }
            let name = sys::name(&new).map_err(|error| errno(&error))?;
            self.names.insert(name);
            return replace(waiting, &old, &new);
        }
        let found = self.place(caller, &name, false)?;
        let parent = self.space.open_own(&found, true)?;
        let last = found.real.rsplit(|byte| *byte == b'/').next();
        let mut path = sys::own_path(&parent);
        path.push(b'/');
        path.extend_from_slice(last.unwrap_or_default());
        sys::bind(&new, &path).map_err(|error| errno(&error))?;
        if self.sockets.len() >= MOST_SOCKETS {
            self.sockets.clear();
        }
        let inode = sys::read_link(&sys::own_path(&new)).map_err(|error| errno(&error))?;
        self.sockets.insert(inode, name);
        replace(waiting, &old, &new)
    }

    /// The name of a socket that the warden has bound.
    pub(super) fn socket_name(&mut self, waiting: &Waiting<'_>) -> Result<Act, i32> {
        if self.sockets.is_empty() {
            return Ok(Act::GoOn);
        }
        let thread = waiting.thread();
        let place = format!("/proc/{thread}/fd/{}", waiting.int(0));
        let Ok(inode) = sys::read_link(place.as_bytes()) else {
            return Ok(Act::GoOn);
        };
        let Some(name) = self.sockets.get(&inode) else {
            return Ok(Act::GoOn);
        };
        let mut address = 1u16.to_ne_bytes().to_vec();
        address.extend_from_slice(name);
        address.push(0);
        let mut size = [0; 4];
        self.memories.read(thread, waiting.argument(2), &mut size)?;
        let room = usize::try_from(u32::from_ne_bytes(size)).unwrap_or(0);
        let length = u32::try_from(address.len()).unwrap_or(0);
        address.truncate(room);
        self.memories.write(thread, waiting.argument(1), &address)?;
        self.memories
            .write(thread, waiting.argument(2), &length.to_ne_bytes())?;
        Ok(Verdict::Answer(0).into())
    }

    /// The address of a call without its family; `None` if it is no name.
    fn address(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<Vec<u8>>, i32> {
        let length = usize::try_from(waiting.argument(2) & 0xFFFF_FFFF).unwrap_or(usize::MAX);
        if length > MOST_BYTES {
            return Err(libc::EINVAL);
        }
        if length <= FAMILY_BYTES {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        self.memories
            .read(caller.thread, waiting.argument(1), &mut bytes)?;
        let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        if family != libc::AF_UNIX {
            return Err(libc::EINVAL);
        }
        let mut name = bytes.split_off(FAMILY_BYTES);
        if name.first() != Some(&0) {
            // A path ends at its first NUL.
            let end = name.iter().position(|byte| *byte == 0);
            name.truncate(end.unwrap_or(name.len()));
        }
        Ok(Some(name))
    }

    fn place(&self, caller: &Caller<'_>, name: &[u8], follow: bool) -> Result<Found, i32> {
        let base = if name.starts_with(b"/") {
            None
        } else {
            Some(caller.base(&self.space, None).ok_or(libc::ENOENT)?)
        };
        let found = self.space.find(caller, base.as_ref(), name, follow)?;
        match found.kind {
            Kind::Own => Ok(found),
            Kind::Machine | Kind::Proc | Kind::Skeleton if follow => Err(libc::ENOENT),
            Kind::Machine | Kind::Proc | Kind::Skeleton => Err(libc::EACCES),
        }
    }
}

fn socket(waiting: &Waiting<'_>, caller: &Caller<'_>) -> Result<Socket, i32> {
    let number = waiting.int(0);
    let process = caller.thread;
    let link = sys::read_link(format!("/proc/{process}/fd/{number}").as_bytes());
    if !link.map_err(|_| libc::EBADF)?.starts_with(b"socket:") {
        return Err(libc::ENOTSOCK);
    }
    let information = std::fs::read_to_string(format!("/proc/{process}/fdinfo/{number}"))
        .map_err(|_| libc::EBADF)?;
    let flags = information
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok())
        .ok_or(libc::EBADF)?;
    Ok(Socket {
        number: number.cast_unsigned(),
        waits: flags & libc::O_NONBLOCK == 0,
        close_on_exec: flags & libc::O_CLOEXEC != 0,
    })
}

/// A caller that has ended meanwhile gets nothing: the kernel knows the call by its own number.
fn replace(waiting: &Waiting<'_>, old: &Socket, new: &OwnedFd) -> Result<Act, i32> {
    sys::set_waiting(new, old.waits).map_err(|error| errno(&error))?;
    waiting
        .put_at(new, old.number, old.close_on_exec)
        .map_err(|error| errno(&error))?;
    Ok(Verdict::Answer(0).into())
}
