//! A scripted message, plain and streamed, beside a bare handler, llmposter, and aimock.

use std::time::{Duration, Instant};

use serde_json::json;
use workspace::coverage::{Coverage, Mode};

use crate::http::Client;
use crate::load::{self, Outcome};
use crate::servers::{Server, folder};
use crate::table::{Table, ms};
use crate::{bare, http};

const CONNECTIONS: usize = 16;
const SPAN: Duration = Duration::from_secs(3);
/// The servers take turns so often; the median counts.
const ROUNDS: usize = 3;

/// The request of all of them.
pub(crate) fn hello(stream: bool) -> Vec<u8> {
    hello_of(http::KEY, stream)
}

/// The same, of the workspace of a key.
pub(crate) fn hello_of(key: &str, stream: bool) -> Vec<u8> {
    let mut body = json!({
        "model": "claude-opus-5",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "hi"}],
    });
    if stream {
        body["stream"] = true.into();
    }
    http::request_of(key, "POST", "/v1/messages", &body.to_string())
}

/// Says what `aimock` says.
pub(crate) fn script(client: &mut Client) {
    let rules = json!([{"then": [{"text": "Hello, how are you today?"}]}]);
    client.control("PUT", "scripts", &rules);
}

struct Peer {
    name: &'static str,
    server: Server,
}

struct Measured {
    outcome: Outcome,
    /// Processor time of the server for one request.
    cpu: Duration,
}

/// The cost of noting a plain message for the coverage of the surface, beside all else that is done for it.
fn noting(table: &mut Table) {
    const TIMES: u32 = 1_000_000;
    let coverage = Coverage::default();
    let kind = wire::block::ContentBlock::Text {
        text: "Hello, how are you today?".to_owned(),
    };
    let begun = Instant::now();
    for _ in 0..TIMES {
        let coverage = std::hint::black_box(&coverage);
        coverage.mode(Mode::Plain);
        coverage.block(std::hint::black_box(&kind));
        coverage.stopped("end_turn");
        coverage.answered("POST", "/v1/messages", 200);
    }
    let each = begun.elapsed() / TIMES;
    let text = format!("{:.2} µs of processor time", each.as_secs_f64() * 1e6);
    table.row("plain message: noting what of the surface it shows", text);
}

pub(crate) fn measure(table: &mut Table) {
    noting(table);
    let server = Server::sandtable(&["--backend", "none"]);
    let mut client = server.client();
    script(&mut client);
    let canned = folder();
    for (name, stream) in [("plain", false), ("stream", true)] {
        let answer = client.send(&hello(stream));
        let body = if stream {
            unchunked(&answer.body)
        } else {
            answer.body.clone()
        };
        bare::keep(canned.path(), name, &answer.head, &body);
    }
    let mut peers = vec![
        Peer {
            name: "sandtable",
            server,
        },
        Peer {
            name: "bare axum handler, same bytes",
            server: Server::bare(canned.path()),
        },
    ];
    for (name, server) in [
        ("llmposter", Server::llmposter()),
        ("aimock", Server::aimock()),
    ] {
        match server {
            Ok(server) => peers.push(Peer { name, server }),
            Err(why) => table.missing(name, &why),
        }
    }
    for (kind, stream) in [("plain message", false), ("stream", true)] {
        let all = take_turns(&peers, &hello(stream));
        rows(table, kind, stream, &peers, &all);
    }
}

fn take_turns(peers: &[Peer], request: &[u8]) -> Vec<Measured> {
    let mut rounds: Vec<Vec<Measured>> = peers.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (peer, measured) in peers.iter().zip(&mut rounds) {
            let before = peer.server.cpu();
            let outcome = load::run(peer.server.address, request, CONNECTIONS, SPAN);
            let cpu =
                peer.server.cpu().saturating_sub(before) / u32::try_from(outcome.requests).unwrap();
            measured.push(Measured { outcome, cpu });
        }
    }
    let median = |mut measured: Vec<Measured>| {
        measured.sort_by(|a, b| a.outcome.per_second().total_cmp(&b.outcome.per_second()));
        measured.swap_remove(ROUNDS / 2)
    };
    rounds.into_iter().map(median).collect()
}

fn rows(table: &mut Table, kind: &str, stream: bool, peers: &[Peer], all: &[Measured]) {
    for (peer, measured) in peers.iter().zip(all) {
        let rate = measured.outcome.per_second();
        let note = format!(
            "p99 {:.2} ms, first byte p99 {:.2} ms, {:.1} µs of processor time each",
            ms(measured.outcome.whole.quantile(0.99)),
            ms(measured.outcome.first_byte.quantile(0.99)),
            measured.cpu.as_secs_f64() * 1e6,
        );
        let what = format!("{kind}, {CONNECTIONS} connections: {}", peer.name);
        if peer.name == "sandtable" {
            let least = if stream { 20_000.0 } else { 80_000.0 };
            table.at_least(&what, rate, "/s", least, &note);
        } else {
            table.row(what, format!("{rate:.0} /s ({note})"));
        }
    }
    let (own, bare) = (&all[0], &all[1]);
    let part = own.outcome.per_second() / bare.outcome.per_second() * 100.0;
    let by_cpu = bare.cpu.as_secs_f64() / own.cpu.as_secs_f64() * 100.0;
    let by_rate = format!("{kind}: of the bare handler's rate");
    let by_time = format!("{kind}: the bare handler's processor time, of ours");
    if stream {
        table.row(by_rate, format!("{part:.0} %"));
        table.row(by_time, format!("{by_cpu:.0} %"));
        let first = ms(own.outcome.first_byte.quantile(0.99));
        table.at_most(&format!("{kind}: first byte p99"), first, "ms", 5.0, "");
    } else {
        table.at_least(&by_rate, part, "%", 75.0, "");
        table.at_least(&by_time, by_cpu, "%", 65.0, "");
        for (peer, measured) in peers.iter().zip(all).skip(2) {
            let times = own.outcome.per_second() / measured.outcome.per_second();
            let what = format!("{kind}: of {}'s rate", peer.name);
            table.at_least(&what, times, "times", 1.0, "");
        }
    }
}

/// A chunked body as it was written: each chunk is one line of its size and the bytes.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = memchr::memmem::find(body, b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        let start = line + 2;
        whole.extend_from_slice(&body[start..start + size]);
        body = &body[start + size + 2..];
    }
}

/// Sends so many plain messages.
pub(crate) fn many(server: &Server, requests: usize) {
    let mut sent = 0;
    while sent < requests {
        let request = hello(false);
        sent += load::run(server.address, &request, CONNECTIONS, SPAN).requests;
    }
    // The last answers are in the journal once the next one is there.
    server.client().send(&http::request("GET", "/health", ""));
}
