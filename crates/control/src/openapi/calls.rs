//! Every control call.

use serde_json::Value;

use super::{ActsOn, Call, Content, Kind, Parameter, Shape};
use crate::{
    ClockChange, ClockState, Container, ContainerEnded, ContainerFiles, Event, Exchange,
    FaultState, Fork, Forked, Health, JournalGrowth, JournalPage, KeptFile, Label, Labelled, List,
    Loaded, Mount, Mounted, Quirks, RateLimit, Ready, Reset, Restored, ScriptCheck, ScriptList,
    Timeline, TurnShown, Unmounted, Usage, Verdict, Waited, WorkspaceState,
};

const YAML: &[(&str, Shape)] = &[("application/yaml", Shape::Text)];
/// Rules: a text in YAML, or the same as JSON.
const RULES: Content = Content::text(&["application/yaml"]).or(&[(
    "application/json",
    Shape::Of(|_| {
        schemars::json_schema!({ "anyOf": [{ "type": "array" }, { "type": "object", "required": ["rules"] }] })
    }),
)]);
const FAULTS: Content = Content {
    types: &["application/json"],
    shape: Shape::Of(schemars::SchemaGenerator::subschema_for::<Value>),
    others: &[],
    optional: false,
};
const DOCUMENT: Content = Content {
    types: &["application/json"],
    shape: Shape::Object,
    others: &[],
    optional: false,
};

impl Call {
    const fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        acts_on: ActsOn,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            acts_on,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, kind: Kind, about: &'static str) -> Self {
        self.parameters.push(Parameter { name, about, kind });
        self
    }

    fn takes(mut self, body: Content) -> Self {
        self.body = Some(body);
        self
    }

    fn says(mut self, status: u16, about: &'static str, content: Content) -> Self {
        self.answers.push((status, about, Some(content)));
        self
    }

    fn done(mut self, about: &'static str) -> Self {
        self.answers.push((204, about, None));
        self
    }
}

/// All of them, by path.
pub fn calls() -> Vec<Call> {
    [
        server(),
        clock(),
        scripts(),
        containers(),
        files(),
        rules(),
        journal(),
        page(),
        state(),
    ]
    .concat()
}

fn server() -> Vec<Call> {
    use ActsOn::{Any, One, Server};
    vec![
        Call::new("get", "/_sandtable/health", "health", Server, "Says that the server runs.")
            .says(200, "it does", Content::json::<Health>()),
        Call::new("get", "/_sandtable/ready", "ready", Server, "Says whether what the server is for can be had at once.")
            .says(200, "it can", Content::json::<Ready>())
            .says(503, "it cannot", Content::json::<Ready>()),
        Call::new("get", "/_sandtable/openapi.json", "openapi", Server, "This description.")
            .says(200, "the description", DOCUMENT),
        Call::new("get", "/_sandtable/metrics", "metrics", Server, "Counts of the whole server, as Prometheus reads them.")
            .says(200, "the metrics", Content::text(&["text/plain"])),
        Call::new("get", "/_sandtable/workspaces", "workspaces", Server, "Lists the workspaces.")
            .says(200, "by name", Content::json::<List<WorkspaceState>>()),
        Call::new("put", "/_sandtable/label", "label", One, "Says whom the key was handed to; a reset leaves it.")
            .takes(Content::json::<Label>())
            .says(200, "the label", Content::json::<Labelled>()),
        Call::new("get", "/_sandtable/events", "events", Any, "Tells everything as it happens, as server-sent events.")
            .says(200, "a stream; each `data` is an event", Content {
                types: &["text/event-stream"],
                ..Content::json::<Event>()
            }),
        Call::new("get", "/_sandtable/wait", "wait", One, "Waits until something is so. Exactly one of `requests`, `event`, and `container` with `state`.")
            .with("requests", Kind::Number(1, None), "until the journal holds so many")
            .with("path", Kind::Text, "of requests: what the path starts with")
            .with("method", Kind::Text, "of requests")
            .with("status", Kind::Text, "of requests: `404`, or `4xx`")
            .with("event", Kind::OneOf(&Event::KINDS), "until such an event comes")
            .with("count", Kind::Number(1, None), "so many of them; 1 without it")
            .with("container", Kind::Text, "until this container")
            .with("state", Kind::OneOf(&["awake", "asleep", "expired"]), "is in this state")
            .with("timeout", Kind::Text, "how long at most, in real time; `30s` without it, and `5m` at most")
            .says(200, "it is so, or the time is over", Content::json::<Waited>()),
    ]
}

