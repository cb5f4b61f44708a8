//! Files of others stay, and the server's own are for nobody else: the real program, with its flags.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::server::Server;

/// Runs the program in a folder with a wide umask, until it ends.
fn sandtable(folder: &Path, arguments: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_sandtable");
    let script = format!("umask 000; exec timeout 60 {program} {arguments}");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).current_dir(folder);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A folder with files of the user's.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Every path below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            all.extend(below(&entry.path()));
        }
        all.push(entry.path());
    }
    all
}

#[test]
fn a_folder_of_the_users_is_no_data_directory() {
    let folder = folder(&[("tmp/notes.md", "n"), ("lock", "l"), ("blobs/a", "b")]);
    for flags in [
        "--data-dir .",
        "run --data-dir . -- true",
        "record --upstream http://127.0.0.1:9 --out c.yaml --data-dir . -- true",
    ] {
        let output = sandtable(folder.path(), &format!("{flags} "));
        assert_eq!(output.status.code(), Some(2), "{flags}: {}", said(&output));
        assert!(
            said(&output).contains("hint: give `--data-dir`"),
            "{}",
            said(&output)
        );
        for (name, text) in [("tmp/notes.md", "n"), ("lock", "l"), ("blobs/a", "b")] {
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), text);
        }
    }
}

#[test]
fn no_command_writes_over_what_is_not_its_own() {
    let mine = "- then: [text: hi]\n";
    let folder = folder(&[
        ("mine.yaml", mine),
        ("mine.json", "{\"name\": \"mine\"}"),
        ("mine.xml", "<project/>"),
        ("tape.timing.json", "{\"mine\": 1}"),
        ("from/mine.json", "{\"type\":\"message\",\"id\":\"msg_1\"}"),
    ]);
    let before: Vec<_> = below(folder.path())
        .into_iter()
        .filter(|path| path.is_file())
        .collect();
    let texts: Vec<_> = before.iter().map(|path| fs::read(path).unwrap()).collect();
    for arguments in [
        "record --upstream http://127.0.0.1:9 --out mine.yaml -- true",
        "record --upstream http://127.0.0.1:9 --out mine.json -- true",
        "record --upstream http://127.0.0.1:9 --out tape.yaml -- true",
        "record --upstream http://127.0.0.1:9 --out /dev/null -- true",
        "--cassette mine.yaml --record all --upstream http://127.0.0.1:9 --port 0",
        "import from --out .",
        "run --backend none --json mine.json -- true",
        "run --backend none --json mine.yaml -- true",
        "run --backend none --junit mine.xml -- true",
        "verify --url http://127.0.0.1:9 --junit mine.yaml",
        "replay --live from/mine.json --json mine.json",
    ] {
        let output = sandtable(folder.path(), arguments);
        assert!(!output.status.success(), "{arguments}");
        // A name that is no cassette's is taken for a folder's.
        let refused = ["not overwritten", "File exists"];
        assert!(
            refused.iter().any(|words| said(&output).contains(words)),
            "{arguments}: {}",
            said(&output)
        );
    }
    for (path, text) in before.iter().zip(texts) {
        assert_eq!(fs::read(path).unwrap(), text, "{}", path.display());
    }
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn what_the_program_writes_is_its_owners_alone_whatever_the_umask() {
    let folder = folder(&[]);
    let script = format!(
        "umask 000; {} run --backend none --data-dir data --json verdict.json --junit verdict.xml -- sh -c 'curl -sf $ANTHROPIC_BASE_URL/v1/files -H \"x-api-key: $ANTHROPIC_API_KEY\" -H \"anthropic-version: 2023-06-01\" -F file=@/etc/hostname'",
        env!("CARGO_BIN_EXE_sandtable")
    );
    let output = Command::new("sh")
        .arg("-c")
        .arg(script)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        folder.path().join("verdict.json").exists(),
        "{}",
        said(&output)
    );
    let answer = folder.path().join("answer.json");
    fs::write(&answer, "{\"type\":\"message\",\"id\":\"msg_1\"}").unwrap();
    let imported = sandtable(folder.path(), "import answer.json --out deep/tapes");
    assert!(imported.status.success(), "{}", said(&imported));
    fs::remove_file(answer).unwrap();
    let all = below(folder.path());
    for path in &all {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(path), wanted, "{}", path.display());
    }
    for name in [
        "data/sandtable.db",
        "data/blobs",
        "verdict.xml",
        "deep/tapes/answer.yaml",
    ] {
        assert!(all.contains(&folder.path().join(name)), "{name} of {all:?}");
    }
}

#[test]
fn a_temporary_directory_is_closed_to_others_and_a_kept_one_of_that_name_stays() {
    let folder = folder(&[]);
    let kept = folder.path().join("sandtable-data");
    Server::start("none", &kept, &[]).unwrap().stop();
    let server = Server::start_temporary("none", folder.path());
    let temporary: Vec<_> = below(folder.path())
        .into_iter()
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name == "sandtable-temporary")
        })
        .collect();
    let [mark] = temporary.as_slice() else {
        panic!("{temporary:?}")
    };
    assert_eq!(mode(mark.parent().unwrap()), 0o700);
    server.kill();
    // The next one clears up after it, and only after it.
    let next = Server::start_temporary("none", folder.path());
    let begun = std::time::Instant::now();
    while mark.exists() {
        assert!(begun.elapsed().as_secs() < 30, "it was not cleared up");
        std::thread::yield_now();
    }
    next.stop();
    assert!(kept.join("sandtable.db").exists());
}
