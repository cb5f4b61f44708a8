//! The way in for a guest whose stdin and stdout nobody holds: a socket, and behind it one host at a time.
//!
//! Programs of the sandbox see the socket, too. Who comes in is told by the kernel: only the user of the relay
//! is let in, and no program becomes that user.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use guest_proto::DOOR_VARIABLE;

use crate::sys;

/// The number of connections that one turn accepts, so that a crowd holds up nobody.
const KNOCKS: usize = 16;

#[derive(Debug)]
pub(crate) struct Door {
    listener: UnixListener,
    /// Whose word is taken.
    user: u32,
}

/// The two ends of a connection.
pub(crate) type Line = (File, File);

/// The address of a door.
pub(crate) fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name)
}

impl Door {
    /// The door that the launcher asks for, if it does.
    pub(crate) fn of_this_guest() -> io::Result<Option<Self>> {
        match std::env::var(DOOR_VARIABLE) {
            Ok(text) => Self::open(&text).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn open(text: &str) -> io::Result<Self> {
        let nonsense = || io::Error::new(io::ErrorKind::InvalidInput, DOOR_VARIABLE);
        let (user, name) = text.split_once(' ').ok_or_else(nonsense)?;
        let listener = UnixListener::bind_addr(&address(name)?)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            user: user.parse().map_err(|_| nonsense())?,
        })
    }

    /// Lets in the last who knocks and may: what came before it is over.
    pub(crate) fn answer(&self) -> Option<Line> {
        let mut line = None;
        for _ in 0..KNOCKS {
            let Ok((stream, _)) = self.listener.accept() else {
                break;
            };
            if sys::user_behind(&stream).is_ok_and(|user| user == self.user) {
                line = open(stream).ok().or(line);
            }
        }
        line
    }
}

fn open(stream: UnixStream) -> io::Result<Line> {
    stream.set_nonblocking(true)?;
    let input = File::from(OwnedFd::from(stream.try_clone()?));
    Ok((input, File::from(OwnedFd::from(stream))))
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
