//! What clients call the ids of a recording, and which recorded id each of those names stands for.
//!
//! Equal requests may begin several recorded conversations. Which of them a client is in shows by what it asks later:
//! until then a name may stand for an id of any of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::idents;
use crate::tape::{Asked, Entry, Tape};
use common::ids::Ids;

/// How many requests are looked for to find out which conversation a client is in.
const MOST_TRIES: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Names {
    /// The name that a recorded id was last given, to whomever it was given.
    last: HashMap<String, String>,
    /// Recorded ids that went out as they are.
    original: HashSet<String>,
    /// The recorded id behind a name that was given, and the group it was given in.
    behind: HashMap<String, (String, usize)>,
    groups: Vec<Group>,
}

/// The names that an answer brought.
#[derive(Debug)]
struct Group {
    /// The exchange it is of.
    at: usize,
    /// Groups that the request names ids of.
    before: BTreeSet<usize>,
    /// With the recorded ids as they were when the answer was given: those here alone, not of another group.
    names: Vec<String>,
    /// Ids that the request names and no answer gave.
    foreign: Vec<String>,
    /// The request, where it may turn out that another exchange is meant.
    asked: Option<Asked>,
}

/// Ids as they go to whom is recorded, and as its answer comes back.
#[derive(Debug, Default)]
pub struct Translation {
    recorded: HashMap<String, String>,
    given: HashMap<String, String>,
}

impl Translation {
    /// Whether the client and the recording have the same names.
    pub fn is_empty(&self) -> bool {
        self.recorded.is_empty() && self.given.is_empty()
    }

    /// The recorded id that a client's name stands for.
    pub fn recorded(&self, name: &str) -> Option<String> {
        self.recorded.get(name).cloned()
    }

    /// The client's name for a recorded id.
    pub fn given(&self, id: &str) -> Option<String> {
        self.given.get(id).cloned()
    }
}

/// Which exchange took the place of which.
pub(super) type Moved = Vec<(usize, usize)>;

impl Names {
    /// The recorded id that a name stands for.
    pub(super) fn recorded(&self, name: &str) -> Option<String> {
        self.behind.get(name).map(|(recorded, _)| recorded.clone())
    }

