//! `doctor` says what a server of the same flags is refused for, and leaves everything as it is.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use store::Store;
use tempfile::TempDir;

use crate::programs::copy_program;
use crate::server::Server;

/// Nobody in particular.
const UID: u32 = 54_321;

/// A user, a folder to stand in, and variables: what flags are tried with.
struct Place {
    folder: TempDir,
    program: PathBuf,
    uid: Option<u32>,
    variables: Vec<(&'static str, String)>,
}

/// How a program ended, and all that it said.
struct Said {
    code: Option<i32>,
    text: String,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            program: env!("CARGO_BIN_EXE_sandtable").into(),
            uid: None,
            variables: Vec::new(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A store that a server has left.
    fn store(&self, name: &str) -> PathBuf {
        drop(Store::open(&self.at(name)).unwrap());
        self.at(name)
    }

    fn run(&self, command: &str, flags: &str) -> Said {
        let mut program = Command::new("timeout");
        program
            .args(["--kill-after", "5", "60"])
            .arg(&self.program)
            .arg(command)
            .args(flags.split_whitespace())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        if let Some(uid) = self.uid {
            program.uid(uid).gid(uid);
        }
        let output = program.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        Said {
            code: output.status.code(),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }

    /// Everything below the folder: its name, size, rights, content, and when it was written.
    fn all(&self) -> Vec<(PathBuf, u64, u32, i64, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let about = fs::symlink_metadata(&path).unwrap();
                let content = if about.is_file() {
                    fs::read(&path).unwrap()
                } else {
                    Vec::new()
                };
                let size = if about.is_dir() { 0 } else { about.len() };
                let written = about.mtime() * 1_000_000_000 + about.mtime_nsec();
                // A folder notes that a file without a name was in it.
                let written = if about.is_dir() { 0 } else { written };
                if about.is_dir() {
                    folders.push(path.clone());
                }
                found.push((path, size, about.mode(), written, content));
            }
        }
        found.sort();
        found
    }

