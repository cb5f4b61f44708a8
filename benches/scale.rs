//! How cost grows: the same thing with ten, a hundred, a thousand times as much of what it may depend on.
//!
//! Each row tells the cost of one, and how many times that of the smallest size it is. What stays at one does not
//! depend on the size; a list costs what is in it, and is told for each entry.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::calls::{say, turn};
use crate::http::{self, Client};
use crate::load;
use crate::messages::{hello, hello_of, many, script};
use crate::servers::Server;
use crate::table::{Samples, Table};

const CONNECTIONS: usize = 16;
const SPAN: Duration = Duration::from_secs(2);
const SIZES: [usize; 4] = [1, 10, 100, 1000];
/// The highest cost of one at the largest size, as a multiple of that at the smallest.
const MOST: f64 = 2.0;

pub(crate) fn measure(table: &mut Table) {
    workspaces(table);
    rules(table);
    journal(table);
    events(table);
    containers(table);
}

/// A cost of one at each size, the smallest first; the last must not be more than `most` times the first.
fn rows(table: &mut Table, what: &str, unit: &str, most: f64, costs: &[(usize, f64)]) {
    let (Some((_, first)), Some((largest, _))) = (costs.first(), costs.last()) else {
        return;
    };
    for (size, cost) in costs {
        let times = cost / first;
        let note = format!("{cost:.2} {unit} each");
        let what = format!("{what}: {size}");
        if size == largest {
            table.at_most(&what, times, "times the first", most, &note);
        } else {
            table.row(what, format!("{times:.2} times the first ({note})"));
        }
    }
}

/// Processor time of the server for a plain message, in microseconds.
fn message(server: &Server, requests: &[Vec<u8>]) -> f64 {
    let before = server.cpu();
    let outcome = load::run_all(server.address, requests, CONNECTIONS, SPAN);
    let spent = server.cpu().saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let each = spent.as_secs_f64() * 1e6 / outcome.requests as f64;
    each
}

fn workspaces(table: &mut Table) {
    let server = Server::sandtable(&["--backend", "none"]);
    let costs = SIZES.map(|size| {
        let keys: Vec<String> = (0..size).map(|n| format!("sk-bench-{n}")).collect();
        let rules = json!([{"then": [{"text": "Hello, how are you today?"}]}]).to_string();
        let mut client = server.client();
        for key in &keys {
            let load = http::request_of(key, "PUT", "/_sandtable/scripts", &rules);
            assert_eq!(client.send(&load).status, 200);
        }
        let requests: Vec<_> = keys.iter().map(|key| hello_of(key, false)).collect();
        (size, message(&server, &requests))
    });
    rows(
        table,
        "plain message, workspaces in turns",
        "µs",
        MOST,
        &costs,
    );
}

fn rules(table: &mut Table) {
    let server = Server::sandtable(&["--backend", "none"]);
    let costs = SIZES.map(|size| {
        let mut rules: Vec<Value> = (1..size)
            .map(|n| json!({"when": {"user": {"contains": format!("number {n}")}}, "then": [{"text": "no"}]}))
            .collect();
        rules.push(json!({"then": [{"text": "Hello, how are you today?"}]}));
        server.client().control("PUT", "scripts", &rules.into());
        (size, message(&server, &[hello(false)]))
    });
    // Each rule is asked in turn: a list ten times as long may cost ten times as much, and not more.
    for (size, cost) in costs {
        let what = format!("plain message, the last of so many rules answers: {size}");
        table.row(what, format!("{cost:.1} µs each"));
    }
    let [(_, first), .., (less, before), (most, last)] = costs;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let grown =
        (last - first).max(0.0) / (before - first).max(first / 10.0) / (most as f64 / less as f64);
    table.at_most(
        "what rules cost: from 100 to 1000, of ten times as much",
        grown,
        "",
        1.2,
        "",
    );
}

