//! A backend with its canaries, and sandboxes on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cli::image::Flavor;
use guest_proto::{Answer, AnswerBody, ExecDone, encode};
use sandbox::guest::{
    CellCall, CellStep, ExecCall, ExecKind, ExecResult, Guest, GuestError, HELLO_TIMEOUT, embedded,
};
use sandbox::{Backend, Limits, SandboxSpec};

use crate::bench::{Bench, bench};
use crate::canary::Canary;
use crate::case::Program;
use crate::talk::new_spec;

/// Small, so that bombs go off fast.
pub(crate) const LIMITS: Limits = Limits {
    memory_bytes: 128 * 1024 * 1024,
    disk_bytes: 64 * 1024 * 1024,
    milli_cpus: 1000,
    pids: 96,
};
/// The one input directory of these tests.
pub(crate) const INPUT: &str = "0123456789abcdef";

pub(crate) const PRELUDE: &str = include_str!("prelude.py");

/// A backend under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Docker,
    Local,
    #[cfg(feature = "kubernetes")]
    Kubernetes,
}

/// A backend of its own, with canaries on its host.
pub(crate) struct Site {
    house: House,
    pub(crate) canary: Canary,
    calls: AtomicU64,
}

enum House {
    Docker(Box<Bench>),
    #[cfg(target_os = "linux")]
    Local(Box<crate::local_bench::Bench>),
    #[cfg(feature = "kubernetes")]
    Kubernetes(Box<crate::pods::Bench>),
}

/// A sandbox.
pub(crate) struct Room {
    pub(crate) spec: SandboxSpec,
    pub(crate) guest: Guest,
    what: &'static str,
}

impl Site {
    /// `None` where the backend is missing and may be.
    pub(crate) async fn open(kind: Kind) -> Option<Self> {
        let house = match kind {
            Kind::Docker => House::Docker(Box::new(bench(Flavor::Slim, embedded()).await?)),
            #[cfg(target_os = "linux")]
            Kind::Local => House::Local(Box::new(crate::local_bench::contract().await?)),
            #[cfg(not(target_os = "linux"))]
            Kind::Local => return None,
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes => House::Kubernetes(Box::new(crate::pods::contract().await?)),
        };
        Some(Self {
            house,
            canary: Canary::new(),
            calls: AtomicU64::new(0),
        })
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        match &self.house {
            House::Docker(bench) => &bench.backend,
            #[cfg(target_os = "linux")]
            House::Local(bench) => &bench.backend,
            #[cfg(feature = "kubernetes")]
            House::Kubernetes(bench) => &bench.backend,
        }
    }

    /// Whether a case is not promised there (`docs/SECURITY.md`): a pod's terminals are counted by its node's
    /// kernel alone.
    pub(crate) fn cannot_be_held(&self, case: &str) -> bool {
        match &self.house {
            House::Docker(_) => false,
            #[cfg(target_os = "linux")]
            House::Local(_) => false,
            #[cfg(feature = "kubernetes")]
            House::Kubernetes(_) => case.starts_with("terminal bomb"),
        }
    }

    /// A new sandbox.
    pub(crate) async fn room(&self, what: &'static str) -> Room {
        self.room_with(what, LIMITS).await
    }

    /// A new sandbox with limits of its own.
    pub(crate) async fn room_with(&self, what: &'static str, limits: Limits) -> Room {
        let spec = new_spec(limits);
        let guest = self.wake(&spec).await;
        Room { spec, guest, what }
    }

    /// Starts a sandbox, or starts it again.
    pub(crate) async fn wake(&self, spec: &SandboxSpec) -> Guest {
        let launched = self.backend().launch(spec).await.unwrap();
        let settings = self.backend().settings(spec);
        let (guest, _) = Guest::resume(launched, settings, HELLO_TIMEOUT)
            .await
            .unwrap();
        guest
    }

