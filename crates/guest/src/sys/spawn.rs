//! Starting a child without ever waiting for it: user code may stop or kill it at any moment.
//!
//! Until `exec` the child is as closed to its uid as the guest, whose memory it shares: it stays not dumpable, and
//! has the program's filter before anything else. Only `exec` opens it, and then it runs the program.

use std::collections::BTreeMap;
use std::ffi::{CString, NulError};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::rc::Rc;

use libc::sock_filter;

use super::bare::{self, Errno};
use super::{check, confinement, set_nonblocking};
use crate::filter;

/// Messages of the child on its status pipe, which `exec` closes.
const ENTERS: u8 = b'x';
/// Followed by the number of the error.
const FAILED: u8 = b'e';
const DISTURBED: u8 = b'd';
/// The status of a child that could not become its program.
const NO_PROGRAM: libc::c_int = 127;
/// Much more than the child needs; what is not used is no memory. Without namespaces a warden puts paths below it.
const STACK_BYTES: usize = 256 * 1024;
const SECCOMP_MODE_FILTER: usize = 2;

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
    filter: &'static [sock_filter],
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
    pub(crate) memory: ChildMemory,
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

/// Starts a child that becomes the program: leader of a new session, without core dumps.
///
/// It shares the guest's memory until then, because to copy what describes that memory takes longer than all the
/// rest; unless programs may look into it, where namespaces are missing.
pub(crate) fn spawn(program: &Rc<Program>, stdio: [&dyn AsRawFd; 3]) -> io::Result<Spawned> {
    let (pipe, theirs) = io::pipe()?;
    let pipe = File::from(OwnedFd::from(pipe));
    set_nonblocking(&pipe)?;
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        let texts = texts.iter().map(|text| text.as_ptr());
        texts.chain([ptr::null()]).collect()
    };
    let rules = confinement().map(AsRawFd::as_raw_fd);
    let memory = ChildMemory::new(Entrance {
        arguments: pointers(&program.arguments),
        variables: pointers(&program.variables),
        stdio: stdio.map(AsRawFd::as_raw_fd),
        status: theirs.as_raw_fd(),
        rules,
        program: Rc::clone(program),
    })?;
    let flags = match rules {
        None => libc::CLONE_VM | libc::SIGCHLD,
        Some(_) => libc::SIGCHLD,
    };
    // SAFETY: the child runs `enter` on a stack of its own, with what `memory` holds until it has left this memory.
    // No handler of this process runs in it, because signals are blocked until they have none.
    let pid = without_signals(|| unsafe {
        check(libc::clone(
            enter,
            memory.top(),
            flags,
            memory.entrance.as_ptr().cast(),
        ))
    });
    let pid = match pid {
        Ok(pid) => pid,
        Err(error) => {
            memory.release();
            return Err(error);
        }
    };
    Ok(Spawned {
        pid,
        status: Status {
            pipe,
            said: Vec::new(),
        },
        memory,
    })
}

/// The memory of a child until it is its program. Never given back by itself: only who knows that the child is
/// somebody else, or gone, may do so.
#[derive(Debug)]
#[must_use]
pub(crate) struct ChildMemory {
    stack: NonNull<libc::c_void>,
    entrance: NonNull<Entrance>,
}

impl ChildMemory {
    fn new(entrance: Entrance) -> io::Result<Self> {
        // SAFETY: a new mapping of its own.
        let stack = unsafe {
            libc::mmap(
                ptr::null_mut(),
                STACK_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
                -1,
                0,
            )
        };
        if stack == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            stack: NonNull::new(stack).ok_or(io::ErrorKind::OutOfMemory)?,
            entrance: NonNull::from(Box::leak(Box::new(entrance))),
        })
    }

    /// Where the stack begins: it grows downwards.
    fn top(&self) -> *mut libc::c_void {
        self.stack.as_ptr().wrapping_byte_add(STACK_BYTES)
    }

    /// Gives it back: the child has become its program, or was waited for.
    pub(crate) fn release(self) {
        // SAFETY: both were made by `new`, and nobody uses them any more.
        unsafe {
            libc::munmap(self.stack.as_ptr(), STACK_BYTES);
            drop(Box::from_raw(self.entrance.as_ptr()));
        }
    }
}

/// Does something while no signal is heard, and so that a process which is made meanwhile hears none at first.
fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the sets are initialised before use and outlive the calls.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
        let result = work();
        libc::sigprocmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        result
    }
}

