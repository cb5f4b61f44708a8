//! The same as an ordinary user: without control groups, disk images, and users of their own.

use crate::bench::as_ordinary_user;

/// Nobody in particular.
const UID: u32 = 54_321;

#[test]
fn all_of_this_holds_for_an_ordinary_user() {
    // Containers are made by whoever may use the engine.
    let Some(folder) = as_ordinary_user(UID, &["--skip", "contained::"]) else {
        return;
    };
    let left: Vec<_> = std::fs::read_dir(folder.path().join("tmp"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
