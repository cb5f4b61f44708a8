"""The image `sandtable`, started as its users start it.

What an unprivileged container can run depends on the machine and on sandtable: where the server finds a backend there,
the tutorial must reach its chart; where it finds none, it must say so and serve all the same. With `--privileged`, and
with the engine's socket, code must run.
"""

import http.client
import json
import os
import pathlib
import subprocess

import pytest
from conftest import ROOT, SAID, run
from tutorial import call, follow, upload

DEADLINE_S = 60
OPEN = "127.0.0.1::4010"
UNPRIVILEGED = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")


class Container:
    def __init__(self, docker, cwd, name):
        self.docker, self.cwd, self.name = docker, cwd, name

    def do(self, *command, code=0):
        return run(self.docker, *command, cwd=self.cwd, code=code)

    def inspect(self, template):
        return self.do("inspect", "--format", template, self.name).strip()

    @property
    def port(self):
        return int(self.do("port", self.name, "4010").split()[0].rsplit(":", 1)[1])

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, **headers):
        """Status and JSON, with headers as given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"x-api-key": "sk-ant-way", **named})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def up(self):
        """Waits until the engine's own health check has seen the server."""
        events = ["timeout", DEADLINE_S, self.docker, "events", "--since", "0", "--filter", f"container={self.name}"]
        events = [str(part) for part in (*events, "--format", "{{.Status}}")]
        with subprocess.Popen(events, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as said:
            try:
                for line in said.stdout:
                    if line.strip() == "health_status: healthy":
                        return self
                    if line.strip() == "die":
                        break
            finally:
                said.terminate()
        raise AssertionError(f"it does not get healthy:\n{self.do('logs', self.name)}")


@pytest.fixture
def start(engine, elsewhere):
    """Starts containers of the image, and removes them with their volumes."""
    names = []

    def start(*options, flavor="slim", command=(), publish=OPEN):
        done = run(engine, "run", "--detach", "--publish", publish, *options, f"sandtable:{flavor}", *command, cwd=elsewhere)
        container = Container(engine, elsewhere, done.strip().splitlines()[-1])
        names.append(container.name)
        return container

    yield start
    for name in names:
        subprocess.run([engine, "rm", "--force", "--volumes", name], stdout=subprocess.DEVNULL, check=False)


def has_flavor(docker, flavor):
    return subprocess.run([docker, "image", "inspect", f"sandtable:{flavor}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def chart(container, elsewhere):
    answer = follow(container.base, elsewhere / "chart.png")
    assert (elsewhere / "chart.png").read_bytes().startswith(b"\x89PNG\r\n"), answer


def test_it_serves_whoever_publishes_its_port_and_is_healthy_without_any_option(start):
    container = start().up()
    status, health = container.ask("GET", "/_sandtable/health")
    assert status == 200, health
    status, clock = container.ask("POST", "/_sandtable/clock", b'{"advance":"30d"}')
    assert status == 200, clock
    assert upload(container.base, "a.csv", b"a,b\n").startswith("file_")
    assert SAID.search(container.do("logs", container.name))
    assert container.do("exec", container.name, "id", "-u") == "1000\n"
    assert container.do("exec", container.name, "sandtable", "docs", "install").startswith("# ")


def test_no_web_page_drives_it_and_a_token_closes_the_control_surface(start):
    container = start("--env", "SANDTABLE_CONTROL_TOKEN=secret").up()
    # A name that leads to this machine without being one of ours, as after DNS rebinding.
    assert container.ask("GET", "/_sandtable/health", host="evil.example:4010")[0] == 403
    assert container.ask("GET", "/_sandtable/health", origin="http://evil.example")[0] == 403
    # The service's name in compose files, and the host's from other containers.
    for name in ("sandtable", "host.docker.internal", "localhost", "172.17.0.2"):
        assert container.ask("GET", "/_sandtable/health", host=f"{name}:4010")[0] == 200, name
    status, _ = container.ask("POST", "/_sandtable/clock", b'{"advance":"1d"}')
    assert status in (401, 403)
    status, _ = container.ask("POST", "/_sandtable/clock", b'{"advance":"1d"}', x_sandtable_token="secret")
    assert status == 200


def test_it_ends_in_order_and_what_is_in_data_outlives_it(start):
    first = start().up()
    file = upload(first.base, "kept.csv", b"a,b\n1,2\n")
    first.do("stop", "--time", "30", first.name)
    assert first.inspect("{{.State.ExitCode}}") == "0"
    second = start("--volumes-from", first.name).up()
    assert json.loads(call(second.base, f"/v1/files/{file}"))["filename"] == "kept.csv"


def test_it_runs_read_only_without_any_privilege(start):
    container = start("--read-only", "--tmpfs", "/tmp", *UNPRIVILEGED).up()
    assert upload(container.base, "a.csv", b"a,b\n").startswith("file_")
    said = container.do("exec", container.name, "sh", "-c", "touch /usr/x 2>&1 || true")
    assert "Read-only file system" in said


@pytest.mark.parametrize("options", [(), UNPRIVILEGED, ("--user", "0"), ("--privileged",)], ids=lambda options: " ".join(options) or "plain")
def test_the_tutorial_reaches_its_chart_wherever_code_can_run(start, engine, elsewhere, options):
    if not has_flavor(engine, "full"):
        pytest.skip("there is no image `sandtable:full`")
    container = start(*options, flavor="full").up()
    backend = container.ask("GET", "/_sandtable/health")[1]["backend"]
    if options == ("--privileged",):
        assert backend == "local"
    if backend == "none":
        logs = container.do("logs", container.name)
        assert "backend" in logs, logs
        request = {"model": "claude-opus-4-6", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}
        assert json.loads(call(container.base, "/v1/messages", json.dumps(request).encode()))["role"] == "assistant"
    else:
        chart(container, elsewhere)


def test_with_the_engine_s_socket_sandboxes_are_containers_beside_it(start, engine, elsewhere):
    socket = pathlib.Path("/var/run/docker.sock")
    if os.environ.get("DOCKER_HOST") or not socket.is_socket():
        pytest.skip("the engine has no socket at /var/run/docker.sock")
    container = start("--volume", f"{socket}:{socket}", "--group-add", socket.stat().st_gid).up()
    assert container.ask("GET", "/_sandtable/health")[1]["backend"] == "docker"
    chart(container, elsewhere)
    # Its sandboxes are asked back before it goes.
    container.do("stop", "--time", "30", container.name)


def test_the_compose_file_describes_the_image(start, engine, elsewhere):
    """Compose is a plugin that not every engine has; what the file says is started by hand."""
    compose = (ROOT / "compose.yaml").read_text()
    assert "127.0.0.1:4010:4010" in compose and "image: sandtable:full" in compose
    if subprocess.run([engine, "compose", "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        run(engine, "compose", "-f", ROOT / "compose.yaml", "config", "--quiet", cwd=elsewhere)
    container = start("--read-only", "--tmpfs", "/tmp", "--init").up()
    assert container.ask("GET", "/_sandtable/ready")[0] in (200, 503)
