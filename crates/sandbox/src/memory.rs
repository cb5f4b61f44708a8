//! The content of `/proc/meminfo` in a sandbox: the memory that the sandbox may use, not the machine's.

use std::fmt::Write as _;

/// The path at which a sandbox reads it.
pub(super) const PLACE: &str = "/proc/meminfo";

/// The kernel's words for a machine of so much memory, nearly all of it free. The numbers stand still.
pub(super) fn text(memory_bytes: u64) -> String {
    let total = memory_bytes / 1024;
    // What the kernel and the caches of such a machine would hold.
    let (cached, slab) = (total / 50, total / 200);
    let free = total - cached - slab;
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free + cached),
        ("Buffers", 0),
        ("Cached", cached),
        ("SwapCached", 0),
        ("Active", cached / 2),
        ("Inactive", cached / 2),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Shmem", 0),
        ("Slab", slab),
        ("SReclaimable", 0),
        ("SUnreclaim", slab),
        ("CommitLimit", total),
        ("Committed_AS", 0),
    ];
    let mut text = String::new();
    for (name, kib) in rows {
        let name = format!("{name}:");
        writeln!(text, "{name:<16}{kib:>8} kB").expect("a String takes every write");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_the_sandbox_s_memory_in_the_kernel_s_form() {
        let text = text(common::limits::SANDBOX_MEMORY_BYTES);
        assert!(text.starts_with("MemTotal:        5242880 kB\n"), "{text}");
        assert!(text.lines().all(|line| line.ends_with(" kB")));
    }
}
