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
    /// The container, and since when the turn has used it.
    pub(super) container: Option<(String, DateTime<Utc>)>,
    pub(super) meter: &'a Meter,
}

/// Closes the account of a turn.
pub(super) fn close(input: &TurnInput, account: Account<'_>) {
    let now = input.workspace.clock.now();
    let model = models::resolve(&input.request.model);
    let used = account.meter.end();
    if let Ok(mut report) = input.report.lock() {
        report.done.tokens = Some((used.input_tokens, used.output_tokens));
    }
    let tokens = Tokens {
        input: used.input_tokens,
        output: used.output_tokens,
        cache_write: used.cache_creation_input_tokens,
        cache_read: used.cache_read_input_tokens,
    };
    if let Some(estimate) = input.admitted_with {
        let read = tokens.input + tokens.cache_write;
        let rates = &input.workspace.rates;
        rates.settle(model, estimate, read, tokens.output, now);
    }
    input.workspace.ledger.note(billing::Turn {
        message_id: account.message_id,
        at: now,
        // A key in its place is told as little as elsewhere.
        model: &input.redactor.inside(model),
        tokens,
        web_searches: used
            .server_tool_use
            .map_or(0, |counts| counts.web_search_requests),
        batch: input.batch_item.is_some(),
        container: account.container.map(|(id, from)| ContainerUse {
            id,
            from,
            to: now,
            free: is_free(input),
        }),
    });
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
