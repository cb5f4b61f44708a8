//! Whole servers on a cluster: files outlive sleep, restarts, and lost pods; the banner, health, and doctor.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use cli::image::Flavor;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::bench::{NO_COMMAND, image_ready, skip};
use crate::cluster::{Cluster, Kind, guest_image};

struct Server {
    process: Child,
    url: String,
    banner: String,
}

impl Server {
    async fn start(cluster: &Cluster, folder: &Path, more: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sandtable"))
            .args(["serve", "--port", "0", "--backend", "kubernetes"])
            .args([
                "--image",
                &Flavor::Slim.image(),
                "--k8s-guest-image",
                &guest_image(),
            ])
            .arg("--data-dir")
            .arg(folder)
            .args(more)
            .env("KUBECONFIG", cluster.kubeconfig())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (mut url, mut banner) = (None, String::new());
        // The banner comes whole, and the address before it.
        while url.is_none() || !banner.contains("kubernetes: ") {
            let line = lines.next_line().await.unwrap().expect("the server starts");
            if let Some((_, address)) = line.split_once("http://") {
                url.get_or_insert(format!("http://{}", address.trim()));
            }
            banner.push_str(&line);
            banner.push('\n');
        }
        tokio::spawn(
            async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} },
        );
        Self {
            process,
            url: url.unwrap(),
            banner,
        }
    }

    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Value {
        let client = reqwest::Client::new();
        let mut request = client
            .request(method, format!("{}{path}", self.url))
            .header("x-api-key", "key")
            .header("anthropic-version", "2023-06-01")
            .header(
                "anthropic-beta",
                "code-execution-2025-08-25,files-api-2025-04-14",
            );
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    /// The output of a command in a container, and the container.
    async fn bash(&self, command: &str, container: Option<&str>) -> (String, String) {
        let mut body = json!({
            "model": "claude-opus-4-6", "max_tokens": 1024,
            "messages": [{ "role": "user", "content": format!("```bash\n{command}\n```") }],
            "tools": [{ "type": "code_execution_20250825", "name": "code_execution" }],
        });
        if let Some(container) = container {
            body["container"] = json!(container);
        }
        let answer = self
            .ask(reqwest::Method::POST, "/v1/messages", Some(&body))
            .await;
        let result = &answer["content"][1]["content"];
        let said = result["stdout"].as_str().map(str::to_owned);
        let container = answer["container"]["id"].as_str().unwrap_or_default();
        (
            said.unwrap_or_else(|| answer.to_string()),
            container.to_owned(),
        )
    }

    async fn stop(mut self) {
        let id = self.process.id().unwrap().to_string();
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap();
        self.process.wait().await.unwrap();
    }

    async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}

async fn cluster() -> Option<Cluster> {
    if !image_ready(Flavor::Slim).await {
        return None;
    }
    let cluster = Cluster::start(Kind::Docker).await;
    if cluster.is_none() {
        skip("docker", NO_COMMAND);
    }
    cluster
}

