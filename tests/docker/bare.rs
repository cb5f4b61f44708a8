//! The program on machines that are not this one: containers that let it make namespaces, without a network.

use std::path::Path;
use std::process::{Command, Output};

use cli::image::Flavor;

use crate::bench::{image_ready, skip};

/// Asks a server for a line of bash, and prints its result.
const ASK: &str = r#"
import json, os, urllib.request
body = {
    "model": "claude-opus-4-6", "max_tokens": 1000,
    "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
    "messages": [{"role": "user", "content": "```bash\npython3 -c 'import pandas; print(\"pandas\")'; fd --version; free -m\n```"}],
}
headers = {"x-api-key": "k", "anthropic-version": "2023-06-01", "content-type": "application/json"}
request = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(body).encode(), headers)
print(json.dumps(json.load(urllib.request.urlopen(request))["content"][1]["content"]))
"#;

/// Runs a script in a new container of `image`, whose user may make namespaces, with the program on its PATH.
fn on(image: &str, script: &str) -> Output {
    let free = ["--user", "1000", "--security-opt", "seccomp=unconfined"];
    let free = [&free[..], &["--security-opt", "systempaths=unconfined"]].concat();
    on_with(image, &free, script)
}

/// The same with flags of the container's own.
fn on_with(image: &str, flags: &[&str], script: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_sandtable"));
    let script = format!(
        "export HOME=/tmp/home PATH=/opt/bin:$PATH; mkdir $HOME; cat > /tmp/ask.py <<'PY'\n{ASK}\nPY\n{script}"
    );
    Command::new("docker")
        .args(["run", "--rm", "--network", "none"])
        .args(flags)
        .arg("-v")
        .arg(format!("{}:/opt/bin/sandtable:ro", program.display()))
        .args([image, "bash", "-c", &script])
        .output()
        .unwrap()
}

/// Whether such containers can be had, and the program's `local` works in them.
async fn ready(flavor: Flavor) -> Option<String> {
    if !image_ready(flavor).await {
        return None;
    }
    let has_docker = Command::new("docker").arg("--version").output().is_ok();
    if !has_docker {
        skip("docker", "there is no `docker` command");
        return None;
    }
    let image = flavor.image();
    let said = on(&image, "sandtable doctor --port 0 --backend local");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    if !text.contains("ok    local sandboxes") {
        skip("nested", &format!("no namespaces in a container: {text}"));
        return None;
    }
    Some(image)
}

#[tokio::test]
async fn libraries_that_the_machine_s_python_has_are_not_installed_again() {
    let Some(image) = ready(Flavor::Full).await else {
        return;
    };
    let script = "sandtable doctor --port 0 --backend local\n\
                  sandtable run --backend local -- python3 /tmp/ask.py\n\
                  sandtable image build; ls -A $HOME";
    let output = on(&image, script);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        out.contains("ok    libraries for `local`: all of the documented ones"),
        "{out}"
    );
    // Debian's `fdfind` by its documented name, and the sandbox's memory.
    assert!(out.contains(r#""stdout": "pandas\nfdfind "#), "{out}{err}");
    assert!(out.contains("Mem:            5120"), "{out}");
    assert!(!err.contains("installing"), "{err}");
    assert!(
        out.ends_with("this machine's Python has the documented libraries\n"),
        "{out}{err}"
    );
}

#[tokio::test]
async fn offline_an_installation_is_tried_once_and_said_once() {
    let Some(image) = ready(Flavor::Slim).await else {
        return;
    };
    let script = "for n in 1 2 3; do sandtable run --backend local -- python3 /tmp/ask.py; done\n\
                  sandtable doctor --port 0 --backend local; sandtable image build; echo ended $?";
    let output = on(&image, script);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let told = "sandboxes run without some of the documented libraries";
    assert_eq!(err.matches(told).count(), 1, "{err}");
    assert_eq!(out.matches("No module named 'pandas'").count(), 3, "{out}");
    assert!(
        out.contains("57 are missing; installing them failed at"),
        "{out}"
    );
    assert!(out.contains("the package index cannot be reached"), "{out}");
    // The command tries whatever is remembered, and says why it fails.
    assert!(out.ends_with("ended 1\n"), "{out}");
    assert!(
        err.contains("error: installing the documented libraries: "),
        "{err}"
    );
    // What it lacks beside libraries, with the one command.
    let command = "hint: sudo apt install default-jre-headless poppler-utils wkhtmltopdf libcairo2";
    assert!(out.contains(command), "{out}");
}

#[tokio::test]
async fn a_machine_without_python_is_told_that_it_is_enough_only_where_it_is() {
    let Some(image) = ready(Flavor::Slim).await else {
        return;
    };
    let hint = "hint: `sudo apt install python3`";
    let script = "sandtable doctor --port 0; timeout 2 sandtable serve --port 0";
    let root = ["--user", "0", "--security-opt", "seccomp=unconfined"];
    let root = [&root[..], &["--security-opt", "systempaths=unconfined"]].concat();
    let drop = "rm /usr/bin/python3*; chmod 777 /tmp/home; \
                setpriv --reuid 1000 --regid 1000 --clear-groups bash -c";
    let said = on_with(&image, &root, &format!("{drop} '{script}'"));
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(
        text.contains("next step: `sudo apt install python3`"),
        "{text}"
    );
    assert!(text.contains("(hint: `sudo apt install python3`"), "{text}");

    // Where namespaces are refused it is enough as well, but not for who wants nothing less.
    let bare = |script: &str| {
        let script = format!("rm /usr/bin/python3*; {script}");
        let said = on_with(&image, &["--user", "0"], &script);
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let text = bare(script);
    assert!(text.contains(hint), "{text}");
    let text = bare("sandtable doctor --port 0 --isolation strict");
    assert!(!text.contains(hint), "{text}");
    assert!(
        text.contains("next step: inside a container, give it"),
        "{text}"
    );
}

#[tokio::test]
async fn a_container_without_privileges_is_told_what_runs_and_why_nothing_better_does() {
    let Some(image) = ready(Flavor::Slim).await else {
        return;
    };
    let doctor = |flags: &str| {
        let script = format!("sandtable doctor --port 0 {flags}");
        let said = on_with(&image, &["--user", "1000"], &script);
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let text = doctor("");
    assert!(
        text.contains("ok    local sandboxes: Landlock without namespaces"),
        "{text}"
    );
    assert!(
        text.contains("(unshare): Operation not permitted"),
        "{text}"
    );
    let text = doctor("--isolation strict");
    assert!(text.contains("FAIL  local sandboxes"), "{text}");
    assert!(text.contains("seccomp=unconfined"), "{text}");
}
