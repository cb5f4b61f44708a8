//! The thread that a call is of: its memory, its places, and new arguments for its call.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::members::Members;
use super::notify::Waiting;
use super::space::{Base, Space};
use super::sys;

const PAGE: u64 = 4096;
/// As the kernel has it, the NUL included.
const MOST_PATH: usize = 4096;
/// Bytes that a compiler may use below the stack pointer without saying so.
const RED_ZONE: u64 = 128;
/// Memories that are kept open.
const MOST_OPEN: usize = 64;

/// The thread that makes a call.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) thread: i32,
    pub(super) members: &'a Members,
    process: OnceCell<i32>,
}

impl<'a> Caller<'a> {
    pub(super) fn new(thread: i32, members: &'a Members) -> Self {
        Self {
            thread,
            members,
            process: OnceCell::new(),
        }
    }

    pub(super) fn is_guest(&self) -> bool {
        self.thread == self.members.guest
    }

    /// The process that the thread is of.
    pub(super) fn process(&self) -> i32 {
        *self
            .process
            .get_or_init(|| Members::process_of(self.thread).unwrap_or(self.thread))
    }

    /// Where a relative path starts; `None` where that is nothing with a name.
    pub(super) fn base(&self, space: &Space, directory: Option<i32>) -> Option<Base> {
        let place = match directory {
            None | Some(libc::AT_FDCWD) => format!("/proc/{}/cwd", self.thread),
            Some(number) => format!("/proc/{}/fd/{number}", self.thread),
        };
        let real = sys::read_link(place.as_bytes()).ok()?;
        let name = space.name(&real)?;
        Some(Base { name, real })
    }
}

/// The memories of threads, kept open: most make more than one call.
#[derive(Debug, Default)]
pub(super) struct Memories(HashMap<i32, File>);

impl Memories {
    /// After `exec` the same thread has another one.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    fn open(&mut self, thread: i32, anew: bool) -> io::Result<&File> {
        if anew {
            self.0.remove(&thread);
        }
        if self.0.len() > MOST_OPEN {
            self.0.clear();
        }
        match self.0.entry(thread) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let path = format!("/proc/{thread}/mem");
                let memory = File::options().read(true).write(true).open(path)?;
                Ok(entry.insert(memory))
            }
        }
    }

    fn try_read(&mut self, thread: i32, at: u64, to: &mut [u8]) -> io::Result<usize> {
        match self.open(thread, false)?.read_at(to, at) {
            Ok(0) | Err(_) => self.open(thread, true)?.read_at(to, at),
            read => read,
        }
    }

    /// Exactly so many bytes.
    pub(super) fn read(&mut self, thread: i32, at: u64, to: &mut [u8]) -> Result<(), i32> {
        match self.try_read(thread, at, to) {
            Ok(read) if read == to.len() => Ok(()),
            _ => Err(libc::EFAULT),
        }
    }

    /// A text that ends with a NUL, without it.
    pub(super) fn text(&mut self, thread: i32, at: u64) -> Result<Vec<u8>, i32> {
        let mut text = Vec::new();
        let mut at = at;
        while text.len() < MOST_PATH {
            // Never into a page that need not be there.
            let mut part = [0; 256];
            let length = usize::try_from(PAGE - at % PAGE).map_or(256, |rest| rest.min(256));
            let part = &mut part[..length];
            self.read(thread, at, part)?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&part[..end]);
                return Ok(text);
            }
            text.extend_from_slice(part);
            at += length as u64;
        }
        Err(libc::ENAMETOOLONG)
    }

    /// A list of addresses that ends with none.
    pub(super) fn list(&mut self, thread: i32, at: u64, most: usize) -> Result<Vec<u64>, i32> {
        let mut list = Vec::new();
        let mut at = at;
        while at != 0 && list.len() < most {
            let mut address = [0; 8];
            self.read(thread, at, &mut address)?;
            match u64::from_ne_bytes(address) {
                0 => return Ok(list),
                address => list.push(address),
            }
            at += 8;
        }
        if at == 0 { Ok(list) } else { Err(libc::E2BIG) }
    }

    pub(super) fn write(&mut self, thread: i32, at: u64, bytes: &[u8]) -> Result<(), i32> {
        let memory = self.open(thread, false).map_err(|_| libc::EFAULT)?;
        memory.write_all_at(bytes, at).map_err(|_| libc::EFAULT)
    }
}

