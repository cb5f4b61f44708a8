//! Cassettes: from the start of `sandtable replay FOLDER` until it serves, with many of them.

use std::process::Command;
use std::time::Duration;

use cassette::{About, Exchange, Writer, parse};

use crate::servers::{Server, program};
use crate::table::{Table, ms};

/// As many as the budget names.
const COUNT: usize = 10_000;
const BUDGET_MS: f64 = 600.0;
/// The times take turns with nothing; the median counts.
const ROUNDS: usize = 3;
/// Younger files are parsed each time: they may change without another time.
const SETTLED: Duration = Duration::from_secs(3);

pub(crate) fn measure(table: &mut Table) {
    let talk = include_str!("../fixtures/cassettes/talk.yaml");
    let mut talk = parse("talk", talk).unwrap().exchanges;
    talk.truncate(1);
    rows(table, "one exchange", &talk);
    let pause = include_str!("../fixtures/cassettes/pause.yaml");
    let pause = parse("pause", pause).unwrap().exchanges;
    rows(table, "two exchanges with calls", &pause);
}

fn rows(table: &mut Table, what: &str, exchanges: &[Exchange]) {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = 0;
    for number in 0..COUNT {
        let path = folder.path().join(format!("{number}.yaml"));
        let mut writer = Writer::create(&path, &About::default()).unwrap();
        for (order, exchange) in (0..).zip(exchanges) {
            writer.put(order, exchange).unwrap();
        }
        bytes += std::fs::metadata(&path).unwrap().len();
    }
    std::thread::sleep(SETTLED);
    let note = format!("{} bytes a cassette", bytes / COUNT as u64);
    let cache = tempfile::tempdir().unwrap();
    let started = || {
        let mut command = Command::new(program());
        command.arg("replay").arg(folder.path());
        command.env("XDG_CACHE_HOME", cache.path());
        ms(Server::of(command, &["--backend", "none"]).first_answer)
    };
    let first = started();
    table.row(
        format!("replaying 10,000 cassettes of {what}: the first time"),
        format!("{first:.0} ms ({note})"),
    );
    let mut again: Vec<f64> = (0..ROUNDS).map(|_| started()).collect();
    again.sort_by(f64::total_cmp);
    table.at_most(
        &format!("replaying 10,000 cassettes of {what}: again, none of them changed"),
        again[ROUNDS / 2],
        "ms",
        BUDGET_MS,
        &note,
    );
}
