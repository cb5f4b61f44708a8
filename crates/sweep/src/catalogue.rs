//! The catalogue of faults that a request can meet, a row for each kind: what it needs, how it is aimed, and what a
//! careful client can do about it.

mod http;
mod stream;
mod tool;
mod turn;

use std::time::Duration;

use serde_json::Value;

use super::baseline::Request;

/// A row of the catalogue.
pub(super) struct Row {
    /// Stays the same, such as `http-529`.
    pub(super) id: &'static str,
    pub(super) group: Group,
    /// A description of the fault, as the end of "meets …".
    pub(super) says: &'static str,
    /// Whether the request can meet it.
    pub(super) fits: fn(&Request) -> bool,
    /// The fault, aimed at the request; the number is where in the answer.
    pub(super) fault: fn(&Request, u64) -> Value,
    pub(super) places: Places,
    pub(super) expect: fn(&Request, u64) -> Expect,
}

/// Columns of the table.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Refused before anything was done.
    Http,
    /// Done, and the answer lost.
    Lost,
    /// Broken in the middle.
    Stream,
    /// Travels otherwise, and says the same.
    Wire,
    /// A call of the model's.
    Tool,
    /// Another answer of the model or the service.
    Turn,
    /// A conversation that nobody wrote.
    Fuzz,
}

impl Group {
    /// The columns of the table.
    pub const ALL: [Self; 6] = [
        Self::Http,
        Self::Lost,
        Self::Stream,
        Self::Wire,
        Self::Tool,
        Self::Turn,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Lost => "lost",
            Self::Stream => "stream",
            Self::Wire => "wire",
            Self::Tool => "tool",
            Self::Turn => "turn",
            Self::Fuzz => "fuzz",
        }
    }
}

/// Where in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    Once,
    /// At its first event, one in the middle, and its last.
    Events,
    /// In the middle alone.
    Middle,
    /// After each block where the answer could pause.
    Blocks,
}

/// The behavior that can be expected of a careful client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expect {
    /// The client sees something at all.
    pub(crate) notices: bool,
    /// Giving up with a message is all that can be asked.
    pub(crate) may_give_up: bool,
    pub less: Less,
    /// How long the client was told to wait.
    pub wait: Option<Duration>,
    /// The time that the fault itself may take beyond a run's limit: it does something real.
    pub extra: Duration,
    /// Lints that nobody could avoid.
    pub(crate) forgives: &'static [&'static str],
}

/// How much a run may come to less than without the fault, although it ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Less {
    Nothing,
    /// The model was told of it, and what it makes of that is its own; files must be there.
    Result,
    /// The loss is for good; the client must say so.
    ForGood,
}

const RECOVER: Expect = Expect {
    notices: true,
    may_give_up: false,
    less: Less::Nothing,
    wait: None,
    extra: Duration::ZERO,
    forgives: &[],
};
const GIVE_UP: Expect = Expect {
    may_give_up: true,
    ..RECOVER
};
const NOTHING: Expect = Expect {
    notices: false,
    ..RECOVER
};

impl Expect {
    /// Of two faults in one run.
    fn both(self, other: Self) -> Self {
        Self {
            notices: self.notices || other.notices,
            may_give_up: self.may_give_up || other.may_give_up,
            less: self.less.max(other.less),
            wait: self.wait.or(other.wait),
            extra: self.extra + other.extra,
            forgives: if self.forgives.is_empty() {
                other.forgives
            } else {
                self.forgives
            },
        }
    }
}

/// Where asking again may do something twice, giving up will do.
fn if_repeatable(request: &Request) -> Expect {
    if request.is_repeatable() {
        RECOVER
    } else {
        GIVE_UP
    }
}

/// A run with faults.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    /// `messages#2/cut@last`; of a pair both, with `+` between.
    pub id: String,
    /// The request's name.
    pub request: String,
    /// The row's id, without the place.
    pub kind: String,
    pub group: Group,
    pub says: String,
    pub faults: Vec<Value>,
    /// Rules in the place of the workspace's.
    pub script: Option<String>,
    pub expect: Expect,
}

impl Cell {
    /// Both faults in one run.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            id: format!("{}+{}", self.id, other.id),
            request: self.request.clone(),
            kind: format!("{}+{}", self.kind, other.kind),
            group: self.group,
            says: format!("{}; {} meets {}", self.says, other.request, other.says),
            faults: [&self.faults[..], &other.faults].concat(),
            script: None,
            expect: self.expect.both(other.expect),
        }
    }
}

/// The capabilities of the server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Setting {
    pub(super) is_replay: bool,
    pub(super) runs_code: bool,
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [http::ROWS, stream::ROWS, turn::ROWS].into_iter().flatten()
}

/// Everything that can be tried, request by request.
pub(super) fn cells(requests: &[Request], setting: Setting) -> Vec<Cell> {
    let mut cells = Vec::new();
    for request in requests {
        for row in rows() {
            let possible = !setting.is_replay || row.group != Group::Turn;
            if possible && (row.fits)(request) {
                cells.extend(row.cells(request));
            }
        }
        if !setting.is_replay {
            cells.extend(tool::cells(request, setting.runs_code));
        }
    }
    cells
}

/// Every kind with what it does, for reports that list rules.
pub(super) fn kinds() -> Vec<(String, String)> {
    let mut kinds: Vec<_> = rows()
        .map(|row| (row.id.to_owned(), row.says.to_owned()))
        .collect();
    kinds.extend(tool::kinds());
    kinds
}