/// A new argument.
#[derive(Debug, Clone)]
pub(super) enum New {
    /// A text.
    Text(usize, Vec<u8>),
    /// A list of texts: new ones, and some that lie in the program's memory already.
    List(usize, Vec<Vec<u8>>, Vec<u64>),
}

/// A call that begins anew with other arguments.
#[derive(Debug)]
pub(super) struct Changed {
    number: i32,
    /// The address and the bytes that were put in its memory, to be found there again.
    at: u64,
    bytes: Vec<u8>,
    /// Arguments by their places.
    arguments: Vec<(usize, u64)>,
    new: Vec<New>,
}

impl Changed {
    /// Whether a call is this one, begun anew; `Some(true)` if all lies where it was put. A signal's
    /// handler may have run on that part of the stack.
    pub(super) fn is_met(
        &self,
        memories: &mut Memories,
        thread: i32,
        data: &sys::Data,
    ) -> Option<bool> {
        let same = data.number == self.number
            && self
                .arguments
                .iter()
                .all(|(place, value)| data.arguments[*place] == *value);
        if !same {
            return None;
        }
        let mut there = vec![0; self.bytes.len()];
        Some(memories.read(thread, self.at, &mut there).is_ok() && there == self.bytes)
    }

    pub(super) fn into_new(self) -> Vec<New> {
        self.new
    }
}

/// Has a thread make its call anew with other arguments, which are put below its stack. `None` if it
/// does something else by now.
pub(super) fn change(
    memories: &mut Memories,
    waiting: &Waiting<'_>,
    new: Vec<New>,
) -> io::Result<Option<Changed>> {
    let thread = waiting.thread();
    let number = waiting.call.data.number;
    let Some(mut stopped) = sys::stop(thread, waiting.listener, waiting.call.id)? else {
        return Ok(None);
    };
    if !stopped.is_in(number) {
        return Ok(None);
    }
    let mut size = 0;
    for argument in &new {
        size += match argument {
            New::Text(_, text) => text.len() + 1,
            New::List(_, texts, rest) => {
                texts.iter().map(|text| text.len() + 1).sum::<usize>()
                    + (texts.len() + rest.len() + 1) * 8
                    + 8
            }
        };
    }
    let at = (stopped.stack() - RED_ZONE - size as u64) & !15;
    let mut bytes: Vec<u8> = Vec::with_capacity(size);
    let mut arguments = Vec::new();
    let put = |bytes: &mut Vec<u8>, text: &[u8]| {
        let place = at + bytes.len() as u64;
        bytes.extend_from_slice(text);
        bytes.push(0);
        place
    };
    for argument in &new {
        match argument {
            New::Text(place, text) => arguments.push((*place, put(&mut bytes, text))),
            New::List(place, texts, rest) => {
                let addresses: Vec<u64> = texts.iter().map(|text| put(&mut bytes, text)).collect();
                while !bytes.len().is_multiple_of(8) {
                    bytes.push(0);
                }
                arguments.push((*place, at + bytes.len() as u64));
                for address in addresses.iter().chain(rest).chain(&[0]) {
                    bytes.extend_from_slice(&address.to_ne_bytes());
                }
            }
        }
    }
    if memories.write(thread, at, &bytes).is_err() {
        // No room on its stack: the kernel is to find no path.
        for (_, value) in &mut arguments {
            *value = 0;
        }
    }
    for (place, value) in &arguments {
        stopped.set_argument(*place, *value);
    }
    stopped.store()?;
    Ok(Some(Changed {
        number,
        at,
        bytes,
        arguments,
        new,
    }))
}
