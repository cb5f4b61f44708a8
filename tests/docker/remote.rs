//! Engines that are reached over TLS and over SSH: a `dockerd` and an `sshd` of the tests' own, and the real
//! program. Both listen on loopback and end with their test.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use cli::image::Flavor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::bench::{image_ready, skip};

const RUNTIME: &str = "sandtable-test";

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A program, also of the folders that are not on everybody's `PATH`.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    folders
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
}

/// A command of root's.
fn as_root(program: &Path) -> Command {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout == b"0\n" {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg("-n").arg(program);
    command
}

fn shell(folder: &Path, script: &str) {
    let output = Command::new("bash")
        .args(["-euc", script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{what} takes too long"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The program, with the variables of an engine.
fn sandtable(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandtable"));
    for name in [
        "DOCKER_HOST",
        "DOCKER_CONTEXT",
        "DOCKER_TLS",
        "DOCKER_TLS_VERIFY",
        "DOCKER_CERT_PATH",
    ] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

/// The finding of `doctor` about the engine.
fn engine(variables: &[(&str, &str)]) -> String {
    let output = sandtable(variables)
        .args(["doctor", "--json", "--port", "0"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let engine = findings
        .iter()
        .find(|finding| finding["subject"] == "engine")
        .unwrap();
    engine.to_string()
}

/// Starts a server on the engine, has it run `command`, and looks at the engine before it stops.
async fn run(
    variables: &[(&str, &str)],
    flags: &[&str],
    command: &str,
    look: impl FnOnce(),
) -> String {
    let mut program = tokio::process::Command::from(sandtable(variables));
    program
        .args(["serve", "--port", "0", "--backend", "docker"])
        .args(flags);
    program.stdout(Stdio::piped()).kill_on_drop(true);
    let mut server = program.spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("the server starts");
        if let Some(at) = line.find("http://127.0.0.1:") {
            break line[at..].trim().to_owned();
        }
    };
    let prompt = format!("```bash\n{command}\n```");
    let body = json!({
        "model": "claude-test", "max_tokens": 1000,
        "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
        "messages": [{"role": "user", "content": prompt}],
    });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(format!("{address}/v1/messages"))
        .header("x-api-key", "sk-ant-remote")
        .header("anthropic-version", "2023-06-01")
        .header("content-type", "application/json")
        .body(body.to_string());
    let answer = request.send().await.unwrap().text().await.unwrap();
    look();
    let pid = server.id().unwrap().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert!(server.wait().await.unwrap().success());
    answer
}

/// A `dockerd` with certificates, on a port of its own.
struct Engine {
    child: Child,
    folder: TempDir,
    host: String,
}

impl Engine {
    async fn start(dockerd: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("dockerd-")
            .tempdir()
            .unwrap();
        shell(folder.path(), CERTIFICATES);
        let at = |name: &str| folder.path().join(name);
        let host = format!("127.0.0.1:{}", free_port());
        let log = fs::File::create(at("log")).unwrap();
        let mut command = as_root(dockerd);
        command
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"));
        command.arg("--pidfile").arg(at("pid"));
        command.arg("--config-file").arg(at("daemon.json"));
        command
            .arg("-H")
            .arg(format!("tcp://{host}"))
            .arg("--tlsverify");
        command.arg("--tlscacert").arg(at("server/ca.pem"));
        command.arg("--tlscert").arg(at("server/cert.pem"));
        command.arg("--tlskey").arg(at("server/key.pem"));
        // Not `--bridge none`: an engine without a bridge takes the other engines' `docker0` away.
        command.args(["--iptables=false", "--ip6tables=false"]);
        command.args(["--ip-forward=false", "--ip-masq=false"]);
        command.args([
            "--storage-driver",
            "vfs",
            "--add-runtime",
            &format!("{RUNTIME}=runc"),
        ]);
        let log_of_errors = log.try_clone().unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_of_errors);
        let child = command.spawn().unwrap();
        let mut engine = Self {
            child,
            folder,
            host,
        };
        until("dockerd", || {
            let log = fs::read_to_string(engine.at("log")).unwrap_or_default();
            assert!(
                engine.child.try_wait().unwrap().is_none(),
                "dockerd ended: {log}"
            );
            engine.docker(&["version"]).status.success()
        })
        .await;
        // An image of nothing but a shell.
        shell(engine.folder.path(), IMAGE);
        let made = engine.docker(&[
            "import",
            engine.at("image.tar").to_str().unwrap(),
            "shell:test",
        ]);
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        engine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn docker(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", format!("tcp://{}", self.host));
        command
            .env("DOCKER_TLS_VERIFY", "1")
            .env("DOCKER_CERT_PATH", self.at("client"));
        command
            .env_remove("DOCKER_CONTEXT")
            .args(arguments)
            .output()
            .unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Ok(pid) = fs::read_to_string(self.at("pid")) else {
            return;
        };
        as_root(Path::new("kill")).arg(pid.trim()).status().ok();
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(30)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        as_root(Path::new("rm"))
            .arg("-rf")
            .args([self.at("data"), self.at("exec")])
            .status()
            .ok();
    }
}

const CERTIFICATES: &str = r#"
echo '{}' >daemon.json
mkdir server client strangers alone another
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
authority() {
  key "$1/ca-key.pem"
  openssl req -x509 -new -key "$1/ca-key.pem" -days 2 -subj "/CN=authority of $1" -out "$1/ca.pem"
}
authority server
authority strangers
signed() {
  key "$1/key.pem"
  openssl req -new -key "$1/key.pem" -subj "/CN=$1" -out "$1/request.pem"
  printf '%s\n' "$2" >"$1/more"
  openssl x509 -req -in "$1/request.pem" -CA server/ca.pem -CAkey server/ca-key.pem -CAcreateserial -days 2 -extfile "$1/more" -out "$1/cert.pem" 2>/dev/null
}
signed server "subjectAltName=IP:127.0.0.1"
signed client "extendedKeyUsage=clientAuth"
cp server/ca.pem client/
cp server/ca.pem alone/
cp client/cert.pem client/key.pem strangers/
cp server/ca.pem another/
cp strangers/ca-key.pem another/key.pem
cp strangers/ca.pem another/cert.pem
"#;

const IMAGE: &str = r#"
mkdir -p root/home/user root/files root/tmp root/etc root/bin root/usr/bin
for file in /bin/bash $(ldd /bin/bash | grep -o '/[^ )]*'); do
  mkdir -p "root$(dirname "$file")"
  cp -L "$file" "root$file"
done
[ -e root/bin/bash ] || cp -L /bin/bash root/bin/bash
chmod 777 root/home/user root/files root/tmp
tar -C root -cf image.tar .
"#;

#[tokio::test]
async fn an_engine_with_certificates_runs_code_over_tls_and_is_never_asked_without() {
    let Some(dockerd) = program("dockerd").filter(|_| program("docker").is_some()) else {
        return skip("docker", "there is no `dockerd` to start with certificates");
    };
    let own = Engine::start(&dockerd).await;
    let client = own.at("client").display().to_string();
    let tcp = format!("tcp://{}", own.host);
    let https = format!("https://{}", own.host);
    for host in [&tcp, &https] {
        let variables = [
            ("DOCKER_HOST", host.as_str()),
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_CERT_PATH", &client),
        ];
        let flags = ["--image", "shell:test", "--docker-runtime", RUNTIME];
        let mut runtime = String::new();
        let answer = run(&variables, &flags, "echo over $((40 + 2))", || {
            let all = own
                .docker(&["ps", "-q", "--filter", "label=sandtable.container"])
                .stdout;
            let id = String::from_utf8(all).unwrap();
            let format = "{{.HostConfig.Runtime}}";
            let seen = own
                .docker(&["inspect", "--format", format, id.trim()])
                .stdout;
            runtime = String::from_utf8(seen).unwrap();
        })
        .await;
        assert!(answer.contains("over 42"), "{host}: {answer}");
        assert_eq!(runtime.trim(), RUNTIME);
    }

    let with = |folder: &str| {
        let folder = own.at(folder).display().to_string();
        engine(&[("DOCKER_HOST", &tcp), ("DOCKER_CERT_PATH", &folder)])
    };
    assert!(with("client").contains(" over TLS"), "{}", with("client"));
    // An authority that did not sign it, no certificate of one's own, one that it does not accept, no
    // authority. Asked often: what is seen first of an engine that hangs up is chance.
    let often = ["alone", "another"].repeat(5);
    for (folder, word) in [("strangers", "certificate"), ("data-of-nobody", "ca.pem")]
        .into_iter()
        .chain(often.into_iter().map(|folder| (folder, "certificate")))
    {
        let said = with(folder).to_lowercase();
        assert!(
            said.contains(word) && said.contains("hint"),
            "{folder}: {said}"
        );
    }
    // Plain words to it are refused by the engine itself, and not taken for its absence.
    let plain = engine(&[("DOCKER_HOST", &tcp)]);
    assert!(plain.contains("HTTPS server"), "{plain}");

    let variables = [
        ("DOCKER_HOST", tcp.as_str()),
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_CERT_PATH", &client),
    ];
    let output = sandtable(&variables)
        .args(["--port", "0", "--docker-runtime", "no-such"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("no runtime `no-such`") && said.contains(RUNTIME),
        "{said}"
    );
}

/// An `sshd` for this user alone, and an `ssh` that knows it.
struct Sshd {
    child: Child,
    folder: TempDir,
    host: String,
}

impl Sshd {
    async fn start(sshd: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("sshd-").tempdir().unwrap();
        let port = free_port();
        shell(
            folder.path(),
            &SSH.replace("PORT", &port.to_string())
                .replace("FOLDER", folder.path().to_str().unwrap()),
        );
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(sshd)
            .args(["-D", "-e", "-f"])
            .arg(folder.path().join("sshd_config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let sshd = Self {
            child,
            folder,
            host: format!("127.0.0.1:{port}"),
        };
        until("sshd", || std::net::TcpStream::connect(&sshd.host).is_ok()).await;
        sshd
    }

    /// The `PATH` with our `ssh` first; `config` is its configuration.
    fn path(&self, config: &str) -> String {
        let bin = self.folder.path().join(format!("bin-{config}"));
        format!(
            "{}:{}",
            bin.display(),
            std::env::var("PATH").unwrap_or_default()
        )
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const SSH: &str = r#"
[ "$(id -u)" != 0 ] || mkdir -p -m 755 /run/sshd
ssh-keygen -q -t ed25519 -N '' -f host
ssh-keygen -q -t ed25519 -N '' -f user
cp user.pub authorized
echo "[127.0.0.1]:PORT $(cut -d' ' -f1,2 host.pub)" >known
: >unknown
cat >sshd_config <<END
Port PORT
ListenAddress 127.0.0.1
HostKey FOLDER/host
AuthorizedKeysFile FOLDER/authorized
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
PidFile none
MaxStartups 100
END
for config in known unknown; do
  mkdir "bin-$config"
  printf 'Host *\nIdentityFile FOLDER/user\nIdentitiesOnly yes\nUserKnownHostsFile FOLDER/%s\nGlobalKnownHostsFile /dev/null\nLogLevel ERROR\n' "$config" >"config-$config"
  printf '#!/bin/sh\nexec %s -F FOLDER/config-%s "$@"\n' "$(command -v ssh)" "$config" >"bin-$config/ssh"
  chmod +x "bin-$config/ssh"
done
"#;

#[tokio::test]
async fn an_engine_over_ssh_runs_code_and_a_host_that_is_not_known_is_refused() {
    let there = program("sshd").filter(|_| program("ssh").is_some() && program("docker").is_some());
    let Some(sshd) = there else {
        return skip(
            "docker",
            "there is no `sshd`, `ssh`, or `docker` to reach an engine with",
        );
    };
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let sshd = Sshd::start(&sshd).await;
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap();
    let host = format!("ssh://{}@{}", user.trim(), sshd.host);
    let path = sshd.path("known");
    let image = Flavor::Slim.image();
    // TLS is of TCP: what SSH carries needs none.
    let variables = [
        ("DOCKER_HOST", host.as_str()),
        ("PATH", &path),
        ("DOCKER_TLS_VERIFY", "1"),
    ];
    let answer = run(
        &variables,
        &["--image", &image],
        "echo over $((40 + 2)); cat /proc/sys/kernel/hostname",
        || (),
    )
    .await;
    assert!(answer.contains("over 42"), "{answer}\n{}", sshd.log());
    let with_socket = format!("{host}/var/run/docker.sock");
    let said = engine(&[("DOCKER_HOST", &with_socket), ("PATH", &path)]);
    assert!(said.contains(" over SSH"), "{said}");

    let unknown = engine(&[("DOCKER_HOST", &host), ("PATH", &sshd.path("unknown"))]);
    assert!(
        unknown.contains("Host key verification failed"),
        "{unknown}"
    );
    let nobody = engine(&[("DOCKER_HOST", "ssh://127.0.0.1:1"), ("PATH", &path)]);
    assert!(nobody.contains("Connection refused"), "{nobody}");
}
