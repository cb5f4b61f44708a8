/* What a glibc older than the one that Rust's libraries expect lacks. Linked in by build.rs where zig links, which is how
 * the program for old systems is made. Rust's library asks for these weakly, and does without; where link-time optimisation
 * takes it apart, which differs from build to build, a weak wish becomes a strong one. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Since glibc 2.27. Callers do without where the kernel says ENOSYS, here as below. */
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t bytes, unsigned flags) {
    return syscall(SYS_copy_file_range, from, from_at, to, to_at, bytes, flags);
}

/* Since glibc 2.25. */
ssize_t getrandom(void *buffer, size_t bytes, unsigned flags) {
    return syscall(SYS_getrandom, buffer, bytes, flags);
}

/* Since glibc 2.28. */
struct statx;
int statx(int directory, const char *path, int flags, unsigned mask, struct statx *into) {
    return syscall(SYS_statx, directory, path, flags, mask, into);
}