/// Waits until the cluster has no pod.
async fn no_pods(cluster: &Cluster) {
    while !cluster.pods().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const WRITE: &str = "mkdir -p ~/a/b; echo home > ~/a/b/note; echo tmp > /tmp/note; head -c 3000000 /dev/zero > ~/big; chmod 600 ~/big; ln -s note ~/a/b/link";
const READ: &str = "cat ~/a/b/link /tmp/note; stat -c '%a %s' ~/big";
const KEPT: &str = "home\ntmp\n600 3000000\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_claims_files_are_exported_before_sleep_and_come_back() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let idle = ["--idle-timeout", "1", "--k8s-no-policy"];
    let server = Server::start(&cluster, folder.path(), &idle).await;
    assert!(
        server.banner.contains("files exported before sleep"),
        "{}",
        server.banner
    );
    let (_, container) = server.bash(WRITE, None).await;
    no_pods(&cluster).await;
    assert_eq!(server.bash(READ, Some(&container)).await.0, KEPT);
    // The end of a server is a sleep for all.
    server.bash("echo later > ~/later", Some(&container)).await;
    server.stop().await;
    no_pods(&cluster).await;
    let server = Server::start(&cluster, folder.path(), &["--k8s-no-policy"]).await;
    let read = format!("{READ}; cat ~/later");
    assert_eq!(
        server.bash(&read, Some(&container)).await.0,
        format!("{KEPT}later\n")
    );
    // What a lost pod had written since its last sleep is lost, and nothing else.
    server.bash("echo lost > ~/lost", Some(&container)).await;
    let pods = cluster.pods();
    cluster.delete(pods[0]["metadata"]["name"].as_str().unwrap());
    no_pods(&cluster).await;
    let read = format!("{READ}; ls ~/lost 2>&1 | grep -c 'No such'");
    assert_eq!(
        server.bash(&read, Some(&container)).await.0,
        format!("{KEPT}1\n")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_claims_files_outlive_sleep_and_a_lost_pod_and_go_after_30_days() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--idle-timeout",
        "1",
        "--k8s-no-policy",
        "--k8s-storage-class",
        "default",
    ];
    let server = Server::start(&cluster, folder.path(), &flags).await;
    assert!(
        server.banner.contains("files in claims"),
        "{}",
        server.banner
    );
    let (_, container) = server.bash(WRITE, None).await;
    no_pods(&cluster).await;
    assert_eq!(server.bash(READ, Some(&container)).await.0, KEPT);
    for pod in cluster.pods() {
        cluster.delete(pod["metadata"]["name"].as_str().unwrap());
    }
    no_pods(&cluster).await;
    assert_eq!(server.bash(READ, Some(&container)).await.0, KEPT);
    let advance = json!({ "advance": "30d" });
    server
        .ask(reqwest::Method::POST, "/_sandtable/clock", Some(&advance))
        .await;
    no_pods(&cluster).await;
    while !cluster.claims().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (said, _) = server.bash("true", Some(&container)).await;
    assert!(
        said.contains("container_expired") || said.contains("expired"),
        "{said}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_program_and_an_api_server_that_restarts_no_container() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&cluster, folder.path(), &["--k8s-no-policy"]).await;
    let begin =
        "(setsid sleep 1000 > /dev/null 2>&1 & echo $! > ~/pid); echo 1 > ~/note; echo begun";
    let (said, container) = server.bash(begin, None).await;
    assert_eq!(said, "begun\n");
    server.kill().await;
    let server = Server::start(&cluster, folder.path(), &["--k8s-no-policy"]).await;
    let look = "kill -0 $(cat ~/pid) 2>&1 && cat ~/note";
    assert_eq!(server.bash(look, Some(&container)).await.0, "1\n");
    cluster.restart(Duration::from_millis(200)).await;
    assert_eq!(server.bash(look, Some(&container)).await.0, "1\n");
    assert_eq!(cluster.pods().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_doctor_say_what_keeps_programs_from_the_network() {
    let Some(cluster) = cluster().await else {
        return;
    };
    for (enforces, words) in [(true, "as a probe saw"), (false, "not enforced")] {
        cluster.set_enforcement(enforces);
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&cluster, folder.path(), &[]).await;
        assert!(server.banner.contains(words), "{}", server.banner);
        let health = server
            .ask(reqwest::Method::GET, "/_sandtable/health", None)
            .await;
        assert_eq!(health["backend"], "kubernetes");
        let passed = health["passed_over"].as_array().unwrap();
        assert_eq!(passed.is_empty(), enforces, "{health}");
        server.stop().await;
        let doctor = Command::new(env!("CARGO_BIN_EXE_sandtable"))
            .args(["doctor", "--port", "0", "--backend", "kubernetes"])
            .args([
                "--image",
                &Flavor::Slim.image(),
                "--k8s-guest-image",
                &guest_image(),
            ])
            .env("KUBECONFIG", cluster.kubeconfig())
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(said.contains(words), "{said}");
        assert!(doctor.status.success(), "{said}");
    }
    no_pods(&cluster).await;
}
