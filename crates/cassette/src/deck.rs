//! A mounted deck of cassettes: a tape to answer from, a file to record into, or both.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use control_api::UnusedRecording;

use super::redact::{self, PatternError};
use super::{
    About, CassetteError, Exchange, Indexing, Player, Redactor, Tape, Upstream, Writer, load_all,
};
use common::hinted::Hinted;

/// A word that means nothing here: the text says which do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WordError(&'static str);

/// When requests are recorded: the words of other recorders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Never: what was not recorded is refused.
    #[default]
    None,
    /// If there is no cassette yet.
    Once,
    /// Requests that the cassette does not have.
    New,
    /// All of it, in place of what was there.
    All,
}

impl FromStr for Mode {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        match text {
            "none" => Ok(Self::None),
            "once" => Ok(Self::Once),
            "new" => Ok(Self::New),
            "all" => Ok(Self::All),
            _ => Err(WordError("one of `none`, `once`, `new`, and `all`")),
        }
    }
}

/// How long an answer takes that is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Pace {
    /// No longer than it must.
    #[default]
    AtOnce,
    /// As recorded, times this factor.
    Scaled(f64),
}

impl FromStr for Pace {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        match text {
            "none" => Ok(Self::AtOnce),
            "recorded" => Ok(Self::Scaled(1.0)),
            factor => match factor.parse::<f64>() {
                Ok(factor) if factor > 0.0 && factor <= 1000.0 => Ok(Self::Scaled(factor)),
                _ => Err(WordError(
                    "`none`, `recorded`, or a factor such as `0.5` (up to 1000)",
                )),
            },
        }
    }
}

/// Options of a mount.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Files and folders to answer from. To record there is one, a file.
    pub paths: Vec<PathBuf>,
    pub mode: Mode,
    /// Whom to ask for what is recorded.
    pub upstream: Option<Upstream>,
    pub pace: Pace,
    /// JSON paths that do not count when requests are compared, beside those of the cassettes.
    pub ignore: Vec<String>,
    /// Regular expressions of what is kept out.
    pub redact: Vec<String>,
    /// The very texts that are kept out; never written anywhere.
    pub secrets: Vec<String>,
    /// RFC 3339, for the cassette's head.
    pub now: Option<String>,
}

/// Why nothing was mounted.
#[derive(Debug, thiserror::Error)]
pub enum DeckError {
    #[error(transparent)]
    Cassette(#[from] CassetteError),
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error("{0}")]
    Plan(String, &'static str),
}

impl Hinted for DeckError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Cassette(error) => error.hint(),
            Self::Pattern(error) => error.hint(),
            Self::Plan(_, hint) => Some((*hint).into()),
        }
    }
}

/// Mounted cassettes. Shared by the workspaces that answer from them.
#[derive(Debug)]
pub struct Deck {
    tape: Arc<Tape>,
    pub pace: Pace,
    recorder: Option<Recorder>,
    /// Whether what is not on the tape is refused.
    pub closed: bool,
    redactor: Redactor,
}

/// Where new exchanges go.
#[derive(Debug)]
pub struct Recorder {
    pub upstream: Upstream,
    writer: Mutex<Writer>,
    /// The orders that were handed out, and since when.
    begun: Mutex<u64>,
    started: Instant,
    /// Whom the service says it serves: ids that later requests hold too.
    learned: Mutex<Vec<String>>,
    /// Exchanges that are not in the cassette as a whole, and why the last of them.
    lost: Mutex<(usize, Option<String>)>,
}

/// The result of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub path: PathBuf,
    /// In the file.
    pub exchanges: usize,
    /// Not in the file, or not as a whole.
    pub missing: usize,
    /// Why.
    pub reason: Option<String>,
}

impl Deck {
    /// Reads what is there and begins what is to be recorded.
    pub fn mount(plan: &Plan) -> Result<Self, DeckError> {
        let (deck, records) = Self::read(plan, Indexing::Kept)?;
        let recorder = records
            .map(|path| Recorder::begin(plan, path))
            .transpose()?;
        Ok(Self {
            closed: recorder.is_none(),
            recorder,
            ..deck
        })
    }

    /// Checks a plan as [`Self::mount`] does, without a file made or changed; returns the number of exchanges
    /// to answer from, and the file to record into.
    pub fn examine(plan: &Plan) -> Result<(usize, Option<PathBuf>), DeckError> {
        let (deck, records) = Self::read(plan, Indexing::Used)?;
        if let Some(path) = records {
            upstream_of(plan)?;
            if !(plan.mode == Mode::New && path.exists()) {
                Writer::may_create(path)?;
            }
        }
        Ok((deck.tape.len(), records.map(Path::to_owned)))
    }

