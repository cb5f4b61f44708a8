//! This run's ids in place of the recorded ones.

use std::collections::{HashMap, HashSet};

use cassette::idents;

/// The prefixes of ids that must be of this run: the service knows no others. Ids of calls and messages only have
/// to fit one another.
const LIVING: [&str; 6] = [
    "file",
    "container",
    "msgbatch",
    "skill",
    "skver",
    "skill_version",
];

/// The ids of this run, by the recorded ones.
#[derive(Debug, Default)]
pub(super) struct Names {
    now: HashMap<String, String>,
    /// All that recorded answers have made.
    made: HashSet<String>,
}

fn prefix(id: &str) -> &str {
    id.rsplit_once('_').map_or(id, |(prefix, _)| prefix)
}

impl Names {
    /// Learns from an answer and its recording: ids of one kind are paired in the order in which they first stand.
    pub(super) fn learn(&mut self, asked: &str, recorded: &str, live: &str) {
        self.record(asked, recorded);
        let mut rest: HashMap<&str, Vec<&str>> = HashMap::new();
        let sent = self.renamed(asked);
        for id in fresh(&sent, live) {
            rest.entry(prefix(id)).or_default().push(id);
        }
        let mut at: HashMap<&str, usize> = HashMap::new();
        let mut learned = Vec::new();
        for id in fresh(asked, recorded) {
            let nth = at.entry(prefix(id)).or_insert(0);
            if let Some(new) = rest.get(prefix(id)).and_then(|ids| ids.get(*nth)) {
                learned.push((id.to_owned(), (*new).to_owned()));
            }
            *nth += 1;
        }
        for (old, new) in learned {
            self.now.entry(old).or_insert(new);
        }
    }

    /// Notes the ids that a recorded answer has made, whether they were made again or not.
    pub(super) fn record(&mut self, asked: &str, recorded: &str) {
        self.made.extend(fresh(asked, recorded).map(str::to_owned));
    }

    /// The text with this run's ids.
    pub(super) fn renamed(&self, text: &str) -> String {
        idents::rename(text, |id| self.now.get(id).cloned()).into_owned()
    }

    /// An id in a text that only an earlier answer of this run could have given, and none did.
    pub(super) fn lacking<'t>(&self, text: &'t str) -> Option<&'t str> {
        idents::find(text).find(|id| {
            LIVING.contains(&prefix(id)) && self.made.contains(*id) && !self.now.contains_key(*id)
        })
    }
}

/// The ids of an answer that were not in its request, each once.
fn fresh<'t>(asked: &str, answer: &'t str) -> impl Iterator<Item = &'t str> {
    let mut seen: HashSet<String> = idents::find(asked).map(str::to_owned).collect();
    idents::find(answer).filter(move |id| seen.insert((*id).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "file_011CdeLZvUMYd1CXj9nzwwbU";
    const NEW: &str = "file_011AAAAAAAAAAAAAAAAAAAAA";
    const OTHER: &str = "file_011BBBBBBBBBBBBBBBBBBBBB";

    #[test]
    fn what_an_answer_made_is_called_as_this_run_s_answer_calls_it() {
        let mut names = Names::default();
        assert_eq!(names.lacking(OLD), None, "it is of before the recording");
        names.learn(
            "",
            &format!("{OLD} toolu_011AAAAAAAAAAAAAAAAAAAAA"),
            &format!("{NEW} {NEW}"),
        );
        assert_eq!(
            names.renamed(&format!("/v1/files/{OLD}")),
            format!("/v1/files/{NEW}")
        );
        assert_eq!(names.lacking("toolu_011AAAAAAAAAAAAAAAAAAAAA"), None);
        names.learn("", OTHER, "nothing was made");
        assert_eq!(names.lacking(OTHER), Some(OTHER));
    }

    #[test]
    fn an_answer_s_echo_of_what_was_asked_is_nothing_new() {
        let mut names = Names::default();
        names.learn("", OLD, NEW);
        names.learn(
            OLD,
            &format!("{OLD} {OTHER}"),
            &format!("{NEW} file_011CCCCCCCCCCCCCCCCCCCCC"),
        );
        assert_eq!(names.renamed(OTHER), "file_011CCCCCCCCCCCCCCCCCCCCC");
    }
}