fn journal(table: &mut Table) {
    let server = Server::sandtable(&["--backend", "none"]);
    let mut client = server.client();
    script(&mut client);
    let mut sent = 0;
    let (mut lists, mut grown) = (Vec::new(), Vec::new());
    for size in [1_000, 10_000, 100_000, 1_000_000] {
        many(&server, size - sent);
        sent = size;
        beside_a_new_one(table, size, &server);
        lists.push((size, asked(&mut client, "journal?limit=20").median_ms()));
        grown.push((size, server.memory().own / 1e6));
    }
    rows(
        table,
        "the journal's newest 20 after so many messages",
        "ms",
        MOST,
        &lists,
    );
    // It is full after some thousands, so the first row is one of a journal that is not.
    rows(
        table,
        "the server's own memory after so many messages",
        "MB",
        4.0,
        &grown,
    );
}

/// A plain message after `size` of them, and of a server that was just started, in turns: what the machine does beside
/// meets both alike, as it does not meet what was measured minutes before.
fn beside_a_new_one(table: &mut Table, size: usize, server: &Server) {
    const TURNS: usize = 3;
    let mut costs: Vec<(f64, f64)> = (0..TURNS)
        .map(|_| {
            let new = Server::sandtable(&["--backend", "none"]);
            script(&mut new.client());
            many(&new, 1_000);
            let cost = message(&new, &[hello(false)]);
            (message(server, &[hello(false)]), cost)
        })
        .collect();
    let times = |(old, new): (f64, f64)| old / new;
    costs.sort_by(|a, b| times(*a).total_cmp(&times(*b)));
    let (old, new) = costs[TURNS / 2];
    let what = format!("plain message after so many: {size}");
    let note = format!("{old:.1} µs, and {new:.1} µs of a new server");
    table.at_most(&what, old / new, "times a new server's", 1.25, &note);
}

fn asked(client: &mut Client, name: &str) -> Samples {
    let request = http::request("GET", &format!("/_sandtable/{name}"), "");
    let mut spans = Samples::default();
    for _ in 0..50 {
        let begin = Instant::now();
        assert_eq!(client.send(&request).status, 200);
        spans.push(begin.elapsed());
    }
    spans
}

fn events(table: &mut Table) {
    let server = Server::sandtable(&["--backend", "none"]);
    let mut client = server.client();
    let mut costs = Vec::new();
    for size in [10, 100, 1_000, 10_000] {
        let text = "word ".repeat(size);
        client.control("PUT", "scripts", &json!([{"then": [{"text": text}]}]));
        let answer = client.send(&hello(true));
        let events = memchr::memmem::find_iter(&answer.body, b"event: ").count();
        let before = server.cpu();
        let outcome = load::run(server.address, &hello(true), CONNECTIONS, SPAN);
        let spent = server.cpu().saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let each = spent.as_secs_f64() * 1e6 / (outcome.requests * events) as f64;
        costs.push((events, each));
    }
    rows(
        table,
        "stream, for one of so many events",
        "µs",
        1.0,
        &costs,
    );
}

fn containers(table: &mut Table) {
    let local = ["--backend", "local", "--provision", "never"];
    let server = Server::sandtable(&local);
    let mut client = server.client();
    say(&mut client, &json!([{"bash": "true"}]));
    let (mut new, mut calls, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    let mut made = 0;
    for size in [10, 100, 1_000, 5_000] {
        let mut spans = Samples::default();
        let mut last = Value::Null;
        for number in made..size {
            let begin = Instant::now();
            let message = turn(&mut client, &Value::Null, "code_execution_20250825");
            // The newest tell what one more costs.
            if number + 10 >= size {
                spans.push(begin.elapsed());
            }
            last = message["container"]["id"].clone();
        }
        made = size;
        let mut awake = Samples::default();
        for _ in 0..50 {
            let begin = Instant::now();
            turn(&mut client, &last, "code_execution_20250825");
            awake.push(begin.elapsed());
        }
        new.push((size, spans.median_ms()));
        calls.push((size, awake.median_ms()));
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let each = asked(&mut client, "containers").median_ms() * 1e3 / size as f64;
        lists.push((size, each));
    }
    rows(table, "a new container beside so many", "ms", MOST, &new);
    rows(
        table,
        "a bash call beside so many containers",
        "ms",
        MOST,
        &calls,
    );
    rows(
        table,
        "the list of so many containers, for each",
        "µs",
        1.0,
        &lists,
    );
}
