"""Finding, starting, and ending the server."""

import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
import urllib.request

import pytest

from sandtable import NotFoundError, SandtableError, Server, SilentError, find_binary
from sandtable import binary as binary_module

HELLO = "- then: [{ text: Hello. }]\n"


def is_up(url):
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex((host, int(port))) == 0


def wait_until_down(url):
    deadline = time.monotonic() + 30
    while is_up(url):
        assert time.monotonic() < deadline, "the server is still up"
        time.sleep(0.01)


def test_a_server_runs_for_the_length_of_a_block():
    with Server(backend="none") as server:
        url = server.base_url
        assert server.workspace().call("GET", "health")["status"] == "ok"
        pid = server.pid
    assert not is_up(url) and server.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(SandtableError, match="does not run"):
        server.workspace()


def test_what_a_server_is_given_lies_under_every_workspace(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text("- name: of a file\n  when: { user: x }\n  then: [{ text: x }]\n")
    fault = {"at": "http", "path": "/v1/files", "status": 500}
    with Server(
        scripts=[HELLO, file, [{"name": "object", "then": [{"text": "y"}]}]],
        faults=[fault],
        seed=7,
        frozen_at="2026-01-04T20:47:05Z",
        backend="none",
        quirks={"profile": "observed"},
        args=["--rate-limit", "requests=5"],
    ) as server:
        for _ in range(2):
            workspace = server.workspace()
            assert [rule.name for rule in workspace.scripts.list()] == ["rule at line 1", "of a file", "object"]
            assert [each.fault for each in workspace.faults.list()] == [fault]
            assert workspace.clock.frozen and workspace.clock.now.isoformat() == "2026-01-04T20:47:05+00:00"
            assert workspace.call("GET", "quirks")["profile"] == "observed"
            assert workspace.call("GET", "rate-limits")["data"][0]["requests"] == 5


def test_two_servers_with_a_seed_and_a_frozen_clock_answer_the_same_bytes():
    def run():
        with Server(scripts=[HELLO], seed=7, frozen_at="2026-01-04T20:47:05Z", backend="none") as server:
            request = urllib.request.Request(
                f"{server.base_url}/v1/messages",
                data=b'{"model":"claude-opus-4-6","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}',
                headers={"x-api-key": "k", "anthropic-version": "2023-06-01", "content-type": "application/json"},
            )
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
                return response.read(), response.headers["request-id"]

    assert run() == run()


def test_what_is_wrong_with_the_flags_or_scripts_is_told():
    with pytest.raises(SandtableError, match=r"script-1\.yaml:1:3: .*\n.*did you mean `then`"):
        Server(scripts=["- than: []"], backend="none").start()
    with pytest.raises(SandtableError, match="unexpected argument '--nonsense'"):
        Server(args=["--nonsense"]).start()
    with pytest.raises(NotFoundError, match="cannot be started"):
        Server(binary="/nowhere/sandtable").start()


def test_a_server_that_never_speaks_is_given_up_and_ended(tmp_path):
    mute = program(tmp_path / "mute", "#!/bin/sh\necho of no use >&2\nexec cat\n")
    with pytest.raises(SandtableError, match="not up after 0.5 s; its log:\nof no use"):
        Server(binary=mute, start_timeout=0.5).start()


def test_somebody_else_s_server_is_used_and_left_alone():
    with Server(backend="none", args=["--control-token", "secret"]) as owner:
        guest = Server.connect(owner.base_url, control_token="secret")
        assert guest.workspace().clock.now and guest.pid is None
        guest.stop()
        url = owner.base_url
        assert is_up(url)
        with pytest.raises(SandtableError, match="control token is missing"):
            Server.connect(url).workspace().reset()
    with pytest.raises(SilentError, match="no answer from"):
        Server.connect(url)
    with pytest.raises(SandtableError, match="is no server's URL"):
        Server.connect("localhost:4010")


SCRIPT = """
    import os, signal, sys
    from sandtable import Server
    server = Server(backend="none").start()
    print(server.base_url, server.pid, flush=True)
    {end}
"""


@pytest.mark.parametrize(
    "end",
    ["sys.exit(0)", "raise RuntimeError", "os.kill(os.getpid(), signal.SIGKILL)", "os._exit(1)", "os.abort()"],
)
def test_the_server_ends_with_its_process_however_that_ends(end):
    code = textwrap.dedent(SCRIPT).format(end=end)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    url, pid = done.stdout.decode().split()
    wait_until_down(url)
    deadline = time.monotonic() + 30
    while pathlib.Path(f"/proc/{pid}/cmdline").exists() and pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the process is still there"
        time.sleep(0.01)


def test_ctrl_c_leaves_the_server_to_the_test_that_clears_up():
    code = textwrap.dedent("""
        import os, signal
        from sandtable import Server
        with Server(backend="none") as server:
            try:
                os.killpg(0, signal.SIGINT)
                signal.pause()
            except KeyboardInterrupt:
                server.workspace().reset()
                print("cleared up", flush=True)
    """)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"cleared up\n")


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def nothing_around(monkeypatch, tmp_path):
    """A package without a binary, far from any checkout, and an empty PATH."""
    monkeypatch.delenv("SANDTABLE_BIN", raising=False)
    monkeypatch.delenv("CARGO_TARGET_DIR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(binary_module, "_PACKAGE", tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_program_is_found_in_this_order(nothing_around, monkeypatch):
    with pytest.raises(NotFoundError, match="hint: set SANDTABLE_BIN"):
        find_binary()

    (nothing_around / "Cargo.toml").write_text('[package]\nname = "sandtable"\n')
    with pytest.raises(NotFoundError, match="no `cargo`"):
        find_binary()
    cargo = '#!/bin/sh\necho "$@" > said\n/bin/mkdir -p target/release\necho > target/release/sandtable\n'
    program(nothing_around / "path/cargo", cargo)
    (nothing_around / "deep/down").mkdir(parents=True)
    built = nothing_around / "target/release/sandtable"
    assert find_binary(near=nothing_around / "deep/down") == built
    assert (nothing_around / "said").read_text().startswith("build --release")

    bundled = program(nothing_around / "package/bin/sandtable", "")
    assert find_binary() == bundled
    on_path = program(nothing_around / "path/sandtable", "")
    assert find_binary() == on_path
    named = program(nothing_around / "named", "")
    monkeypatch.setenv("SANDTABLE_BIN", str(named))
    assert find_binary() == named
    monkeypatch.setenv("SANDTABLE_BIN", str(nothing_around))
    with pytest.raises(NotFoundError, match="no file"):
        find_binary()


@pytest.mark.parametrize(
    "text",
    [
        "#!/usr/bin/python3\nfrom sandtable.command import main\nmain()\n",
        "#!/usr/bin/env node\n// `sandtable/src/command`\n",
        '@node "%~dp0\\..\\sandtable\\src\\command.cjs" %*\n',
    ],
    ids=["pip", "npm", "npm on Windows"],
)
def test_a_command_that_looks_for_the_program_is_not_taken_for_it(nothing_around, monkeypatch, text):
    launcher = program(nothing_around / "path/sandtable", text)
    with pytest.raises(NotFoundError, match="(?s)hint: set SANDTABLE_BIN.*docker run .* sandtable:full"):
        find_binary()
    behind = program(nothing_around / "further/sandtable", "")
    monkeypatch.setenv("PATH", f"{launcher.parent}:{behind.parent}")
    assert find_binary() == behind


def test_the_program_beside_the_interpreter_is_found_without_a_path(nothing_around, monkeypatch):
    beside = program(nothing_around / "environment/sandtable", "")
    monkeypatch.setattr(binary_module.sysconfig, "get_path", lambda *_: str(beside.parent))
    assert find_binary() == beside


def test_a_build_that_fails_shows_what_cargo_said(nothing_around):
    (nothing_around / "Cargo.toml").write_text('[package]\nname = "sandtable"\n')
    program(nothing_around / "path/cargo", "#!/bin/sh\necho error: no linker >&2\nexit 101\n")
    with pytest.raises(NotFoundError, match="build --release .* failed in .*\nerror: no linker"):
        find_binary()
