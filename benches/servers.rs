//! Servers in processes of their own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::{Client, request};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sandtable");
const AIMOCK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/aimock/node_modules/@copilotkit/aimock/dist/cli.js"
);
const AIMOCK_FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/aimock/fixtures");
const LLMPOSTER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/llmposter/bin/llmposter"
);
const LLMPOSTER_FIXTURES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/llmposter/fixtures.yaml"
);
const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test: this build's, or what `SANDTABLE_BENCH_PROGRAM` names, such as that of a release.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("SANDTABLE_BENCH_PROGRAM").map_or_else(|| PROGRAM.into(), PathBuf::from)
}

/// A server; ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first answer.
    pub(crate) first_answer: Duration,
}

impl Server {
    /// This build's program.
    pub(crate) fn sandtable(args: &[&str]) -> Self {
        Self::of(Command::new(program()), args)
    }

    /// A copy of it, run by an ordinary user with `folder` as its place.
    pub(crate) fn of_user(folder: &Path, uid: u32, args: &[&str]) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let copy = folder.join("sandtable");
        fs::copy(program(), &copy).unwrap();
        let tmp = folder.join("tmp");
        fs::create_dir_all(&tmp).unwrap();
        for (path, mode) in [(folder, 0o755), (copy.as_path(), 0o755), (&tmp, 0o1777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut command = Command::new(copy);
        command.uid(uid).gid(uid).current_dir("/");
        command.env("TMPDIR", &tmp).env("HOME", &tmp);
        Self::of(command, args)
    }

    /// A server that a command starts, which takes the program's arguments after its own.
    pub(crate) fn of(mut command: Command, args: &[&str]) -> Self {
        let port = free_port();
        command.args(["--port", &port.to_string()]).args(args);
        command.env("SANDTABLE_LOG", "error");
        Self::start(command, port, "/health")
    }

    /// This program again, as a bare handler of the bytes in `folder`.
    pub(crate) fn bare(folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .arg(crate::bare::MODE)
            .arg(port.to_string())
            .arg(folder);
        Self::start(command, port, "/health")
    }

    /// The npm package; why not, where it is missing.
    pub(crate) fn aimock() -> Result<Self, String> {
        if !Path::new(AIMOCK).exists() {
            return Err("run `npm ci --ignore-scripts` in benches/aimock".to_owned());
        }
        let port = free_port();
        let mut command = Command::new("node");
        command
            .args([AIMOCK, "--log-level", "silent", "--fixtures"])
            .arg(AIMOCK_FIXTURES)
            .args(["--port", &port.to_string()]);
        Ok(Self::start(command, port, "/health"))
    }

    /// The crate; why not, where it is missing.
    pub(crate) fn llmposter() -> Result<Self, String> {
        if !Path::new(LLMPOSTER).exists() {
            return Err("run the `cargo install` of docs/BENCHMARKS.md".to_owned());
        }
        let port = free_port();
        let mut command = Command::new(LLMPOSTER);
        command
            .args(["--fixtures", LLMPOSTER_FIXTURES])
            .args(["--port", &port.to_string()])
            .stderr(Stdio::null());
        Ok(Self::start(command, port, "/health"))
    }

    fn start(mut command: Command, port: u16, path: &str) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let begin = Instant::now();
        let child = command.spawn().unwrap();
        loop {
            if let Ok(mut client) = Client::try_open(address) {
                client.send(&request("GET", path, ""));
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "{command:?} does not answer");
            std::thread::sleep(Duration::from_micros(200));
        }
        Self {
            child,
            address,
            first_answer: begin.elapsed(),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::open(self.address)
    }

    /// Resident memory.
    pub(crate) fn memory(&self) -> Memory {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(path).unwrap();
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
            kib.unwrap().parse::<f64>().unwrap() * 1024.0
        };
        Memory {
            all: bytes("VmRSS"),
            own: bytes("RssAnon"),
        }
    }

    /// Processor time so far.
    pub(crate) fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = fs::read_to_string(path).unwrap();
        let fields: Vec<&str> = text
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident in all, pages of the program's file included.
    pub(crate) all: f64,
    /// Without those.
    pub(crate) own: f64,
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM, so that it clears up after itself.
        Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .ok();
        self.child.wait().ok();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A folder that goes with the value.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("sandtable-bench-")
        .tempdir()
        .unwrap()
}

/// The machine that this was measured on.
pub(crate) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unnamed processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or_default();
    format!(
        "{cores} cores of {name}, Linux {}, load {load} at the end",
        kernel.trim()
    )
}

/// As many open files as the system lets this user have; the servers inherit it.
pub(crate) fn allow_many_files() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    #[expect(unsafe_code, reason = "the limit of this process, read and raised")]
    // SAFETY: `limit` outlives both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Whether a command of this machine succeeds.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Where the system keeps temporary files.
pub(crate) fn scratch() -> PathBuf {
    std::env::temp_dir()
}
