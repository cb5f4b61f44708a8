//! Traces that a server leaves on the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::http::Client;

/// A sandbox on the engine.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) runs: bool,
}

/// The sandboxes of a data directory.
pub(crate) fn sandboxes(data_dir: &Path) -> Vec<Sandbox> {
    let data_dir = fs::canonicalize(data_dir).unwrap();
    let filter = format!("label=sandtable.data-dir={}", data_dir.display());
    let format = "{{.ID}} {{.Names}} {{.State}}";
    let list = docker(&[
        "ps",
        "-a",
        "--no-trunc",
        "--filter",
        &filter,
        "--format",
        format,
    ]);
    list.lines()
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut word = || words.next().unwrap();
            Sandbox {
                id: word(),
                name: word(),
                runs: word() == "running",
            }
        })
        .collect()
}

/// Whether any engine has a sandbox of this container.
pub(crate) fn exists(container: &str) -> bool {
    let filter = format!("name={container}");
    !docker(&["ps", "-aq", "--filter", &filter]).is_empty()
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8(output.stdout).unwrap(),
    )
}

/// Removes the sandboxes of a data directory, as its owner does at the end of a test.
pub(crate) fn remove_sandboxes(data_dir: &Path) {
    for sandbox in sandboxes(data_dir) {
        docker(&["rm", "-f", "-v", &sandbox.id]);
    }
}

/// The containers that a server knows, of all workspaces.
pub(crate) fn known_containers(client: &Client) -> BTreeSet<String> {
    let answer = client.get("/_sandtable/containers?workspace=*").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    let rows = json["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Asserts that servers that have ended left nothing but the sandboxes of containers they know, asleep.
pub(crate) fn assert_nothing_is_left(data_dir: &Path, known: &BTreeSet<String>, pids: &[u32]) {
    let data_dir = fs::canonicalize(data_dir).unwrap();
    let cgroup = Path::new("/sys/fs/cgroup");
    for pid in pids {
        // Numbers of processes come round: a group of one that lives is no leftover.
        let ours = |name: &str| {
            name.starts_with("sandtable-")
                && name.contains(&format!("-{pid}-"))
                && !started_at(*pid).is_some_and(|start| name.ends_with(&format!("-{start}")))
        };
        assert_eq!(cgroups(cgroup, &ours, 2), 0, "server {pid} left a cgroup");
    }
    for sandbox in sandboxes(&data_dir) {
        assert!(!sandbox.runs, "{sandbox:?} runs without a server");
        let container = sandbox.name.splitn(3, '-').nth(2).unwrap();
        assert!(known.contains(container), "{sandbox:?} belongs to nobody");
        let of_it = |name: &str| name.contains(&sandbox.id);
        assert_eq!(cgroups(cgroup, &of_it, 4), 0, "{sandbox:?} has a cgroup");
    }
    let temporary: Vec<_> = fs::read_dir(data_dir.join("sandtable-tmp"))
        .unwrap()
        .collect();
    assert!(temporary.is_empty(), "{temporary:?}");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let place = data_dir.to_str().unwrap();
    assert!(!mounts.contains(place), "something is mounted in {place}");
    for device in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = fs::read_to_string(device.path().join("loop/backing_file"));
        let file = file.unwrap_or_default();
        assert!(!file.contains(place), "{file} is on a loop device");
    }
    let volumes = docker(&["volume", "ls", "-q", "--filter", "dangling=true"]);
    assert!(
        volumes.lines().all(|name| !name.contains(place)),
        "{volumes}"
    );
}

/// When a process started that lives, in clock ticks since boot.
fn started_at(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// How many cgroups, so many levels deep, have such a name.
fn cgroups(folder: &Path, is_meant: &dyn Fn(&str) -> bool, depth: usize) -> usize {
    let folders = fs::read_dir(folder).into_iter().flatten().flatten();
    folders
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| {
            let deeper = match depth {
                0 => 0,
                _ => cgroups(&entry.path(), is_meant, depth - 1),
            };
            usize::from(is_meant(&entry.file_name().to_string_lossy())) + deeper
        })
        .sum()
}

/// The blobs in a data directory.
pub(crate) fn blobs(data_dir: &Path) -> usize {
    let shelves = fs::read_dir(data_dir.join("blobs")).unwrap().flatten();
    shelves
        .map(|shelf| fs::read_dir(shelf.path()).unwrap().count())
        .sum()
}
