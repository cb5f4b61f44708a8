//! Calls of the model's that fail, or whose sandbox does.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Cell, Expect, GIVE_UP, Group, Less, RECOVER};
use crate::baseline::Request;

const BASH: &[&str] = &[
    "unavailable",
    "too_many_requests",
    "execution_time_exceeded",
    "output_file_too_large",
    "container_expired",
];
const EDITOR: &[&str] = &[
    "unavailable",
    "too_many_requests",
    "execution_time_exceeded",
    "file_not_found",
    "string_not_found",
    "container_expired",
];
const CELLS: &[&str] = &[
    "unavailable",
    "too_many_requests",
    "execution_time_exceeded",
    "container_expired",
];
const WEB: &[&str] = &["unavailable", "too_many_requests"];

const DEEDS: &[&str] = &[
    "kill_sandbox",
    "exhaust_memory",
    "fill_disk",
    "engine_unreachable",
];

struct Tool {
    name: &'static str,
    short: &'static str,
    codes: &'static [&'static str],
    deeds: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "bash_code_execution",
        short: "bash",
        codes: BASH,
        deeds: DEEDS,
    },
    // The guest itself edits files: no program could run out of memory.
    Tool {
        name: "text_editor_code_execution",
        short: "editor",
        codes: EDITOR,
        deeds: &["kill_sandbox", "fill_disk", "engine_unreachable"],
    },
    Tool {
        name: "code_execution",
        short: "code",
        codes: CELLS,
        deeds: DEEDS,
    },
    Tool {
        name: "web_search",
        short: "web_search",
        codes: WEB,
        deeds: &[],
    },
    Tool {
        name: "web_fetch",
        short: "web_fetch",
        codes: WEB,
        deeds: &[],
    },
];

/// The model was told that its call failed: what was to be made is not there, and the turn may be asked once more.
const FAILED_CALL: Expect = Expect {
    less: Less::Result,
    ..GIVE_UP
};

/// The sandbox is filled in earnest, which takes its time.
const FILLED: Expect = Expect {
    extra: Duration::from_mins(1),
    ..FAILED_CALL
};

/// The contents of the container are gone, and all of it can be made again.
const EXPIRED: Expect = RECOVER;

/// Faults of the calls; without a sandbox none that happen in one.
pub(super) fn cells(request: &Request, runs_code: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (name, nth) in &request.calls {
        let Some(tool) = TOOLS.iter().find(|tool| tool.name == name) else {
            continue;
        };
        let first = request.calls.iter().find(|(other, _)| other == name);
        let place = nth - first.map_or(*nth, |(_, first)| *first) + 1;
        for (kind, says, key) in tool.faults() {
            if !runs_code && tool.deeds.contains(&key) {
                continue;
            }
            let (group, word) = (Group::Tool, kind.as_str());
            let expect = match key {
                "container_expired" if request.names_container => EXPIRED,
                "exhaust_memory" | "fill_disk" => FILLED,
                _ => FAILED_CALL,
            };
            cells.push(Cell {
                id: format!("{}/{word}@{place}", request.name),
                request: request.name.clone(),
                kind: kind.clone(),
                group,
                says,
                faults: vec![tool.fault(key, *nth)],
                script: None,
                expect,
            });
        }
    }
    cells
}

pub(super) fn kinds() -> impl Iterator<Item = (String, String)> {
    let faults = TOOLS.iter().flat_map(Tool::faults);
    faults.map(|(kind, says, _)| (kind, says))
}

impl Tool {
    /// Kind, what happens, and the word of the fault.
    fn faults(&self) -> Vec<(String, String, &'static str)> {
        let kind = |word: &str| format!("tool-{}-{word}", self.short);
        let codes = self.codes.iter().map(|code| {
            (
                kind(code),
                format!("`{code}` as the result of {}", self.name),
                *code,
            )
        });
        let deeds = self
            .deeds
            .iter()
            .map(|deed| (kind(deed), format!("`{deed}` during {}", self.name), *deed));
        codes.chain(deeds).collect()
    }

    fn fault(&self, word: &str, nth: u64) -> Value {
        let key = if self.deeds.contains(&word) {
            "do"
        } else {
            "error_code"
        };
        json!({"at": "tool", "tool": self.name, "nth": nth, key: word})
    }
}