/// Arguments of the child, made before it.
#[derive(Debug)]
struct Entrance {
    arguments: Vec<*const libc::c_char>,
    variables: Vec<*const libc::c_char>,
    stdio: [RawFd; 3],
    status: RawFd,
    /// Of Landlock, for programs.
    rules: Option<RawFd>,
    /// Owns the texts.
    program: Rc<Program>,
}

/// The child's way to its program. Here and in all that it calls: nothing that takes memory, none of the C
/// library, and nothing that panics, because the guest goes on in the same memory.
extern "C" fn enter(entrance: *mut libc::c_void) -> libc::c_int {
    // SAFETY: made by `spawn`, which keeps it, and changed by nobody.
    let entrance = unsafe { &*entrance.cast::<Entrance>() };
    if entrance.prepare().is_err() {
        entrance.say(&[DISTURBED]);
        return NO_PROGRAM;
    }
    entrance.say(&[ENTERS]);
    let Errno(error) = entrance.exec();
    let [a, b, c, d] = error.to_le_bytes();
    entrance.say(&[FAILED, a, b, c, d]);
    NO_PROGRAM
}

impl Entrance {
    fn say(&self, bytes: &[u8]) {
        let write = [number(self.status), address(bytes), bytes.len(), 0, 0];
        // SAFETY: address and length describe the bytes.
        unsafe { bare::call(libc::SYS_write, write) }
            // Without a reader the guest is gone.
            .ok();
    }

    fn prepare(&self) -> Result<(), Errno> {
        let program = &*self.program;
        // SAFETY: integers, and addresses of values that live through the call.
        unsafe {
            let no_new_privileges = [number(libc::PR_SET_NO_NEW_PRIVS), 1, 0, 0, 0];
            bare::call(libc::SYS_prctl, no_new_privileges)?;
            if let Some(rules) = self.rules {
                // From here on it is as closed to the others as they are to one another.
                let restrict = [number(rules), 0, 0, 0, 0];
                bare::call(libc::SYS_landlock_restrict_self, restrict)?;
            }
            let filter = filter_of(program.filter);
            let mode = SECCOMP_MODE_FILTER;
            let apply = [number(libc::PR_SET_SECCOMP), mode, address(&filter), 0, 0];
            bare::call(libc::SYS_prctl, apply)?;
            bare::call(libc::SYS_setsid, [0; 5])?;
            for (from, to) in self.stdio.into_iter().zip(0..) {
                bare::call(libc::SYS_dup3, [number(from), to, 0, 0, 0])?;
            }
            let directory = program.directory.as_ptr().expose_provenance();
            bare::call(libc::SYS_chdir, [directory, 0, 0, 0, 0])?;
        }
        bound(libc::RLIMIT_CORE, 0)?;
        if program.max_file_bytes > 0 {
            bound(libc::RLIMIT_FSIZE, program.max_file_bytes)?;
        }
        hear_all_signals()
    }

    /// Becomes the program where it lies first; answers why it cannot.
    fn exec(&self) -> Errno {
        let mut worst = Errno(libc::ENOENT);
        for path in &self.program.paths {
            let path = path.as_ptr().expose_provenance();
            let lists = [self.arguments.as_ptr(), self.variables.as_ptr()];
            let execute = [
                path,
                lists[0].expose_provenance(),
                lists[1].expose_provenance(),
                0,
                0,
            ];
            // SAFETY: a C string, and lists of them that end with a null.
            match unsafe { bare::call(libc::SYS_execve, execute) } {
                Ok(_) | Err(Errno(libc::ENOENT | libc::ENOTDIR)) => {}
                Err(error @ Errno(libc::EACCES)) => worst = error,
                Err(error) => return error,
            }
        }
        worst
    }
}

/// A small number as an argument.
fn number(number: libc::c_int) -> usize {
    number.cast_unsigned() as usize
}

/// Where a value lies, which the kernel is to read: exposed, so that the compiler knows of it.
fn address<T: ?Sized>(value: &T) -> usize {
    ptr::from_ref(value).cast::<()>().expose_provenance()
}

/// Lowers a limit, hard and soft, never above what is allowed.
fn bound(resource: libc::__rlimit_resource_t, most: u64) -> Result<(), Errno> {
    let mut limit = [0_u64; 2];
    let resource = resource as usize;
    // SAFETY: the records, two numbers of 64 bits each, live through the calls.
    unsafe {
        let look = [
            0,
            resource,
            0,
            ptr::from_mut(&mut limit).expose_provenance(),
            0,
        ];
        bare::call(libc::SYS_prlimit64, look)?;
        limit = [most.min(limit[1]); 2];
        let set = [0, resource, address(&limit), 0, 0];
        bare::call(libc::SYS_prlimit64, set)?;
    }
    Ok(())
}