fn clock() -> Vec<Call> {
    use ActsOn::{Any, One};
    vec![
        Call::new(
            "get",
            "/_sandtable/clock",
            "clock",
            One,
            "Says the workspace's time.",
        )
        .says(200, "the time", Content::json::<ClockState>()),
        Call::new(
            "post",
            "/_sandtable/clock",
            "change_clock",
            Any,
            "Moves, stops, or starts the clock; forward only.",
        )
        .takes(Content::json::<ClockChange>())
        .says(
            200,
            "the time after it",
            Content::json::<Option<ClockState>>(),
        ),
    ]
}

fn scripts() -> Vec<Call> {
    use ActsOn::{Any, One};
    const PATH: &str = "/_sandtable/scripts";
    const NAME: &str = "the file that the text is of, for messages; `request body` without it";
    vec![
        Call::new(
            "get",
            PATH,
            "scripts",
            One,
            "Lists all rules in the order they are tried, with how often each was used.",
        )
        .says(200, "the rules", Content::json::<ScriptList>()),
        Call::new(
            "put",
            PATH,
            "replace_scripts",
            Any,
            "Replaces the workspace's own rules.",
        )
        .with("name", Kind::Text, NAME)
        .with(
            "source",
            Kind::Number(1, None),
            "only this one of `sources`; the rules of the others stay, with their counts",
        )
        .takes(RULES)
        .says(200, "how many there are", Content::json::<Option<Loaded>>()),
        Call::new(
            "post",
            PATH,
            "add_scripts",
            Any,
            "Adds rules after the workspace's own.",
        )
        .with("name", Kind::Text, NAME)
        .takes(RULES)
        .says(200, "how many there are", Content::json::<Option<Loaded>>()),
        Call::new(
            "delete",
            PATH,
            "clear_scripts",
            Any,
            "Forgets the workspace's own rules.",
        )
        .done("they are forgotten"),
        Call::new(
            "post",
            "/_sandtable/scripts/check",
            "check_scripts",
            One,
            "Checks rules and loads nothing.",
        )
        .with("name", Kind::Text, NAME)
        .takes(RULES)
        .says(
            200,
            "what is to be said of them",
            Content::json::<ScriptCheck>(),
        ),
    ]
}

fn containers() -> Vec<Call> {
    use ActsOn::{Any, One};
    let wake = "wakes a container that sleeps, which then sleeps again";
    vec![
        Call::new(
            "get",
            "/_sandtable/containers",
            "containers",
            Any,
            "Lists containers, newest first.",
        )
        .says(200, "the containers", Content::json::<List<Container>>()),
        Call::new(
            "post",
            "/_sandtable/containers/{id}/expire",
            "expire_container",
            One,
            "Ends a container now, as if its 30 days were over.",
        )
        .with("id", Kind::Text, "`container_…`")
        .says(200, "it is over", Content::json::<ContainerEnded>()),
        Call::new(
            "post",
            "/_sandtable/containers/{id}/sleep",
            "sleep_container",
            One,
            "Ends its processes; its files stay, and the next use starts it again.",
        )
        .with("id", Kind::Text, "`container_…`")
        .says(
            200,
            "it sleeps, or is over",
            Content::json::<ContainerEnded>(),
        ),
        Call::new(
            "get",
            "/_sandtable/containers/{id}/files",
            "container_files",
            One,
            "Lists the files below `/files`, `/home/user`, and `/tmp`, by path.",
        )
        .with("id", Kind::Text, "`container_…`")
        .with("under", Kind::Text, "only what is below this path")
        .with(
            "limit",
            Kind::Number(1, Some(10_000)),
            "how many at most; 1000 without it",
        )
        .with("wake", Kind::Flag, wake)
        .says(200, "the files", Content::json::<ContainerFiles>()),
        Call::new(
            "get",
            "/_sandtable/containers/{id}/files/{path}",
            "container_file",
            One,
            "The bytes of a file. The path may have slashes.",
        )
        .with("id", Kind::Text, "`container_…`")
        .with("path", Kind::Text, "as in `href` of the list")
        .with("wake", Kind::Flag, wake)
        .says(
            200,
            "the bytes",
            Content {
                types: &["*/*"],
                shape: Shape::Bytes,
                others: &[],
                optional: false,
            },
        ),
    ]
}

