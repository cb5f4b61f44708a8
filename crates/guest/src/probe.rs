//! Whether a network can be reached from a pod: the one place where this program uses one, and never as the guest.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// Whether somebody takes a connection; `$NAME:$PORT` is looked up in the environment.
pub(crate) fn reaches(address: &str) -> bool {
    let value = |name: &str| match name.strip_prefix('$') {
        Some(name) => std::env::var(name).unwrap_or_default(),
        None => name.to_owned(),
    };
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let (host, port) = (value(host), value(port));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let Some(port) = port.parse::<u16>().ok().filter(|_| !host.is_empty()) else {
        return false;
    };
    let Ok(addresses) = (host, port).to_socket_addrs() else {
        return false;
    };
    addresses
        .into_iter()
        .any(|address| TcpStream::connect_timeout(&address, PROBE_PATIENCE).is_ok())
}
