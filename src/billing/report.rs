//! What `GET /_sandtable/usage` answers.

use serde::{Deserialize, Serialize};

use super::sums::Sums;
use super::{ContainerUse, Month, Prices, Session, Turn, billable};
use crate::clock::rfc3339_micros;
use crate::limits;

const DOLLARS_AN_HOUR: f64 = 0.05;
const DOLLARS_A_SEARCH: f64 = 0.01;

/// A month of one workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `2026-11`.
    pub month: String,
    /// All of it, in dollars.
    pub usd: f64,
    pub container_time: ContainerTime,
    pub tokens: TokenSums,
    pub web_searches: Searches,
    /// Oldest first.
    pub containers: Vec<Container>,
    /// Oldest first.
    pub turns: Vec<TurnLine>,
    /// Older containers and turns are in the sums alone.
    pub summed_up: bool,
}

/// Time of containers, against the free hours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ContainerTime {
    pub seconds: u64,
    pub hours: f64,
    pub free_hours: f64,
    pub free_hours_left: f64,
    pub charged_hours: f64,
    pub usd: f64,
}

/// Tokens of all turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenSums {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub usd: f64,
    /// Models without a price: their tokens cost nothing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<String>,
}

/// Web searches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Searches {
    pub requests: u64,
    pub usd: f64,
}

/// One container's time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub id: String,
    pub seconds: u64,
    pub sessions: Vec<SessionLine>,
}

/// A time a container was awake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionLine {
    pub from: String,
    pub to: String,
    /// Billed: whole seconds, at least the minimum; 0 where all of its uses were free.
    pub seconds: u64,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnLine {
    pub message_id: String,
    pub at: String,
    pub model: String,
    pub batch: bool,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub web_search_requests: u64,
    /// Of tokens and searches; absent where the model has no price.
    pub usd: Option<f64>,
    pub container: Option<UseLine>,
}

/// A turn's time on a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UseLine {
    pub id: String,
    pub from: String,
    pub to: String,
    pub free: bool,
    /// What it would cost by itself, with the minimum, beyond the free hours.
    pub usd_beyond_free_hours: f64,
}

pub(super) fn report<'a>(
    month: Month,
    folded: Sums,
    containers: impl Iterator<Item = (&'a str, Vec<&'a Session>)>,
    turns: impl Iterator<Item = &'a Turn>,
    prices: &Prices,
) -> Report {
    let summed_up = folded != Sums::default();
    let mut sums = folded;
    let containers: Vec<Container> = containers.map(|(id, all)| container(id, &all)).collect();
    for container in &containers {
        sums.add_seconds(container.seconds);
    }
    let turns: Vec<TurnLine> = turns
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
    Report {
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

fn container(id: &str, sessions: &[&Session]) -> Container {
    let sessions: Vec<SessionLine> = sessions
        .iter()
        .map(|session| SessionLine {
            from: rfc3339_micros(session.from),
            to: rfc3339_micros(session.to),
            seconds: session.billable_seconds(),
        })
        .collect();
    Container {
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

fn line(turn: &Turn, prices: &Prices) -> TurnLine {
    let tokens = &turn.tokens;
    TurnLine {
        message_id: turn.message_id.clone(),
        at: rfc3339_micros(turn.at),
        model: turn.model.clone(),
        batch: turn.batch,
        input_tokens: tokens.input,
        output_tokens: tokens.output,
        cache_creation_input_tokens: tokens.cache_write,
        cache_read_input_tokens: tokens.cache_read,
        web_search_requests: turn.web_searches,
        usd: prices
            .dollars(&turn.model, tokens, turn.batch)
            .map(|usd| dollars(usd + search_dollars(turn.web_searches))),
        container: turn.container.as_ref().map(use_line),
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
