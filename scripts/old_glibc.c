/* What a glibc older than the one that Rust's libraries expect lacks. Linked in by build.rs where zig links, which is how
 * the program for old systems is made. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Since glibc 2.27. Callers do without where the kernel says ENOSYS. */
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t bytes, unsigned flags) {
    return syscall(SYS_copy_file_range, from, from_at, to, to_at, bytes, flags);
}