    /// Reads the cassettes that are there; returns the file to record into as well.
    fn read(plan: &Plan, indexing: Indexing) -> Result<(Self, Option<&Path>), DeckError> {
        let (cassettes, records) = match plan.mode {
            Mode::None => (load_all(&plan.paths, indexing)?, None),
            Mode::Once | Mode::New | Mode::All => {
                let path = file(plan)?;
                let mut cassettes = if path.exists() && plan.mode != Mode::All {
                    load_all(&[path], indexing)?
                } else {
                    Vec::new()
                };
                // Without an answer nothing is there.
                let mut all = cassettes.iter().flat_map(|cassette| &cassette.exchanges);
                let there = all.any(Exchange::is_answered);
                if plan.mode == Mode::New || !there {
                    for cassette in &mut cassettes {
                        cassette.exchanges.retain(Exchange::is_answered);
                    }
                }
                (
                    cassettes,
                    (plan.mode != Mode::Once || !there).then_some(path),
                )
            }
        };
        let tape = Tape::ignoring(cassettes, &plan.ignore)?;
        let redactor = Redactor::default()
            .with_patterns(plan.redact.iter().chain(&tape.redact))?
            .with_known(plan.secrets.iter().map(String::as_str));
        let deck = Self {
            tape: Arc::new(tape),
            pace: plan.pace,
            closed: true,
            recorder: None,
            redactor,
        };
        Ok((deck, records))
    }

    /// Answers from cassettes that are no files.
    pub fn of(tape: Tape, pace: Pace) -> Result<Self, DeckError> {
        let redactor = Redactor::default().with_patterns(&tape.redact)?;
        Ok(Self {
            tape: Arc::new(tape),
            pace,
            recorder: None,
            closed: true,
            redactor,
        })
    }

    /// The tape to answer from.
    pub fn tape(&self) -> &Arc<Tape> {
        &self.tape
    }

    /// Where new exchanges go, if they go anywhere.
    pub fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// Keeps secrets out, those of one request too.
    pub fn redactor<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Redactor {
        self.redactor.clone().with_known(secrets)
    }
}

fn file(plan: &Plan) -> Result<&Path, DeckError> {
    match plan.paths.as_slice() {
        [path] if !path.is_dir() => Ok(path),
        [path] => Err(DeckError::Plan(
            format!("{} is a folder", path.display()),
            "name the file to record into, such as DIR/run.yaml",
        )),
        _ => Err(DeckError::Plan(
            "a recording goes into one cassette".to_owned(),
            "give one file",
        )),
    }
}

/// Whom to record from.
fn upstream_of(plan: &Plan) -> Result<Upstream, DeckError> {
    plan.upstream.clone().ok_or_else(|| {
        DeckError::Plan(
            "nobody is named to record from".to_owned(),
            "`--upstream https://api.anthropic.com`, or any other server's URL",
        )
    })
}

impl Recorder {
    fn begin(plan: &Plan, path: &Path) -> Result<Self, DeckError> {
        let upstream = upstream_of(plan)?;
        let about = About {
            recorded_at: plan.now.clone(),
            upstream: Some(upstream.url().to_owned()),
            ignore: plan.ignore.clone(),
            redact: plan.redact.clone(),
            ..About::default()
        };
        let writer = if plan.mode == Mode::New {
            Writer::open(path, &about)?
        } else {
            Writer::create(path, &about)?
        };
        Ok(Self {
            upstream,
            begun: Mutex::new(writer.next_order()),
            writer: Mutex::new(writer),
            started: Instant::now(),
            learned: Mutex::default(),
            lost: Mutex::default(),
        })
    }

    fn path(&self) -> PathBuf {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.path().to_owned()
    }

