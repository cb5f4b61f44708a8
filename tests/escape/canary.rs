//! Canaries: targets on the host that the programs reach for, a file, a folder, and listeners. They must stay alone.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use sandbox::guest::ExecResult;
use tempfile::TempDir;

/// The canaries of one test.
#[derive(Debug)]
pub(crate) struct Canary {
    folder: TempDir,
    secret: String,
    tcp: Vec<TcpListener>,
    udp: UdpSocket,
    unix: Vec<UnixListener>,
    abstract_name: String,
}

impl Canary {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = common::ids::Ids::random().next(common::ids::Kind::File);
        fs::write(folder.path().join("secret"), &secret).unwrap();
        let random = common::ids::Ids::random().next_hex16();
        let abstract_name = format!("sandtable-canary-{random}");
        let by_name = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let unix = vec![
            UnixListener::bind(folder.path().join("socket")).unwrap(),
            UnixListener::bind_addr(&by_name).unwrap(),
        ];
        // On every address of the machine. A machine without IPv6 has only the first.
        let mut tcp = vec![TcpListener::bind("0.0.0.0:0").unwrap()];
        tcp.extend(TcpListener::bind("[::1]:0"));
        let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
        for listener in &tcp {
            listener.set_nonblocking(true).unwrap();
        }
        for listener in &unix {
            listener.set_nonblocking(true).unwrap();
        }
        udp.set_nonblocking(true).unwrap();
        Self {
            folder,
            secret,
            tcp,
            udp,
            unix,
            abstract_name,
        }
    }

    /// Where they are, for the programs.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port().to_string();
        [
            ("CANARY_FILE", path("secret")),
            ("CANARY_NEW_FILE", path("new")),
            ("CANARY_SOCKET", path("socket")),
            ("CANARY_ABSTRACT", self.abstract_name.clone()),
            ("CANARY_PORT", port(&self.tcp[0])),
            (
                "CANARY_PORT6",
                self.tcp.last().map(port).unwrap_or_default(),
            ),
            (
                "CANARY_UDP",
                self.udp.local_addr().unwrap().port().to_string(),
            ),
            ("HOST_PID", std::process::id().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Whether a program has read the secret.
    pub(crate) fn tells(&self, done: &ExecResult) -> Option<String> {
        let said = [&done.stdout[..], &done.stderr[..]].concat();
        String::from_utf8_lossy(&said)
            .contains(&self.secret)
            .then(|| "the host's secret was read".to_owned())
    }

    /// The visits and changes since the last look.
    pub(crate) fn harm(&self) -> Vec<String> {
        let mut harm = Vec::new();
        harm.extend(
            self.tcp
                .iter()
                .filter_map(|l| l.accept().ok())
                .map(|c| format!("connected: {c:?}")),
        );
        harm.extend(
            self.unix
                .iter()
                .filter_map(|l| l.accept().ok())
                .map(|c| format!("connected: {c:?}")),
        );
        harm.extend(
            self.udp
                .recv_from(&mut [0; 64])
                .ok()
                .map(|got| format!("received: {got:?}")),
        );
        let mut names: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        if names != ["secret", "socket"] {
            harm.push(format!("the host's folder holds {names:?}"));
        }
        if fs::read_to_string(self.folder.path().join("secret"))
            .ok()
            .as_ref()
            != Some(&self.secret)
        {
            harm.push("the host's file was changed".to_owned());
        }
        harm
    }
}