    /// The groups of names in a request, and those of the conversation before it, oldest first.
    fn conversation<'a>(&self, said: impl Iterator<Item = &'a str>) -> BTreeSet<usize> {
        let mut open: Vec<usize> = said
            .filter_map(|name| Some(self.behind.get(name)?.1))
            .collect();
        let mut groups = BTreeSet::new();
        while let Some(group) = open.pop() {
            if groups.insert(group) {
                open.extend(self.groups[group].before.iter().copied());
            }
        }
        groups
    }

    /// What the client that said all this calls recorded ids.
    fn known(&self, groups: &BTreeSet<usize>, said: &[&str]) -> HashMap<String, String> {
        let mut known = HashMap::new();
        for group in groups {
            let Group { names, foreign, .. } = &self.groups[*group];
            let foreign = foreign.iter().map(|id| (id.clone(), id.clone()));
            known.extend(foreign);
            let names = names.iter();
            known.extend(names.filter_map(|name| Some((self.recorded(name)?, name.clone()))));
        }
        known.extend(said.iter().map(|name| {
            let recorded = self.recorded(name);
            (
                recorded.unwrap_or_else(|| (*name).to_owned()),
                (*name).to_owned(),
            )
        }));
        known
    }

    /// For a request that is passed on.
    pub(super) fn translation(&self, asked: &Asked) -> Translation {
        let said: Vec<&str> = idents::find(&asked.text).collect();
        let groups = self.conversation(said.iter().copied());
        let known = self.known(&groups, &said);
        let other = |(recorded, name): &(String, String)| recorded != name;
        let given: HashMap<String, String> = known.into_iter().filter(other).collect();
        let recorded = said
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.recorded(name)?)))
            .filter(|(name, recorded)| name != recorded);
        Translation {
            recorded: recorded.collect(),
            given,
        }
    }

    /// The names that the ids of an answer have for the client that asked; `found` are all recorded answers to the
    /// request.
    pub(super) fn of_answer(
        &mut self,
        tape: &Tape,
        (at, entry): (usize, &Entry),
        (asked, found): (&Asked, &[usize]),
        ids: &Ids,
    ) -> HashMap<String, String> {
        let said: Vec<&str> = idents::find(&asked.text).collect();
        let before = self.conversation(said.iter().copied());
        let known = self.known(&before, &said);
        let mut names = HashMap::new();
        let mut new = Vec::new();
        for id in &entry.ids {
            if let Some(name) = known.get(id) {
                names.insert(id.clone(), name.clone());
                continue;
            }
            let elsewhere = tape.born.get(id).is_some_and(|born| *born != at);
            let name = if self.original.insert(id.clone()) {
                id.clone()
            } else if elsewhere && !idents::is_one_way(id) {
                self.last.get(id).unwrap_or(id).clone()
            } else {
                idents::fresh(id, ids)
            };
            if !idents::is_one_way(id) {
                self.last.insert(id.clone(), name.clone());
                new.push((id.clone(), name.clone()));
            }
            names.insert(id.clone(), name);
        }
        if new.is_empty() {
            return names;
        }
        let foreign = said.iter().filter(|name| !self.behind.contains_key(**name));
        let foreign = foreign.map(|name| (*name).to_owned()).collect();
        let is_open = before
            .iter()
            .any(|group| self.groups[*group].asked.is_some())
            || found.iter().any(|other| {
                let mut ids = new.iter().map(|(id, _)| id.as_str());
                *other != at
                    && ids.any(|id| counterpart(tape, at, id, *other).is_some_and(|its| its != id))
            });
        let group = self.groups.len();
        self.groups.push(Group {
            at,
            before,
            names: new.iter().map(|(_, name)| name.clone()).collect(),
            foreign,
            asked: is_open.then(|| asked.clone()),
        });
        for (recorded, name) in new {
            self.behind.insert(name, (recorded, group));
        }
        names
    }

    /// The recorded answers to a request that none answers as its names stand: if the client is in another of the
    /// conversations that began like the one it was thought to be in, its names stand for that one's ids from now on.
    pub(super) fn meant_otherwise(
        &mut self,
        tape: &Tape,
        asked: &Asked,
    ) -> Option<(Vec<usize>, Moved)> {
        let groups = self.conversation(idents::find(&asked.text));
        let open = groups.iter().copied();
        let open: Vec<usize> = open
            .filter(|group| self.groups[*group].asked.is_some())
            .collect();
        if open.is_empty() {
            return None;
        }
        let mut search = Search {
            tape,
            names: self,
            asked,
            tries: 0,
            chosen: BTreeMap::new(),
        };
        let found = search.of(&open)?;
        let chosen = search.chosen;
        let mut moved = Moved::new();
        for (group, at) in chosen {
            self.move_to(tape, group, at, &mut moved);
        }
        self.move_followers(tape, &groups, &mut moved);
        Some((found, moved))
    }

    /// Has the names of a group stand for the ids of another exchange.
    fn move_to(&mut self, tape: &Tape, group: usize, at: usize, moved: &mut Moved) {
        let before = std::mem::replace(&mut self.groups[group].at, at);
        if before == at {
            return;
        }
        moved.push((before, at));
        for name in self.groups[group].names.clone() {
            let Some((recorded, of)) = self.behind.get_mut(&name) else {
                continue;
            };
            let Some(other) = counterpart(tape, before, recorded, at) else {
                continue;
            };
            if *of == group {
                let old = std::mem::replace(recorded, other.to_owned());
                if self.last.get(&old) == Some(&name) {
                    self.last.remove(&old);
                }
                self.last.insert(other.to_owned(), name);
            }
        }
    }

    /// Moves what came of the conversation and is not named in the request that has decided.
    fn move_followers(&mut self, tape: &Tape, decided: &BTreeSet<usize>, moved: &mut Moved) {
        let mut changed = decided.clone();
        for group in 0..self.groups.len() {
            let Group {
                before, asked, at, ..
            } = &self.groups[group];
            let Some(asked) = asked
                .as_ref()
                .filter(|_| !decided.contains(&group) && !before.is_disjoint(&changed))
            else {
                continue;
            };
            let found = tape.with(asked, |name| self.recorded(name));
            if let Some(first) = found.first().copied().filter(|_| !found.contains(at)) {
                self.move_to(tape, group, first, moved);
            }
            changed.insert(group);
        }
    }
}

/// Tries the recorded answers that may be meant.
struct Search<'a> {
    tape: &'a Tape,
    names: &'a Names,
    asked: &'a Asked,
    tries: usize,
    chosen: BTreeMap<usize, usize>,
}

impl Search<'_> {
    /// The answers to the request under the first choice for these groups that leads to some.
    fn of(&mut self, open: &[usize]) -> Option<Vec<usize>> {
        let Some((group, rest)) = open.split_first() else {
            return Some(self.find(self.asked)).filter(|found| !found.is_empty());
        };
        let Group { at, asked, .. } = &self.names.groups[*group];
        let found = self.find(asked.as_ref()?);
        // What was given stays if it can.
        let given = found.contains(at).then_some(*at);
        let others = found.iter().copied().filter(|other| other != at);
        for at in given.into_iter().chain(others) {
            self.chosen.insert(*group, at);
            if let Some(found) = self.of(rest) {
                return Some(found);
            }
        }
        self.chosen.remove(group);
        None
    }

    fn find(&mut self, asked: &Asked) -> Vec<usize> {
        self.tries += 1;
        if self.tries > MOST_TRIES {
            return Vec::new();
        }
        self.tape.with(asked, |name| self.recorded(name))
    }

    fn recorded(&self, name: &str) -> Option<String> {
        let (recorded, group) = self.names.behind.get(name)?;
        let at = self.names.groups[*group].at;
        let other = self.chosen.get(group);
        let other = other.and_then(|other| counterpart(self.tape, at, recorded, *other));
        Some(other.unwrap_or(recorded).to_owned())
    }
}

/// The id that has in one answer the place that `id` has in another: the third container, the first file.
fn counterpart<'a>(tape: &'a Tape, at: usize, id: &str, other: usize) -> Option<&'a str> {
    let of_kind = |at: usize| {
        let ids = tape.entries[at].ids.iter().map(String::as_str);
        ids.filter(|it| idents::prefix(it) == idents::prefix(id))
    };
    let place = of_kind(at).position(|it| it == id)?;
    of_kind(other).nth(place)
}