fn files() -> Vec<Call> {
    vec![
        Call::new(
            "get",
            "/_sandtable/files",
            "files",
            ActsOn::One,
            "Lists the files of the Files API, oldest first, and is no request of the client's.",
        )
        .says(200, "the files", Content::json::<List<KeptFile>>()),
    ]
}

/// The inspector's calls beside the others; tools do better with those, for these change with the page.
fn page() -> Vec<Call> {
    use ActsOn::One;
    vec![
        Call::new(
            "get",
            "/_sandtable/page/timeline",
            "page_timeline",
            One,
            "For the inspector, with which it changes: the journal, a row for each request.",
        )
        .with(
            "after",
            Kind::Number(0, None),
            "rows with a higher number, oldest first",
        )
        .with(
            "before",
            Kind::Number(0, None),
            "rows with a lower number, newest first; the newest without either",
        )
        .with("limit", Kind::Number(1, Some(1000)), "how many at most")
        .says(200, "the rows", Content::json::<Timeline>()),
        Call::new(
            "get",
            "/_sandtable/page/turns/{id}",
            "page_turn",
            One,
            "For the inspector, with which it changes: a request with all that is known of it.",
        )
        .with("id", Kind::Text, "the request id")
        .says(200, "the request", Content::json::<TurnShown>()),
        Call::new(
            "get",
            "/_sandtable/page/files/{id}",
            "page_file",
            One,
            "For the inspector, with which it changes: the bytes of a file of the Files API.",
        )
        .with("id", Kind::Text, "`file_…`")
        .says(
            200,
            "the bytes",
            Content {
                types: &["application/octet-stream"],
                shape: Shape::Bytes,
                others: &[],
                optional: false,
            },
        ),
    ]
}

fn rules() -> Vec<Call> {
    use ActsOn::{Any, One};
    let mut calls = vec![
        Call::new(
            "get",
            "/_sandtable/faults",
            "faults",
            One,
            "Lists faults with their counts, in the order they are asked.",
        )
        .says(200, "the faults", Content::json::<List<FaultState>>()),
        Call::new(
            "post",
            "/_sandtable/faults",
            "add_faults",
            Any,
            "Adds a fault, or a list of them.",
        )
        .takes(FAULTS)
        .says(200, "what was added", Content::json::<List<FaultState>>()),
        Call::new(
            "delete",
            "/_sandtable/faults",
            "clear_faults",
            Any,
            "Forgets the workspace's own faults.",
        )
        .done("they are forgotten"),
        Call::new(
            "get",
            "/_sandtable/quirks",
            "quirks",
            One,
            "Says every row as it holds for the workspace.",
        )
        .says(200, "the rows", Content::json::<Quirks>()),
        Call::new(
            "put",
            "/_sandtable/quirks",
            "replace_quirks",
            Any,
            "Sets rows, and perhaps the profile; what is not named is as the server has it.",
        )
        .takes(DOCUMENT)
        .says(200, "the rows", Content::json::<Option<Quirks>>()),
        Call::new(
            "delete",
            "/_sandtable/quirks",
            "clear_quirks",
            Any,
            "Goes back to what the server has.",
        )
        .done("it has"),
        Call::new(
            "get",
            "/_sandtable/rate-limits",
            "rate_limits",
            One,
            "Says the limits in force.",
        )
        .says(200, "the limits", Content::json::<List<RateLimit>>()),
        Call::new(
            "put",
            "/_sandtable/rate-limits",
            "replace_rate_limits",
            Any,
            "Puts others in their place.",
        )
        .takes(Content::json::<Vec<RateLimit>>())
        .says(200, "the limits", Content::json::<List<RateLimit>>()),
        Call::new(
            "delete",
            "/_sandtable/rate-limits",
            "clear_rate_limits",
            Any,
            "Goes back to what the server has.",
        )
        .says(
            200,
            "for how many workspaces",
            Content::json::<crate::ClearedRates>(),
        ),
        Call::new(
            "get",
            "/_sandtable/usage",
            "usage",
            One,
            "Says what a month's turns would have cost.",
        )
        .with(
            "month",
            Kind::Text,
            "`2026-11`; that of the clock without it",
        )
        .says(200, "the report", Content::json::<Usage>()),
    ];
    let is_bad = Kind::OneOf(&["ok", "bad"]);
    calls.push(
        Call::new(
            "get",
            "/_sandtable/verify",
            "verify",
            Any,
            "Judges the run.",
        )
        .with(
            "lints",
            Kind::OneOf(&["off", "error", "warning"]),
            "the mildest lint that is bad; `error` without it",
        )
        .with(
            "duplicates",
            is_bad,
            "what was made twice; `bad` without it",
        )
        .with(
            "recordings",
            is_bad,
            "recorded exchanges that were not used; `bad` without it",
        )
        .with(
            "empty",
            is_bad,
            "that no request was answered; `ok` without it",
        )
        .with(
            "coverage",
            Kind::OneOf(&["0", "1"]),
            "whether to tell what of the service was met; `0` without it",
        )
        .says(200, "the verdict", Content::json::<Verdict>()),
    );
    calls
}

