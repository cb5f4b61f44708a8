//! The names of a sandbox, and where what they name really lies.
//!
//! The name space of the other rungs is made of mounts; here it is a table of the same pieces over a
//! skeleton: a directory with all places as empty ones, our own small files, and the links.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::proc::{self, Step};
use super::sys;
use super::tracee::Caller;
use crate::local::plan::{Bind, Confined};

/// As the kernel counts.
const MOST_LINKS: usize = 40;

/// The kind of thing that lies at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The machine's, read-only.
    Machine,
    /// The container's own.
    Own,
    Proc,
    Skeleton,
}

#[derive(Debug)]
struct Mount {
    place: Vec<u8>,
    real: Vec<u8>,
    kind: Kind,
}

/// The table.
#[derive(Debug)]
pub(super) struct Space {
    skeleton: Vec<u8>,
    /// The longest places first.
    mounts: Vec<Mount>,
    /// Places whose paths mean the same to the kernel.
    same: Vec<Vec<u8>>,
}

/// Where a path leads.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) real: Vec<u8>,
    pub(super) kind: Kind,
    /// Whether the kernel, left alone, comes to the same place.
    pub(super) is_plain: bool,
}

/// The start of a relative path. Names are absolute and without a slash at their end: the root's is empty.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) name: Vec<u8>,
    pub(super) real: Vec<u8>,
}

impl Space {
    pub(super) fn new(
        binds: &[Bind],
        links: &[(std::path::PathBuf, String)],
        own: &Confined,
        guest: i32,
    ) -> Self {
        let skeleton = bytes(&own.root);
        let place = |path: &Path| [b"/".as_slice(), path.as_os_str().as_encoded_bytes()].concat();
        let mut mounts: Vec<Mount> = binds
            .iter()
            .map(|bind| Mount {
                place: place(&bind.target),
                real: bytes(&bind.source),
                kind: Kind::Machine,
            })
            .collect();
        let mut same: Vec<Vec<u8>> = mounts
            .iter()
            .filter(|mount| mount.place == mount.real)
            .map(|mount| mount.place.clone())
            .collect();
        // `/bin`, where it leads to `/usr/bin` on the machine, too.
        for (path, target) in links {
            let name = place(path);
            let target = target.as_bytes();
            let leads = [b"/".as_slice(), target].concat();
            if !name[1..].contains(&b'/')
                && sys::read_link(&name).is_ok_and(|real| real == target)
                && same.iter().any(|same| is_below(&leads, same))
            {
                same.push(name);
            }
        }
        for (place, folder) in own.folders() {
            mounts.push(Mount {
                place: place.as_bytes().to_vec(),
                real: bytes(&folder),
                kind: Kind::Own,
            });
        }
        for (place, real, kind) in [
            ("/proc", b"/proc".to_vec(), Kind::Proc),
            // As in every sandbox: the guest is the first process.
            ("/proc/1", format!("/proc/{guest}").into_bytes(), Kind::Proc),
            ("/dev/ptmx", b"/dev/ptmx".to_vec(), Kind::Machine),
            (
                "/proc/net",
                bytes(&own.root.join(Confined::NETWORK)),
                Kind::Machine,
            ),
            (
                "/proc/meminfo",
                bytes(&own.root.join(Confined::MEMORY)),
                Kind::Machine,
            ),
            ("/dev/pts", b"/dev/pts".to_vec(), Kind::Machine),
        ] {
            mounts.push(Mount {
                place: place.as_bytes().to_vec(),
                real,
                kind,
            });
        }
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.place.len()));
        Self {
            skeleton,
            mounts,
            same,
        }
    }

    /// Whether an absolute path means the same to the kernel, as most do.
    pub(super) fn is_same(&self, path: &[u8]) -> bool {
        self.same.iter().any(|same| is_below(path, same)) && !climbs(path)
    }

    /// The real place of a name.
    fn real(&self, name: &[u8]) -> (Vec<u8>, Kind) {
        for mount in &self.mounts {
            if is_below(name, &mount.place) {
                let rest = &name[mount.place.len()..];
                return ([&mount.real, rest].concat(), mount.kind);
            }
        }
        ([&self.skeleton, name].concat(), Kind::Skeleton)
    }

    /// The name of a real place, if it has one in the sandbox.
    pub(super) fn name(&self, real: &[u8]) -> Option<Vec<u8>> {
        if is_below(real, &self.skeleton) {
            return Some(real[self.skeleton.len()..].to_vec());
        }
        let mount = self
            .mounts
            .iter()
            .filter(|mount| is_below(real, &mount.real))
            .max_by_key(|mount| mount.real.len())?;
        Some([&mount.place, &real[mount.real.len()..]].concat())
    }

    /// Whether a real place is an empty one, for something that lies elsewhere.
    pub(super) fn is_skeleton(&self, real: &[u8]) -> bool {
        is_below(real, &self.skeleton)
    }

    /// Whether a real place is one of the container's own.
    pub(super) fn is_own(&self, real: &[u8]) -> bool {
        self.own_root(real).is_some()
    }

    fn own_root(&self, real: &[u8]) -> Option<&[u8]> {
        let own = self.mounts.iter().filter(|mount| mount.kind == Kind::Own);
        let mut roots = own.map(|mount| mount.real.as_slice());
        roots.find(|root| is_below(real, root))
    }

    /// Opens what was found among the container's own, step by step and through no link: nobody can
    /// put another thing in its way. `parent` for the directory it lies in.
    pub(super) fn open_own(&self, found: &Found, parent: bool) -> Result<OwnedFd, i32> {
        let root = self.own_root(&found.real).ok_or(libc::EPERM)?;
        let mut steps: Vec<&[u8]> = found.real[root.len()..]
            .split(|byte| *byte == b'/')
            .filter(|step| !step.is_empty())
            .collect();
        if parent && steps.pop().is_none() {
            return Err(libc::EBUSY);
        }
        let path = libc::O_PATH | libc::O_NOFOLLOW;
        let mut open = sys::open(root, path | libc::O_DIRECTORY);
        for (place, step) in steps.iter().enumerate() {
            let is_last = place + 1 == steps.len();
            let kind = if is_last && !parent {
                0
            } else {
                libc::O_DIRECTORY
            };
            open = open.and_then(|folder| sys::open_at(Some(&folder), step, path | kind));
        }
        open.map_err(|error| super::notify::errno(&error))
    }

    /// Follows a path as the kernel would if the sandbox's names were its own.
    pub(super) fn find(
        &self,
        caller: &Caller<'_>,
        base: Option<&Base>,
        path: &[u8],
        follow: bool,
    ) -> Result<Found, i32> {
        let mut walk = Walk {
            name: base.map(|base| base.name.clone()).unwrap_or_default(),
            is_plain: base.is_some(),
            links: 0,
            ahead: VecDeque::new(),
        };
        let follow = follow || path.ends_with(b"/");
        // Where it began is a directory.
        let (mut has_gone, mut stays) = (false, false);
        walk.go(path);
        while let Some(step) = walk.ahead.pop_front() {
            let goes_up = step == b"..";
            if goes_up || step == b"." {
                if has_gone {
                    self.look_for_directory(&walk.name)?;
                }
                stays = has_gone && !goes_up && walk.ahead.is_empty();
                if goes_up {
                    walk.up();
                }
                continue;
            }
            has_gone = true;
            let next = [&walk.name, b"/".as_slice(), &step].concat();
            let goes_on = !walk.ahead.is_empty();
            let (real, kind) = self.real(&next);
            let (parent, _) = self.real(&walk.name);
            walk.is_plain &= real == [&parent, b"/".as_slice(), &step].concat();
            if kind == Kind::Proc {
                match proc::step(self, caller, &next, goes_on || follow)? {
                    Step::Into => {
                        walk.name = next;
                        continue;
                    }
                    Step::Link => {}
                    Step::To(name) => {
                        walk.jump(name)?;
                        continue;
                    }
                }
            }
            // From here on the kernel finds its way alone.
            if kind == Kind::Machine && !walk.ahead.iter().any(|step| step == b"..") {
                walk.name = next;
                for step in walk.ahead.drain(..) {
                    walk.name = [&walk.name, b"/".as_slice(), &step].concat();
                }
                break;
            }
            match sys::read_link(&real) {
                Ok(target) if goes_on || follow => walk.follow(&target)?,
                Ok(_) => walk.name = next,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINVAL) => walk.name = next,
                    Some(libc::ENOENT) if !goes_on => walk.name = next,
                    errno => return Err(errno.unwrap_or(libc::EIO)),
                },
            }
        }
        let (mut real, kind) = self.real(&walk.name);
        // It says that this must be a directory, and what may not be done to one by such a name.
        if stays {
            real.extend_from_slice(b"/.");
        } else if path.ends_with(b"/") {
            real.push(b'/');
        }
        Ok(Found {
            real,
            kind,
            is_plain: walk.is_plain,
        })
    }

    /// What lies before a step that stays or goes up must be a directory, and may be searched.
    fn look_for_directory(&self, name: &[u8]) -> Result<(), i32> {
        let (mut real, kind) = self.real(name);
        if kind == Kind::Proc {
            return Ok(());
        }
        real.extend_from_slice(b"/.");
        match sys::open(&real, libc::O_PATH | libc::O_DIRECTORY) {
            Ok(_) => Ok(()),
            Err(error) => Err(super::notify::errno(&error)),
        }
    }
}

