//! An estimate of the cost of sending recorded requests, before any is sent.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::heard::Heard;
use cassette::{Exchange, Request};
use workspace::billing::{Prices, Tokens};

/// Characters of a token, about; for requests whose recorded answer has no usage.
const TOKEN_CHARS: u64 = 4;
/// The most tokens of an answer where the request does not say.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// The costs of requests, expected and at most.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Costs {
    pub requests: u64,
    /// Those that cost tokens.
    pub paid_requests: u64,
    /// As recorded, or counted from the request.
    pub input_tokens: u64,
    /// As recorded.
    pub output_tokens: u64,
    /// The sum of `max_tokens`.
    pub most_output_tokens: u64,
    pub usd: f64,
    /// With `max_tokens` for each answer.
    pub most_usd: f64,
    /// Requests of a model whose recordings do not tell what they used.
    pub untold: u64,
    /// Models without a known price, whose tokens are not in the sums of money.
    pub unpriced: Vec<String>,
}

impl Costs {
    /// Of these exchanges.
    pub(super) fn of<'a>(exchanges: impl Iterator<Item = &'a Exchange>, prices: &Prices) -> Self {
        let mut costs = Self::default();
        for exchange in exchanges {
            let Some(request) = &exchange.request else {
                continue;
            };
            costs.requests += 1;
            let recorded = Heard::recorded(&exchange.response).ok();
            for (body, batch) in generating(request) {
                let used = recorded.as_ref().filter(|_| !batch).and_then(Heard::usage);
                costs.add(&body, used, batch, prices);
            }
        }
        costs
    }

    /// Adds a request of Messages with what it used when it was recorded.
    pub(super) fn add(&mut self, body: &Value, used: Option<Tokens>, batch: bool, prices: &Prices) {
        let most = body["max_tokens"].as_u64().unwrap_or(DEFAULT_MAX_TOKENS);
        self.untold += u64::from(used.is_none());
        let expected = used.unwrap_or_else(|| Tokens {
            input: body.to_string().len() as u64 / TOKEN_CHARS,
            output: most,
            ..Tokens::default()
        });
        let model = body["model"].as_str().unwrap_or_default();
        self.paid_requests += 1;
        self.input_tokens += expected.input + expected.cache_read + expected.cache_write;
        self.output_tokens += expected.output;
        let worst = Tokens {
            output: most.max(expected.output),
            ..expected
        };
        self.most_output_tokens += worst.output;
        let dollars = prices.dollars(model, &expected, batch);
        match dollars.zip(prices.dollars(model, &worst, batch)) {
            Some((usd, most)) => {
                self.usd += usd;
                self.most_usd += most;
            }
            None if self.unpriced.iter().any(|known| known == model) => {}
            None => self.unpriced.push(model.to_owned()),
        }
    }
}

/// The bodies of a request that have a model generate something, and whether it is a batch's.
fn generating(request: &Request) -> Vec<(Value, bool)> {
    let Some(body) = request.body.json().filter(|_| request.method == "POST") else {
        return Vec::new();
    };
    match request.path.trim_end_matches('/') {
        "/v1/messages" => vec![(body.into_owned(), false)],
        "/v1/messages/batches" => {
            let items = body["requests"].as_array().into_iter().flatten();
            items.map(|item| (item["params"].clone(), true)).collect()
        }
        _ => Vec::new(),
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "requests        {:>10}  of them with a model {}",
            self.requests, self.paid_requests
        )?;
        let origin = match self.untold {
            0 => "as recorded".to_owned(),
            all if all == self.paid_requests => "counted, for none is recorded".to_owned(),
            some => format!("as recorded, of {some} requests counted"),
        };
        writeln!(f, "input tokens    {:>10}  {origin}", self.input_tokens)?;
        writeln!(
            f,
            "output tokens   {:>10}  {origin}, at most {}",
            self.output_tokens, self.most_output_tokens
        )?;
        writeln!(
            f,
            "USD             {:>10.4}  expected, at most {:.4} by max_tokens",
            self.usd, self.most_usd
        )?;
        if !self.unpriced.is_empty() {
            writeln!(
                f,
                "without a price, so not in it: {}",
                self.unpriced.join(", ")
            )?;
        }
        if self.paid_requests > 0 {
            writeln!(
                f,
                "Time of containers and web searches are not in it. Models may read more than was recorded."
            )?;
        }
        Ok(())
    }
}
