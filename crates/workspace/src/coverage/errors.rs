//! The tables of `docs/ERRORS.md`: every error there is, and what shows it. `tests/it/errors.rs` runs each row.

use std::sync::LazyLock;

const TEXT: &str = include_str!("../../../../docs/ERRORS.md");
/// Where a row has no code.
const NONE: &str = "–";
/// Of rows that no client is known to meet.
const UNHEARD_OF: [&str; 3] = [
    "none: the service is not known to send it",
    "none: a client that leaves sees nothing",
    "none: memory stores are not emulated",
];

/// The page as tables.
pub(super) static PAGE: LazyLock<Page> = LazyLock::new(Page::read);

#[derive(Debug)]
pub(super) struct Page {
    /// `200`, and those of errors.
    pub(super) statuses: Vec<&'static str>,
    pub(super) kinds: Vec<&'static str>,
    pub(super) codes: Vec<&'static str>,
    requests: Vec<RequestError>,
    tools: Vec<ToolError>,
}

/// A row of the errors of requests.
#[derive(Debug)]
struct RequestError {
    status: &'static str,
    kind: &'static str,
    code: Option<&'static str>,
    by_itself: &'static str,
    fault: &'static str,
}

/// A row of the errors of tools.
#[derive(Debug)]
struct ToolError {
    code: &'static str,
    fault: &'static str,
}

impl Page {
    fn read() -> Self {
        let requests: Vec<_> = rows("Errors of a request")
            .filter_map(|cells| {
                let &[status, kind, code, by_itself, _, fault] = cells.as_slice() else {
                    return None;
                };
                Some(RequestError {
                    status,
                    kind: unquoted(kind),
                    code: (code != NONE).then(|| unquoted(code)),
                    by_itself,
                    fault: unquoted(fault),
                })
            })
            .collect();
        let tools = rows("Errors of a server tool").filter_map(|cells| {
            let &[code, _, _, _, fault, _] = cells.as_slice() else {
                return None;
            };
            Some(ToolError {
                code: unquoted(code),
                fault: unquoted(fault),
            })
        });
        Self {
            statuses: once_each(
                ["200"]
                    .into_iter()
                    .chain(requests.iter().map(|row| row.status)),
            ),
            kinds: once_each(requests.iter().map(|row| row.kind)),
            codes: once_each(requests.iter().filter_map(|row| row.code)),
            tools: tools.collect(),
            requests,
        }
    }

    /// The fault that gives a tool's error.
    pub(super) fn fault_of_tool(&self, code: &str) -> Option<&'static str> {
        let row = self.tools.iter().find(|row| row.code == code);
        row.map(|row| row.fault)
    }

    /// The fault that gives a status, a type, or a code.
    pub(super) fn fault_of(&self, name: &str) -> Option<&'static str> {
        let row = self.of(name).next();
        row.map(|row| row.fault)
    }

    /// Whether no row of this status or type is one that clients meet. A code goes with a row that has none.
    pub(super) fn is_unheard_of(&self, name: &str) -> bool {
        let mut plain = self.of(name).filter(|row| row.code.is_none()).peekable();
        plain.peek().is_some() && plain.all(|row| UNHEARD_OF.contains(&row.by_itself))
    }

    /// Rows of a status, type, or code, those without a code first.
    fn of(&self, name: &str) -> impl Iterator<Item = &RequestError> {
        let fits = move |row: &&RequestError| {
            row.status == name || row.kind == name || row.code == Some(name)
        };
        let plain = self.requests.iter().filter(|row| row.code.is_none());
        let coded = self.requests.iter().filter(|row| row.code.is_some());
        plain.chain(coded).filter(fits)
    }
}

/// The rows of the table under a heading, cell by cell.
fn rows(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let section = TEXT.split("\n## ").find(|section| {
        section
            .strip_prefix(heading)
            .is_some_and(|rest| rest.starts_with('\n'))
    });
    let lines = section.unwrap_or_default().lines();
    let rows = lines.filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|line| {
        let line = line.trim_start_matches("| ").trim_end_matches(" |");
        line.split(" | ").collect()
    })
}

fn unquoted(cell: &'static str) -> &'static str {
    cell.trim_matches('`')
}

fn once_each(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut once: Vec<&'static str> = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_error_with_the_fault_that_shows_it() {
        assert!(
            PAGE.statuses.len() > 15 && PAGE.codes.len() > 20,
            "{PAGE:?}"
        );
        assert_eq!(PAGE.statuses[..2], ["200", "400"]);
        for name in PAGE.statuses[1..]
            .iter()
            .chain(&PAGE.kinds)
            .chain(&PAGE.codes)
        {
            let fault = PAGE.fault_of(name).unwrap();
            let fault: serde_json::Value = serde_json::from_str(fault).expect(fault);
            assert_eq!(fault["at"], "http", "{name}");
        }
        for code in wire::ToolErrorCode::NAMES {
            let fault = PAGE.fault_of_tool(code).expect(code);
            let fault: serde_json::Value = serde_json::from_str(fault).expect(fault);
            assert_eq!(
                (&fault["at"], &fault["error_code"]),
                (&"tool".into(), &(*code).into())
            );
        }
        assert!(
            PAGE.is_unheard_of("422")
                && PAGE.is_unheard_of("503")
                && PAGE.is_unheard_of("memory_path_conflict_error")
        );
        assert!(!PAGE.is_unheard_of("413") && !PAGE.is_unheard_of("529"));
    }
}
