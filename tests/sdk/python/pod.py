"""Starts the server's pod of a manifest on an engine, as a kubelet would, and uses it.

    pod.py POD.json DOCKERFILE SANDTABLE

The image is the base of the server's, with the program that the tests have built in its place.
"""

import contextlib
import http.client
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

POD = json.loads(pathlib.Path(sys.argv[1]).read_text())
DOCKERFILE = pathlib.Path(sys.argv[2]).read_text()
IMAGE = "sandtable-sandbox:slim"
TOKEN = "a-token-of-the-secret"
NAMESPACE = "elsewhere"
PATIENCE_S = 60
CONTAINER = POD["containers"][0]
UNITS = {"Mi": "m", "Gi": "g"}


def docker(*arguments, code=0):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code, f"docker {arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def size(text):
    return text[:-2] + UNITS[text[-2:]]


def environment():
    """The image's variables, and over them the manifest's; a later one may name an earlier one."""
    block = re.search(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)[1]
    found = dict(part.split("=", 1) for part in block.replace("\\\n", " ").split())
    fields = {"metadata.namespace": NAMESPACE}
    for variable in CONTAINER["env"]:
        source = variable.get("valueFrom", {})
        if "fieldRef" in source:
            value = fields[source["fieldRef"]["fieldPath"]]
        elif "secretKeyRef" in source:
            assert source["secretKeyRef"] == {"name": "sandtable", "key": "control-token"}, source
            value = TOKEN
        else:
            value = re.sub(r"\$\(([A-Z_]+)\)", lambda used: found[used[1]], variable["value"])
        found[variable["name"]] = value
    return found


def options(volume, folder):
    own, context = POD["securityContext"], CONTAINER["securityContext"]
    yield from ("--user", f"{own['runAsUser']}:{own['runAsGroup']}", "--group-add", str(own["fsGroup"]))
    if context["readOnlyRootFilesystem"]:
        yield "--read-only"
    if not context["allowPrivilegeEscalation"]:
        yield from ("--security-opt", "no-new-privileges")
    for name in context["capabilities"]["drop"]:
        yield from ("--cap-drop", name)
    yield from ("--memory", size(CONTAINER["resources"]["limits"]["memory"]))
    temporary = {part["name"]: part["emptyDir"] for part in POD["volumes"]}
    for mount in CONTAINER["volumeMounts"]:
        place = mount["mountPath"]
        if mount["name"] in temporary:
            # As an `emptyDir` is: open to everybody.
            yield from ("--tmpfs", f"{place}:mode=1777,exec,size={size(temporary[mount['name']]['sizeLimit'])}")
        else:
            yield from ("--volume", f"{volume}:{place}:nocopy")
    for name, value in environment().items():
        yield from ("--env", f"{name}={value}")
    yield from ("--volume", f"{folder}:/program:ro", "--publish", "127.0.0.1::4010", "--workdir", "/home/user")


class Pod:
    def __init__(self, volume, folder):
        self.name = docker("run", "--detach", *options(volume, folder), "--entrypoint", "/program/sandtable", IMAGE)

    def __enter__(self):
        self.port = int(docker("port", self.name, "4010").split()[0].rsplit(":", 1)[1])
        self.address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.name)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.wait(CONTAINER[probe]["httpGet"]["path"])
        return self

    def __exit__(self, *_):
        docker("rm", "--force", self.name)

    def wait(self, path):
        """As the kubelet asks: by the pod's address, without a key or a token."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, said = self.ask("GET", path, host=f"{self.address}:4010")
                if status == 200:
                    return
            assert docker("inspect", "--format", "{{.State.Running}}", self.name) == "true", self.log()
            assert time.monotonic() < deadline, f"{path}: {self.log()}"
            time.sleep(0.05)

    def log(self):
        done = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body and json.dumps(body), {"content-type": "application/json", **named})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def bash(self, command, container=None):
        asked = {
            "model": "claude-opus-4-6",
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": f"```bash\n{command}\n```"}],
            "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
            **({"container": container} if container else {}),
        }
        # By the name that other namespaces call it by.
        host = f"sandtable.{NAMESPACE}.svc.cluster.local:4010"
        status, answer = self.ask("POST", "/v1/messages", asked, host=host, x_api_key="key", anthropic_version="2023-06-01")
        assert status == 200, f"{answer}\n{self.log()}"
        result = next(block["content"] for block in answer["content"] if block["type"] == "bash_code_execution_tool_result")
        return result, answer["container"]["id"]


def use(volume, folder):
    with Pod(volume, folder) as pod:
        # What is not the server's own name is refused, and control needs the token of the secret.
        assert pod.ask("GET", "/_sandtable/health", host="evil.example")[0] == 403
        assert pod.ask("GET", "/_sandtable/clock", x_api_key="key")[0] == 401
        assert pod.ask("GET", "/_sandtable/clock", x_api_key="key", x_sandtable_token=TOKEN)[0] == 200
        result, container = pod.bash("echo 41 > n; id -u; cat n")
        assert (result["return_code"], result["stdout"]) == (0, "1000\n41\n"), result
        result, _ = pod.bash("echo > /dev/tcp/127.0.0.1/4010", container)
        assert result["return_code"] != 0, "code reaches the server"
        # Files of the pod are none of the code's.
        result, _ = pod.bash("cat /data/store/sandtable.db /proc/1/environ", container)
        assert result["return_code"] != 0 and TOKEN not in json.dumps(result), result
        # As a kubelet ends a pod; what it leaves must be nobody else's.
        docker("stop", "--time", str(POD["terminationGracePeriodSeconds"]), pod.name)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", pod.name) == "0", pod.log()
    modes = docker("run", "--rm", "--volume", f"{volume}:/v", "--entrypoint", "stat", IMAGE, "--format", "%a", "/v/store")
    assert int(modes, 8) & 0o777 == 0o700, modes
    with Pod(volume, folder) as pod:
        result, _ = pod.bash("cat n", container)
        assert result["stdout"] == "41\n", result
        docker("kill", pod.name)
    with Pod(volume, folder) as pod:
        result, _ = pod.bash("cat n", container)
        assert result["stdout"] == "41\n", result
    print("the volume outlives the pod")


with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder).chmod(0o755)
    shutil.copy(sys.argv[3], pathlib.Path(folder) / "sandtable")
    volume = docker("volume", "create", f"sandtable-pod-{uuid.uuid4().hex[:12]}")
    try:
        # What `fsGroup` makes of a new volume: root's, and open to the group.
        group = POD["securityContext"]["fsGroup"]
        prepare = f"chown 0:{group} /v && chmod 2775 /v"
        docker("run", "--rm", "--user", "0", "--volume", f"{volume}:/v:nocopy", "--entrypoint", "sh", IMAGE, "-c", prepare)
        use(volume, folder)
    finally:
        docker("volume", "rm", volume)
