//! Sums against the rules of F180, and the tutorial's own example.

use chrono::TimeZone as _;

use control_api::Usage;

use super::*;

fn at(minutes: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap() + TimeDelta::minutes(minutes)
}

fn turn(container: Option<(&str, i64, i64, bool)>) -> Turn<'static> {
    Turn {
        message_id: "msg_1",
        at: at(0),
        model: "claude-opus-4-7",
        tokens: Tokens {
            input: 1500,
            output: 800,
            ..Tokens::default()
        },
        web_searches: 0,
        batch: false,
        container: container.map(|(id, from, to, free)| ContainerUse {
            id: id.to_owned(),
            from: at(from),
            to: at(to),
            free,
        }),
    }
}

fn ledger(uses: &[(&str, i64, i64, bool)]) -> Ledger {
    let ledger = Ledger::default();
    for used in uses {
        ledger.note(turn(Some(*used)));
    }
    ledger
}

fn november(ledger: &Ledger) -> Usage {
    ledger.report("2026-11".parse().unwrap(), &Prices::default())
}

#[test]
fn the_minimum_applies_once_to_uses_that_follow_closely() {
    let report = november(&ledger(&[
        ("a", 0, 1, false),
        ("a", 3, 4, false),
        ("b", 0, 1, false),
    ]));
    let seconds: Vec<_> = report.containers.iter().map(|c| c.seconds).collect();
    assert_eq!(seconds, [300, 300]);
    assert_eq!(report.container_time.seconds, 600);
}

#[test]
fn a_container_that_slept_begins_a_new_session() {
    let report = november(&ledger(&[("a", 0, 7, false), ("a", 13, 14, false)]));
    let sessions: Vec<_> = report.containers[0]
        .sessions
        .iter()
        .map(|session| session.seconds)
        .collect();
    assert_eq!(sessions, [420, 300]);
}

#[test]
fn only_uses_without_newer_web_tools_are_charged() {
    let report = november(&ledger(&[("a", 0, 10, true), ("a", 11, 12, false)]));
    assert_eq!(report.containers[0].seconds, 300);
    let report = november(&ledger(&[("a", 0, 10, true)]));
    assert_eq!((report.containers[0].seconds, report.usd > 0.0), (0, true));
    let used = report.turns[0].container.as_ref().unwrap();
    assert_eq!(used.usd_beyond_free_hours.to_bits(), 0.0_f64.to_bits());
}

#[test]
fn hours_beyond_the_free_ones_cost_five_cents() {
    let uses: Vec<_> = (0..160).map(|n| (n, format!("container_{n}"))).collect();
    let ledger = Ledger::default();
    for (_, id) in &uses {
        ledger.note(turn(Some((id, 0, 600, false))));
    }
    let time = november(&ledger).container_time;
    assert_eq!(time.seconds, 160 * 36000);
    assert!((time.charged_hours - 50.0).abs() < 1e-9 && (time.usd - 2.5).abs() < 1e-9);
    assert!(time.free_hours_left.abs() < 1e-9);
}

#[test]
fn a_query_of_the_tutorial_costs_what_it_says() {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join("fixtures/prices/tutorial.json");
    let prices = Prices::load(&path).unwrap();
    let ledger = ledger(&[("a", 0, 1, false)]);
    let report = ledger.report(Month::of(at(0)), &prices);
    assert_eq!(report.turns[0].usd, Some(0.0825));
    let used = report.turns[0].container.as_ref().unwrap();
    assert!((used.usd_beyond_free_hours - 0.004_167).abs() < 1e-9);
    assert!(report.container_time.usd.abs() < 1e-9);
}

#[test]
fn a_batch_pays_half_for_tokens_and_all_for_its_container() {
    let ledger = Ledger::default();
    ledger.note(Turn {
        batch: true,
        ..turn(Some(("a", 0, 6, false)))
    });
    let report = november(&ledger);
    assert_eq!(report.turns[0].usd, Some(0.01375));
    assert_eq!(report.container_time.seconds, 360);
}

#[test]
fn what_is_folded_stays_in_the_sums() {
    let ledger = Ledger::default();
    let turns = limits::LEDGER_ENTRIES + 10;
    for n in 0..turns {
        ledger.note(turn(Some((&format!("container_{n}"), 0, 1, false))));
    }
    let report = november(&ledger);
    assert_eq!(report.turns.len(), limits::LEDGER_ENTRIES);
    assert_eq!(report.container_time.seconds, 300 * turns as u64);
    assert_eq!(report.tokens.input_tokens, 1500 * turns as u64);
    assert!(report.summed_up);
}

#[test]
fn months_are_apart() {
    let ledger = ledger(&[("a", 0, 1, false)]);
    let december = ledger.report("2026-12".parse().unwrap(), &Prices::default());
    assert!(december.containers.is_empty() && december.turns.is_empty());
    for wrong in ["2026", "2026-13", "november"] {
        assert!(wrong.parse::<Month>().is_err(), "{wrong}");
    }
}

#[test]
fn tokens_beyond_the_largest_number_stay_at_it() {
    let ledger = Ledger::default();
    for model in ["claude-opus-4-7", "claude-opus-4-7", "claude-opus-4-6"] {
        let mut turn = turn(None);
        turn.model = model;
        turn.tokens.input = u64::MAX;
        ledger.note(turn);
    }
    assert_eq!(november(&ledger).tokens.input_tokens, u64::MAX);
}