impl Row {
    fn cells(&self, request: &Request) -> Vec<Cell> {
        let last = request.events.saturating_sub(1).max(1);
        let places: Vec<(String, u64)> = match self.places {
            Places::Once => vec![(String::new(), 0)],
            Places::Middle => vec![(String::new(), (request.events / 2).max(1))],
            Places::Events => {
                let mut places = vec![
                    ("@first".to_owned(), 1),
                    ("@mid".to_owned(), (request.events / 2).max(1)),
                    ("@last".to_owned(), last),
                ];
                places.dedup_by_key(|(_, at)| *at);
                places
            }
            Places::Blocks => {
                let places = request.pauses.iter();
                places.map(|at| (format!("@{at}"), *at)).collect()
            }
        };
        let cell = |(suffix, at): (String, u64)| Cell {
            id: format!("{}/{}{suffix}", request.name, self.id),
            request: request.name.clone(),
            kind: self.id.to_owned(),
            group: self.group,
            says: if at > 0 && self.places == Places::Events {
                format!("{} after event {at}", self.says)
            } else {
                self.says.to_owned()
            },
            faults: vec![(self.fault)(request, at)],
            script: None,
            expect: (self.expect)(request, at),
        };
        places.into_iter().map(cell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use workspace::fault;

    const REAL: Setting = Setting {
        is_replay: false,
        runs_code: true,
    };

    fn turn() -> Request {
        Request {
            name: "messages#2".into(),
            method: "POST".into(),
            pattern: "/v1/messages".into(),
            nth: 2,
            nth_stream: 1,
            turn: 2,
            events: 20,
            first_call: Some(5),
            calls: vec![
                ("bash_code_execution".into(), 1),
                ("text_editor_code_execution".into(), 1),
                ("web_search".into(), 1),
            ],
            has_tools: true,
            names_container: true,
            names_file: true,
            pauses: vec![1, 2],
            stop: "end_turn".into(),
            nth_ended: 1,
            nth_stopped: 1,
            nth_container: 1,
            nth_file: 1,
            ..Request::default()
        }
    }

    fn get() -> Request {
        Request {
            name: "get.files.id.content#1".into(),
            method: "GET".into(),
            pattern: "/v1/files/*/content".into(),
            nth: 1,
            nth_file: 1,
            names_file: true,
            ..Request::default()
        }
    }

    #[test]
    fn every_cell_has_an_id_of_its_own_and_faults_that_the_server_takes() {
        let upload = Request {
            name: "files#1".into(),
            method: "POST".into(),
            pattern: "/v1/files".into(),
            nth: 1,
            ..Request::default()
        };
        let plain = Request {
            name: "messages#1".into(),
            events: 0,
            nth: 1,
            nth_stream: 0,
            turn: 1,
            ..turn()
        };
        let cells = cells(&[upload, plain, turn(), get()], REAL);
        let mut ids = HashSet::new();
        for cell in &cells {
            assert!(ids.insert(&cell.id), "{}", cell.id);
            for fault in &cell.faults {
                let parsed = fault::parse(fault);
                assert!(parsed.is_ok(), "{}: {fault}: {:?}", cell.id, parsed.err());
            }
        }
        assert!(cells.len() > 100, "{}", cells.len());
    }

    #[test]
    fn nothing_impossible_is_tried() {
        let ids = |request: &Request, setting| -> Vec<String> {
            let cells = cells(std::slice::from_ref(request), setting);
            cells.into_iter().map(|cell| cell.kind).collect()
        };
        let of_get = ids(&get(), REAL);
        for absent in [
            "http-413",
            "malformed",
            "unavailable",
            "pause_turn",
            "overloaded",
        ] {
            assert!(
                !of_get.iter().any(|kind| kind.starts_with(absent)),
                "{absent}: {of_get:?}"
            );
        }
        assert!(of_get.contains(&"http-404".to_owned()));
        let replayed = ids(
            &turn(),
            Setting {
                is_replay: true,
                runs_code: false,
            },
        );
        assert!(
            replayed.contains(&"cut".to_owned())
                && !replayed.iter().any(|kind| kind.starts_with("tool-"))
        );
        let editor = ids(&turn(), REAL);
        assert!(
            editor.contains(&"tool-editor-string_not_found".to_owned()),
            "{editor:?}"
        );
        assert!(!editor.contains(&"tool-editor-exhaust_memory".to_owned()));
        assert!(!editor.contains(&"tool-web_search-kill_sandbox".to_owned()));
    }

    #[test]
    fn a_turn_that_may_run_code_may_be_given_up_where_asking_again_could_run_it_twice() {
        let cells = cells(&[turn(), get()], REAL);
        let of = |id: &str| cells.iter().find(|cell| cell.id == id).unwrap().expect;
        for id in [
            "cut@last",
            "lost-reset",
            "cut-early",
            "hang",
            "malformed@first",
            "overloaded@last",
        ] {
            assert!(of(&format!("messages#2/{id}")).may_give_up, "{id}");
        }
        // Nothing has run yet, and the service says so.
        assert!(!of("messages#2/overloaded@first").may_give_up);
        assert!(!of("messages#2/http-529").may_give_up);
        assert!(!of("get.files.id.content#1/lost-reset").may_give_up);
        assert!(!of("messages#2/split").notices);
    }
}