    /// A request begins: its place in the cassette, and how long the recording runs, in milliseconds.
    pub fn begin_exchange(&self) -> (u64, u64) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        *begun += 1;
        let since = self.started.elapsed().as_millis();
        (*begun - 1, u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// Keeps out, beside what `redactor` does, what the headers of this exchange tell and those of earlier answers told.
    pub fn redactor(&self, redactor: Redactor, exchange: &Exchange) -> Redactor {
        let pairs = |headers: &[(String, String)]| {
            redact::told(headers.iter().map(|(name, value)| (&**name, &**value)))
        };
        let sent = exchange.request.as_ref().map(|sent| pairs(&sent.headers));
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        for id in pairs(&exchange.response.headers) {
            if !learned.contains(&id) {
                learned.push(id);
            }
        }
        let all = sent.iter().flatten().chain(learned.iter());
        redactor.with_known(all.map(String::as_str))
    }

    /// Writes an exchange that has no secrets any more.
    pub fn put(&self, order: u64, exchange: &Exchange) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = writer.waiting();
        if let Err(error) = writer.put(order, exchange) {
            if writer.waiting() > waiting {
                tracing::error!(%error, "an exchange is not in the cassette yet");
            } else {
                self.lose(&error.to_string());
            }
        }
    }

    /// An exchange cannot be kept, or not as a whole.
    pub fn lose(&self, reason: &str) {
        tracing::error!(
            reason,
            "an exchange is not in the cassette, or not as a whole"
        );
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        *lost = (lost.0 + 1, Some(reason.to_owned()));
    }

    /// Writes what could not be written before, and says what came of it all.
    pub fn written(&self) -> Written {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let error = writer.flush().err();
        let (lost, why) = &*self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let unanswered = (writer.waiting() > 0).then(|| "the service answered nothing".to_owned());
        Written {
            path: writer.path().to_owned(),
            exchanges: writer.len(),
            missing: writer.waiting() + lost,
            reason: error
                .map(|error| error.to_string())
                .or_else(|| why.clone())
                .or(unanswered),
        }
    }
}

/// The mounts of a workspace: its own, or else the server's.
#[derive(Debug, Default)]
pub struct Mounts {
    /// With what was given from it.
    base: Option<(Arc<Deck>, Arc<Player>)>,
    own: RwLock<Option<(Arc<Deck>, Arc<Player>)>>,
    /// Recordings that were not given from cassettes of its own that were taken out.
    left: Mutex<Vec<UnusedRecording>>,
    /// It has had cassettes of its own since the last reset.
    had: AtomicBool,
}

/// Exchanges that were not given.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Of the workspace's own cassettes.
    pub own: Vec<UnusedRecording>,
    /// Of the server's.
    pub shared: Vec<UnusedRecording>,
}

impl Mounts {
    /// Over what the server has mounted.
    pub fn over(base: Option<Arc<Deck>>) -> Self {
        Self {
            base: base.map(with_player),
            ..Self::default()
        }
    }

    /// The deck and the player that answer, if anything is mounted.
    pub fn get(&self) -> Option<(Arc<Deck>, Arc<Player>)> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        own.as_ref().or(self.base.as_ref()).cloned()
    }

    /// Whether cassettes answer, or have answered since the last reset.
    pub fn have_answered(&self) -> bool {
        self.base.is_some() || self.had.load(Ordering::Relaxed)
    }

    /// Mounts cassettes of the workspace's own, or takes them out.
    pub fn set(&self, deck: Option<Deck>) -> Option<Arc<Deck>> {
        self.had.fetch_or(deck.is_some(), Ordering::Relaxed);
        let new = deck.map(|deck| with_player(Arc::new(deck)));
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        let (deck, player) = std::mem::replace(&mut *own, new)?;
        self.left().extend(player.unused());
        Some(deck)
    }

    /// Whether its own cassettes are recorded where this plan has its file.
    pub fn records_into(&self, plan: &Plan) -> bool {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        let recorder = own.as_ref().and_then(|(deck, _)| deck.recorder());
        recorder.is_some_and(|recorder| plan.paths.contains(&recorder.path()))
    }

    /// Recordings that nobody has asked for since the last reset.
    pub fn unused(&self) -> Leftovers {
        let mut own = self.left().clone();
        if let Some((_, player)) = &*self.own.read().unwrap_or_else(PoisonError::into_inner) {
            own.extend(player.unused());
        }
        let base = self.base.as_ref();
        Leftovers {
            own,
            shared: base.map_or_else(Vec::new, |(_, player)| player.unused()),
        }
    }

    fn left(&self) -> MutexGuard<'_, Vec<UnusedRecording>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets its own, and what was given from the server's.
    pub fn reset(&self) {
        self.set(None);
        self.left().clear();
        self.had.store(false, Ordering::Relaxed);
        if let Some((_, player)) = &self.base {
            player.reset();
        }
    }
}

fn with_player(deck: Arc<Deck>) -> (Arc<Deck>, Arc<Player>) {
    let player = Arc::new(Player::new(Arc::clone(deck.tape())));
    (deck, player)
}
