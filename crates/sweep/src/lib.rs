//! The sweep: a client's command runs once without faults, then once for each fault that can meet each of its requests.
//!
//! `baseline` says what the client asks, `catalogue` what can go wrong with it, `run` lets it happen, `outcome` says
//! what became of it, and `report` tells people and machines. Nothing here knows how the server works inside.

mod baseline;
mod catalogue;
mod client;
mod effects;
mod fuzz;
pub mod generate;
mod outcome;
mod plan;
mod process;
mod raw;
mod report;
mod run;
mod secrets;
mod shell;
mod shrink;
mod table;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
pub use plan::Budget;
pub use report::{Report, SARIF_DRIVER};
pub use run::Place;
pub use shell::quoted;
pub use shrink::shrink;

use baseline::Baseline;
use catalogue::{Cell, Setting};
use report::{CellReport, Smallest};
use run::Run;

use ::client::ClientError;
use common::hinted::Hinted;

/// Runs without faults before anything is broken: two, so that what differs by itself is known.
const BASELINES: usize = 2;

/// Options of a sweep.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Runs at a time.
    pub jobs: usize,
    pub budget: Option<Budget>,
    pub seed: u64,
    pub pairs: bool,
    /// So many conversations that nobody wrote.
    pub fuzz: u64,
    /// Of one run; ten times what the baseline took, and at least ten seconds, if `None`.
    pub limit: Option<Duration>,
    /// Ids of cells; all if empty.
    pub only: Vec<String>,
    /// Answers come from recordings: what is done by the emulator cannot be broken.
    pub is_replay: bool,
    /// Calls run in sandboxes.
    pub runs_code: bool,
    /// The command, for the report.
    pub command: Vec<String>,
    /// The same command line with everything but what chooses cells and reports, for the line that repeats a cell.
    pub repeat: String,
}

impl Options {
    /// The command line that plays one cell alone.
    fn alone(&self, id: &str) -> String {
        let only = format!("--only {}", quoted(id));
        self.repeat.replacen("--only {}", &only, 1)
    }
}

/// Why there is no sweep.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error("{path}: {source}")]
    Server { path: String, source: ClientError },
    #[error("{path}: {source}")]
    Answer {
        path: String,
        source: serde_json::Error,
    },
    #[error("{path}: the server has not answered within {} s", .limit.as_secs())]
    Slow { path: String, limit: Duration },
    #[error("the command cannot be run: {0}")]
    Command(std::io::Error),
    #[error("a run gets no folder: {0}")]
    Folder(std::io::Error),
    #[error("the command fails without any fault: {how}{tail}")]
    Baseline { how: String, tail: String },
    #[error("the command sends nothing to the server")]
    Silent,
    /// The server does not take them.
    #[error(transparent)]
    Faults(Box<Self>),
    #[error("the command survives these faults: it {0}")]
    Survived(String),
    #[error("there is no cell `{id}`")]
    Unknown { id: String, hint: String },
}

impl Hinted for SweepError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Server { .. }
            | Self::Answer { .. }
            | Self::Slow { .. }
            | Self::Command(_)
            | Self::Folder(_) => return None,
            Self::Baseline { .. } => {
                "a sweep needs a command that succeeds; `sandtable run -- COMMAND` shows why it does not"
            }
            Self::Silent => {
                "its base URL must come from ANTHROPIC_BASE_URL, and its key from ANTHROPIC_API_KEY"
            }
            Self::Faults(_) | Self::Survived(_) => "`sandtable docs faults` has the words",
            Self::Unknown { hint, .. } => hint,
        }))
    }
}

/// How far the sweep is: runs that are over, and all.
pub type Progress<'a> = &'a (dyn Fn(usize, usize, &str) + Sync);

/// Runs all of it. `stop` is ready when no more is to be started and what runs is to be ended.
pub async fn sweep(
    place: &Place<'_>,
    options: &Options,
    progress: Progress<'_>,
    stop: impl Future<Output = ()>,
) -> Result<Report, SweepError> {
    tokio::pin!(stop);
    let began = Instant::now();
    let baseline = tokio::select! {
        baseline = first_runs(place, options, progress) => baseline?,
        () = &mut stop => return Ok(Report::interrupted(options)),
    };
    let setting = Setting {
        is_replay: options.is_replay,
        runs_code: options.runs_code,
    };
    let all = catalogue::cells(&baseline.requests, setting);
    let cells = plan::choose(&all, options)?;
    let left_out = if options.only.is_empty() {
        all.len() - cells.len()
    } else {
        0
    };
    let mut report = Report::new(options, &baseline, left_out);
    let limit = options.limit.unwrap_or_else(|| baseline.limit());
    let mut round = Round {
        place,
        options,
        baseline: &baseline,
        limit,
        ends: plan::deadline(plan::share(options), began),
    };
    let whole = round.play(cells, &mut report, progress, &mut stop).await?;
    // What was asked for by name is all that is played; recordings answer nothing that nobody wrote.
    let named = !options.only.is_empty();
    if whole && !named && !options.is_replay && options.fuzz > 0 {
        let cases = fuzz::cells(options.seed, options.fuzz);
        round.play(cases, &mut report, progress, &mut stop).await?;
        round.shrink(&mut report, progress, &mut stop).await?;
    }
    if !report.interrupted && !named && options.pairs {
        round.ends = plan::deadline(options.budget, began);
        let pairs = plan::pairs(&all, &report.good_ids(), options, report.cells.len());
        round.play(pairs, &mut report, progress, &mut stop).await?;
    }
    report.close(began.elapsed());
    Ok(report)
}

