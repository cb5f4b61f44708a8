//! Start-up and memory.

use std::time::Duration;

use crate::messages;
use crate::servers::{Server, program, succeeds};
use crate::table::{Samples, Table};

const STARTS: usize = 20;
const REQUESTS: usize = 1_000_000;
const MEGABYTE: f64 = 1e6;
const REST: Duration = Duration::from_secs(1);
/// After which a server that was asked much has given back what it needed for that.
const AT_REST: Duration = Duration::from_secs(8);

pub(crate) fn measure(table: &mut Table) {
    #[expect(clippy::cast_precision_loss, reason = "a program's size")]
    let size = program().metadata().unwrap().len() as f64;
    table.at_most("program", size / MEGABYTE, "MB", 15.0, "");
    starts(
        table,
        "start to first answer, no backend",
        &["--backend", "none"],
    );
    if succeeds("docker", &["version"]) {
        starts(table, "start to first answer, Docker engine asked", &[]);
    } else {
        table.missing("start to first answer, Docker engine asked", "no engine");
    }
    let server = Server::sandtable(&["--backend", "none"]);
    // It answers before it has come to rest.
    std::thread::sleep(REST);
    memory(table, "memory idle", &server, 10.0);
}

fn starts(table: &mut Table, what: &str, args: &[&str]) {
    let mut spans = Samples::default();
    for _ in 0..STARTS {
        spans.push(Server::sandtable(args).first_answer);
    }
    table.at_most(what, spans.median_ms(), "ms", 8.0, &spans.spread());
}

pub(crate) fn after_many(table: &mut Table) {
    let server = Server::sandtable(&["--backend", "none"]);
    messages::script(&mut server.client());
    messages::many(&server, REQUESTS);
    let meanwhile = server.memory();
    let (own, all) = (meanwhile.own / MEGABYTE, meanwhile.all / MEGABYTE);
    let what = "memory after 1 M plain messages, before it rests";
    table.row(what, format!("{all:.2} MB ({own:.1} of its own)"));
    std::thread::sleep(AT_REST);
    memory(
        table,
        "memory after 1 M plain messages, at rest",
        &server,
        16.0,
    );
}

fn memory(table: &mut Table, what: &str, server: &Server, most: f64) {
    let memory = server.memory();
    let own = memory.own / MEGABYTE;
    let note = format!("{own:.1} of its own, the rest is the program's file");
    table.at_most(what, memory.all / MEGABYTE, "MB", most, &note);
}