/// On the way.
struct Walk {
    name: Vec<u8>,
    is_plain: bool,
    links: usize,
    ahead: VecDeque<Vec<u8>>,
}

impl Walk {
    /// Puts the steps of a path before all others.
    fn go(&mut self, path: &[u8]) {
        let steps = path
            .split(|byte| *byte == b'/')
            .filter(|step| !step.is_empty());
        for step in steps.rev() {
            self.ahead.push_front(step.to_vec());
        }
        if path.starts_with(b"/") {
            self.name.clear();
        }
    }

    fn up(&mut self) {
        self.is_plain = false;
        let parent = self.name.iter().rposition(|byte| *byte == b'/');
        self.name.truncate(parent.unwrap_or(0));
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), i32> {
        self.count()?;
        if target.ends_with(b"/") {
            self.ahead.push_front(b".".to_vec());
        }
        self.go(target);
        Ok(())
    }

    fn jump(&mut self, name: Vec<u8>) -> Result<(), i32> {
        self.count()?;
        self.name = name;
        Ok(())
    }

    fn count(&mut self) -> Result<(), i32> {
        self.is_plain = false;
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(libc::ELOOP);
        }
        Ok(())
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

/// Whether a path is a place or lies below it.
pub(super) fn is_below(path: &[u8], place: &[u8]) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
}

/// Whether a step of a path goes up.
pub(super) fn climbs(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|step| step == b"..")
}
