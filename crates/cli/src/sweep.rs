//! `sandtable sweep`: every fault at every request of a command, and what became of it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::CommandFactory as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::args::{Cli, ServeArgs, ShrinkArgs, SweepArgs, SweepCommand, SweepHow};
use super::coverage::CoverageError;
use super::output::{self, Form};
use super::remote::Remote;
use super::signals::Came;
use super::{
    BAD, FAILURE, USAGE, child, coverage, ended, eprint, fail, print_as_it_is, signals,
    start_for_a_command,
};
use common::clock::Clock;
use common::document::{self, Diagnostic, Node, Position};
use common::hinted::Mistake;
use common::limits;
use server::config::{BackendChoice, Config};
use sweep::{self, Options, Place, Report, SweepError};

/// Flags that choose cells or reports, or are secret: a line that repeats one cell has them not.
const NOT_REPEATED: &[&str] = &[
    "--only",
    "--fuzz",
    "--budget",
    "--baseline",
    "--html",
    "--junit",
    "--json",
    "--sarif",
    "--coverage",
    "--control-token",
    "--port",
];

/// Plays the sweep, prints the table, and writes the reports that were asked for.
pub(super) async fn run(args: SweepArgs) -> ExitCode {
    if let Some(SweepCommand::Shrink(args)) = args.shrink {
        return Box::pin(shrink(*args)).await;
    }
    let files = [
        (args.json.as_deref(), Form::Json),
        (args.junit.as_deref(), Form::Junit),
        (args.html.as_deref(), Form::Html),
        (args.sarif.as_deref(), Form::Sarif),
    ];
    if let Err(error) = coverage::check(args.coverage.as_deref(), &files) {
        return fail(USAGE, &error);
    }
    let old = match args.baseline.as_deref().map(earlier).transpose() {
        Ok(old) => old,
        Err(error) => return fail(USAGE, &error),
    };
    let words: Vec<String> = args
        .command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let options = Options {
        jobs: jobs(&args.how),
        budget: args.budget,
        seed: args.serve.seed.unwrap_or_default(),
        pairs: args.pairs,
        fuzz: args.fuzz,
        runs_code: args.serve.ground.backend.0 != BackendChoice::None,
        limit: args.how.limit,
        only: args.only,
        is_replay: !args.serve.cassettes.is_empty(),
        repeat: repeat(std::env::args().collect(), |name| std::env::var(name).ok()),
        command: words,
    };
    let fresh = args.how.fresh_sandboxes;
    let played = with_server(args.serve, fresh, &args.command, async |place, stop| {
        let bar = Bar::new();
        let report = sweep::sweep(
            place,
            &options,
            &|done, of, what| bar.show(done, of, what),
            stop,
        )
        .await;
        bar.0.finish_and_clear();
        report
    })
    .await;
    let Played {
        of: mut report,
        came,
        verdict,
    } = match played {
        Ok(played) => played,
        Err(code) => return code,
    };
    if let Some(old) = old {
        report.compare(&old);
    }
    let printed = print_as_it_is(&report.to_text(io::stdout().is_terminal()));
    if let Err(error) = met(verdict.as_ref(), args.coverage.as_deref()) {
        return fail(FAILURE, &error);
    }
    let texts: [fn(&Report) -> String; 4] = [
        Report::to_json,
        Report::to_junit,
        Report::to_html,
        Report::to_sarif,
    ];
    for ((path, form), text) in files.into_iter().zip(texts) {
        if let Some(path) = path
            && let Err(error) = output::write(path, form, &text(&report))
        {
            return fail(FAILURE, &error);
        }
    }
    let code = match came {
        Some(came) => came.exit_code(),
        None if report.ok => 0,
        None => BAD,
    };
    ended(printed, code)
}

/// Says what of the service all runs together have never met, and keeps it where it is wanted.
fn met(verdict: Option<&Value>, path: Option<&Path>) -> Result<(), CoverageError> {
    let told = match (verdict, path) {
        (Some(verdict), Some(path)) => Some(coverage::keep(path, verdict)?),
        (Some(verdict), None) => coverage::of_verdict(verdict),
        (None, _) => None,
    };
    if let Some(told) = told.filter(|told| told.met > 0) {
        eprint(&coverage::summary(&told));
    }
    Ok(())
}

