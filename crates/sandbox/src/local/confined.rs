//! Sandboxes without namespaces: for machines and containers that allow none.
//!
//! Two processes: the warden, and its child, the guest. Landlock confines both and, more closely, every program. Calls
//! that name a path stop in the kernel (`seccomp` user notification) and are told to the warden: paths
//! of the machine that a sandbox sees go on as they are, those of the container's own directories are
//! exchanged in the stopped thread for where these really lie. The exchange has only to be right: what a
//! program may reach is decided by Landlock, and what Landlock does not know the warden does itself.

mod answers;
mod calls;
mod exec;
mod filter;
mod landlock;
mod members;
mod metadata;
mod notify;
mod proc;
mod space;
mod start;
mod sys;
mod tracee;
mod unix;
mod warden;

pub(super) use self::start::enter;
