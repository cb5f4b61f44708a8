//! Cassettes: reading many of them.

use std::time::Instant;

use sandtable::cassette::{About, Tape, Writer, load_all, parse};

use crate::table::Table;

/// As many as the budget names, each of two exchanges.
const COUNT: usize = 10_000;
const BUDGET_MS: f64 = 1000.0;

pub(crate) fn measure(table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let exchanges = parse("talk", include_str!("../fixtures/cassettes/pause.yaml"))
        .unwrap()
        .exchanges;
    let mut bytes = 0;
    for number in 0..COUNT {
        let path = folder.path().join(format!("{number}.yaml"));
        let mut writer = Writer::create(&path, &About::default()).unwrap();
        for (order, exchange) in (0..).zip(&exchanges) {
            writer.put(order, exchange).unwrap();
        }
        bytes += std::fs::metadata(&path).unwrap().len();
    }
    let started = Instant::now();
    let tape = Tape::of(load_all(folder.path()).unwrap()).unwrap();
    let took = started.elapsed();
    assert_eq!(tape.len(), COUNT * exchanges.len());
    let kilobytes = bytes / COUNT as u64 / 1000;
    table.at_most(
        "10,000 cassettes read and put in order",
        took.as_secs_f64() * 1000.0,
        "ms",
        BUDGET_MS,
        &format!("{} exchanges, {kilobytes} kB a cassette", tape.len()),
    );
}
