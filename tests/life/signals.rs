//! The signals that end a server: in order, whichever it is and whenever it comes, and at once for whoever insists.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::server::Server;

#[test]
fn every_ending_signal_ends_a_server_in_order_as_soon_as_it_listens() {
    for signal in ["INT", "TERM", "HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_temporary("none", folder.path());
        assert!(server.end_with(signal).success(), "{signal}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{signal}: {left:?}");
    }
}

#[test]
fn a_second_interrupt_does_not_wait_for_an_open_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("none", &folder.path().join("data"), &[]).unwrap();
    let client = server.client("key");
    let script = r#"[{"then": [{"text": "Wait."}, {"delay": "1h"}]}]"#;
    client
        .ask(
            "PUT",
            "/_sandtable/scripts",
            "application/json",
            script.as_bytes(),
        )
        .unwrap();
    let body = crate::http::message(None, "true", &[], true);
    let mut open = client
        .send("POST", "/v1/messages", "application/json", &body)
        .unwrap();
    // Its head is here, so it is under way.
    std::io::Read::read_exact(&mut open, &mut [0; 12]).unwrap();
    let pid = server.pid().to_string();
    let interrupt = || {
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
    };
    interrupt();
    // Only once the first has been noticed is another one the second.
    let log = crate::server::log_path(&folder.path().join("data"));
    let begun = Instant::now();
    while !std::fs::read_to_string(&log).unwrap().contains("stopping") {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "it was not noticed"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    interrupt();
    assert_eq!(server.ended().code(), Some(130));
}