    /// That no server starts, and that doctor says why in the server's own words, with a hint.
    fn refused(&self, flags: &str, words: &str) {
        let before = self.all();
        let doctor = self.run("doctor", flags);
        assert_eq!(doctor.code, Some(1), "{flags}: {}", doctor.text);
        assert_eq!(self.all(), before, "{flags}: doctor changed something");
        let serve = self.run("serve", flags);
        assert!(
            matches!(serve.code, Some(1 | 2)),
            "{flags}: {:?} {}",
            serve.code,
            serve.text
        );
        let error = serve.text.split_once("error: ").expect(&serve.text).1;
        // Behind it is a name that no other try has.
        let error = error
            .lines()
            .next()
            .unwrap()
            .split(" at path ")
            .next()
            .unwrap();
        assert!(error.contains(words), "{flags}: {error}");
        let fails: Vec<&str> = doctor
            .text
            .lines()
            .filter(|line| line.starts_with("FAIL"))
            .collect();
        assert!(
            fails.iter().any(|line| line.contains(error)),
            "{flags}: the server says `{error}`, doctor\n{}",
            doctor.text
        );
        assert!(doctor.text.contains("\n      hint: "), "{}", doctor.text);
    }
}

/// The flags of a server that needs nothing.
const PLAIN: &str = "--backend none --port 0";

#[test]
fn temporary_folders_that_are_none_are_told() {
    let mut place = Place::new();
    place.write("file", "");
    for name in ["nowhere", "file"] {
        let path = place.at(name).display().to_string();
        place.variables = vec![("TMPDIR", path.clone())];
        place.refused(PLAIN, &path);
    }
}

#[test]
fn data_directories_that_no_server_takes_are_told() {
    let place = Place::new();
    let flags = |name: &str| format!("{PLAIN} --data-dir {name}");
    let database = |name: &str| place.at(name).join(Store::DATABASE_FILE);

    place.write("foreign/notes.md", "mine");
    place.refused(&flags("foreign"), "it holds `notes.md`");
    place.write("file", "");
    place.refused(&flags("file/below"), "prepare the data directory");
    place.refused(&flags("file"), "prepare the data directory");

    fs::write(
        place.store("garbage").join(Store::DATABASE_FILE),
        "x".repeat(5000),
    )
    .unwrap();
    place.refused(&flags("garbage"), "the database is damaged");

    fs::create_dir(place.at("other")).unwrap();
    let other = rusqlite::Connection::open(database("other")).unwrap();
    other.execute_batch("CREATE TABLE mine (a)").unwrap();
    drop(other);
    place.refused(&flags("other"), "a database of another program");

    place.store("new");
    let newer = rusqlite::Connection::open(database("new")).unwrap();
    newer.pragma_update(None, "user_version", 999).unwrap();
    drop(newer);
    place.refused(&flags("new"), "schema version 999");

    fs::write(place.store("lock").join(Store::LOCK_FILE), "a key\n").unwrap();
    place.refused(&flags("lock"), "the file is not sandtable's");

    let server = Server::start("none", &place.at("used"), &[]).unwrap();
    place.refused(&flags("used"), &format!("process {}", server.pid()));
    drop(server);
    assert_eq!(place.run("doctor", &flags("used")).code, Some(0));
}

#[test]
fn a_database_that_lost_half_of_itself_is_damaged() {
    let place = Place::new();
    let path = place.store("half").join(Store::DATABASE_FILE);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let said = place.run("doctor", &format!("{PLAIN} --data-dir half"));
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(
        said.text.contains("the database is damaged"),
        "{}",
        said.text
    );
}

#[test]
fn what_the_flags_name_is_read_as_the_server_reads_it() {
    let place = Place::new();
    place.write("bad.yaml", "- when: 1\n  then: [{ txet: no }]\n");
    place.write("mine.txt", "notes");
    for (flags, words) in [
        ("--script nowhere.yaml", "the scripts have mistakes"),
        ("--script bad.yaml", "the scripts have mistakes"),
        ("--faults nowhere.yaml", "nowhere.yaml"),
        ("--faults bad.yaml", "bad.yaml"),
        ("--state nowhere.json", "nowhere.json"),
        ("--state bad.yaml", "the state has mistakes"),
        ("--cassette nowhere.yaml", "nowhere.yaml"),
        ("--cassette bad.yaml", "bad.yaml"),
        ("--cassette new.yaml --record all", "nobody is named"),
        (
            "--cassette mine.txt --record all --upstream http://127.0.0.1:9",
            "mine.txt",
        ),
        ("--prices nowhere.json", "nowhere.json"),
        ("--host 0.0.0.0", "lets others on the network"),
        (
            "--redact-env SANDTABLE_NO_SUCH --cassette x",
            "no such variable",
        ),
        ("--host 192.0.2.1 --control-token t", "cannot listen"),
    ] {
        place.refused(&format!("{PLAIN} {flags}"), words);
    }
    // What a recorder would make is not made.
    let flags = "--cassette sub/new.yaml --record all --upstream http://127.0.0.1:9";
    let said = place.run("doctor", &format!("{PLAIN} {flags}"));
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(!place.at("sub").exists());
}

#[test]
fn a_port_and_a_backend_that_are_not_to_be_had_are_told() {
    let mut place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    place.refused(
        &format!("--backend none --port {port}"),
        &format!("cannot listen on 127.0.0.1:{port}"),
    );
    place.variables = vec![("DOCKER_HOST", "unix:///nowhere/docker.sock".to_owned())];
    place.refused("--backend docker --port 0", "no Docker engine at");
    let certificates = place.folder.path().display().to_string();
    place.variables = vec![
        ("DOCKER_HOST", "tcp://127.0.0.1:9".to_owned()),
        ("DOCKER_TLS_VERIFY", "1".to_owned()),
        ("DOCKER_CERT_PATH", certificates),
    ];
    place.refused("--backend docker --port 0", "ca.pem");
}

#[test]
fn where_nothing_is_amiss_it_says_so_and_changes_nothing() {
    let place = Place::new();
    place.store("data");
    fs::set_permissions(place.at("data"), Permissions::from_mode(0o755)).unwrap();
    place.write("good.yaml", "- then: [{ text: Hello. }]\n");
    let flags = format!("{PLAIN} --data-dir data --script good.yaml");
    let before = place.all();
    let said = place.run("doctor", &flags);
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(said.text.contains("scripts: 1 rules"), "{}", said.text);
    assert_eq!(place.all(), before);
    let said = place.run("doctor", &format!("{PLAIN} --data-dir a/b/c"));
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(!place.at("a").exists());
    let said = place.run("doctor", "--apparmor");
    let profile = format!("profile sandtable {}", place.program.display());
    assert!(said.text.contains(&profile), "{}", said.text);
}

#[test]
fn an_ordinary_user_is_told_what_he_may_not_do() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIPPED, nothing was tested: only root can become another user");
        return;
    }
    let mut place = Place::new();
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(place.folder.path(), 0o755);
    copy_program(place.program.as_ref(), &place.at("sandtable"));
    place.program = place.at("sandtable");
    place.uid = Some(UID);
    fs::create_dir(place.at("tmp")).unwrap();
    open(&place.at("tmp"), 0o777);
    let temporary = ("TMPDIR", place.at("tmp").display().to_string());
    place.variables = vec![temporary.clone()];

    // Of root: there to be looked into, and not to be written.
    fs::create_dir(place.at("roots")).unwrap();
    open(&place.at("roots"), 0o755);
    place.refused(&format!("{PLAIN} --data-dir roots"), "keep other users out");
    place.refused(
        &format!("{PLAIN} --data-dir roots/new"),
        "Permission denied",
    );
    open(&place.at("roots"), 0o700);
    place.refused(&format!("{PLAIN} --data-dir roots"), "Permission denied");

    let socket = place.at("docker.sock");
    let _engine = UnixListener::bind(&socket).unwrap();
    open(&socket, 0o660);
    place.variables = vec![
        temporary,
        ("DOCKER_HOST", format!("unix://{}", socket.display())),
    ];
    place.refused("--backend docker --port 0", "no Docker engine at");
    for said in [
        place.run("doctor", "--backend docker --port 0"),
        place.run("serve", "--backend docker --port 0"),
    ] {
        assert!(
            said.text.contains("sudo usermod -aG docker $USER") && said.text.contains("log in"),
            "{}",
            said.text
        );
    }
}
