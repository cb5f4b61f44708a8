//! Ten thousand streams that are open at the same time.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::Client;
use crate::messages::hello;
use crate::servers::Server;
use crate::table::Table;

const STREAMS: u32 = 10_000;
/// How long each stays open after its first words.
const OPEN: &str = "20s";

pub(crate) fn measure(table: &mut Table) {
    let server = Server::sandtable(&["--backend", "none"]);
    let rules = json!([{"then": [{"text": "Wait."}, {"delay": OPEN}, {"text": "Done."}]}]);
    server.client().control("PUT", "scripts", &rules);
    let before = server.memory();
    let begin = Instant::now();
    let request = hello(true);
    let mut clients: Vec<Client> = (0..STREAMS)
        .map(|_| {
            let mut client = server.client();
            client.write(&request);
            client
        })
        .collect();
    let opened = begin.elapsed();
    // Every one of them has begun: the server answers a plain request after all of them.
    std::thread::sleep(Duration::from_secs(2));
    let during = server.memory();
    let mut served = 0;
    for client in &mut clients {
        let answer = client.answer();
        let whole = memchr::memmem::find(&answer.body, b"message_stop").is_some();
        served += u32::from(answer.status == 200 && whole);
    }
    let each = (during.all - before.all) / f64::from(STREAMS) / 1e3;
    table.at_least(
        "open streams at once: served",
        f64::from(served),
        "streams",
        f64::from(STREAMS),
        &format!("opened in {:.1} s", opened.as_secs_f64()),
    );
    table.at_most("open streams at once: memory of each", each, "kB", 24.0, "");
}
