"""Nothing reaches the real service from a test, whenever and however its client was made.

A trap stands where the environment says that the real service is, and counts who comes."""

import http.server
import json
import os
import socket
import threading
import time

import anthropic
import pytest

from sandtable import Server
from sandtable.relay import Relay, Target

REAL = "sk-ant-real-of-the-user"
SECRETS = {
    "ANTHROPIC_API_KEY": REAL,
    "ANTHROPIC_AUTH_TOKEN": "real-token",
    "ANTHROPIC_CUSTOM_HEADERS": "authorization: Bearer real-header",
    "ANTHROPIC_PROFILE": "real-profile",
    "ANTHROPIC_IDENTITY_TOKEN": "real-identity",
    "ANTHROPIC_FEDERATION_RULE_ID": "real-rule",
    "ANTHROPIC_ORGANIZATION_ID": "real-organization",
}


class Trap:
    """Counts connections, and keeps what they brought."""

    def __init__(self):
        self.requests = []
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_one_request(self):
                self.close_connection = True
                requests.append(self.connection.recv(65536))
                self.connection.sendall(b"HTTP/1.1 418 Trap\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def trap():
    trap = Trap()
    yield trap
    trap.server.shutdown()
    trap.server.server_close()


@pytest.fixture
def run(pytester, monkeypatch, trap, tmp_path):
    """Runs tests in a process whose environment has the real key and leads to the trap."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for name, value in {**SECRETS, "ANTHROPIC_BASE_URL": trap.url, "HTTPS_PROXY": trap.url, "HTTP_PROXY": trap.url}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "SANDTABLE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*args, **files):
        pytester.makepyfile(**files)
        return pytester.runpytest_subprocess("--sandtable-backend=none", "--strict-markers", *args, timeout=120)

    return run


APP = """
    import functools, os
    import anthropic

    KEY = os.environ["ANTHROPIC_API_KEY"]
    URL = os.environ["ANTHROPIC_BASE_URL"]
    client = anthropic.Anthropic()
    asynchronous = anthropic.AsyncAnthropic()

    @functools.lru_cache
    def kept():
        return anthropic.Anthropic()

    def question(prompt):
        return {"model": "claude-opus-4-6", "max_tokens": 64, "messages": [{"role": "user", "content": prompt}]}

    def ask(client, prompt="hello"):
        return client.messages.create(**question(prompt)).content[0].text
"""
TESTS = """
    import asyncio, os
    import anthropic, pytest
    import app
    from app import ask

    def clients():
        # Of the module, of the first test, of settings that were read early, of now, and of every mixture.
        yield app.client
        yield app.kept()
        yield anthropic.Anthropic()
        yield anthropic.Anthropic(api_key=app.KEY)
        yield anthropic.Anthropic(base_url=app.URL, api_key=app.KEY)
        yield anthropic.Anthropic(base_url=app.URL)
        yield anthropic.Anthropic(api_key="sk-ant-real-and-given")
        yield anthropic.Anthropic(auth_token="real-and-given")

    @pytest.mark.parametrize("number", range(3))
    def test_each_test_has_its_own_answer(sandtable, number):
        sandtable.scripts.put([{"then": [{"text": f"of test {number}"}]}])
        for client in clients():
            assert ask(client) == f"of test {number}"
        assert [entry.status for entry in sandtable.journal] == [200] * 8
        said = str([entry.request_headers for entry in sandtable.journal])
        assert "real" not in said

    def test_a_further_workspace_has_its_own_answer(sandtable, sandtable_server):
        sandtable.scripts.put("- then: [{ text: hi }]")
        other = sandtable_server.workspace()
        other.scripts.put("- then: [{ text: of the other }]")
        assert ask(anthropic.Anthropic(api_key=other.api_key)) == "of the other"
        assert ask(anthropic.Anthropic(base_url=sandtable.base_url, api_key=sandtable.api_key)) == "hi"

    def test_an_asynchronous_client_and_a_stream(sandtable):
        sandtable.scripts.put("- then: [{ text: hi }]")
        with app.client.messages.stream(**app.question("x")) as stream:
            assert stream.get_final_message().content[0].text == "hi"
        assert asyncio.run(app.asynchronous.messages.create(**app.question("x"))).content[0].text == "hi"

    @pytest.mark.sandtable(seed=7, script="- then: [{ text: seeded }]")
    def test_with_a_seed(sandtable):
        assert ask(app.client) == "seeded"

    @pytest.mark.sandtable(frozen="2026-01-04T20:47:05Z", script="- then: [{ text: past }]")
    def test_in_the_past(sandtable):
        assert ask(app.client) == "past"
        assert sandtable.clock.now.year == 2026 and len(sandtable.journal) == 1

    def test_without_the_fixture():
        assert "real" not in str([value for name, value in os.environ.items() if name.startswith("ANTHROPIC")])
        # Nobody's workspace answers, and has no scripts.
        assert ask(app.client, "```bash\\ntrue\\n```") is not None

    def test_without_a_key(sandtable, monkeypatch):
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        with pytest.raises((anthropic.AnthropicError, TypeError)):
            ask(anthropic.Anthropic())
"""
CONFTEST = """
    import anthropic, pytest, app

    early = anthropic.Anthropic()

    @pytest.fixture(scope="session", autouse=True)
    def before_all_tests():
        return app.ask(early, "anything")
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
def test_clients_of_modules_lead_to_the_running_test_s_workspace(run, trap, workers):
    done = run(*workers, conftest=CONFTEST, app=APP, test_app=TESTS)
    done.assert_outcomes(passed=9)
    assert trap.requests == []


REACHES = """
    import asyncio, contextlib, os, threading, urllib.request
    import anthropic, pytest
    from app import ask, question

    REAL = "https://api.anthropic.com"

    @pytest.fixture(autouse=True)
    def fixture(request):
        if "bare" not in request.node.name:
            request.getfixturevalue("sandtable")

    def swallowed(base_url=REAL):
        with contextlib.suppress(Exception):
            ask(anthropic.Anthropic(base_url=base_url, max_retries=0))

    def test_swallowed():
        swallowed()

    def test_bare():
        swallowed()

    def test_where_the_environment_led():
        swallowed("TRAP")

    def test_loud():
        ask(anthropic.Anthropic(base_url=REAL, max_retries=0))

    def test_asynchronous():
        client = anthropic.AsyncAnthropic(base_url=REAL, max_retries=0)
        with contextlib.suppress(anthropic.APIConnectionError):
            asyncio.run(client.messages.create(**question("x")))

    def test_in_a_thread():
        thread = threading.Thread(target=swallowed)
        thread.start()
        thread.join()

    def test_without_the_sdk():
        with contextlib.suppress(OSError):
            urllib.request.urlopen("https://API.anthropic.com./v1/models")

    @pytest.mark.xfail
    def test_expected_to_fail():
        ask(anthropic.Anthropic(base_url=REAL, max_retries=0))

    def test_that_skips():
        swallowed()
        pytest.skip()

    def test_elsewhere():
        with contextlib.suppress(OSError):
            urllib.request.urlopen("http://127.0.0.1:9/")
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
def test_what_still_reaches_for_the_real_service_fails_its_test(run, trap, workers):
    done = run("-rA", *workers, app=APP, test_reaches=REACHES.replace("TRAP", trap.url))
    done.assert_outcomes(passed=1, failed=9)
    done.stdout.fnmatch_lines_random(["PASSED *::test_elsewhere", "*this reached for api.anthropic.com:443, not for sandtable*"])
    assert f"reached for {trap.url.removeprefix('http://')}" in done.stdout.str()
    assert trap.requests == [] and REAL not in done.stdout.str()


def test_a_module_that_reaches_for_it_when_it_is_imported_is_an_error(run, trap):
    tests = """
        import contextlib
        import anthropic

        with contextlib.suppress(Exception):
            anthropic.Anthropic(base_url="https://api.anthropic.com", max_retries=0).models.list()

        def test_it():
            pass
    """
    done = run(test_imported=tests)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*this reached for api.anthropic.com:443, not for sandtable*"])
    assert trap.requests == []


RECORDS = """
    import os
    import anthropic, pytest
    import app

    @pytest.mark.parametrize("prompt", ["one", "two"])
    @pytest.mark.sandtable_cassette
    def test_recorded(sandtable, prompt, anthropic_client):
        here = anthropic.Anthropic(base_url=sandtable.base_url, api_key=sandtable.api_key)
        for client in (app.client, anthropic.Anthropic(), anthropic_client, here):
            assert app.ask(client, prompt) == "recorded"
        assert "real" not in f"{sandtable!r} {sandtable.api_key} {sandtable.env} {os.environ['ANTHROPIC_API_KEY']}"

    def test_plain(sandtable):
        sandtable.scripts.put("- then: [{ text: scripted }]")
        assert app.ask(app.client) == "scripted"
        assert "real" not in str(os.environ["ANTHROPIC_API_KEY"])
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
def test_a_recording_asks_the_service_with_the_real_key_that_no_client_knows(run, trap, pytester, workers):
    with Server(scripts=["- then: [{ text: recorded }]"], backend="none") as service:
        pytester.makeini(f"[pytest]\nsandtable_upstream = {service.base_url}")
        done = run(*workers, "--sandtable-record=all", app=APP, test_records=RECORDS)
        done.assert_outcomes(passed=3)
        assert [entry.status for entry in service.workspace(REAL).journal] == [200] * 8
    texts = [path.read_text() for path in (pytester.path / "sandtable_cassettes").iterdir()]
    assert texts and all(REAL not in text for text in texts)
    run(app=APP, test_records=RECORDS).assert_outcomes(passed=3)
    assert trap.requests == []


PROXIED = """
    import os
    import pytest, app
    from sandtable import Server

    REAL = "http://api.anthropic.com"

    @pytest.mark.sandtable_cassette("one", mode="all", upstream=REAL)
    def test_recorded(sandtable):
        with pytest.raises(Exception, match="418|Trap"):
            app.ask(app.client.with_options(max_retries=0))

    def test_by_a_server_of_its_own(sandtable, tmp_path):
        with Server(backend="none", cassette_dir=tmp_path, upstream=REAL) as server:
            workspace = server.workspace()
            workspace.cassettes.mount(tmp_path / "two.yaml", "all", REAL)
            client = app.client.with_options(base_url=workspace.base_url, api_key=workspace.api_key, max_retries=0)
            with pytest.raises(Exception, match="418|Trap"):
                app.ask(client)

    def test_what_went_past_the_proxy_still_does():
        for name in ("NO_PROXY", "no_proxy"):
            assert os.environ[name].split(",")[0] == "intranet.example"
"""


@pytest.mark.parametrize(("workers", "name"), [((), "NO_PROXY"), (("-n2",), "no_proxy")], ids=["alone", "workers"])
def test_a_recording_goes_through_the_machine_s_proxy(run, trap, monkeypatch, workers, name):
    monkeypatch.setenv(name, "intranet.example")
    run(*workers, app=APP, test_proxied=PROXIED).assert_outcomes(passed=3)
    assert len(trap.requests) == 2
    assert all(b"http://api.anthropic.com/v1/messages" in request for request in trap.requests)
    assert sum(REAL.encode() in request for request in trap.requests) == 1


def test_a_run_puts_the_environment_back(pytester, monkeypatch, trap):
    """In one process with it, as under `pytest.main`."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", trap.url)
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "a: b")
    before = dict(os.environ)
    pytester.makepyfile("def test_it(sandtable): pass")
    pytester.runpytest_inprocess("--sandtable-backend=none").assert_outcomes(passed=1)
    changed = {name for name in before.keys() | os.environ.keys() if before.get(name) != os.environ.get(name)}
    assert {name for name in changed if "ANTHROPIC" in name or "PROXY" in name.upper()} == set()
    assert anthropic.Anthropic(api_key="x", max_retries=0)._client.get(f"{trap.url}/v1/models").status_code == 418


def test_without_the_plugin_nothing_is_changed(run, trap, pytester):
    pytester.makepyfile(
        f"""
        import os

        def test_live():
            assert (os.environ["ANTHROPIC_BASE_URL"], os.environ["ANTHROPIC_API_KEY"]) == ("{trap.url}", "{REAL}")
        """
    )
    pytester.runpytest_subprocess("-p", "no:sandtable", timeout=120).assert_outcomes(passed=1)


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


@pytest.fixture
def relay(sandtable):
    relay = Relay(lambda key: Target(sandtable.base_url, sandtable.api_key))
    yield relay
    relay.close()


def send(relay, text):
    connection = socket.create_connection(("127.0.0.1", int(relay.url.rpartition(":")[2])), timeout=30)
    connection.sendall(text)
    return connection


def answer(connection):
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


BODY = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}).encode()
HEAD = b"content-type: application/json\r\ncontent-length: %d\r\nanthropic-version: 2023-06-01\r\nX-Api-Key: other\r\n\r\n" % len(BODY)


@pytest.mark.sandtable(script="- then: [{ text: hi }]")
def test_the_relay_knows_the_paths_of_clients_whose_base_url_includes_the_version(relay):
    for path in (b"/messages", b"/v1/messages", b"/v1/messages?beta=true", b"/messages?beta=true"):
        said = answer(send(relay, b"POST %s HTTP/1.1\r\nhost: x\r\n" % path + HEAD + BODY))
        assert said.startswith(b"HTTP/1.1 200 ") and b'"text":"hi"' in said, said


@pytest.mark.sandtable(script="- then: [{ text: hi }]")
def test_the_relay_tells_the_server_that_a_client_left(sandtable, relay):
    sandtable.faults.stall()
    connection = send(relay, b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n" + HEAD + BODY)
    wait_until(lambda: sandtable.faults.list()[0].fired)
    connection.close()
    wait_until(lambda: len(sandtable.journal))
    assert sandtable.journal[0].client_left


@pytest.mark.sandtable(script="- then: [{ text: hi }]")
def test_the_relay_breaks_connections_as_the_server_does(sandtable, relay):
    sandtable.faults.cut()
    assert answer(send(relay, b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n" + HEAD + BODY)) == b""


def test_the_relay_asks_for_a_key_where_there_is_none(relay):
    said = answer(send(relay, b"GET /v1/models HTTP/1.1\r\nhost: x\r\nanthropic-version: 2023-06-01\r\n\r\n"))
    assert said.startswith(b"HTTP/1.1 401 ")


def test_a_large_upload_passes_the_relay_whole(sandtable, relay):
    client = anthropic.Anthropic(base_url=relay.url, api_key="other")
    content = os.urandom(5_000_000)
    file = client.beta.files.upload(file=("a.bin", content))
    assert file.size_bytes == len(content)
    assert client.beta.files.retrieve_metadata(file.id).filename == "a.bin"


def test_the_relay_passes_resets_on(sandtable):
    listener = socket.create_server(("127.0.0.1", 0))

    def reset():
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    threading.Thread(target=reset, daemon=True).start()
    relay = Relay(lambda key: Target(f"http://127.0.0.1:{listener.getsockname()[1]}", "key"))
    try:
        with pytest.raises(ConnectionResetError):
            answer(send(relay, b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"))
    finally:
        relay.close()
        listener.close()