/// Runs the command as often as it takes to know it.
async fn first_runs(
    place: &Place<'_>,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Baseline, SweepError> {
    // A short limit is meant for what hangs.
    let limit = options.limit.unwrap_or_default().max(run::BASELINE_LIMIT);
    let mut runs = Vec::new();
    for at in 0..BASELINES {
        progress(at, BASELINES, "without faults");
        runs.push(
            place
                .run(&format!("baseline-{at}"), &[], None, limit)
                .await?,
        );
    }
    Baseline::new(runs)
}

/// Cells that are played under the same conditions.
struct Round<'a> {
    place: &'a Place<'a>,
    options: &'a Options,
    baseline: &'a Baseline,
    limit: Duration,
    ends: Option<Instant>,
}

impl Round<'_> {
    /// Plays cells, several at a time, and adds them to the report. Whether all of them were.
    async fn play(
        &mut self,
        cells: Vec<Cell>,
        report: &mut Report,
        progress: Progress<'_>,
        stop: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<bool, SweepError> {
        let total = cells.len();
        let order: Vec<String> = cells.iter().map(|cell| cell.id.clone()).collect();
        let ends = self.ends;
        let in_time = move |_: &Cell| ends.is_none_or(|ends| Instant::now() < ends);
        let runs = futures_util::stream::iter(cells.into_iter().take_while(in_time))
            .map(|cell| self.one(cell))
            .buffer_unordered(self.options.jobs.max(1));
        tokio::pin!(runs);
        let mut done = 0;
        progress(done, total, "");
        loop {
            tokio::select! {
                () = &mut *stop => {
                    report.interrupted = true;
                    break;
                }
                next = runs.next() => {
                    let Some(next) = next else { break };
                    let (cell, seen) = next?;
                    done += 1;
                    progress(done, total, &cell.id);
                    report.cells.push(CellReport::of(&cell, &seen, self.baseline, self.options));
                }
            }
        }
        // In the catalogue's order, not as they ended.
        let begin = report.cells.len() - done;
        report.cells[begin..].sort_by_key(|cell| order.iter().position(|id| *id == cell.id));
        report.left_out += total - done;
        Ok(done == total)
    }

    /// Of each way in which the client fails at conversations, one is made as small as can be.
    async fn shrink(
        &self,
        report: &mut Report,
        progress: Progress<'_>,
        stop: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<(), SweepError> {
        let mut seen = HashSet::new();
        for at in 0..report.cells.len() {
            let cell = &report.cells[at];
            let late = self.ends.is_some_and(|ends| Instant::now() >= ends);
            let is_fuzz = cell.group == catalogue::Group::Fuzz;
            if report.interrupted || late || !is_fuzz || !cell.bad || !seen.insert(cell.outcome) {
                continue;
            }
            let (id, outcome) = (cell.id.clone(), cell.outcome);
            let tried = AtomicUsize::new(0);
            let fails = async |cell: Cell| {
                let says = format!("a smaller conversation than {id}");
                progress(tried.fetch_add(1, Ordering::Relaxed), 0, &says);
                let (cell, run) = self.one(cell).await?;
                let findings = fuzz::judge(&run, &cell.id, self.baseline);
                Ok(findings
                    .iter()
                    .any(|found| found.bad && found.outcome == outcome))
            };
            tokio::select! {
                found = fuzz::smallest(&id, self.options.jobs, |cell| fails(cell)) => {
                    if let Some((cell, runs)) = found? {
                        let line = self.options.alone(&cell.id);
                        report.cells[at].smallest = Some(Smallest { runs, repeat: line });
                    }
                }
                () = &mut *stop => report.interrupted = true,
            }
        }
        Ok(())
    }

    async fn one(&self, cell: Cell) -> Result<(Cell, Run), SweepError> {
        let limit = self.limit + cell.expect.extra;
        let script = cell.script.as_deref();
        let seen = self
            .place
            .run(&cell.id, &cell.faults, script, limit)
            .await?;
        Ok((cell, seen))
    }
}

/// Those of `old` that were bad, so that only new ones count.
pub(crate) fn known_bad(old: &Report) -> HashSet<(String, outcome::Outcome)> {
    let bad = old.cells.iter().filter(|cell| cell.bad);
    bad.map(|cell| (cell.id.clone(), cell.outcome)).collect()
}
