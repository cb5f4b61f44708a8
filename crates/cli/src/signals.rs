//! The signals that end a server: noticed from its start on, so that none finds it without a way to end in order.

use std::io;

use server::Server;

/// Which one came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal is gone.
    Hangup,
}

/// Listens; until it is dropped none of them ends the process.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// None for a program that was started to outlive its terminal.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if hangs_on() {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Came {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Came::Interrupt,
            _ = self.terminate.recv() => Came::Terminate,
            _ = hangup => Came::Hangup,
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) -> Came {
        tokio::signal::ctrl_c().await.ok();
        Came::Interrupt
    }
}

impl Came {
    /// As the system numbers it.
    #[cfg(unix)]
    pub(super) fn number(self) -> libc::c_int {
        match self {
            Self::Interrupt => libc::SIGINT,
            Self::Terminate => libc::SIGTERM,
            Self::Hangup => libc::SIGHUP,
        }
    }

    /// The exit code of what it ended, as a shell would say it.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::Hangup => 129,
        }
    }
}

/// Stops a server; a signal that comes meanwhile, or after it, ends the program at once. What that leaves behind, the
/// next server clears up.
pub(super) async fn stop(server: Server) {
    let Ok(mut signals) = Signals::listen() else {
        return server.stop().await;
    };
    tokio::select! {
        () = server.stop() => {}
        came = signals.next() => end_at_once(came),
    }
    // What follows, such as a report into a pipe that nobody reads, may take for ever.
    tokio::spawn(async move { end_at_once(signals.next().await) });
}

#[expect(
    clippy::exit,
    reason = "nothing that is still under way may hold it up"
)]
fn end_at_once(came: Came) {
    tracing::warn!("ended at once; the next start clears up");
    crate::log::flush();
    std::process::exit(i32::from(came.exit_code()));
}

/// Whether this program was started to outlive its terminal, as `nohup` does: it ignores SIGHUP.
#[cfg(unix)]
#[expect(
    unsafe_code,
    reason = "the standard library does not tell what is ignored"
)]
fn hangs_on() -> bool {
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