    /// Runs a program with the canaries' places in its environment.
    pub(crate) async fn exec(
        &self,
        guest: &Guest,
        program: Program,
        timeout: Duration,
    ) -> Result<ExecResult, GuestError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let kind = match program {
            Program::Bash(command) => ExecKind::Bash(command.to_owned()),
            Program::Cell(code) => return self.cell(guest, call, code, timeout).await,
            Program::Python(code) => ExecKind::Python {
                code: format!("{PRELUDE}\n{code}\nprint('done')\n"),
                tag: format!("srvtoolu_{call}"),
            },
        };
        let mut env = self.canary.env();
        env.push(self.namespaces());
        env.push(("FORGED".to_owned(), forged(call)));
        let call = ExecCall {
            kind,
            input_dir: INPUT.to_owned(),
            output_dir: format!("{call:016x}"),
            timeout,
            env,
        };
        guest.exec(call).await
    }

    /// For programs: whether their sandbox has namespaces of its own.
    fn namespaces(&self) -> (String, String) {
        let has = match &self.house {
            House::Docker(bench) => bench.has_namespaces(),
            #[cfg(target_os = "linux")]
            House::Local(bench) => bench.has_namespaces(),
            #[cfg(feature = "kubernetes")]
            House::Kubernetes(bench) => bench.has_namespaces(),
        };
        ("NAMESPACES".to_owned(), i32::from(has).to_string())
    }

    async fn cell(
        &self,
        guest: &Guest,
        call: u64,
        code: &str,
        timeout: Duration,
    ) -> Result<ExecResult, GuestError> {
        let mut env = self.canary.env();
        env.push(self.namespaces());
        env.push(("FORGED".to_owned(), forged(call)));
        let env: Vec<String> = env
            .iter()
            .map(|(name, value)| format!("os.environ[{name:?}] = {value:?}"))
            .collect();
        let env = env.join("\n");
        let call = CellCall {
            code: format!("import os\n{env}\n{PRELUDE}\n{code}\nprint('done')\n"),
            tag: format!("srvtoolu_{call}"),
            tools: vec!["query".to_owned()],
            input_dir: INPUT.to_owned(),
            output_dir: format!("{call:016x}"),
            timeout,
            patience: Duration::from_mins(5),
        };
        match guest.cell(call).await? {
            CellStep::Done(done) => Ok(done.exec),
            CellStep::Waits(calls) => panic!("no case calls a tool: {calls:?}"),
        }
    }

    /// Removes everything that was started.
    pub(crate) async fn close(self) {
        match self.house {
            House::Docker(bench) => bench.end().await,
            #[cfg(target_os = "linux")]
            House::Local(bench) => bench.end().await,
            #[cfg(feature = "kubernetes")]
            House::Kubernetes(bench) => bench.end().await,
        }
    }
}

impl Room {
    /// The output of a command.
    pub(crate) async fn say(&self, command: &str) -> Result<String, String> {
        static CALLS: AtomicU64 = AtomicU64::new(1 << 32);
        let call = ExecCall {
            kind: ExecKind::Bash(command.to_owned()),
            input_dir: INPUT.to_owned(),
            output_dir: format!("{:016x}", CALLS.fetch_add(1, Ordering::Relaxed)),
            timeout: Duration::from_secs(20),
            env: Vec::new(),
        };
        match self.guest.exec(call).await {
            Ok(done) => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
            Err(error) => Err(format!("{}: {error}", self.what)),
        }
    }
}

/// Whole frames, in hex, that say a call is over: for the calls that may be under way.
fn forged(call: u64) -> String {
    (0..call * 2 + 16)
        .flat_map(|call| {
            let done = ExecDone {
                outcome: guest_proto::Outcome::Exited {},
                return_code: 66,
                stdout_bytes: 6,
                outputs: Vec::new(),
                too_large: Vec::new(),
                refused: Vec::new(),
                left_out: 0,
            };
            let body = AnswerBody::ExecDone(done);
            encode(&Answer { call, body }, b"FORGED").unwrap()
        })
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
