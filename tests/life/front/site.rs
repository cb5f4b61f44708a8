//! Servers with a front before them, and what tests ask of both.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http::{Answer, Client, parse};
use crate::proxy::{Front, free_address};
use crate::server::{Server, backends};
use crate::traces;

/// Longest wait for something that comes soon.
const PATIENCE: Duration = Duration::from_mins(1);
pub(super) const NAMES: [&str; 3] = ["sandtable-0", "sandtable-1", "sandtable-2"];

/// Servers with a front before them.
pub(super) struct Site {
    pub(super) front: Front,
    backend: &'static str,
    pub(super) addresses: Vec<String>,
    pub(super) servers: Vec<Option<Server>>,
    folder: TempDir,
}

impl Site {
    /// `None` where there is no `haproxy`.
    pub(super) fn start(backend: &'static str, count: usize, flags: &[&str]) -> Option<Self> {
        let addresses: Vec<String> = (0..count).map(|_| free_address()).collect();
        // Before its servers, which it does not mind.
        let front = Front::start(&addresses)?;
        let mut site = Self {
            front,
            backend,
            addresses,
            servers: (0..count).map(|_| None).collect(),
            folder: tempfile::tempdir().unwrap(),
        };
        for n in 0..count {
            site.start_server(n, flags);
        }
        Some(site)
    }

    fn data_dir(&self, n: usize) -> PathBuf {
        self.folder.path().join(NAMES[n])
    }

    pub(super) fn start_server(&mut self, n: usize, flags: &[&str]) {
        let (_, port) = self.addresses[n].rsplit_once(':').unwrap();
        let flags = [&["--port", port], flags].concat();
        let server = Server::start(self.backend, &self.data_dir(n), &flags);
        self.servers[n] = Some(server.expect("it starts on its port"));
    }

    pub(super) fn client(&self, key: &str) -> Client {
        Client {
            address: self.front.address.clone(),
            key: key.to_owned(),
        }
    }

    /// A client of one server, past the front.
    pub(super) fn direct(&self, n: usize, key: &str) -> Client {
        Client {
            address: self.addresses[n].clone(),
            key: key.to_owned(),
        }
    }

    /// How many keys a server has met.
    pub(super) fn workspaces(&self, n: usize) -> usize {
        let listed = self.direct(n, "").get("/_sandtable/workspaces").unwrap();
        listed.json()["data"].as_array().expect("a list").len()
    }

    pub(super) fn stop(mut self) {
        for (n, server) in self.servers.iter_mut().enumerate() {
            if let Some(server) = server.take() {
                assert!(server.stop().success(), "{}", NAMES[n]);
            }
        }
        for n in 0..self.servers.len() {
            traces::remove_sandboxes(&self.data_dir(n));
        }
    }
}

/// Which server a key is led to.
pub(super) fn home(client: &Client) -> usize {
    let answer = client.get("/v1/files").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    place(&answer)
}

pub(super) fn place(answer: &Answer) -> usize {
    let name = answer.header("x-sandtable-server").expect("the front's");
    let found = NAMES.iter().position(|known| *known == name);
    found.unwrap_or_else(|| panic!("a server called {name}"))
}

/// A backend that runs code without an engine, if there is one.
pub(super) fn code() -> Option<&'static str> {
    backends().pop()
}

pub(super) fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A request with these headers, and no others but the needed.
pub(super) fn raw(address: &str, path: &str, headers: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nanthropic-version: 2023-06-01\r\n{}\r\n\r\n",
        headers.join("\r\n")
    );
    // Without a header the line that would end it is the head's end already.
    let head = head.replace("\r\n\r\n\r\n", "\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    parse(&bytes).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&bytes)))
}
