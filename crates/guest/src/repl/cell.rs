//! One cell: what it calls, what it is answered, and the time it has.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use guest_proto::{CodeAnswer, CodeCall, MAX_ARGS_DEPTH, Outcome, Settings};
use serde_json::Value;

use crate::environment::Places;
use crate::exec::{make_places, write_cell};

/// A cell that waits for its turn.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) asker: u64,
    pub(crate) tag: String,
    pub(crate) code: Vec<u8>,
    pub(crate) places: Places,
    pub(crate) timeout: Duration,
    pub(crate) tools: Vec<String>,
}

/// Why a cell does not begin, or cannot go on.
#[derive(Debug)]
pub(super) enum CellError {
    /// The operation that failed, and its error.
    Io(&'static str, io::Error),
    /// The defect in the code that was sent.
    Code(&'static str),
    /// A tool that is none of the cell's.
    NotGiven(String),
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Code(what) => f.write_str(what),
            Self::NotGiven(name) => write!(f, "it called `{name:.80}`, which it was not given"),
        }
    }
}

impl Error for CellError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Code(_) | Self::NotGiven(_) => None,
        }
    }
}

impl Job {
    /// Where the cell's file lies.
    pub(super) fn path(&self, settings: &Settings) -> std::path::PathBuf {
        Path::new(&settings.tmp_root)
            .join(&self.tag)
            .join("cell.py")
    }

    /// Puts its file and directories in place.
    pub(super) fn prepare(&self, settings: &Settings) -> Result<(), CellError> {
        if std::str::from_utf8(&self.code).is_err() {
            return Err(CellError::Code("the code is not UTF-8"));
        }
        make_places(settings, &self.places).map_err(|(what, error)| CellError::Io(what, error))?;
        write_cell(Path::new(&settings.tmp_root), &self.tag, &self.code)
            .map(drop)
            .map_err(|error| CellError::Io("writing the cell", error))
    }
}

/// The cell that is under way.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) tag: String,
    pub(super) places: Places,
    /// The call that waits for its next stop.
    pub(super) asker: Option<u64>,
    /// Whether a host was told where it stands, and may come back for it.
    pub(super) is_known: bool,
    pub(super) ending: Option<Outcome>,
    pub(super) remark: Option<String>,
    pub(super) state_lost: bool,
    tools: Vec<String>,
    calls: Vec<(CodeCall, Progress)>,
    /// Whether the interpreter has nothing to do but to wait.
    is_idle: bool,
    clock: Clock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    Answered,
}

/// Its time: it does not pass while the cell stands still.
#[derive(Debug)]
enum Clock {
    Runs { until: Instant },
    Stands { left: Duration },
}

/// Where a cell is.
pub(super) enum Stop {
    Running,
    /// It waits for these.
    Here(Vec<CodeCall>),
}

impl Cell {
    pub(super) fn new(job: Job, state_lost: bool) -> Self {
        Self {
            tag: job.tag,
            places: job.places,
            asker: Some(job.asker),
            is_known: false,
            ending: None,
            remark: None,
            state_lost,
            tools: job.tools,
            calls: Vec::new(),
            is_idle: false,
            clock: Clock::Runs {
                until: Instant::now()
                    .checked_add(job.timeout)
                    .unwrap_or_else(|| Instant::now() + Duration::from_hours(24)),
            },
        }
    }

    /// The calls without an answer.
    pub(super) fn open_calls(&self) -> Vec<CodeCall> {
        self.calls
            .iter()
            .filter(|(_, progress)| *progress == Progress::Open)
            .map(|(call, _)| call.clone())
            .collect()
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.clock, Clock::Stands { .. })
    }

    pub(super) fn stop(&self) -> Stop {
        if self.is_waiting() {
            Stop::Here(self.open_calls())
        } else {
            Stop::Running
        }
    }

    /// The interpreter is idle and has made these calls. What it says is user code's word.
    pub(super) fn take_calls(
        &mut self,
        calls: Vec<CodeCall>,
        settings: &Settings,
    ) -> Result<(), CellError> {
        for call in calls {
            if call.n != self.calls.len() as u64 {
                return Err(CellError::Code("its calls are not in order"));
            }
            if !self.tools.contains(&call.name) {
                return Err(CellError::NotGiven(call.name));
            }
            if !is_shallow_object(&call.args) {
                return Err(CellError::Code(
                    "the arguments of a call are no JSON object, or too deep",
                ));
            }
            self.calls.push((call, Progress::Open));
        }
        let open = self.open_calls();
        let bytes: usize = open.iter().map(|call| call.args.len()).sum();
        if open.len() as u64 > settings.max_code_calls {
            return Err(CellError::Code("it made too many calls at once"));
        }
        if bytes as u64 > settings.max_code_args_bytes {
            return Err(CellError::Code("it made calls that are too long"));
        }
        self.is_idle = true;
        self.look_at_the_clock();
        Ok(())
    }

    /// The answers that are new, with their texts; `None` if the texts are not theirs. From here on
    /// the cell runs again.
    pub(super) fn take_answers<'t>(
        &mut self,
        answers: &[CodeAnswer],
        mut texts: &'t [u8],
    ) -> Option<Vec<(CodeAnswer, &'t str)>> {
        let mut fresh = Vec::new();
        for answer in answers {
            let bytes = usize::try_from(answer.bytes).ok()?;
            let (text, rest) = texts.split_at_checked(bytes)?;
            texts = rest;
            let text = std::str::from_utf8(text).ok()?;
            let open = self
                .calls
                .iter_mut()
                .find(|(call, progress)| call.n == answer.n && *progress == Progress::Open);
            if let Some((call, progress)) = open {
                *progress = Progress::Answered;
                // No longer needed; a cell may make very many calls.
                call.args = String::new();
                fresh.push((answer.clone(), text));
            }
        }
        if !fresh.is_empty() {
            self.is_idle = false;
            self.look_at_the_clock();
        }
        Some(fresh)
    }

    fn look_at_the_clock(&mut self) {
        let stands = self.is_idle
            && self
                .calls
                .iter()
                .any(|(_, progress)| *progress == Progress::Open);
        let now = Instant::now();
        self.clock = match (&self.clock, stands) {
            (Clock::Runs { until }, true) => Clock::Stands {
                left: until.saturating_duration_since(now),
            },
            (Clock::Stands { left }, false) => Clock::Runs { until: now + *left },
            _ => return,
        };
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.clock {
            Clock::Runs { until } if self.ending.is_none() => Some(until),
            Clock::Runs { .. } | Clock::Stands { .. } => None,
        }
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|until| until <= now)
    }
}