fn journal() -> Vec<Call> {
    use ActsOn::{Any, Exported, One};
    vec![
        Call::new("get", "/_sandtable/journal", "journal", Exported, "What was asked and answered: newest first, with `after` oldest first as it grows, or as an export of all.")
            .with("path", Kind::Text, "what the path starts with")
            .with("method", Kind::Text, "the method")
            .with("status", Kind::Text, "`404`, or `4xx`")
            .with("id", Kind::Text, "the request id, or `msgbatch_…/custom_id` as findings have it")
            .with("since", Kind::Text, "a request id or a time")
            .with("limit", Kind::Number(1, Some(1000)), "how many at most")
            .with("cursor", Kind::Number(0, None), "`next_cursor` of the page before")
            .with("after", Kind::Number(0, None), "`next_after` of the page before, or 0")
            .with("bodies", Kind::Flag, "`false`: lengths in place of bodies")
            .with("format", Kind::OneOf(&["har", "cassette", "script"]), "an export of all")
            .says(200, "a page, or the export", Content {
                types: &["application/json"],
                shape: Shape::Of(|generator| {
                    let page = generator.subschema_for::<JournalPage>();
                    let growth = generator.subschema_for::<JournalGrowth>();
                    let other = serde_json::json!({ "type": "object", "required": ["log"] });
                    schemars::json_schema!({ "anyOf": [page, growth, other] })
                }),
                others: YAML,
                optional: false,
            }),
        Call::new("delete", "/_sandtable/journal", "clear_journal", Any, "Forgets it.")
            .done("it is forgotten"),
        Call::new("get", "/_sandtable/journal/{id}", "exchange", One, "One exchange with its bodies.")
            .with("id", Kind::Text, "the request id, or `msgbatch_…/custom_id` as findings have it")
            .says(200, "the exchange", Content::json::<Exchange>()),
        Call::new("get", "/_sandtable/cassettes", "cassettes", One, "Says what is mounted, and which of its exchanges were not used.")
            .says(200, "what is mounted", Content::json::<Mounted>()),
        Call::new("put", "/_sandtable/cassettes", "mount_cassette", One, "Mounts a cassette: one of the server's folder, or the YAML that is sent.")
            .takes(Content::json::<Mount>().or(YAML))
            .says(200, "what is mounted", Content::json::<Mounted>()),
        Call::new("delete", "/_sandtable/cassettes", "unmount_cassette", One, "Takes the cassette out.")
            .says(200, "what was recorded", Content::json::<Unmounted>()),
    ]
}

fn state() -> Vec<Call> {
    use ActsOn::{Any, One};
    vec![
        Call::new(
            "get",
            "/_sandtable/state",
            "state",
            One,
            "All that the workspace holds, as one document.",
        )
        .says(200, "the document", DOCUMENT),
        Call::new(
            "put",
            "/_sandtable/state",
            "replace_state",
            One,
            "Puts a document in place of all that the workspace holds.",
        )
        .takes(DOCUMENT.or(YAML))
        .says(200, "what it brought", Content::json::<Restored>()),
        Call::new(
            "post",
            "/_sandtable/state/fork",
            "fork",
            One,
            "Makes a new key with all that the workspace holds.",
        )
        .takes(Content {
            optional: true,
            ..Content::json::<Fork>()
        })
        .says(201, "the new workspace", Content::json::<Forked>()),
        Call::new(
            "post",
            "/_sandtable/reset",
            "reset",
            Any,
            "Forgets all of the workspace, and goes back to `--state`.",
        )
        .says(200, "what is gone", Content::json::<Reset>()),
    ]
}
