//! The node: it runs pods, and says how they are.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use sandbox::guest::{digest, embedded};
use serde_json::{Value, json};
use tokio::process::Command;

use super::Inner;
use crate::programs::write_program;

/// The implementation of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Containers of the Docker engine.
    Docker,
    /// The guest of each is a process of this machine, and has its files: for tests of the API alone.
    Processes,
}

/// The outcome of a pod that does not run: the status that the node gives it.
#[derive(Debug, Clone)]
pub(crate) struct Outcome(pub(crate) Value);

pub(crate) struct Node {
    kind: Kind,
    folder: PathBuf,
    pub(crate) outcomes: Mutex<VecDeque<Outcome>>,
    /// Names of containers, or process ids, by pod.
    running: Mutex<HashMap<String, Vec<String>>>,
}

/// Most processes of a pod, as a node's own setting has it.
const POD_PIDS: &str = "96";

/// An image of the guest alone.
pub(crate) fn guest_image() -> String {
    format!("sandtable-guest-of-tests:{}", &digest()[..12])
}

async fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().await;
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

impl Node {
    pub(super) async fn new(kind: Kind, folder: &Path) -> Option<Self> {
        let folder = folder.join("node");
        fs::create_dir(&folder).unwrap();
        let guest = folder.join("sandtable-guest");
        write_program(&guest, embedded());
        if kind == Kind::Docker && docker(&["image", "inspect", &guest_image()]).await.is_err() {
            make_image(&folder).await.ok()?;
        }
        Some(Self {
            kind,
            folder,
            outcomes: Mutex::default(),
            running: Mutex::default(),
        })
    }

