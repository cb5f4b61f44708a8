//! Accounting of a turn's usage in the workspace's ledger and rate limits: also for turns that fail or are left.

use chrono::{DateTime, Utc};

use crate::usage::Meter;
use crate::{TurnInput, models};
use workspace::billing::{self, ContainerUse, Tokens};
use workspace::quirks::FreeWithWeb;

/// The first web tools beside which code execution is free (F180); their dates compare as text.
const FREE_FROM: &str = "20260209";

/// The meter of a turn, and what the ledger needs beside it.
pub(super) struct Account<'a> {
    pub(super) message_id: &'a str,
    /// The one that has answered.
    pub(super) model: &'a str,
    /// The container, and since when the turn has used it.
    pub(super) container: Option<(String, DateTime<Utc>)>,
    pub(super) meter: &'a Meter,
}

/// Closes the account of a turn.
pub(super) fn close(input: &TurnInput, account: Account<'_>) {
    let now = input.workspace.clock.now();
    let asked = models::resolve(&input.request.model);
    let used = account.meter.end();
    if let Ok(mut report) = input.report.lock() {
        report.done.tokens = Some((used.input_tokens, used.output_tokens));
    }
    if let Some(estimate) = input.admitted_with {
        let read = used.input_tokens + used.cache_creation_input_tokens;
        let rates = &input.workspace.rates;
        rates.settle(asked, estimate, read, used.output_tokens, now);
    }
    let (apart, declined) = account.meter.apart();
    let mut tokens = Tokens {
        input: used.input_tokens,
        output: used.output_tokens.saturating_sub(declined),
        cache_write: used.cache_creation_input_tokens,
        cache_read: used.cache_read_input_tokens,
    };
    // Every sampling is billed, at the price of its model (F205, F206).
    let mut of_others: Vec<(&str, Tokens)> = Vec::new();
    for one in apart {
        let model = one.model.as_deref().map_or(asked, models::resolve);
        let more = Tokens {
            input: one.input,
            output: one.output,
            ..Tokens::default()
        };
        let known = of_others.iter_mut().find(|(known, _)| *known == model);
        match known.map(|(_, sum)| sum) {
            _ if model == account.model => tokens = tokens.and(&more),
            Some(sum) => *sum = sum.and(&more),
            None => of_others.push((model, more)),
        }
    }
    let note = |model: &str, tokens, web_searches, container| {
        input.workspace.ledger.note(billing::Turn {
            message_id: account.message_id,
            at: now,
            // A key in its place is told as little as elsewhere.
            model: &input.redactor.inside(model),
            tokens,
            web_searches,
            batch: input.batch_item.is_some(),
            container,
        });
    };
    let searches = used.server_tool_use;
    let container = account.container.map(|(id, from)| ContainerUse {
        id,
        from,
        to: now,
        free: is_free(input),
    });
    note(
        account.model,
        tokens,
        searches.map_or(0, |counts| counts.web_search_requests),
        container,
    );
    for (model, tokens) in of_others {
        note(model, tokens, 0, None);
    }
}

fn is_free(input: &TurnInput) -> bool {
    let any = input.quirks.free_with_web == FreeWithWeb::Any;
    input.request.tools.iter().any(|tool| {
        ["web_search_", "web_fetch_"]
            .iter()
            .filter_map(|prefix| tool.tag.strip_prefix(prefix))
            .any(|date| any || date >= FREE_FROM)
    })
}