/// Finds the smallest list of faults that still fails, and prints it.
async fn shrink(mut args: ShrinkArgs) -> ExitCode {
    let paths = std::mem::take(&mut args.serve.faults);
    let faults = match faults(&paths) {
        Ok(faults) => faults,
        Err(error) => return fail(USAGE, &error),
    };
    if faults.is_empty() {
        let none = Mistake::new("there are no faults to make fewer");
        return fail(USAGE, &none.with_hint("add `--faults FILE`"));
    }
    let options = Options {
        jobs: jobs(&args.how),
        limit: args.how.limit,
        ..Options::default()
    };
    let fresh = args.how.fresh_sandboxes;
    let shrunk = with_server(args.serve, fresh, &args.command, async |place, stop| {
        tokio::select! {
            shrunk = sweep::shrink(place, &options, faults) => shrunk.map(Some),
            () = stop => Ok(None),
        }
    })
    .await;
    match shrunk {
        Ok(Played {
            of: Some(shrunk), ..
        }) => {
            eprint(&format!(
                "{} after {} runs: {}\n",
                shrunk.how, shrunk.runs, shrunk.says
            ));
            let text = format!("{:#}\n", Value::from(shrunk.faults));
            ended(print_as_it_is(&text), 0)
        }
        Ok(Played { of: None, came, .. }) => ExitCode::from(came.map_or(FAILURE, Came::exit_code)),
        Err(code) => code,
    }
}

/// The outcome of runs on a server.
struct Played<T> {
    of: T,
    /// The signal that ended them.
    came: Option<Came>,
    /// On all of them, with their coverage.
    verdict: Option<Value>,
}

/// A server, runs on it until they are over or a signal comes, and its end.
async fn with_server<T>(
    mut serve: ServeArgs,
    fresh_sandboxes: bool,
    command: &[OsString],
    play: impl AsyncFnOnce(
        &Place<'_>,
        std::pin::Pin<&mut (dyn Future<Output = ()> + Send)>,
    ) -> Result<T, SweepError>,
) -> Result<Played<T>, ExitCode> {
    serve.port.get_or_insert(0);
    let token = serve.control_token.clone();
    let config = serve.into_config().map_err(|error| fail(USAGE, &error))?;
    let seed = config.seed;
    let config = Config {
        // Waits cost nothing then.
        frozen_at: config.frozen_at.or_else(|| Some(Clock::default().now())),
        reuse_calls: !fresh_sandboxes,
        note_digests: true,
        ..config
    };
    let (server, mut signals) = start_for_a_command(config).await?;
    let url = server.url().to_owned();
    let prepare = |key: &str| child::command(command, &url, Some(key), token.as_deref());
    let place = Place {
        url: &url,
        token: token.as_deref(),
        seed,
        prepare: &prepare,
    };
    let came = OnceLock::new();
    let stop = async {
        came.set(signals.next().await).ok();
    };
    let played = {
        let mut stop = std::pin::pin!(stop);
        play(&place, stop.as_mut()).await
    };
    let remote = Remote {
        url: &url,
        key: None,
        token: token.as_deref(),
    };
    // Beside the report: without it there is still one.
    let verdict = remote.get("verify?workspace=*&coverage=1").await.ok();
    signals::stop(server).await;
    let came = came.get().copied();
    match played {
        Ok(of) => Ok(Played { of, came, verdict }),
        Err(SweepError::Command(error)) => {
            let (code, wrong) = child::not_run(command, &error);
            Err(fail(code, &wrong))
        }
        Err(error) => {
            let code = match error {
                SweepError::Baseline { .. } | SweepError::Silent => BAD,
                SweepError::Unknown { .. } | SweepError::Faults(_) | SweepError::Survived(_) => {
                    USAGE
                }
                SweepError::Server { .. }
                | SweepError::Answer { .. }
                | SweepError::Slow { .. }
                | SweepError::Folder(_)
                | SweepError::Command(_) => FAILURE,
            };
            Err(fail(code, &error))
        }
    }
}

/// Runs at a time for each core where nobody said how many: clients wait for their own retries and time-outs.
const JOBS_PER_CORE: usize = 2;

fn jobs(how: &SweepHow) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    how.jobs
        .and_then(|jobs| usize::try_from(jobs).ok())
        .unwrap_or(JOBS_PER_CORE * cores)
}

/// A report of before.
fn earlier(path: &Path) -> Result<Report, Mistake> {
    let text = common::input::read_text(path, limits::MAX_INPUT_FILE_BYTES);
    let text = text.map_err(|error| {
        Mistake::caused(path.display(), error).with_hint("`--json FILE` writes one")
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Mistake::caused(path.display(), error)
            .with_hint("`--baseline` takes what `sandtable sweep --json FILE` has written")
    })
}

