//! One run of the client's command: a workspace of its own, faults, folders of its own, and what was seen.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use control_api::{Exchange, FaultState, JournalGrowth, KeptFile, List, Verdict};
use serde_json::{Value, json};
use tokio::process::Command;

use super::SweepError;
use super::client::Client;
use super::process::{self, End};
use common::ids::Ids;
use common::private;

/// Of a run without faults.
pub(super) const BASELINE_LIMIT: Duration = Duration::from_mins(5);

/// How long requests may take to end whose client is gone.
const SETTLE: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So often in a row none may be open: what the client sent last may still be on its way to the server.
const QUIET_LOOKS: u32 = 3;

/// Makes the command for a key.
pub(crate) type Prepare<'a> = &'a (dyn Fn(&str) -> io::Result<Command> + Sync);

/// Where runs take place.
pub struct Place<'a> {
    pub url: &'a str,
    pub token: Option<&'a str>,
    /// The server's, so that a cell has the same ids in every sweep.
    pub seed: Option<u64>,
    pub prepare: Prepare<'a>,
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the token nor what makes commands.
        let mut place = f.debug_struct("Place");
        place.field("url", &self.url).finish_non_exhaustive()
    }
}

/// The record of a run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(super) key: String,
    pub(super) end: End,
    pub(super) took: Duration,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// The client's requests, oldest first.
    pub(super) exchanges: Vec<Exchange>,
    pub(super) verdict: Verdict,
    pub(super) faults: Vec<FaultState>,
    /// Those that are there at the end.
    pub(super) files: Vec<KeptFile>,
    /// Requests that were open long after the command had ended.
    pub(super) left_open: u64,
}

impl Place<'_> {
    /// Runs the command under a key of its own; `name` tells the runs of a sweep apart.
    pub(super) async fn run(
        &self,
        name: &str,
        faults: &[Value],
        script: Option<&str>,
        limit: Duration,
    ) -> Result<Run, SweepError> {
        let ids = match self.seed {
            Some(seed) => Ids::seeded(seed, &[b"sweep", name.as_bytes()]),
            None => Ids::random(),
        };
        let key = format!("sk-ant-sweep-{}{}", ids.next_hex16(), ids.next_hex16());
        let client = Client {
            url: self.url,
            key: &key,
            token: self.token,
        };
        if !faults.is_empty() {
            let list = json!(faults).to_string();
            let added = client.post("/_sandtable/faults", list).await;
            added.map_err(|error| SweepError::Faults(Box::new(error)))?;
        }
        if let Some(script) = script {
            client.put("/_sandtable/scripts", script.to_owned()).await?;
        }
        let folder = private::temp_dir("sandtable-sweep-").map_err(SweepError::Folder)?;
        let mut command = (self.prepare)(&key).map_err(SweepError::Command)?;
        for (variable, name) in [("TMPDIR", "tmp"), ("SANDTABLE_SWEEP_DIR", "out")] {
            let path = folder.path().join(name);
            private::create_dir_all(&path).map_err(SweepError::Folder)?;
            command.env(variable, path);
        }
        let finished = process::run(command, limit)
            .await
            .map_err(SweepError::Command)?;
        // One that ended by itself has heard its answers, or sent its last word before.
        let looks = match finished.end {
            End::Exited(0) => 1,
            End::Exited(_) | End::Signal(_) | End::Limit => QUIET_LOOKS,
        };
        let left_open = settle(client, looks).await?;
        let seen = look(client).await;
        // Its sandboxes end now and not with the sweep.
        client.post("/_sandtable/reset", String::new()).await?;
        let (exchanges, verdict, faults, files) = seen?;
        Ok(Run {
            key,
            end: finished.end,
            took: finished.took,
            stdout: finished.stdout,
            stderr: finished.stderr,
            exchanges,
            verdict,
            faults,
            files,
            left_open,
        })
    }
}

/// Waits until the server has ended what a client that is gone has left open, so that its late work is seen; how much
/// of it is open all the same.
async fn settle(client: Client<'_>, looks: u32) -> Result<u64, SweepError> {
    let begun = Instant::now();
    let mut quiet = 0;
    loop {
        let path = "/_sandtable/journal?after=0&limit=1&bodies=false";
        let growth: JournalGrowth = client.get(path).await?;
        quiet = if growth.open_requests == 0 {
            quiet + 1
        } else {
            0
        };
        if quiet >= looks {
            return Ok(0);
        }
        if begun.elapsed() >= SETTLE {
            return Ok(growth.open_requests);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The server's record of a client, by calls that meet no fault and are no requests of the client's.
async fn look(
    client: Client<'_>,
) -> Result<(Vec<Exchange>, Verdict, Vec<FaultState>, Vec<KeptFile>), SweepError> {
    let mut exchanges = Vec::new();
    let mut after = 0;
    loop {
        let path = format!("/_sandtable/journal?after={after}&limit=1000");
        let growth: JournalGrowth = client.get(&path).await?;
        if growth.data.is_empty() {
            break;
        }
        after = growth.next_after;
        exchanges.extend(growth.data);
    }
    exchanges.retain(|exchange| exchange.batch.is_none() && exchange.path.starts_with("/v1/"));
    let verdict = client.get("/_sandtable/verify?lints=off").await?;
    let faults: List<FaultState> = client.get("/_sandtable/faults").await?;
    let files: List<KeptFile> = client.get("/_sandtable/files").await?;
    Ok((exchanges, verdict, faults.data, files.data))
}