    pub(super) async fn run(inner: &Arc<Inner>, pod: Value) {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let outcome = inner.node.outcomes.lock().unwrap().pop_front();
        if let Some(Outcome(status)) = outcome {
            inner.set_status(&name, status);
            return;
        }
        let start = inner.start_ms.load(Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(start)).await;
        let isolated = inner.enforces.load(Ordering::Relaxed)
            && pod["metadata"]["labels"]["sandtable.dev/network"] == "none";
        let begun = match inner.node.kind {
            Kind::Docker => {
                inner
                    .node
                    .run_containers(inner, &name, &pod, isolated)
                    .await
            }
            Kind::Processes => inner.node.run_process(&name, &pod, isolated),
        };
        let ended = match begun {
            Ok(ended) => ended,
            Err(message) => {
                let waiting =
                    json!({ "waiting": { "reason": "CreateContainerError", "message": message } });
                return inner.set_status(&name, status("Pending", &waiting));
            }
        };
        inner.set_status(&name, status("Running", &json!({ "running": {} })));
        let code = ended.await;
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let terminated = json!({ "terminated": {
            "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" },
            "finishedAt": "2026-01-01T00:00:00Z",
        }});
        inner.set_status(&name, status(phase, &terminated));
        inner.node.stop(&name).await;
    }

    fn note(&self, pod: &str, thing: String) {
        let mut running = self.running.lock().unwrap();
        running.entry(pod.to_owned()).or_default().push(thing);
    }

    fn run_process(
        &self,
        name: &str,
        pod: &Value,
        isolated: bool,
    ) -> Result<std::pin::Pin<Box<dyn Future<Output = i32> + Send>>, String> {
        let main = &pod["spec"]["containers"][0];
        if main["command"][1] == "probe" {
            let code = if isolated { 0 } else { 10 };
            return Ok(Box::pin(std::future::ready(code)));
        }
        let mut command = Command::new(self.folder.join("sandtable-guest"));
        for (key, value) in variables(main, name) {
            // The relay has this process's user, who is nobody else's here.
            let own = fs::metadata("/proc/self").unwrap().uid();
            let value = match key.as_str() {
                "SANDTABLE_GUEST_DOOR" => format!("{own} {name}"),
                _ => value,
            };
            command.env(key, value);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())?;
        self.note(name, child.id().unwrap().to_string());
        Ok(Box::pin(async move {
            let ended = child.wait().await.unwrap();
            ended.code().unwrap_or(137)
        }))
    }

    async fn run_containers(
        &self,
        inner: &Arc<Inner>,
        name: &str,
        pod: &Value,
        isolated: bool,
    ) -> Result<std::pin::Pin<Box<dyn Future<Output = i32> + Send>>, String> {
        let spec = &pod["spec"];
        let mut network = if isolated { "none" } else { "bridge" }.to_owned();
        for container in spec["initContainers"].as_array().into_iter().flatten() {
            let own = format!("fake-{name}-{}", container["name"].as_str().unwrap());
            let is_sidecar = container["restartPolicy"] == "Always";
            let mut arguments = self.arguments(inner, name, pod, container, &network);
            arguments.splice(1..1, ["--name".to_owned(), own.clone()]);
            if is_sidecar {
                arguments.insert(1, "--detach".to_owned());
                self.note(name, own.clone());
                network = format!("container:{own}");
            } else {
                arguments.insert(1, "--rm".to_owned());
            }
            run(&arguments).await?;
        }
        let main = format!("fake-{name}-main");
        let container = &spec["containers"][0];
        let mut arguments = self.arguments(inner, name, pod, container, &network);
        arguments.splice(1..1, ["--detach", "--name", &main].map(str::to_owned));
        self.note(name, main.clone());
        run(&arguments).await?;
        Ok(Box::pin(async move {
            let code = docker(&["wait", &main]).await;
            code.ok().and_then(|code| code.parse().ok()).unwrap_or(137)
        }))
    }

    fn arguments(
        &self,
        inner: &Inner,
        name: &str,
        pod: &Value,
        container: &Value,
        network: &str,
    ) -> Vec<String> {
        let context = &container["securityContext"];
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        let limits = &container["resources"]["limits"];
        let memory = bytes(&limits["memory"]);
        let mut all: Vec<String> = [
            "run",
            "--log-driver=none",
            "--read-only",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--shm-size=64m",
        ]
        .map(str::to_owned)
        .into();
        all.push(format!("--label={}", self.label()));
        all.push(format!("--pids-limit={POD_PIDS}"));
        all.push(format!(
            "--user={}:{}",
            context["runAsUser"], context["runAsGroup"]
        ));
        all.push(format!("--memory={memory}"));
        all.push(format!("--memory-swap={memory}"));
        all.push(format!("--network={network}"));
        if !network.starts_with("container:") {
            all.push(format!(
                "--hostname={}",
                pod["spec"]["hostname"].as_str().unwrap()
            ));
        }
        if let Some(cpus) = limits["cpu"]
            .as_str()
            .and_then(|cpus| cpus.strip_suffix('m'))
        {
            let cpus: f64 = cpus.parse().unwrap();
            all.push(format!("--cpus={}", cpus / 1000.0));
        }
        if let Some(folder) = container["workingDir"].as_str() {
            all.push(format!("--workdir={folder}"));
        }
        let port = inner.address.lock().unwrap().unwrap().port();
        let mut env = vec![
            (
                "KUBERNETES_SERVICE_HOST".to_owned(),
                "172.17.0.1".to_owned(),
            ),
            ("KUBERNETES_SERVICE_PORT".to_owned(), port.to_string()),
        ];
        env.extend(variables(container, name));
        all.extend(
            env.iter()
                .map(|(key, value)| format!("--env={key}={value}")),
        );
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            all.extend(self.mount(name, pod, mount));
        }
        let command = container["command"].as_array().unwrap().iter();
        let command: Vec<String> = command
            .map(|word| word.as_str().unwrap().to_owned())
            .collect();
        all.push(format!("--entrypoint={}", command[0]));
        all.push(container["image"].as_str().unwrap().to_owned());
        all.extend(command.into_iter().skip(1));
        all
    }

    fn mount(&self, name: &str, pod: &Value, mount: &Value) -> Option<String> {
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"])
            .unwrap();
        if volume["emptyDir"]["medium"] == "Memory" {
            // The engine gives one of its own.
            assert_eq!(mount["mountPath"], "/dev/shm");
            return None;
        }
        let place = match volume["persistentVolumeClaim"]["claimName"].as_str() {
            Some(claim) => self.folder.join("claims").join(claim),
            None => self
                .folder
                .join(name)
                .join(volume["name"].as_str().unwrap()),
        };
        if !place.exists() {
            fs::create_dir_all(&place).unwrap();
            // As `fsGroup` has it.
            fs::set_permissions(&place, Permissions::from_mode(0o777)).unwrap();
        }
        let place = match mount["subPath"].as_str() {
            Some(folder) => place.join(folder),
            None => place,
        };
        let mode = if mount["readOnly"] == true { ":ro" } else { "" };
        let path = mount["mountPath"].as_str().unwrap();
        Some(format!("--volume={}:{path}{mode}", place.display()))
    }

    /// The volume goes with its claim.
    pub(super) fn forget_claim(&self, claim: &str) {
        fs::remove_dir_all(self.folder.join("claims").join(claim)).ok();
    }

    /// A program in a pod.
    pub(super) fn exec(&self, pod: &str, container: &str, command: &[String]) -> Command {
        match self.kind {
            Kind::Docker => {
                let mut docker = Command::new("docker");
                let own = if container == "sandbox" {
                    "main"
                } else {
                    container
                };
                let own = format!("fake-{pod}-{own}");
                docker.args(["exec", "--interactive", &own]).args(command);
                docker
            }
            Kind::Processes => {
                let mut guest = Command::new(self.folder.join("sandtable-guest"));
                guest.args(&command[1..]);
                guest
            }
        }
    }

    /// Ends a pod's processes.
    pub(super) async fn stop(&self, pod: &str) {
        let things = self.running.lock().unwrap().remove(pod).unwrap_or_default();
        // Together: what is begun ends, also if nobody waits for it.
        let mut end = match self.kind {
            Kind::Docker => Command::new("docker"),
            Kind::Processes => Command::new("kill"),
        };
        match self.kind {
            Kind::Docker => end.args(["rm", "--force", "--volumes"]),
            Kind::Processes => end.arg("-9"),
        };
        if !things.is_empty() {
            end.args(&things).output().await.ok();
        }
        fs::remove_dir_all(self.folder.join(pod)).ok();
    }

    /// All of this cluster's, whatever is known of them.
    fn containers(&self) -> Vec<String> {
        let filter = format!("label={}", self.label());
        let listed = std::process::Command::new("docker")
            .args(["ps", "--all", "--quiet", "--filter", &filter])
            .output();
        let listed = listed.map(|output| output.stdout).unwrap_or_default();
        let listed = String::from_utf8_lossy(&listed).into_owned();
        listed.lines().map(str::to_owned).collect()
    }

    fn label(&self) -> String {
        format!("sandtable.test.cluster={}", self.folder.display())
    }

    pub(super) fn stop_all(&self) {
        let all: Vec<String> = self
            .running
            .lock()
            .unwrap()
            .drain()
            .flat_map(|(_, things)| things)
            .collect();
        let all = match self.kind {
            Kind::Docker => self.containers(),
            Kind::Processes => all,
        };
        if all.is_empty() {
            return;
        }
        let mut command = match self.kind {
            Kind::Docker => std::process::Command::new("docker"),
            Kind::Processes => std::process::Command::new("kill"),
        };
        match self.kind {
            Kind::Docker => command.args(["rm", "--force", "--volumes"]),
            Kind::Processes => command.arg("-9"),
        };
        command.args(all).output().ok();
    }
}

