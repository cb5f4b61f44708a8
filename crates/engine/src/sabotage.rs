//! Tool faults: a call that fails as told, or really, because its sandbox does.

use std::time::Duration;

use serde_json::Value;

use wire::ToolErrorCode;

use crate::calls::{CallError, Done, Running};
use model::ServerTool;
use sandbox::SandboxError;
use sandbox::guest::{ExecCall, ExecKind, ExecResult, Guest, GuestError};
use workspace::fault::{Act, Fault, ToolAct};
use workspace::lint::FAULT_WITHOUT_EFFECT;

/// How long a call runs before its sandbox is killed.
const KILL_AFTER: Duration = Duration::from_millis(50);
/// How long the disk may take to fill, or to be cleared.
const FILL_TIMEOUT: Duration = Duration::from_mins(2);
/// The file that takes the room on a full disk; in the working directory.
const FILLER: &str = ".sandtable-fill";
/// The status of the filling program where the disk has no bound.
const UNBOUNDED: i32 = 3;
/// The bytes that a program may take beyond the sandbox's memory, where nothing else stops it.
const HOG_SLACK_BYTES: u64 = 256 * 1024 * 1024;

impl Running<'_> {
    /// Runs the call under a fault.
    pub(super) async fn sabotaged(
        &self,
        fault: &Fault,
        mut arguments: Value,
    ) -> Result<Done, CallError> {
        let Act::Tool(act) = &fault.act else {
            return self.run(&arguments).await;
        };
        match act {
            ToolAct::Code { code, message } => Ok(Done::Failed {
                code: *code,
                message: message.clone(),
            }),
            ToolAct::EngineUnreachable => Err(CallError::Sandbox(SandboxError::Engine {
                operation: "reach the engine",
                cause: "a fault says that it does not answer".into(),
            })),
            ToolAct::KillSandbox => {
                self.container.forget_past();
                self.killed(&arguments).await
            }
            ToolAct::ExhaustMemory => {
                self.container.forget_past();
                self.make_greedy(&mut arguments);
                self.run(&arguments).await
            }
            ToolAct::FillDisk => self.on_a_full_disk(&arguments).await,
        }
    }

    /// The sandbox ends while the call runs; files stay, and the next call starts it again.
    async fn killed(&self, arguments: &Value) -> Result<Done, CallError> {
        let containers = &self.engine.containers;
        // Awake first: what is killed is the call, not a start.
        self.lease().await?;
        let kill = async {
            tokio::time::sleep(KILL_AFTER).await;
            containers.sleep(self.container).await
        };
        let (ran, killed) = tokio::join!(self.run(arguments), kill);
        killed?;
        // A call that was quicker has lost its result all the same.
        if let Ok(Done::Ran { files, .. }) = ran {
            for file in files {
                let workspace = &self.input.workspace.id;
                if let Err(error) = self
                    .engine
                    .store
                    .delete_file(workspace, &file.file_id)
                    .await
                {
                    return Err(CallError::Turn(error.into()));
                }
            }
        }
        Err(CallError::Sandbox(GuestError::Gone.into()))
    }

    /// Makes the call's own process take memory once its work is done, until the kernel kills it.
    fn make_greedy(&self, arguments: &mut Value) {
        let memory = self.engine.containers.limits().memory_bytes;
        let kib = memory.saturating_add(HOG_SLACK_BYTES) / 1024;
        let (key, prelude) = match self.tool {
            ServerTool::Bash => (
                "command",
                format!("trap 'ulimit -v {kib}; exec tail /dev/zero' EXIT; "),
            ),
            ServerTool::Python if self.has_cells() => {
                // The interpreter goes on after the cell: its end is no moment of the cell's.
                if let Some(Value::String(text)) = arguments.get_mut("code") {
                    let hog = format!(
                        "\nimport resource; resource.setrlimit(resource.RLIMIT_AS, ({kib} * 1024,) * 2)\n\
                         kept = [b'x' * 2**26 for _ in iter(int, 1)]\n"
                    );
                    text.push_str(&hog);
                }
                return;
            }
            ServerTool::Python => (
                "code",
                format!(
                    "import atexit, resource; resource.setrlimit(resource.RLIMIT_AS, ({kib} * 1024,) * 2); \
                     atexit.register(lambda kept=[]: [kept.append(b'x' * 2**26) for _ in iter(int, 1)])\n"
                ),
            ),
            ServerTool::Editor
            | ServerTool::WebSearch
            | ServerTool::WebFetch
            | ServerTool::ToolSearchRegex
            | ServerTool::ToolSearchBm25
            | ServerTool::Advisor => return,
        };
        if let Some(Value::String(text)) = arguments.get_mut(key) {
            text.insert_str(0, &prelude);
        }
    }

    async fn on_a_full_disk(&self, arguments: &Value) -> Result<Done, CallError> {
        self.container.forget_past();
        let guest = self.lease().await?;
        let bound = self.engine.containers.limits().disk_bytes;
        // Room for what a file system of that size needs itself.
        let most = bound + bound / 16;
        let fill = format!(
            "total=$(( $(stat -f -c '%b*%S' .) )); [ \"$total\" -le {most} ] || exit {UNBOUNDED}; \
             fallocate -l $(( $(stat -f -c '%a*%S' .) )) {FILLER}; \
             head -c {bound} /dev/zero >> {FILLER}; true"
        );
        // Programs are told of a bound there as well, and nothing holds them to it.
        if self.engine.containers.watches_disk(self.container) {
            return Ok(self.unbounded(bound));
        }
        let filled = Filled {
            guest: Some(guest.clone()),
            output_dir: self.ids.next_hex16(),
            input_dir: self.container.input_dir.clone(),
        };
        let result = self.helper(&guest, fill).await?;
        if result.return_code == UNBOUNDED {
            filled.clear().await?;
            return Ok(self.unbounded(bound));
        }
        let done = self.run(arguments).await;
        // A sandbox that ended meanwhile is cleared by the next use of the fault alone.
        if let Err(error) = filled.clear().await {
            tracing::warn!(call.id = self.id, %error, "what filled the disk could not be removed");
        }
        done
    }

    /// The result of a call whose disk cannot be full.
    fn unbounded(&self, bound: u64) -> Done {
        let text = format!(
            "fill_disk: the disk of this sandbox has no bound of {bound} bytes, so nothing was filled; the call got `unavailable`"
        );
        self.input.lint(&FAULT_WITHOUT_EFFECT, text);
        Done::failed(ToolErrorCode::Unavailable)
    }

    /// Runs a command of ours in the working directory.
    pub(super) async fn helper(
        &self,
        guest: &Guest,
        command: String,
    ) -> Result<ExecResult, GuestError> {
        guest.exec(self.helper_call(command)).await
    }

    /// A command of ours, with an output directory of its own.
    pub(super) fn helper_call(&self, command: String) -> ExecCall {
        helper_call(
            command,
            self.container.input_dir.clone(),
            self.ids.next_hex16(),
        )
    }
}

fn helper_call(command: String, input_dir: String, output_dir: String) -> ExecCall {
    ExecCall {
        kind: ExecKind::Bash(command),
        input_dir,
        output_dir,
        timeout: FILL_TIMEOUT,
        env: Vec::new(),
    }
}

/// A full disk, cleared also when the client leaves in the middle.
struct Filled {
    guest: Option<Guest>,
    output_dir: String,
    input_dir: String,
}

impl Filled {
    async fn clear(mut self) -> Result<(), GuestError> {
        let Some(guest) = self.guest.take() else {
            return Ok(());
        };
        guest.exec(self.removal()).await.map(|_| ())
    }

    fn removal(&self) -> ExecCall {
        helper_call(
            format!("rm -f {FILLER}"),
            self.input_dir.clone(),
            self.output_dir.clone(),
        )
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Some(guest) = self.guest.take() {
            let removal = self.removal();
            tokio::spawn(async move {
                if let Err(error) = guest.exec(removal).await {
                    tracing::warn!(%error, "what filled the disk could not be removed");
                }
            });
        }
    }
}
