//! Cassettes made ready to be answered from: every exchange by what was asked.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use serde_json_path::JsonPath;

use super::{Body, Cassette, CassetteError, Exchange, Request, canon, idents};
use common::{bounded, limits, work};

/// All exchanges of the cassettes that are mounted together. Never changes.
#[derive(Debug, Default)]
pub struct Tape {
    pub entries: Vec<Entry>,
    pub ignore: Vec<JsonPath>,
    pub redact: Vec<String>,
    /// By the text of the canonical request, in recorded order.
    by_request: HashMap<Arc<str>, Vec<usize>>,
    /// Those in whose request something was redacted or not kept, with the request's canonical value, files spelled
    /// out.
    wild: Vec<(usize, Value)>,
    /// Whether one of those has files.
    wild_files: bool,
    /// Answers whose request was not recorded.
    pub(crate) loose: Vec<usize>,
    /// The first answer that an id is in, of those whose request it is not in.
    pub(crate) born: HashMap<String, usize>,
}

/// One exchange.
#[derive(Debug)]
pub struct Entry {
    pub exchange: Exchange,
    /// `NAME #3`, for people.
    pub name: String,
    /// [`canon::text`] of its request.
    pub canonical: Option<Arc<str>>,
    /// Ids in the answer.
    pub ids: Vec<String>,
}

impl Tape {
    /// Puts cassettes in order.
    pub fn of(cassettes: Vec<Cassette>) -> Result<Self, CassetteError> {
        Self::ignoring(cassettes, &[])
    }

    /// Puts cassettes in order; what `ignore` names, as JSON paths, counts in none of them.
    pub fn ignoring(cassettes: Vec<Cassette>, ignore: &[String]) -> Result<Self, CassetteError> {
        let mut tape = Self {
            ignore: json_paths("what is to be mounted", ignore)?,
            ..Self::default()
        };
        for cassette in &cassettes {
            tape.ignore
                .extend(json_paths(&cassette.name, &cassette.about.ignore)?);
            tape.redact.extend(cassette.about.redact.iter().cloned());
        }
        let exchanges = cassettes
            .into_iter()
            .flat_map(|cassette| {
                (1..)
                    .zip(cassette.exchanges)
                    .map(move |(number, exchange)| {
                        (format!("{} #{number}", cassette.name), exchange)
                    })
            })
            .collect();
        let found = work::spread(exchanges, |(name, exchange)| {
            Found::of(name, exchange, &tape.ignore)
        });
        for found in found {
            tape.add(found);
        }
        Ok(tape)
    }

    fn add(&mut self, found: Found) {
        let at = self.entries.len();
        let Found { entry, wild, asked } = found;
        if let Some((value, has_files)) = wild {
            self.wild.push((at, value));
            self.wild_files |= has_files;
        }
        match &entry.canonical {
            Some(key) => self.by_request.entry(Arc::clone(key)).or_default().push(at),
            None => self.loose.push(at),
        }
        for id in &entry.ids {
            if !asked.contains(id) {
                self.born.entry(id.clone()).or_insert(at);
            }
        }
        self.entries.push(entry);
    }

    /// How many exchanges there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A request as it is looked for.
    pub(crate) fn asked(&self, request: &Request) -> Asked {
        let spelled = || canon::spelled(request, &self.ignore);
        let (text, is_ordered) = canon::ordered(request, &self.ignore);
        Asked {
            text: text.into(),
            is_ordered,
            spelled: self.wild_files.then(spelled).flatten().map(Arc::from),
        }
    }

    /// The exchanges with this very text of a canonical request, in recorded order.
    pub(crate) fn same(&self, canonical: &str) -> &[usize] {
        self.by_request.get(canonical).map_or(&[], Vec::as_slice)
    }

    /// The exchanges with a request in which ids have other names, in recorded order.
    pub(crate) fn with(&self, asked: &Asked, meant: impl Fn(&str) -> Option<String>) -> Vec<usize> {
        let canonical = canon::renamed(&asked.text, asked.is_ordered, &meant);
        let same = self.same(&canonical);
        if !same.is_empty() || self.wild.is_empty() {
            return same.to_vec();
        }
        let sent = asked.value(meant);
        self.wild
            .iter()
            .filter(|(_, recorded)| canon::fits(recorded, &sent))
            .map(|(at, _)| *at)
            .collect()
    }

