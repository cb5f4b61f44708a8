//! Gives back the pages of the program's file that the start alone needed, and at rest the memory that work has needed.
//!
//! Reading flags and files goes through megabytes of code and constants that serving never sees again, and the kernel
//! counts them as this process's memory. They are pages of a file that nobody writes: what is needed after all comes back
//! from the page cache, in a microsecond a page. The kernel maps sixteen pages around each that is touched, so that work
//! comes to hold most of the program; a server that nobody asks anything gives that back, too, and the gaps of its heap.

use std::fs;
use std::time::Duration;

/// The first requests come at once, and would read the pages again.
const STARTED: Duration = Duration::from_millis(300);
/// How often it is looked whether the server rests.
const LOOK: Duration = Duration::from_secs(3);
/// Processor time between two looks of a server that rests, in hundredths of a second.
const REST_TICKS: u64 = 1;
/// Less work than this leaves nothing that is worth it.
const WORK_TICKS: u64 = 10;

/// Gives back what the start alone has needed, and what work has, as often as the server comes to rest after some.
pub(super) async fn give_back_at_rest() {
    tokio::time::sleep(STARTED).await;
    give_back();
    let mut rest = Rest::default();
    loop {
        tokio::time::sleep(LOOK).await;
        if rest.begins(spent_ticks()) {
            give_back();
            trim();
            rest.given = spent_ticks();
        }
    }
}

/// Gives back the gaps between what is in use of the heap.
fn trim() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "there is no other way to ask the C library")]
    // SAFETY: it has no precondition, and takes its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Whether the server has come to rest, by the processor time that it has spent.
#[derive(Debug, Default)]
struct Rest {
    /// Spent when something was given back last.
    given: u64,
    /// Spent at the last look.
    seen: u64,
}

impl Rest {
    fn begins(&mut self, spent: u64) -> bool {
        let rests = spent.saturating_sub(self.seen) <= REST_TICKS;
        self.seen = spent;
        rests && spent.saturating_sub(self.given) >= WORK_TICKS
    }
}

/// The processor time that all threads have spent so far, in ticks.
fn spent_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&stat)
}

/// The sum of `utime` and `stime`.
fn ticks(stat: &str) -> u64 {
    // The name before it may hold anything.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let times = after.split_whitespace().skip(11).take(2);
    times.filter_map(|time| time.parse::<u64>().ok()).sum()
}

/// Gives back pages of this program's file and of its libraries. A debugger keeps its breakpoints: where one is attached
/// nothing is done.
fn give_back() {
    let Ok(maps) = fs::read_to_string("/proc/self/smaps") else {
        return;
    };
    let Ok(program) = fs::read_link("/proc/self/exe") else {
        return;
    };
    if is_traced() {
        return;
    }
    for (start, length) in unwritten(&maps, &program.to_string_lossy()) {
        #[expect(
            unsafe_code,
            reason = "advice about mappings is given by their addresses"
        )]
        // SAFETY: the pages are private ones of a file, may not be written, and none ever was; what is dropped of them
        // is read from the file again when it is needed.
        let done = unsafe { libc::madvise(start as *mut _, length, libc::MADV_DONTNEED) };
        if done != 0 {
            tracing::debug!(error = %std::io::Error::last_os_error(), "pages are not given back");
        }
    }
}

fn is_traced() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_none_or(|pid| pid.trim() != "0")
}

/// Where `program` or a library is mapped so that it may not be written, and has no page that once was: address and
/// length. What the loader has put addresses into may not be written any more, either, but is no longer the file's.
fn unwritten(smaps: &str, program: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut last: Option<(&str, (usize, usize))> = None;
    for line in smaps.lines() {
        if let Some(kib) = line.strip_prefix("Anonymous:") {
            let kib = kib.trim().strip_suffix(" kB");
            let ours = last
                .take()
                .filter(|(of, _)| (*of == program || is_library(of)) && kib == Some("0"));
            found.extend(ours.map(|(_, place)| place));
        } else if let Some(mapping) = mapping(line) {
            last = Some(mapping);
        }
    }
    found
}

/// Such as `/usr/lib/libc.so.6`.
fn is_library(path: &str) -> bool {
    path.starts_with('/') && path.contains(".so.")
}

/// The file, address, and length of a mapping by its first line; the file is empty if it may be written.
fn mapping(line: &str) -> Option<(&str, (usize, usize))> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let mut fields = rest.splitn(5, ' ');
    let readable = matches!(fields.next()?, "r-xp" | "r--p");
    let path = fields.nth(3).unwrap_or_default().trim_start();
    let place = (start, end.checked_sub(start)?);
    Some((if readable { path } else { "" }, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_written_of_the_program_is_given_back() {
        let smaps = "\
55d0-55e0 r--p 00000000 fd:00 1    /opt/sand table
Rss:                  64 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
55e0-56f0 r-xp 00010000 fd:00 1    /opt/sand table
Anonymous:             0 kB
56f0-5700 r--p 00120000 fd:00 1    /opt/sand table
Anonymous:            12 kB
5700-5710 rw-p 00130000 fd:00 1    /opt/sand table
Anonymous:             0 kB
7f00-7f10 r-xp 00000000 fd:00 2    /usr/lib/libc.so.6
Anonymous:             0 kB
7f20-7f30 r-xp 00000000 00:00 0
Anonymous:             0 kB
7ff0-7ff1 r-xp 00000000 00:00 0    [vdso]
Anonymous:             0 kB
";
        let library = (0x7f00, 0x10);
        let ours = [(0x55d0, 0x10), (0x55e0, 0x110), library];
        assert_eq!(unwritten(smaps, "/opt/sand table"), ours);
        assert_eq!(unwritten(smaps, "/opt/sand"), [library]);
        assert_eq!(unwritten("garbage\n- r-xp\nAnonymous: 0 kB", "x"), []);
    }

    #[test]
    fn rest_begins_once_after_each_time_of_work() {
        let mut rest = Rest::default();
        assert!(!rest.begins(50), "it works");
        assert!(rest.begins(51));
        rest.given = 52;
        assert!(!rest.begins(52), "nothing was done since");
        assert!(!rest.begins(53), "too little was");
        assert!(!rest.begins(90), "it works");
        assert!(rest.begins(90));
    }

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 30 12 5 5 20 0 4 0 1 1";
        assert_eq!(ticks(stat), 42);
        assert_eq!(ticks("garbage"), 0);
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        let fields = own.rsplit_once(')').unwrap().1.split_whitespace();
        assert!(fields.count() > 40, "{own}");
    }

    #[test]
    fn this_program_goes_on_without_its_pages() {
        let of_files = || {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("RssFile:"));
            let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
            kib.unwrap().parse::<u64>().unwrap()
        };
        let before = of_files();
        give_back();
        let after = of_files();
        assert!(after < before, "{before} kB, then {after} kB");
    }
}
