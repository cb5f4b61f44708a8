//! Forking without ever waiting for the child: user code may stop or kill it at any moment.
//!
//! Between fork and exec the child is as closed to its uid as the guest: it stays not dumpable, and has
//! the program's filter before anything else. Only `exec` opens it, and then it runs the program.

use std::collections::BTreeMap;
use std::ffi::{CString, NulError};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use libc::sock_filter;

use super::{check, confinement, limit, set_nonblocking};
use crate::filter;

/// Messages of the child on its status pipe, which `exec` closes.
const ENTERS: u8 = b'x';
/// Followed by the number of the error.
const FAILED: u8 = b'e';
const DISTURBED: u8 = b'd';
/// The status of a child that could not become its program.
const NO_PROGRAM: libc::c_int = 127;

/// A program as the kernel takes it; may be started more than once.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    /// The paths it may lie at, in the order of `PATH`.
    paths: Vec<CString>,
    arguments: Vec<CString>,
    variables: Vec<CString>,
    directory: CString,
    max_file_bytes: u64,
    filter: Vec<sock_filter>,
}

impl Program {
    /// A program by its path, or by its name in the `PATH` of `variables`. A file it writes gets no
    /// larger than `max_file_bytes` (0: any size).
    pub(crate) fn new(
        name: &str,
        arguments: &[&[u8]],
        variables: &BTreeMap<String, String>,
        directory: &str,
        max_file_bytes: u64,
    ) -> Result<Self, NulError> {
        let paths = if name.contains('/') {
            vec![CString::new(name)?]
        } else {
            let path = variables.get("PATH").map_or("", String::as_str);
            path.split(':')
                .map(|folder| CString::new(format!("{folder}/{name}")))
                .collect::<Result<_, _>>()?
        };
        let arguments = [name.as_bytes()]
            .iter()
            .chain(arguments)
            .map(|argument| CString::new(*argument))
            .collect::<Result<_, _>>()?;
        let variables = variables
            .iter()
            .map(|(name, value)| CString::new(format!("{name}={value}")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            paths,
            arguments,
            variables,
            directory: CString::new(directory)?,
            max_file_bytes,
            filter: filter::program(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// A child that is on its way to its program.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: i32,
    pub(crate) status: Status,
}

/// The end of a child's status pipe.
#[derive(Debug)]
pub(crate) struct Status {
    pipe: File,
    said: Vec<u8>,
}

/// How far a child has come.
#[derive(Debug)]
pub(crate) enum Word {
    /// It is on its way, or was when it ended.
    Begins,
    /// It has become the program.
    Runs,
    /// It cannot become the program.
    Failed(io::Error),
    /// It gave up before it tried: somebody has changed a place that it needs.
    Disturbed,
}

impl AsFd for Status {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Status {
    /// The child's word until now, without waiting.
    pub(crate) fn read(&mut self) -> Word {
        let mut buffer = [0; 16];
        let closed = loop {
            match self.pipe.read(&mut buffer) {
                Ok(0) => break true,
                Ok(bytes) => self.said.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        let said = self.said.strip_prefix(&[ENTERS]);
        match (said.unwrap_or(&self.said), said.is_some()) {
            ([FAILED, number @ ..], true) => {
                let number = number.try_into().map_or(0, i32::from_le_bytes);
                Word::Failed(io::Error::from_raw_os_error(number))
            }
            ([DISTURBED, ..], _) => Word::Disturbed,
            (_, true) if closed => Word::Runs,
            _ => Word::Begins,
        }
    }
}

/// Forks a child that becomes the program: leader of a new session, without core dumps.
pub(crate) fn spawn(program: &Program, stdio: [&dyn AsRawFd; 3]) -> io::Result<Spawned> {
    let (pipe, theirs) = io::pipe()?;
    let pipe = File::from(OwnedFd::from(pipe));
    set_nonblocking(&pipe)?;
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        let texts = texts.iter().map(|text| text.as_ptr());
        texts.chain([ptr::null()]).collect()
    };
    let entrance = Entrance {
        program,
        arguments: pointers(&program.arguments),
        variables: pointers(&program.variables),
        stdio: stdio.map(AsRawFd::as_raw_fd),
        status: theirs.as_raw_fd(),
    };
    // SAFETY: this process has one thread, so that the child's memory is whole.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        entrance.enter();
    }
    Ok(Spawned {
        pid,
        status: Status {
            pipe,
            said: Vec::new(),
        },
    })
}

/// All that the child needs, made before the fork.
struct Entrance<'a> {
    program: &'a Program,
    arguments: Vec<*const libc::c_char>,
    variables: Vec<*const libc::c_char>,
    stdio: [RawFd; 3],
    status: RawFd,
}

impl Entrance<'_> {
    fn enter(&self) -> ! {
        if self.prepare().is_err() {
            self.say(&[DISTURBED]);
            leave();
        }
        self.say(&[ENTERS]);
        let error = self.exec();
        let [a, b, c, d] = error.raw_os_error().unwrap_or(0).to_le_bytes();
        self.say(&[FAILED, a, b, c, d]);
        leave()
    }

    fn say(&self, bytes: &[u8]) {
        // SAFETY: pointer and length describe the bytes. Without a reader the guest is gone.
        unsafe { libc::write(self.status, bytes.as_ptr().cast(), bytes.len()) };
    }

    fn prepare(&self) -> io::Result<()> {
        confine()?;
        apply(&self.program.filter)?;
        // SAFETY: integers, and pointers to values that live through the call.
        unsafe {
            check(libc::setsid())?;
            for (from, to) in self.stdio.into_iter().zip(0..) {
                check(libc::dup2(from, to))?;
            }
            check(libc::chdir(self.program.directory.as_ptr()))?;
            limit(libc::RLIMIT_CORE, 0)?;
            if self.program.max_file_bytes > 0 {
                limit(libc::RLIMIT_FSIZE, self.program.max_file_bytes)?;
            }
        }
        hear_all_signals()
    }

    /// Becomes the program where it lies first; answers why it cannot.
    fn exec(&self) -> io::Error {
        let mut worst = io::Error::from_raw_os_error(libc::ENOENT);
        for path in &self.program.paths {
            // SAFETY: a C string, and lists of them that end with a null.
            unsafe {
                libc::execve(
                    path.as_ptr(),
                    self.arguments.as_ptr(),
                    self.variables.as_ptr(),
                )
            };
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                Some(libc::EACCES) => worst = error,
                _ => return error,
            }
        }
        worst
    }
}

fn leave() -> ! {
    // SAFETY: ends the child without running what the guest has put off to its own end.
    unsafe { libc::_exit(NO_PROGRAM) }
}

/// Puts the rules for programs in force, where there are some: from here on it is as closed to the
/// others as they are to one another.
fn confine() -> io::Result<()> {
    let Some(rules) = confinement() else {
        return Ok(());
    };
    // SAFETY: integers.
    unsafe {
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        match libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Has the kernel refuse what the filter says, for good.
fn apply(filter: &[sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the record and the filter it points to live through the call.
    unsafe {
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        check(libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        ))
        .map(drop)
    }
}

/// Signals as a new program expects them. A launcher may have left others ignored than the guest.
fn hear_all_signals() -> io::Result<()> {
    // SAFETY: the set is initialised before use and outlives the call; the others are integers.
    unsafe {
        // KILL and STOP refuse, harmlessly.
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const none,
            ptr::null_mut(),
        ))
        .map(drop)
    }
}

/// Forks a process that does nothing and that no program has reason to send a signal.
pub(crate) fn decoy() -> io::Result<i32> {
    // SAFETY: as in `spawn`.
    let pid = check(unsafe { libc::fork() })?;
    if pid != 0 {
        return Ok(pid);
    }
    drop(apply(&filter::program()));
    // SAFETY: integers only. Nothing that is closed is used again.
    unsafe {
        libc::setsid();
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
        drop(hear_all_signals());
        loop {
            libc::pause();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_along_the_path_and_a_path_is_taken_as_it_is() {
        let variables = BTreeMap::from([("PATH".to_owned(), "/a:/b/c".to_owned())]);
        let paths = |name: &str| Program::new(name, &[], &variables, "/", 0).unwrap().paths;
        assert_eq!(paths("x"), [c"/a/x".to_owned(), c"/b/c/x".to_owned()]);
        assert_eq!(paths("/x"), [c"/x".to_owned()]);
        assert!(Program::new("x\0", &[], &variables, "/", 0).is_err());
        let variables = BTreeMap::from([("A".to_owned(), "\0".to_owned())]);
        assert!(Program::new("/x", &[], &variables, "/", 0).is_err());
    }
}