    /// The recorded request nearest to one that is not there: its name, and the differences.
    pub(crate) fn nearest(
        &self,
        asked: &Asked,
        meant: impl Fn(&str) -> Option<String>,
    ) -> Option<(&str, Vec<String>)> {
        let short = canon::read(&canon::renamed(&asked.text, asked.is_ordered, &meant));
        let full = asked.value(meant);
        let is_near = |recorded: &Value| {
            recorded["method"] == short["method"]
                && route(&recorded["path"]) == route(&short["path"])
        };
        let mut best: Option<(&Entry, Cow<'_, Value>, &Value, f64)> = None;
        let mut wild = self.wild.iter().peekable();
        for (at, entry) in self.entries.iter().enumerate() {
            // Files of either are spelled out, or of neither.
            let near = if let Some((_, recorded)) = wild.next_if(|(place, _)| *place == at) {
                Some((canon::settled(recorded, &full), &full))
            } else {
                let recorded = entry.canonical.as_deref().map(canon::read);
                recorded.map(|recorded| (Cow::Owned(recorded), &short))
            };
            let Some((recorded, sent)) = near.filter(|(recorded, _)| is_near(recorded)) else {
                continue;
            };
            let likeness = super::miss::likeness(&recorded, sent);
            if best.as_ref().is_none_or(|(.., most)| likeness > *most) {
                best = Some((entry, recorded, sent, likeness));
            }
        }
        best.map(|(entry, recorded, sent, _)| {
            let differences = super::miss::differences(&recorded, sent);
            (entry.name.as_str(), differences)
        })
    }
}

/// A request as it is looked for: the canonical text, with the ids that its client has.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) text: Arc<str>,
    /// Whether the order of something in it follows from ids.
    is_ordered: bool,
    /// With files spelled out, where some recorded file stands for more than itself.
    spelled: Option<Arc<str>>,
}

impl Asked {
    /// The request, spelled out if it has to be, with other names for ids.
    pub(crate) fn value(&self, meant: impl Fn(&str) -> Option<String>) -> Value {
        let text = self.spelled.as_ref().unwrap_or(&self.text);
        canon::read(&canon::renamed(text, self.is_ordered, meant))
    }
}

/// An exchange with all that is worked out of it alone.
struct Found {
    entry: Entry,
    /// The canonical request of one in which something was redacted or not kept, files spelled out, and whether it has
    /// any.
    wild: Option<(Value, bool)>,
    /// Ids in the request.
    asked: Vec<String>,
}

impl Found {
    fn of(name: String, exchange: Exchange, ignore: &[JsonPath]) -> Self {
        let request = exchange.request.as_ref();
        let canonical = request.map(|request| canon::text(request, ignore));
        let wild = request
            .zip(canonical.as_deref())
            .and_then(|(request, text)| {
                let spelled = canon::spelled(request, ignore);
                let full = spelled.as_deref().unwrap_or(text);
                canon::is_wild(request, full).then(|| (canon::read(full), spelled.is_some()))
            });
        let mut asked = Vec::new();
        if let Some(request) = &exchange.request {
            asked.extend(idents::find(&request.path).map(str::to_owned));
            find_ids(&request.body, |id| asked.push(id.to_owned()));
        }
        let mut ids: Vec<String> = Vec::new();
        let mut note = |id: &str| {
            if !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        };
        for (_, value) in &exchange.response.headers {
            idents::find(value).for_each(&mut note);
        }
        find_ids(&exchange.response.body, note);
        let entry = Entry {
            exchange,
            name,
            canonical: canonical.map(Arc::from),
            ids,
        };
        Self { entry, wild, asked }
    }
}

/// Tells of every id in a body; of JSON wherever it lies.
fn find_ids(body: &Body, mut tell: impl FnMut(&str)) {
    match body {
        Body::Text(text) => idents::find(text).for_each(tell),
        Body::Json(json) => idents::find_in(json, &mut |id| tell(id)),
        Body::Blob(blob) => idents::find(&blob.json_text().unwrap_or_default()).for_each(tell),
        Body::Empty | Body::Bytes(_) | Body::Form(_) | Body::Missing(_) => {}
    }
}

fn json_paths(name: &str, paths: &[String]) -> Result<Vec<JsonPath>, CassetteError> {
    let parse = |path: &String| {
        json_path(path).map_err(|error| CassetteError::Format {
            name: name.to_owned(),
            reason: IgnoreError(error).into(),
            hint: "such as `$.metadata` or `$.messages[0].content`",
        })
    };
    paths.iter().map(parse).collect()
}

/// Reads a JSON path, or says why it is none.
pub fn json_path(path: &str) -> Result<JsonPath, JsonPathError> {
    if !bounded::is_json_path(path) {
        let begins: String = path.chars().take(SHOWN_CHARS).collect();
        return Err(JsonPathError::Deep { begins });
    }
    JsonPath::parse(path).map_err(|source| JsonPathError::Other {
        path: path.to_owned(),
        source,
    })
}

/// How much is shown of a path that is too long.
const SHOWN_CHARS: usize = 40;

/// A text that is no JSON path.
#[derive(Debug, thiserror::Error)]
pub enum JsonPathError {
    #[error(
        "`{begins}…` is too long, or its brackets and parentheses are nested deeper than {most}",
        most = limits::JSON_PATH_DEPTH
    )]
    Deep { begins: String },
    #[error("`{path}` is no JSON path: {source}")]
    Other {
        path: String,
        source: serde_json_path::ParseError,
    },
}

/// The same in a cassette's `ignore`.
#[derive(Debug, thiserror::Error)]
#[error("ignore: {0}")]
struct IgnoreError(#[source] JsonPathError);

/// A path without the ids in it.
fn route(path: &Value) -> String {
    let path = path.as_str().unwrap_or_default();
    idents::rename(path, |_| Some("{id}".to_owned())).into_owned()
}
