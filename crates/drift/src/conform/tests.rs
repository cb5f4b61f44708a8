//! The cases without a service.

use super::*;
use common::hinted::told;

#[test]
fn every_fact_that_is_checked_is_one_and_every_check_has_its_case() {
    let cases = cases(&[], MODEL).unwrap();
    for fact in cases.iter().flat_map(|case| steps_facts(case.steps)) {
        assert!(!facts::says(fact).is_empty(), "{fact}");
    }
    let listed = listed(&cases);
    assert!(
        listed.contains("files/beta\n  F085  With `files-api-2025-04-14` the older shape"),
        "{listed}"
    );
}

#[test]
fn a_fact_or_a_case_is_asked_for_alone() {
    let of = |name: &str| cases(&[name.to_owned()], MODEL);
    assert_eq!(of("code/stream").unwrap().len(), 1);
    let of_fact = of("F136").unwrap();
    assert_eq!(of_fact.len(), 2);
    assert!(of_fact.iter().all(|case| case.only == ["F136"]));
    let unknown = told(&of("fact").unwrap_err());
    assert!(
        unknown.contains("`fact`") && unknown.contains("hint: "),
        "{unknown}"
    );
}

#[test]
fn costs_are_told_before_anything_is_asked() {
    let costs = costs(&cases(&[], MODEL).unwrap(), &Prices::default());
    assert!(costs.requests > 15 && costs.paid_requests > 5, "{costs:?}");
    assert!(
        costs.usd > 0.0 && costs.usd <= costs.most_usd && costs.most_usd < 1.0,
        "{costs:?}"
    );
    assert_eq!(costs.unpriced, Vec::<String>::new());
}
