//! Whole servers: killed at once, they leave nothing that runs and nothing that is mounted.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{ISOLATION, contract, program};

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(data_dir: &Path) -> Self {
        let mut process = Command::new(program())
            .args([
                "serve",
                "--backend",
                "local",
                "--provision",
                "never",
                "--port",
                "0",
            ])
            .envs(std::env::var(ISOLATION).map(|rung| ("SANDTABLE_ISOLATION", rung)))
            .arg("--data-dir")
            .arg(data_dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.as_mut().unwrap());
        let address = stdout
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("http://")?.1.trim().to_owned()))
            .unwrap();
        Self { process, address }
    }

    /// Has a bash command run, in a container of its id if one is given; gives the answer's JSON.
    fn bash(&self, command: &str, container: Option<&str>) -> serde_json::Value {
        let mut body = serde_json::json!({
            "model": "claude-opus-4-6",
            "max_tokens": 1024,
            "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
            "messages": [{"role": "user", "content": format!("```bash\n{command}\n```")}],
        });
        if let Some(container) = container {
            body["container"] = container.into();
        }
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST /v1/messages HTTP/1.1\r\nhost: {}\r\nx-api-key: one\r\nanthropic-version: 2023-06-01\r\n\
             anthropic-beta: code-execution-2025-08-25\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(json).unwrap()
    }

    /// The answer to `GET /_sandtable/health`.
    fn health(&self) -> serde_json::Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        let request =
            format!("GET /_sandtable/health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(json).unwrap()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The remains on the machine of sandboxes whose files lie below a folder.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    processes: Vec<String>,
    loops: Vec<String>,
    mounts: Vec<String>,
}

fn left(marker: &str, data_dir: &Path) -> Left {
    let folder = fs::canonicalize(data_dir).unwrap().display().to_string();
    let mut left = Left::default();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if command.contains(marker) {
            left.processes.push(command);
        }
    }
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = entry.path().join("loop/backing_file");
        let backing = fs::read_to_string(file).unwrap_or_default();
        if backing.starts_with(&folder) {
            left.loops.push(backing);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ours = mounts.lines().filter(|line| line.contains(&folder));
    left.mounts.extend(ours.map(str::to_owned));
    left
}

fn cgroups_of(pid: u32) -> Vec<String> {
    fn look(folder: &Path, part: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with("sandtable-") && name.contains(part) {
                    found.push(entry.path().display().to_string());
                } else {
                    look(&entry.path(), part, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    look(Path::new("/sys/fs/cgroup"), &format!("-{pid}-"), &mut found);
    found
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn health_names_the_rung_and_why_the_better_one_does_not_run() {
    let Some(bench) = contract().await else {
        return;
    };
    let wanted = if bench.has_namespaces() {
        "namespaces"
    } else {
        "landlock"
    };
    bench.end().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    // The server answers before its backend is chosen.
    assert_eq!(server.bash("echo ran", None)["stop_reason"], "end_turn");
    let health = server.health();
    assert_eq!(health["isolation"], wanted, "{health}");
    let passed_over = health["passed_over"].as_array().unwrap();
    if wanted == "namespaces" || std::env::var(ISOLATION).is_ok() {
        assert!(passed_over.is_empty(), "{health}");
    } else {
        let reason = passed_over[0]["reason"].as_str().unwrap();
        assert_eq!(passed_over[0]["name"], "namespaces");
        assert!(reason.contains("Operation not permitted"), "{reason}");
        assert!(
            reason.contains("(unshare)") || reason.contains("(open_tree)"),
            "{reason}"
        );
    }
    server.kill();
}

#[tokio::test]
async fn a_killed_server_takes_its_sandboxes_along_and_the_next_one_has_their_files() {
    let Some(bench) = contract().await else {
        return;
    };
    let has_namespaces = bench.has_namespaces();
    bench.end().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let pid = server.process.id();
    let marker = format!("{}", 1_000_000 + pid);
    let said = server.bash(
        &format!("echo kept > note; (setsid sleep {marker} > /dev/null 2>&1 &); sync"),
        None,
    );
    let container = said["container"]["id"].as_str().unwrap().to_owned();
    assert_eq!(left(&marker, folder.path()).processes.len(), 1);

    server.kill();
    until("everything ends with the server", || {
        left(&marker, folder.path()) == Left::default()
    });

    let server = Server::start(folder.path());
    let said = server.bash("cat note", Some(&container)).to_string();
    assert!(said.contains(r#""stdout":"kept\n""#), "{said}");
    until("the next server clears the control groups", || {
        cgroups_of(pid).is_empty()
    });
    let next = server.process.id();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root && has_namespaces && Path::new("/sys/fs/cgroup").exists() {
        assert!(!cgroups_of(next).is_empty());
    }
    // Told to end, it leaves nothing itself.
    let terminated = Command::new("kill").arg(next.to_string()).status().unwrap();
    assert!(terminated.success());
    let mut process = server.process;
    assert!(process.wait().unwrap().success());
    assert_eq!(left(&marker, folder.path()), Left::default());
    assert_eq!(cgroups_of(next), Vec::<String>::new());
}

/// Whether a disk image below this folder is a device of the kernel's.
fn is_attached(folder: &Path) -> bool {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut images = devices.filter_map(|device| {
        let file = device.path().join("loop/backing_file");
        fs::read_to_string(file).ok()
    });
    images.any(|image| Path::new(image.trim_end()).starts_with(folder))
}

#[tokio::test]
async fn a_data_directory_that_is_moved_or_copied_has_its_files() {
    let Some(bench) = contract().await else {
        return;
    };
    bench.end().await;
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let server = Server::start(&place("first"));
    let said = server.bash("umask 077; echo one > note", None);
    let container = said["container"]["id"].as_str().unwrap().to_owned();
    server.kill();
    fs::rename(place("first"), place("second")).unwrap();
    let server = Server::start(&place("second"));
    let said = server.bash("cat note; echo two >> note", Some(&container));
    assert!(said.to_string().contains(r#""stdout":"one\n""#), "{said}");
    server.kill();
    // What the sandbox's own file system has not written yet is in no copy.
    until(
        "the kernel has put the disks of the killed server away",
        || !is_attached(folder.path()),
    );
    let copied = Command::new("cp")
        .arg("-a")
        .args([place("second"), place("first")])
        .status();
    assert!(copied.unwrap().success());
    // Both at once: what is written here is not there.
    let servers = ["first", "second"].map(|name| Server::start(&place(name)));
    for server in &servers {
        let said = server.bash("cat note; echo three >> note", Some(&container));
        let said = said.to_string();
        assert!(said.contains(r#""stdout":"one\ntwo\n""#), "{said}");
    }
    servers.into_iter().for_each(Server::kill);
}
