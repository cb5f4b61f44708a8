//! Lines that go to stderr a little later, many at once: a write to a terminal or a file takes longer than the answer whose line
//! it is. A process that is killed loses the lines of the last [`GATHER`].

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// How long lines wait for others.
const GATHER: Duration = Duration::from_millis(2);
/// More do not wait: whoever logs writes them out.
const MOST_BYTES: usize = 256 * 1024;

/// When a line is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum To {
    /// Before the program goes on, behind those that wait.
    Now,
    Soon,
}

impl Write for To {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            Self::Now => {
                flush();
                io::stderr().write_all(text)?;
            }
            Self::Soon => push(text),
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static WAITING: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// Signalled when a line begins to wait.
static SOME: Condvar = Condvar::new();
/// Held by who writes, so that lines stay in order; keeps the room of those that were written.
static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Writes all lines that wait.
pub(crate) fn flush() {
    let mut lines = lock(&WRITTEN);
    std::mem::swap(&mut *lines, &mut *lock(&WAITING));
    if !lines.is_empty() {
        // Whoever does not want them has closed the other end.
        io::stderr().write_all(&lines).ok();
        lines.clear();
    }
}

fn push(line: &[u8]) {
    static HAS_WRITER: OnceLock<bool> = OnceLock::new();
    let has_writer = *HAS_WRITER.get_or_init(|| {
        let builder = thread::Builder::new().name("log".to_owned());
        builder.spawn(write_soon).is_ok()
    });
    let mut waiting = lock(&WAITING);
    let was_empty = waiting.is_empty();
    waiting.extend_from_slice(line);
    let is_much = waiting.len() > MOST_BYTES;
    drop(waiting);
    if is_much || !has_writer {
        flush();
    } else if was_empty {
        SOME.notify_one();
    }
}

fn write_soon() {
    loop {
        let mut waiting = lock(&WAITING);
        while waiting.is_empty() {
            waiting = SOME.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        drop(waiting);
        thread::sleep(GATHER);
        flush();
    }
}

fn lock(lines: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
