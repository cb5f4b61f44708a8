//! The skipping of a test where something that it needs is not there.

use std::io::Write as _;

/// Says that nothing is tested; fails if `SANDTABLE_TEST_REQUIRE` (a list with commas) names `what`.
pub(crate) fn skip(what: &str, missing: &str) {
    let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == what),
        "`{what}` is required: {missing}"
    );
    // Not `eprintln!`, which the test harness keeps to itself; in one piece between its own lines.
    let said = format!("\nSKIPPED, nothing was tested: {missing}\n");
    std::io::stderr().write_all(said.as_bytes()).ok();
}
