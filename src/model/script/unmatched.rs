//! What a client reads when no rule matches its request.

use super::matching::{quoted, tools_gist, uploads_gist};
use super::usage::Counted;
use crate::model::{ModelError, TurnRequest};

/// How many rules the message names.
const NEAREST: usize = 3;

/// Names the request's gist, the nearest rules, and the clause at which each failed.
pub(super) fn error<'r>(
    request: &TurnRequest,
    rules: impl Iterator<Item = &'r Counted>,
) -> ModelError {
    let mut ranked: Vec<(usize, usize, String)> = rules
        .enumerate()
        .map(|(order, counted)| {
            let (held, line) = verdict(request, counted);
            (held, order, line)
        })
        .collect();
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let count = ranked.len();
    let mut message = format!(
        "no script rule matches this request: user text {}; {}{}; {}{}",
        quoted(&request.user_text),
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
    for (_, _, line) in ranked.into_iter().take(NEAREST) {
        message.push_str("\n- ");
        message.push_str(&line);
    }
    message.push_str(
        "\nhint: add a rule, or start sandtable with `--on-unmatched direct` to run what the text \
         says",
    );
    ModelError { message }
}

fn verdict(request: &TurnRequest, (rule, usage): &Counted) -> (usize, String) {
    let held = rule
        .clauses
        .iter()
        .filter(|clause| clause.holds(request))
        .count();
    let failed = rule.clauses.iter().find(|clause| !clause.holds(request));
    let why = match (failed, rule.times) {
        (Some(clause), _) => format!(
            "`{}` at line {} wants {}, got {}",
            clause.name,
            clause.at.line,
            clause.wants(),
            clause.came(request)
        ),
        (None, Some(times)) => {
            let used = usage.used();
            format!("matches, but its `times: {times}` is used up (answered {used})")
        }
        (None, None) => "matches".to_owned(),
    };
    let held_text = match rule.clauses.len() {
        0 => String::new(),
        all => format!("{held} of {all} hold; "),
    };
    // A rule that only ran out is nearer than any that failed a clause.
    let rank = if failed.is_none() { usize::MAX } else { held };
    (
        rank,
        format!("`{}` ({}): {held_text}{why}", rule.name, rule.place()),
    )
}
