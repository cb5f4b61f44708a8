//! The front of `deploy/kubernetes`: a real `haproxy` with the configuration that is deployed, other addresses aside.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::require::skip;

/// Ports that the kernel gives to nobody by itself, so that a server finds its own free after a restart.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
const CONFIGURATION: &str = "deploy/kubernetes/components/front/haproxy.cfg";
/// Not to be taken for an API key.
pub(crate) const TOKEN: &str = "token-of-the-front";

/// A front that runs.
pub(crate) struct Front {
    child: Child,
    /// Host and port.
    pub(crate) address: String,
    folder: TempDir,
}

impl Front {
    /// A front before servers, in their order; `None`, and said so, where there is no `haproxy`.
    pub(crate) fn start(servers: &[String]) -> Option<Self> {
        let Some(program) = program() else {
            skip(
                "front",
                "`haproxy` is not installed; `.ci/run --prepare` installs it",
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let configuration = folder.path().join("haproxy.cfg");
        fs::write(&configuration, configured(&address, servers)).unwrap();
        let child = Command::new(program)
            .arg("-db")
            .arg("-f")
            .arg(&configuration)
            .env("SANDTABLE_CONTROL_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stdout(File::create(log(folder.path())).unwrap())
            .stderr(File::create(folder.path().join("errors")).unwrap())
            .spawn()
            .unwrap();
        let front = Self {
            child,
            address,
            folder,
        };
        let begun = Instant::now();
        while !front.answers() {
            let errors = fs::read_to_string(front.folder.path().join("errors"));
            assert!(begun.elapsed() < Duration::from_secs(30), "{errors:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(front)
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log(self.folder.path())).unwrap()
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(&self.address) else {
            return false;
        };
        let mut answer = String::new();
        stream
            .write_all(b"GET /_front/health HTTP/1.0\r\n\r\n")
            .is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.contains(" 200 ")
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// The deployed configuration with these addresses; servers beyond its own are added as its page says.
fn configured(address: &str, servers: &[String]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CONFIGURATION);
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("bind :4010\n"), "{text}");
    let mut text = text.replace("bind :4010\n", &format!("bind {address}\n"));
    for (n, server) in servers.iter().enumerate() {
        let named = format!("server sandtable-{n} sandtable-{n}:4010 ");
        if text.contains(&named) {
            text = text.replace(&named, &format!("server sandtable-{n} {server} "));
        } else {
            let id = n + 1;
            let line = format!("    server sandtable-{n} {server} id {id}\n");
            text.push_str(&line);
        }
    }
    assert!(!text.contains(":4010"), "a server has no address: {text}");
    text
}

/// On the path, or where Debian has it, which is not on every user's.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("haproxy"))
        .find(|file| file.is_file())
}

/// An address of this machine at which nobody listens.
pub(crate) fn free_address() -> String {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    let own = u16::try_from(std::process::id() % u32::from(count)).unwrap();
    loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        assert!(tried < count, "no port is free");
        // Tests that run side by side begin far from each other.
        let port = PORTS.start + (own.wrapping_mul(37).wrapping_add(tried)) % count;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return format!("127.0.0.1:{port}");
        }
    }
}