/// The faults of files, as they are written.
fn faults(paths: &[std::path::PathBuf]) -> Result<Vec<Value>, Diagnostic> {
    let hint = "`--faults` takes a YAML or JSON list of faults";
    let mut all = Vec::new();
    for path in paths {
        let file = path.display().to_string();
        let text = common::input::read_text(path, limits::MAX_INPUT_FILE_BYTES);
        let text = text.map_err(|error| Diagnostic {
            file: file.clone(),
            at: Position::default(),
            message: error.to_string(),
            hint: Some(hint.to_owned()),
        })?;
        let tree = document::read(&text, &file).map_err(|mut wrong| {
            wrong.hint.get_or_insert_with(|| hint.to_owned());
            wrong
        })?;
        let items = tree.as_ref().map_or(&[][..], Node::items);
        all.extend(items.iter().map(Node::to_json));
    }
    Ok(all)
}

/// This command line with one cell, `{}`, in place of what chose cells, behind the flags that came by variables.
fn repeat(words: Vec<String>, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut line = "sandtable sweep --only {}".to_owned();
    let mut typed = HashSet::new();
    let mut words = words.into_iter().skip(1).peekable();
    let mut skipping = false;
    let mut behind = false;
    let mut begun = false;
    for word in words.by_ref() {
        if !begun && word == "sweep" {
            begun = true;
            continue;
        }
        if !behind {
            behind = word == "--";
            let name = word.split('=').next().unwrap_or_default();
            let left_out = NOT_REPEATED.contains(&name);
            if std::mem::take(&mut skipping) && !behind {
                continue;
            }
            if left_out {
                skipping = !word.contains('=');
                continue;
            }
            if word == "--pairs" {
                continue;
            }
            typed.insert(name.to_owned());
        }
        line.push(' ');
        line.push_str(&sweep::quoted(&word));
    }
    format!("{}{line}", by_variables(&typed, variable))
}

/// The variables that set flags which are not typed, as a shell sets them for one command.
fn by_variables(typed: &HashSet<String>, variable: impl Fn(&str) -> Option<String>) -> String {
    let command = Cli::command();
    let flags = command.find_subcommand("sweep");
    let flags = flags.into_iter().flat_map(clap::Command::get_arguments);
    let mut set = String::new();
    for flag in flags {
        let (Some(name), Some(long)) = (flag.get_env(), flag.get_long()) else {
            continue;
        };
        let (name, long) = (name.to_string_lossy(), format!("--{long}"));
        let is_repeated = !NOT_REPEATED.contains(&&*long) && !flag.is_hide_env_values_set();
        if is_repeated
            && !typed.contains(&long)
            && let Some(value) = variable(&name)
        {
            write!(set, "{name}={} ", sweep::quoted(&value)).expect("a String takes every write");
        }
    }
    set
}

/// Runs that are over, and how long the others may take; on a terminal alone.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style =
            ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed}, {eta} left  {wide_msg}");
        bar.set_style(style.expect("the template is well-formed"));
        Self(bar)
    }

    fn show(&self, done: usize, of: usize, what: &str) {
        self.0.set_length(of as u64);
        self.0.set_position(done as u64);
        self.0.set_message(what.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_repeats_a_cell_keeps_what_the_server_needs() {
        let words = "/bin/sandtable sweep --script a.yaml --json out.json --budget=50 --pairs --seed 7 -- python -c".split(' ');
        let mut words: Vec<String> = words.map(str::to_owned).collect();
        words.push("print('--json x')".to_owned());
        let line = "sandtable sweep --only {} --script a.yaml --seed 7 -- python -c 'print('\\''--json x'\\'')'";
        assert_eq!(repeat(words.clone(), |_| None), line);
        let variable = |name: &str| {
            let set = [
                ("SANDTABLE_SCRIPT", "b.yaml"),
                ("SANDTABLE_COVERAGE", "c.json"),
                ("SANDTABLE_CONTROL_TOKEN", "secret"),
                ("SANDTABLE_QUIRK", "a=1,b=2 3"),
            ];
            let found = set.into_iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        };
        // What is typed wins.
        assert_eq!(
            repeat(words, variable),
            format!("SANDTABLE_QUIRK='a=1,b=2 3' {line}")
        );
    }
}
