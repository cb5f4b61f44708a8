"""The pytest plugin: the fixtures `sandtable`, `sandtable_server`, and clients; two markers.

One server for a run (with pytest-xdist: for each worker), one workspace for each test. A marker that asks for
a seed, or for a time that is past, gets a server of its own, once for each such wish."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
import pathlib
import re
from datetime import datetime, timezone
from typing import Any, Iterator, Optional

import pytest

from .errors import SandtableError
from .server import Server
from .types import parse_time, time_text
from .workspace import Workspace, is_path

_MARKS = ("script", "frozen", "seed", "faults", "quirks", "verify")
_MODES = ("none", "once", "new", "all")
_SERVERS = pytest.StashKey["_Servers"]()
_WORKSPACE = pytest.StashKey[Workspace]()
_FAILED = pytest.StashKey[bool]()
_JOURNAL_LINES = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sandtable", "sandtable, the emulator of Anthropic's API")
    group.addoption("--sandtable-url", metavar="URL", help="use this running server instead of starting one")
    group.addoption("--sandtable-backend", metavar="NAME", help="what runs code: auto, docker, local, none")
    group.addoption(
        "--sandtable-record",
        metavar="MODE",
        choices=_MODES,
        help="mode of all cassettes, whatever their markers say: none, once, new, all",
    )
    parser.addini("sandtable_args", "further flags of the server", type="args", default=[])
    parser.addini("sandtable_upstream", "where cassettes are recorded from", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "sandtable(script=, frozen=, seed=, faults=, quirks=, verify=): how the test's workspace is set up: rules"
        " (a text, a file beside the test, or lists and dictionaries); a clock that stands still (True, or at a"
        " time); ids by a seed; a fault or a list of them; rows of `sandtable docs quirks`; whether GET verify must be ok at the end",
    )
    config.addinivalue_line(
        "markers",
        "sandtable_cassette(name, mode=, upstream=): let the recording sandtable_cassettes/NAME.yaml beside the"
        " test answer; the mode is none, once, new, or all",
    )
    config.stash[_SERVERS] = _Servers(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    servers = config.stash.get(_SERVERS, None)
    if servers is not None:
        servers.stop()


class _Servers:
    """The servers of this process, started when a test first needs one."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._running: dict[tuple[Any, ...], Server] = {}

    @property
    def url(self) -> Optional[str]:
        return self._config.getoption("--sandtable-url") or None

    def get(
        self, seed: Optional[int] = None, frozen_at: Optional[str] = None, upstream: Optional[str] = None
    ) -> Server:
        wish = (seed, frozen_at, upstream)
        server = self._running.get(wish)
        if server is None:
            server = self._running[wish] = self._start(seed, frozen_at, upstream)
        return server

    def _start(self, seed: Optional[int], frozen_at: Optional[str], upstream: Optional[str]) -> Server:
        if self.url:
            if seed is not None or frozen_at is not None:
                raise SandtableError(
                    "a seed, and a time that is past, need a server of their own\n  hint: leave --sandtable-url out"
                )
            return Server.connect(self.url, os.environ.get("SANDTABLE_CONTROL_TOKEN"))
        return Server(
            seed=seed,
            frozen_at=frozen_at,
            backend=self._config.getoption("--sandtable-backend"),
            cassette_dir=self._config.rootpath,
            upstream=upstream,
            args=self._config.getini("sandtable_args"),
        ).start()

    def stop(self) -> None:
        while self._running:
            self._running.popitem()[1].stop()


@pytest.fixture(scope="session")
def sandtable_server(pytestconfig: pytest.Config) -> Server:
    """The run's server (with pytest-xdist: this worker's)."""
    return pytestconfig.stash[_SERVERS].get()


@pytest.fixture
def sandtable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace that only this test has, reset when it ends.

    While the test runs, ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY lead to it, so that a client made without
    arguments does not reach the real service."""
    marks = _marks(request.node)
    workspace = _workspace(request, marks)
    request.node.stash[_WORKSPACE] = workspace
    for name, value in workspace.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    # A proxy of the machine is not for calls to the machine itself.
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, ",".join(filter(None, (os.environ.get(name), "127.0.0.1,localhost"))))
    try:
        _set_up(workspace, marks, _folder(request.node))
        cassette = _mount(request, workspace)
        yield workspace
        if cassette:
            workspace.cassettes.unmount()
        # A test that failed has left its script half done.
        if marks.get("verify") and not request.node.stash.get(_FAILED, False):
            verdict = workspace.verify()
            if not verdict.ok:
                pytest.fail(f"sandtable verify: {verdict}", pytrace=False)
    finally:
        workspace.reset()


@pytest.fixture(autouse=True)
def _sandtable_marked(request: pytest.FixtureRequest) -> None:
    """A marked test need not name the fixture."""
    node = request.node
    if node.get_closest_marker("sandtable") or node.get_closest_marker("sandtable_cassette"):
        request.getfixturevalue("sandtable")


if importlib.util.find_spec("anthropic") is not None:

    @pytest.fixture
    def anthropic_client(sandtable: Workspace) -> Iterator[Any]:
        """The official client, leading to the test's workspace."""
        import anthropic

        with anthropic.Anthropic(base_url=sandtable.base_url, api_key=sandtable.api_key) as client:
            yield client

    @pytest.fixture
    def async_anthropic_client(sandtable: Workspace) -> Any:
        """Its asynchronous twin; the test closes it, for only the test knows its event loop."""
        import anthropic

        return anthropic.AsyncAnthropic(base_url=sandtable.base_url, api_key=sandtable.api_key)


