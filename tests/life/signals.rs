//! The signals that end a server: in order, whichever it is and whenever it comes.

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
