//! The work of the guest's program in a pod beside being the guest: bringing itself there, leading the server's bytes
//! to the guest's door, and trying the network.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::{door, probe, sys};

/// `install FILE FOLDER…`: copies this program to the file and makes the folders.
pub const INSTALL: &str = "install";
/// `wait`: does nothing until it is told to end.
pub const WAIT: &str = "wait";
/// `relay NAME`: leads stdin and stdout to the guest's door of this name.
pub const RELAY: &str = "relay";
/// `probe ADDRESS…`: ends with [`REACHED`] if a TCP connection comes about, with 0 if none does.
pub const PROBE: &str = "probe";
/// How a probe ends that reached somebody.
pub const REACHED: u8 = 10;

/// The guest may be on its way to its door.
const DOOR_PATIENCE: Duration = Duration::from_secs(10);
const DOOR_PAUSE: Duration = Duration::from_millis(2);
const BUFFER_BYTES: usize = 64 * 1024;
/// Those of the sandbox's user alone, and of everybody's temporary files.
const FOLDER_MODE: u32 = 0o755;

/// Does what the words say: without any it is the guest. `program` is what it installs; itself if `None`.
pub fn obey(words: &[&str], program: Option<&[u8]>) -> ExitCode {
    let done = match words {
        [] => return crate::run(),
        [INSTALL, file, folders @ ..] => install(program, Path::new(file), folders),
        [RELAY, name] => relay(name),
        [WAIT] => sys::wait_for_the_end(),
        [PROBE, addresses @ ..] => {
            return if addresses.iter().any(|address| probe::reaches(address)) {
                ExitCode::from(REACHED)
            } else {
                ExitCode::SUCCESS
            };
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no such helper of a guest",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("sandtable-guest {}: {error}\n", words.join(" ")));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    // Nobody is left to be told that nobody can be told.
    drop(io::stderr().write_all(text.as_bytes()));
}

fn install(program: Option<&[u8]>, file: &Path, folders: &[&str]) -> io::Result<()> {
    match program {
        Some(program) => fs::write(file, program)?,
        None => fs::copy("/proc/self/exe", file).map(drop)?,
    }
    fs::set_permissions(file, Permissions::from_mode(0o555))?;
    for folder in folders {
        // Those that are there hold a container's files.
        match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Ends with either side: a server that is gone is no longer heard, and a guest that is gone has nothing to say.
fn relay(name: &str) -> io::Result<()> {
    // Before a byte of the server's has come.
    sys::become_unreadable()?;
    let door = knock(name)?;
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut to_guest = door.try_clone()?;
    thread::spawn(move || {
        drop(lead(&mut input, &mut to_guest));
        sys::shut(&to_guest);
    });
    lead(&mut &door, &mut output)
}

/// Through a buffer of its own: `io::copy` would splice, and the kernel locks a pipe for as long as a splice into
/// it waits for more, for who reads it, too.
fn lead(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn knock(name: &str) -> io::Result<UnixStream> {
    let address = door::address(name)?;
    let patience = Instant::now() + DOOR_PATIENCE;
    loop {
        match UnixStream::connect_addr(&address) {
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused
                    && Instant::now() < patience =>
            {
                thread::sleep(DOOR_PAUSE);
            }
            result => return result,
        }
    }
}
