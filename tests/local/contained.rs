//! All of this in containers without privileges, where namespaces are forbidden and Landlock does instead.

#[path = "../shared/contained.rs"]
mod container;

use crate::bench::{LANDLOCK, program};

/// Those of this program's tests that start others apart.
const SUITE: &str =
    "/t/tests --test-threads 2 --skip contained:: --skip user:: --skip landlock::forced";

fn passes(options: &[&str]) {
    if let Some(output) = container::run(options, &program(), SUITE) {
        assert!(output.status.success());
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("SKIPPED"), "{said}");
    }
}

#[test]
fn the_suite_passes_as_root_of_a_plain_container() {
    passes(container::ROOT);
}

#[test]
fn the_suite_passes_as_a_user_without_any_capability() {
    passes(container::USER);
}

/// As Linux 5.13 has it, and 6.2, where files cannot be made shorter any more.
#[test]
fn the_suite_passes_with_older_generations_of_landlock() {
    for generation in ["1", "3"] {
        let older = format!("{LANDLOCK}={generation}");
        passes(&[container::USER, &["--env", &older]].concat());
    }
}

#[test]
fn strict_isolation_refuses_what_has_no_namespaces_and_doctor_says_what_failed() {
    let strict = "/t/sandtable serve --backend local --isolation strict --port 0 --stop-at-eof </dev/null; echo code $?; \
                  /t/sandtable doctor --backend local --provision never --port 0";
    let Some(output) = container::run(container::USER, &program(), strict) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("code 0"), "{said}");
    for words in [
        "`--isolation strict` refuses Landlock without namespaces",
        "make a user namespace (unshare): Operation not permitted (os error 1)",
        "Landlock without namespaces (",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
