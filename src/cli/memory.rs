//! What the start alone needed of the program's file, given back.
//!
//! Reading flags and files goes through megabytes of code that serving never sees again, and the kernel counts them as
//! this process's memory. They are pages of a file that nobody writes: what is needed after all comes back from the page
//! cache, in a microsecond a page.

use std::fs;

/// Gives back pages of this program's code. A debugger keeps its breakpoints: where one is attached nothing is done.
pub(super) fn give_back_code() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else {
        return;
    };
    let Ok(program) = fs::read_link("/proc/self/exe") else {
        return;
    };
    if is_traced() {
        return;
    }
    for (start, length) in code(&maps, &program.to_string_lossy()) {
        #[expect(
            unsafe_code,
            reason = "advice about mappings is given by their addresses"
        )]
        // SAFETY: the pages are private ones of a file, and may not be written; what is dropped of them is read from
        // the file again when it is needed.
        let done = unsafe { libc::madvise(start as *mut _, length, libc::MADV_DONTNEED) };
        if done != 0 {
            tracing::debug!(error = %std::io::Error::last_os_error(), "code is not given back");
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

/// Where the code of `program` is mapped: address and length of what may be executed and not written.
fn code(maps: &str, program: &str) -> Vec<(usize, usize)> {
    let mapping = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights) = (fields.next()?, fields.next()?);
        let path = line.splitn(6, ' ').nth(5)?.trim_start();
        if rights != "r-xp" || path != program {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        Some((start, end.checked_sub(start)?))
    };
    maps.lines().filter_map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_is_executed_of_the_program_and_not_written() {
        let maps = "\
55d0-55e0 r--p 00000000 fd:00 1    /opt/sand table
55e0-56f0 r-xp 00010000 fd:00 1    /opt/sand table
56f0-5700 r--p 00120000 fd:00 1    /opt/sand table
5700-5710 rwxp 00130000 fd:00 1    /opt/sand table
7f00-7f10 r-xp 00000000 fd:00 2    /usr/lib/libc.so.6
7f20-7f30 r-xp 00000000 00:00 0
7ff0-7ff1 r-xp 00000000 00:00 0    [vdso]
";
        assert_eq!(code(maps, "/opt/sand table"), [(0x55e0, 0x110)]);
        assert_eq!(code(maps, "/opt/sand"), []);
        assert_eq!(code("garbage\n- r-xp", "x"), []);
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
        give_back_code();
        let after = of_files();
        assert!(after < before, "{before} kB, then {after} kB");
    }
}
