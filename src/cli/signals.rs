//! When to end: SIGINT, SIGTERM, SIGHUP; and at once when they come again.

use std::io;
#[cfg(unix)]
use std::task::Poll;

#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};

use crate::server::Server;

/// Exit code of a program that a second signal ends, as after Ctrl-C.
const INTERRUPTED: i32 = 130;

/// The signals that ask for an end. From here on they end nothing by themselves.
#[derive(Debug)]
pub(super) struct Signals(#[cfg(unix)] Vec<tokio::signal::unix::Signal>);

impl Signals {
    #[cfg(unix)]
    pub(super) fn listen() -> io::Result<Self> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !hangs_on() {
            kinds.push(SignalKind::hangup());
        }
        kinds
            .into_iter()
            .map(signal)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self())
    }

    /// The next that comes.
    #[cfg(unix)]
    pub(super) async fn next(&mut self) {
        std::future::poll_fn(|cx| {
            let came = self.0.iter_mut().any(|one| one.poll_recv(cx).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[cfg(not(unix))]
    pub(super) async fn next(&mut self) {
        tokio::signal::ctrl_c().await.ok();
    }
}

/// Stops a server; a signal that comes meanwhile ends the program at once. What that leaves behind, the
/// next server clears up.
pub(super) async fn stop(server: Server) {
    let Ok(mut signals) = Signals::listen() else {
        return server.stop().await;
    };
    tokio::select! {
        () = server.stop() => {}
        () = signals.next() => end_at_once(),
    }
}

#[expect(
    clippy::exit,
    reason = "nothing that is still under way may hold it up"
)]
fn end_at_once() {
    tracing::warn!("ended at once; the next start clears up");
    std::process::exit(INTERRUPTED);
}

/// Whether this program was started to outlive its terminal, as `nohup` does: it ignores SIGHUP.
#[cfg(unix)]
#[expect(
    unsafe_code,
    reason = "the standard library does not tell what is ignored"
)]
pub(super) fn hangs_on() -> bool {
    use std::sync::OnceLock;
    // Asked once: a handler of ours says nothing about what was there before.
    static IGNORED: OnceLock<bool> = OnceLock::new();
    *IGNORED.get_or_init(|| {
        // SAFETY: all zeros is a valid `sigaction`, and the call only writes it.
        unsafe {
            let mut present: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut present) == 0
                && present.sa_sigaction == libc::SIG_IGN
        }
    })
}