def _marks(node: pytest.Item) -> dict[str, Any]:
    """What all markers say together; the closest wins."""
    marks: dict[str, Any] = {}
    for marker in node.iter_markers("sandtable"):
        if marker.args:
            _wrong("the marker `sandtable` takes keywords only, such as script=…")
        for name, value in marker.kwargs.items():
            if name not in _MARKS:
                near = difflib.get_close_matches(name, _MARKS, 1)
                meant = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(_MARKS)}"
                _wrong(f"the marker `sandtable` has no `{name}`; {meant}")
            marks.setdefault(name, value)
    return marks


def _wrong(message: str) -> None:
    pytest.fail(message, pytrace=False)


def _folder(node: pytest.Item) -> pathlib.Path:
    return node.path.parent


def _workspace(request: pytest.FixtureRequest, marks: dict[str, Any]) -> Workspace:
    servers: _Servers = request.config.stash[_SERVERS]
    frozen, past = marks.get("frozen"), None
    if frozen not in (None, True, False):
        time = frozen if isinstance(frozen, datetime) else parse_time(frozen)
        # The server's own clocks are not earlier than this machine's.
        if time.astimezone(timezone.utc) <= datetime.now(timezone.utc):
            past = time_text(frozen)
    cassette = _cassette(request)
    upstream = cassette[2] if cassette and cassette[1] != "none" else None
    server = servers.get(marks.get("seed"), past, upstream)
    # The real service has to be asked with the user's own key.
    key = os.environ.get("ANTHROPIC_API_KEY") if upstream else None
    if not key:
        # The same in every run, because with a seed ids follow from it.
        key = f"sk-ant-test-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:24]}"
        if servers.url:
            # Others may run the same tests on it.
            key += f"-{os.environ.get('PYTEST_XDIST_TESTRUNUID', '')[:8]}{os.getpid()}"
    return server.workspace(key)


def _set_up(workspace: Workspace, marks: dict[str, Any], folder: pathlib.Path) -> None:
    frozen = marks.get("frozen")
    if frozen is True:
        workspace.clock.freeze()
    elif frozen and not workspace.clock.frozen:
        workspace.clock.freeze(frozen)
    if marks.get("quirks"):
        workspace.call("PUT", "quirks", marks["quirks"])
    script = marks.get("script")
    if script is not None:
        workspace.scripts.put(folder / script if is_path(script) else script)
    if marks.get("faults"):
        workspace.faults.add(marks["faults"])


def _cassette(request: pytest.FixtureRequest) -> Optional[tuple[pathlib.Path, str, Optional[str]]]:
    """The path, mode, and upstream of the test's cassette."""
    marker = request.node.get_closest_marker("sandtable_cassette")
    if marker is None:
        return None
    unknown = set(marker.kwargs) - {"name", "mode", "upstream"}
    if unknown or len(marker.args) > 1:
        _wrong("the marker `sandtable_cassette` takes a name, mode=, and upstream=")
    plain = re.sub(r"[^\w.\[\]-]+", "-", request.node.name)
    name = marker.args[0] if marker.args else marker.kwargs.get("name", plain)
    mode = request.config.getoption("--sandtable-record") or marker.kwargs.get("mode", "none")
    if mode not in _MODES:
        _wrong(f"a cassette's mode is one of {', '.join(_MODES)}, not `{mode}`")
    path = _folder(request.node) / "sandtable_cassettes" / name
    if path.suffix not in (".yaml", ".yml"):
        path = path.with_name(path.name + ".yaml")
    upstream = marker.kwargs.get("upstream") or request.config.getini("sandtable_upstream") or None
    return path, mode, upstream


def _mount(request: pytest.FixtureRequest, workspace: Workspace) -> bool:
    cassette = _cassette(request)
    if cassette is None:
        return False
    path, mode, upstream = cassette
    if mode != "none":
        path.parent.mkdir(parents=True, exist_ok=True)
    workspace.cassettes.mount(path, mode, upstream if mode != "none" else None)
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Shows what a failed test asked and was answered."""
    outcome: Any = yield
    report = outcome.get_result()
    workspace = item.stash.get(_WORKSPACE, None)
    if call.when != "call" or not report.failed or workspace is None:
        return
    item.stash[_FAILED] = True
    try:
        entries = workspace.journal.entries()
    except SandtableError as error:
        report.sections.append(("sandtable", str(error)))
        return
    lines = [_line(entry) for entry in entries[-_JOURNAL_LINES:]]
    report.sections.append(("sandtable journal", "\n".join(lines) or "nothing was asked"))


def _line(entry: Any) -> str:
    error = entry.response_body.get("error") if isinstance(entry.response_body, dict) else None
    said = f": {error.get('message')}" if isinstance(error, dict) else ""
    return "\n".join([f"{entry}{said}", *(f"  {lint}" for lint in entry.lints)])