/// Whether a text is a JSON object that still fits into a request when it comes back with the history.
fn is_shallow_object(text: &str) -> bool {
    fn fits(value: &Value, levels: usize) -> bool {
        match value {
            Value::Array(items) => levels > 0 && items.iter().all(|it| fits(it, levels - 1)),
            Value::Object(members) => levels > 0 && members.values().all(|it| fits(it, levels - 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }
    serde_json::from_str(text)
        .is_ok_and(|value: Value| value.is_object() && fits(&value, MAX_ARGS_DEPTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(tools: &[&str]) -> Cell {
        let settings = Settings::default();
        let tag = "0123456789abcdef";
        let job = Job {
            asker: 1,
            tag: "srvtoolu_1".to_owned(),
            code: Vec::new(),
            places: Places::new(&settings, tag, tag).unwrap(),
            timeout: Duration::from_secs(90),
            tools: tools.iter().map(ToString::to_string).collect(),
        };
        Cell::new(job, false)
    }

    fn call(n: u64, name: &str, args: &str) -> CodeCall {
        CodeCall {
            n,
            name: name.to_owned(),
            args: args.to_owned(),
        }
    }

    fn answer(n: u64, bytes: u64) -> CodeAnswer {
        CodeAnswer {
            n,
            bytes,
            timed_out: false,
        }
    }

    #[test]
    fn an_interpreter_that_does_not_keep_to_its_words_is_refused() {
        let settings = Settings {
            max_code_calls: 2,
            max_code_args_bytes: 8,
            ..Settings::default()
        };
        let wrong = |calls: Vec<CodeCall>| {
            cell(&["f"])
                .take_calls(calls, &settings)
                .unwrap_err()
                .to_string()
        };
        assert!(wrong(vec![call(1, "f", "{}")]).contains("not in order"));
        assert!(wrong(vec![call(0, "g", "{}")]).contains("`g`"));
        assert!(wrong(vec![call(0, "f", "{\"a\":123}")]).contains("too long"));
        let three = (0..3).map(|n| call(n, "f", "{}")).collect();
        assert!(wrong(three).contains("too many"));
    }

    #[test]
    fn arguments_are_as_deep_as_a_history_has_room_for() {
        let nested =
            |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        for (args, fits) in [
            (nested(1), true),
            (nested(MAX_ARGS_DEPTH), true),
            (nested(MAX_ARGS_DEPTH + 1), false),
            (nested(100_000), false),
            ("[]".to_owned(), false),
        ] {
            let taken = cell(&["f"]).take_calls(vec![call(0, "f", &args)], &Settings::default());
            assert_eq!(taken.is_ok(), fits, "{} bytes", args.len());
        }
    }

    #[test]
    fn time_stands_still_while_a_call_is_open_and_an_answer_counts_once() {
        let mut cell = cell(&["f"]);
        assert!(cell.deadline().is_some());
        let calls = vec![call(0, "f", "{}"), call(1, "f", "{}")];
        cell.take_calls(calls, &Settings::default()).unwrap();
        assert!(cell.is_waiting() && cell.deadline().is_none());
        assert!(cell.take_answers(&[answer(0, 9)], b"short").is_none());
        let fresh = cell.take_answers(&[answer(0, 2), answer(7, 0)], b"ok");
        assert_eq!(fresh.unwrap(), [(answer(0, 2), "ok")]);
        assert!(!cell.is_waiting() && cell.deadline().is_some());
        assert_eq!(cell.take_answers(&[answer(0, 2)], b"ok").unwrap(), []);
        // The code goes on as far as it can without the other one.
        cell.take_calls(Vec::new(), &Settings::default()).unwrap();
        assert!(cell.is_waiting());
        assert_eq!(cell.open_calls(), [call(1, "f", "{}")]);
    }
}
