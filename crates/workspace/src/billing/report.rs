//! The answer to `GET /_sandtable/usage`.

use control_api::{
    ContainerCost, ContainerSession, ContainerTime, ContainerUse as UseLine, Searches, TokenSums,
    TurnCost, Usage,
};

use super::row::Row;
use super::sums::Sums;
use super::{ContainerUse, Month, Prices, Session, billable};
use common::clock::rfc3339_micros;
use common::limits;

const DOLLARS_AN_HOUR: f64 = 0.05;
const DOLLARS_A_SEARCH: f64 = 0.01;

pub(super) fn report<'a>(
    month: Month,
    folded: Sums,
    containers: impl Iterator<Item = (&'a str, Vec<&'a Session>)>,
    turns: impl Iterator<Item = &'a Row>,
    prices: &Prices,
) -> Usage {
    let summed_up = folded != Sums::default();
    let mut sums = folded;
    let containers: Vec<ContainerCost> = containers.map(|(id, all)| container(id, &all)).collect();
    for container in &containers {
        sums.add_seconds(container.seconds);
    }
    let turns: Vec<TurnCost> = turns
        .map(|turn| {
            sums.add_turn(turn);
            line(turn, prices)
        })
        .collect();
    let (token_dollars, unpriced) = sums.token_dollars(prices);
    let tokens = sums.tokens();
    let container_time = container_time(sums.container_seconds);
    let web_searches = Searches {
        requests: sums.web_searches,
        usd: dollars(search_dollars(sums.web_searches)),
    };
    let tokens = TokenSums {
        input_tokens: tokens.input,
        output_tokens: tokens.output,
        cache_creation_input_tokens: tokens.cache_write,
        cache_read_input_tokens: tokens.cache_read,
        usd: dollars(token_dollars),
        unpriced,
    };
    Usage {
        month: month.to_string(),
        usd: dollars(container_time.usd + tokens.usd + web_searches.usd),
        container_time,
        tokens,
        web_searches,
        containers,
        turns,
        summed_up,
    }
}

fn container(id: &str, sessions: &[&Session]) -> ContainerCost {
    let sessions: Vec<ContainerSession> = sessions
        .iter()
        .map(|session| ContainerSession {
            from: rfc3339_micros(session.from),
            to: rfc3339_micros(session.to),
            seconds: session.billable_seconds(),
        })
        .collect();
    ContainerCost {
        id: id.to_owned(),
        seconds: sessions.iter().map(|session| session.seconds).sum(),
        sessions,
    }
}

fn container_time(seconds: u64) -> ContainerTime {
    let free = limits::BILLING_FREE_SECONDS;
    let charged = hours(seconds.saturating_sub(free));
    ContainerTime {
        seconds,
        hours: rounded(hours(seconds)),
        free_hours: hours(free),
        free_hours_left: rounded(hours(free.saturating_sub(seconds))),
        charged_hours: rounded(charged),
        usd: dollars(charged * DOLLARS_AN_HOUR),
    }
}

fn line(turn: &Row, prices: &Prices) -> TurnCost {
    let tokens = &turn.tokens;
    TurnCost {
        message_id: turn.message_id().to_owned(),
        at: rfc3339_micros(turn.at),
        model: turn.model.to_string(),
        batch: turn.batch,
        input_tokens: tokens.input,
        output_tokens: tokens.output,
        cache_creation_input_tokens: tokens.cache_write,
        cache_read_input_tokens: tokens.cache_read,
        web_search_requests: turn.web_searches,
        usd: prices
            .dollars(&turn.model, tokens, turn.batch)
            .map(|usd| dollars(usd + search_dollars(turn.web_searches))),
        container: turn.container.as_deref().map(use_line),
    }
}

fn use_line(used: &ContainerUse) -> UseLine {
    let seconds = if used.free {
        0
    } else {
        billable(used.to - used.from)
    };
    UseLine {
        id: used.id.clone(),
        from: rfc3339_micros(used.from),
        to: rfc3339_micros(used.to),
        free: used.free,
        usd_beyond_free_hours: dollars(hours(seconds) * DOLLARS_AN_HOUR),
    }
}

fn search_dollars(searches: u64) -> f64 {
    f64::from(u32::try_from(searches).unwrap_or(u32::MAX)) * DOLLARS_A_SEARCH
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a month of all containers of a machine is far below 2^53 seconds"
)]
fn hours(seconds: u64) -> f64 {
    seconds as f64 / 3600.0
}

/// To a millionth of a dollar.
fn dollars(dollars: f64) -> f64 {
    rounded(dollars)
}

fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