fn filter_of(filter: &[sock_filter]) -> libc::sock_fprog {
    libc::sock_fprog {
        // One that is cut off is refused by the kernel.
        len: u16::try_from(filter.len()).unwrap_or(0),
        filter: filter.as_ptr().cast_mut(),
    }
}

/// Signals as a new program expects them. A launcher may have left others ignored than the guest.
fn hear_all_signals() -> Result<(), Errno> {
    /// The kernel's record of a signal with the usual action.
    const USUAL: [u64; 4] = [0; 4];
    const SET_BYTES: usize = 8;
    // SAFETY: records of the kernel's own sizes, which live through the calls.
    unsafe {
        for signal in 1..32 {
            let set = [signal, address(&USUAL), 0, SET_BYTES, 0];
            // KILL and STOP refuse, harmlessly.
            bare::call(libc::SYS_rt_sigaction, set).ok();
        }
        let none = 0_u64;
        let set = [number(libc::SIG_SETMASK), address(&none), 0, SET_BYTES, 0];
        bare::call(libc::SYS_rt_sigprocmask, set).map(drop)
    }
}

/// Has the kernel refuse what the filter says, for good.
fn apply(filter: &[sock_filter]) -> io::Result<()> {
    let program = filter_of(filter);
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

/// Forks a process that does nothing and that no program has reason to send a signal.
pub(crate) fn decoy() -> io::Result<i32> {
    // SAFETY: this process has one thread, so that the child's memory is whole.
    let pid = check(unsafe { libc::fork() })?;
    if pid != 0 {
        return Ok(pid);
    }
    drop(apply(filter::program()));
    // SAFETY: integers only. Nothing that is closed is used again.
    unsafe {
        libc::setsid();
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
        hear_all_signals().ok();
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

    /// Waits until a child has become its program, or cannot.
    fn hear(spawned: &mut Spawned) -> Word {
        loop {
            match spawned.status.read() {
                Word::Begins => std::thread::yield_now(),
                word => return word,
            }
        }
    }

    fn wait(Spawned { pid, memory, .. }: Spawned) -> libc::c_int {
        let mut status = 0;
        // SAFETY: a valid place for an integer.
        let ended = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert_eq!(ended, pid);
        memory.release();
        libc::WEXITSTATUS(status)
    }

    fn start(path: &str, arguments: &[&[u8]]) -> Spawned {
        let program = Program::new(path, arguments, &BTreeMap::new(), "/", 4096).unwrap();
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap();
        spawn(&Rc::new(program), [&null, &null, &null]).unwrap()
    }

    /// Pages that this thread had to make, or to make its own, until now.
    fn faults() -> libc::c_long {
        // SAFETY: the record is plain numbers and lives through the call.
        unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
            usage.ru_minflt
        }
    }

    #[test]
    fn a_start_takes_no_longer_for_a_guest_that_has_much_memory() {
        const PAGES: usize = 2000;
        let mut memory = vec![1_u8; PAGES * 4096];
        let mut child = start("/bin/true", &[]);
        assert!(matches!(hear(&mut child), Word::Runs));
        let before = faults();
        for page in memory.chunks_mut(4096) {
            page[0] = std::hint::black_box(2);
        }
        let made = faults() - before;
        assert_eq!(wait(child), 0);
        // A copy would have left each page to be made this process's own again.
        assert!(made < 100, "{made}");
    }

    #[test]
    fn a_program_starts_with_its_limits_its_signals_and_its_session() {
        let words = b"test $(ulimit -f) = 4 && test $(ulimit -c) = 0 \
            && read -r _ _ _ _ _ session _ < /proc/self/stat && test $$ = $session \
            && while read -r name bits; do test $name = SigIgn: && break; done < /proc/self/status \
            && test $((16#$bits & 1)) = 0";
        // SAFETY: an integer and a constant.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
        assert_eq!(wait(start("/bin/bash", &[b"-c", words])), 0);
    }

    #[test]
    fn what_cannot_be_started_says_why() {
        let mut child = start("/nowhere", &[]);
        let word = hear(&mut child);
        assert!(
            matches!(&word, Word::Failed(error) if error.raw_os_error() == Some(libc::ENOENT)),
            "{word:?}"
        );
        assert_eq!(wait(child), NO_PROGRAM);
    }
}
