//! Cassettes: reading many of them.

use std::time::Instant;

use sandtable::cassette::{About, Exchange, Tape, Writer, load_all, parse};

use crate::table::Table;

/// As many as the budget names.
const COUNT: usize = 10_000;
const BUDGET_MS: f64 = 1000.0;

pub(crate) fn measure(table: &mut Table) {
    let talk = include_str!("../fixtures/cassettes/talk.yaml");
    let mut talk = parse("talk", talk).unwrap().exchanges;
    talk.truncate(1);
    let (took_ms, note) = read(&talk);
    table.at_most(
        "10,000 cassettes of one exchange read",
        took_ms,
        "ms",
        BUDGET_MS,
        &note,
    );
    let pause = include_str!("../fixtures/cassettes/pause.yaml");
    let (took_ms, note) = read(&parse("pause", pause).unwrap().exchanges);
    table.row(
        "10,000 cassettes of two exchanges with calls read",
        format!("{took_ms:.0} ms ({note})"),
    );
}

/// How long it takes to read cassettes of these exchanges and to put them in order, in milliseconds.
fn read(exchanges: &[Exchange]) -> (f64, String) {
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
    let started = Instant::now();
    let tape = Tape::of(load_all(folder.path()).unwrap()).unwrap();
    let took = started.elapsed();
    assert_eq!(tape.len(), COUNT * exchanges.len());
    let average = bytes / COUNT as u64;
    (
        took.as_secs_f64() * 1000.0,
        format!("{average} bytes a cassette"),
    )
}