/// The variables of a container, with the pod's name where they ask for it.
fn variables(container: &Value, pod: &str) -> Vec<(String, String)> {
    let mut known: Vec<(String, String)> = Vec::new();
    for variable in container["env"].as_array().into_iter().flatten() {
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some(path) => {
                assert_eq!(path, "metadata.name");
                pod.to_owned()
            }
            None => known.iter().fold(
                variable["value"].as_str().unwrap().to_owned(),
                |text, (key, value)| text.replace(&format!("$({key})"), value),
            ),
        };
        known.push((variable["name"].as_str().unwrap().to_owned(), value));
    }
    known
}

async fn run(arguments: &[String]) -> Result<(), String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    docker(&arguments).await.map(drop)
}

/// Made of an archive: `/bin/sandtable-guest`, and nothing else.
async fn make_image(folder: &Path) -> Result<(), String> {
    let root = folder.join("image");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy(
        folder.join("sandtable-guest"),
        root.join("bin/sandtable-guest"),
    )
    .unwrap();
    let archive = folder.join("image.tar");
    let tar = Command::new("tar")
        .args(["--create", "--file"])
        .arg(&archive)
        .arg("--directory")
        .arg(&root)
        .arg("bin")
        .output()
        .await
        .map_err(|error| error.to_string())?;
    assert!(tar.status.success(), "{tar:?}");
    let change = "--change=ENV PATH=/bin";
    docker(&["import", change, archive.to_str().unwrap(), &guest_image()])
        .await
        .map(drop)
}

fn bytes(quantity: &Value) -> u64 {
    let text = quantity.as_str().unwrap();
    match text.strip_suffix("Mi") {
        Some(mebibytes) => mebibytes.parse::<u64>().unwrap() << 20,
        None => text.parse().unwrap(),
    }
}

fn status(phase: &str, main: &Value) -> Value {
    json!({ "phase": phase, "containerStatuses": [{
        "name": "sandbox", "state": main, "image": "", "imageID": "", "ready": phase == "Running",
        "restartCount": 0,
    }]})
}
