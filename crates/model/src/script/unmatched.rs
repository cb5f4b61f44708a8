//! The message to a client when no rule matches its request.

pub use control_api::Near;
use control_api::{FailedClause, TimesUsed};

use super::matching::{Clause, quoted_ends, tools_gist, uploads_gist};
use super::usage::Counted;
use crate::{ModelError, TurnRequest};

/// How many rules the message names.
const NEAREST: usize = 3;

/// How every such message begins.
const BEGINS: &str = "no script rule matches this request";

/// Whether an error says that no rule matched.
pub(super) fn is_one(error: &ModelError) -> bool {
    error.message.starts_with(BEGINS)
}

/// The nearest rules, nearest first, and how many there are in all.
pub(super) fn nearest<'r>(
    request: &TurnRequest,
    rules: impl Iterator<Item = &'r Counted>,
) -> (Vec<Near>, usize) {
    let mut ranked: Vec<(usize, Near)> = rules.map(|counted| near(request, counted)).collect();
    // Stable: of equals the first in the order of matching.
    ranked.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    let count = ranked.len();
    let nearest = ranked.into_iter().take(NEAREST);
    (nearest.map(|(_, near)| near).collect(), count)
}

fn near(request: &TurnRequest, (rule, usage): &Counted) -> (usize, Near) {
    let holds = |clause: &&Clause| clause.holds(request);
    let held = rule.clauses.iter().filter(holds).count();
    let failed = rule.clauses.iter().find(|clause| !clause.holds(request));
    // A rule that only ran out is nearer than any that failed a clause.
    let rank = if failed.is_none() { usize::MAX } else { held };
    let near = Near {
        rule: rule.name.clone(),
        file: rule.file.to_string(),
        line: rule.at.line,
        held,
        clauses: rule.clauses.len(),
        failed: failed.map(|clause| {
            let (wants, got) = clause.describe_against(request);
            FailedClause {
                clause: clause.name.clone(),
                line: clause.at.line,
                wants,
                got,
            }
        }),
        used_up: rule
            .times
            .filter(|_| failed.is_none())
            .map(|times| TimesUsed {
                times,
                used: usage.used(),
            }),
    };
    (rank, near)
}

/// Names the request's gist, the nearest rules, and the clause at which each failed.
pub(super) fn error<'r>(
    request: &TurnRequest,
    rules: impl Iterator<Item = &'r Counted>,
) -> ModelError {
    let (nearest, count) = nearest(request, rules);
    let mut message = format!(
        "{BEGINS}: user text {}; {}{}; {}{}",
        quoted_ends(&request.user_text),
        if request.tools.is_empty() {
            ""
        } else {
            "tools "
        },
        tools_gist(request),
        if request.uploads.is_empty() {
            ""
        } else {
            "uploads "
        },
        uploads_gist(request),
    );
    let heading = match count {
        0 => "\nthere are no rules".to_owned(),
        1 => "\nthe only rule:".to_owned(),
        _ if count <= NEAREST => format!("\nthe {count} rules, nearest first:"),
        _ => format!("\nthe nearest of {count} rules:"),
    };
    message.push_str(&heading);
    for near in nearest {
        message.push_str("\n- ");
        message.push_str(&line(&near));
    }
    message.push_str(
        "\nhint: add a rule, or start sandtable with `--on-unmatched direct` to run what the text \
         says",
    );
    ModelError::new(message)
}

/// A near rule on a line.
fn line(near: &Near) -> String {
    let mut text = format!("`{}` ({}:{}): ", near.rule, near.file, near.line);
    if near.clauses > 0 {
        text = format!("{text}{} of {} hold; ", near.held, near.clauses);
    }
    let why = match (&near.failed, &near.used_up) {
        (Some(failed), _) => format!(
            "`{}` at line {} wants {}, got {}",
            failed.clause, failed.line, failed.wants, failed.got
        ),
        (None, Some(TimesUsed { times, used })) => {
            format!("matches, but its `times: {times}` is used up (answered {used})")
        }
        (None, None) => "matches".to_owned(),
    };
    text + &why
}
