//! The server's own stays in a sandbox, to look at files or to pack them: whatever end they come to, nothing is left of
//! them.
//!
//! What is made there has a name that no call is given, so that it is known where a stay was cut off, by a
//! client that left or with the server: whoever takes a lease next has it cleared up first.

use std::fmt::Write as _;
use std::sync::Arc;

use guest_proto::Settings;

use super::tree::{TreeError, roots, run, said};
use super::{Container, Containers, Lease, Purpose};
use common::ids::own_hex16;
use sandbox::guest::{Guest, Outcome};
use sandbox::{Cause, SandboxError};
use store::ContainerRow;
use workspace::Workspace;

/// A stay, with an output directory of its own. When it ends the directory goes, and the container sleeps if nothing
/// but visits has used it since it was started.
#[derive(Debug)]
pub(super) struct Visit {
    containers: Containers,
    pub(super) container: Arc<Container>,
    lease: Option<Lease>,
    pub(super) tag: String,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Some(end) = self.ending() else {
            return;
        };
        let container = Arc::clone(&self.container);
        tokio::spawn(async move {
            if let Err(error) = end.await {
                tracing::warn!(container.id = %container.id, %error, "a container that was looked at stays awake");
            }
        });
    }
}

impl Visit {
    pub(super) fn lease(&self) -> &Lease {
        self.lease.as_ref().expect("it is there until the end")
    }

    /// Runs a script, and gives its exit code and what it said.
    pub(super) async fn run(&self, script: String) -> Result<(i32, String), SandboxError> {
        let done = run(self.lease(), &self.container, &self.tag, script).await?;
        let said = said(&done);
        let code = match done.outcome {
            Outcome::Exited => done.return_code,
            Outcome::TimedOut | Outcome::Cancelled | Outcome::CouldNotStart { .. } => -1,
        };
        Ok((code, said))
    }

    /// Waits until nothing is left of it. In a task of its own: it goes on if nobody waits any more.
    pub(super) async fn end(mut self) -> Result<(), SandboxError> {
        let Some(end) = self.ending() else {
            return Ok(());
        };
        tokio::spawn(end)
            .await
            .map_err(|error| SandboxError::Engine {
                operation: "leave the container",
                cause: Cause::of(error),
            })?
    }

    fn ending(&mut self) -> Option<impl Future<Output = Result<(), SandboxError>> + 'static> {
        let lease = self.lease.take()?;
        let (containers, container) = (self.containers.clone(), Arc::clone(&self.container));
        // At once, so that whoever comes next knows.
        container.left().push(std::mem::take(&mut self.tag));
        Some(async move {
            let sandbox = container.sandbox.lock().await;
            containers.clear_up(&container, &lease).await;
            drop(sandbox);
            drop(lease);
            // Another visit may still be on; the last one finds nobody else.
            containers
                .rest_where(&container.workspace, &container.id, |usage| {
                    usage.only_looked_at
                })
                .await
        })
    }
}

impl Containers {
    /// Begins a stay. A container that sleeps is woken.
    pub(super) async fn visit(
        &self,
        workspace: &Workspace,
        row: ContainerRow,
    ) -> Result<Visit, TreeError> {
        let container = self.know(row, &workspace.clock);
        self.take_up_uploads(&container).await?;
        let lease = self.lease_for(&container, Purpose::Visit).await?;
        Ok(Visit {
            containers: self.clone(),
            container,
            lease: Some(lease),
            tag: own_hex16(),
        })
    }

    /// Removes what stays of the server have left in a sandbox, and closes what they have opened. Called with the
    /// container's sandbox locked. What cannot be removed now is tried again with the next lease.
    pub(super) async fn clear_up(&self, container: &Container, guest: &Guest) {
        let own = own_hex16();
        let left = {
            let mut left = container.left();
            if left.is_empty() {
                return;
            }
            // The clearing has a directory, too.
            left.push(own.clone());
            left.clone()
        };
        let script = clear(&left, &self.0.backend.settings(&self.spec(container)));
        match run(guest, container, &own, script).await {
            Ok(done) if done.outcome == Outcome::Exited && done.return_code == 0 => {
                container.left().retain(|tag| !left.contains(tag));
            }
            Ok(done) => {
                tracing::warn!(container.id = %container.id, reason = %said(&done), "what looking at files has left stays");
            }
            Err(error) => {
                tracing::warn!(container.id = %container.id, %error, "what looking at files has left stays");
            }
        }
    }
}

/// Gives files and directories below `$1` the modes that `$2` says they had, the outermost last.
const CLOSE: &str = r#"close() (
    [ -f "$2" ] && cd "$1" || exit 0
    closed=()
    while IFS= read -r -d '' mode && IFS= read -r -d '' path; do
        closed+=("$mode" "$path")
    done < "$2"
    for ((n = ${#closed[@]} - 2; n >= 0; n -= 2)); do
        chmod -- "${closed[n]}" "${closed[n + 1]}"
    done
)
"#;

fn clear(left: &[String], settings: &Settings) -> String {
    let mut script = CLOSE.to_owned();
    let files = &settings.files_root;
    for tag in left {
        writeln!(script, "for own in '{files}/output/'{tag}; do")
            .expect("a String takes every write");
        for (n, root) in roots(settings).into_iter().enumerate() {
            writeln!(script, "    close '{root}' \"$own/{n}.open\"")
                .expect("a String takes every write");
        }
        writeln!(
            script,
            "    rm -rf -- \"$own\" || failed=1\ndone\n\
             rm -rf -- '{files}/input/'{tag} ./state-{tag}.tar || failed=1"
        )
        .expect("a String takes every write");
    }
    script + "exit ${failed:-0}\n"
}
