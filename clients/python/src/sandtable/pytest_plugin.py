"""The pytest plugin: the fixtures `sandtable`, `sandtable_server`, and clients; two markers.

One server for a run (with pytest-xdist: for each worker), one workspace for each test. A marker that asks for
a seed, or for a time that is past, gets a server of its own, once for each such wish. From the moment that the
plugin is loaded the environment leads to a relay, which leads to the workspace of the test that runs."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
import pathlib
import re
import threading
import uuid
import weakref
from datetime import datetime, timezone
from typing import Any, Iterator, NamedTuple, Optional, Sequence, Union

import pytest

from .errors import SandtableError
from .relay import Relay, Target
from .seal import Seal, complaint
from .server import Server
from .reading import parse_time, time_text
from .workspace import Workspace, is_path

_MARKS = ("script", "frozen", "seed", "faults", "quirks", "verify")
_CASSETTE_WORDS = {"name", "mode", "upstream", "ignore"}
_MODES = ("none", "once", "new", "all")
_LEVELS = ("off", "error", "warning")
_SERVERS = pytest.StashKey["_Servers"]()
_WORKSPACE = pytest.StashKey[Workspace]()
_FAILED = pytest.StashKey[bool]()
_JOURNAL_LINES = 20
_RUNS: weakref.WeakKeyDictionary[pytest.PytestPluginManager, _Run] = weakref.WeakKeyDictionary()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    # The first hook of all: no conftest and no test module is imported yet.
    _RUNS[pluginmanager] = _Run()
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
    parser.addini("sandtable_verify", "how strictly every test's workspace is judged: off, error, warning", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "sandtable(script=, frozen=, seed=, faults=, quirks=, verify=): how the test's workspace is set up: rules"
        " (a text, a file beside the test, or lists and dictionaries); a clock that stands still (True, or at a"
        " time); ids by a seed; a fault or a list of them; rows of `sandtable docs quirks`; whether GET verify must be ok at the"
        " end: True, or off, error, warning for the mildest lint that is bad",
    )
    config.addinivalue_line(
        "markers",
        "sandtable_cassette(name, mode=, upstream=, ignore=): let the recording sandtable_cassettes/NAME.yaml beside"
        " the test answer; the mode is none, once, new, or all; what the JSON paths of ignore= name may differ from what"
        " was recorded",
    )
    level = config.getini("sandtable_verify")
    if level and level not in _LEVELS:
        raise pytest.UsageError(f"sandtable_verify is one of {', '.join(_LEVELS)}, not `{level}`")
    run = _RUNS[config.pluginmanager]
    run.servers = config.stash[_SERVERS] = _Servers(config, run)
    run.seal.allow(run.servers.url)
    # The controller has sealed the environment that its workers inherit.
    given = getattr(config, "workerinput", {}).get("sandtable")
    if given is not None:
        run.seal.secrets = given


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hands a worker of pytest-xdist what is no longer in the environment, such as the user's own key."""
    node.workerinput["sandtable"] = _RUNS[node.config.pluginmanager].seal.secrets


def pytest_unconfigure(config: pytest.Config) -> None:
    run = _RUNS.pop(config.pluginmanager, None)
    if run is not None:
        run.end()


class _Run:
    """What is there from the loading of the plugin to its end: the relay, and the environment that leads to it."""

    def __init__(self) -> None:
        self.relay = Relay(self._route)
        self.key = f"sk-ant-test-run-{uuid.uuid4().hex}"
        self.seal = Seal(self.relay.url, self.key)
        self.servers: Optional[_Servers] = None
        self.current: Optional[Target] = None
        """The workspace of the test that runs."""

    def _route(self, key: Optional[str]) -> Target:
        """A key of a further workspace is that one's. Any other is the running test's, also that of an earlier test:
        clients are kept and used again."""
        if self.servers is None:
            raise SandtableError("sandtable is not ready\n  hint: make requests in tests and fixtures")
        found = self.servers.find(key) or self.current
        if found is None:
            found = Target(self.servers.get().base_url, self.key)
        return found

    def end(self) -> None:
        self.seal.end()
        self.relay.close()
        if self.servers is not None:
            self.servers.stop()


class _Servers:
    """The servers of this process, started when a test, or a request, first needs one."""

    def __init__(self, config: pytest.Config, run: _Run) -> None:
        self._config = config
        self.run = run
        self._running: dict[tuple[Any, ...], Server] = {}
        # The relay asks for one as well.
        self._lock = threading.Lock()

    @property
    def url(self) -> Optional[str]:
        return self._config.getoption("--sandtable-url") or os.environ.get("SANDTABLE_URL") or None

    def get(
        self, seed: Optional[int] = None, frozen_at: Optional[str] = None, upstream: Optional[str] = None
    ) -> Server:
        wish = (seed, frozen_at, upstream)
        with self._lock:
            server = self._running.get(wish)
            if server is None:
                server = self._running[wish] = self._start(seed, frozen_at, upstream)
            return server

    def find(self, key: Optional[str]) -> Optional[Target]:
        """Where a key belongs that this process has handed out."""
        for server in list(self._running.values()):
            if key is not None and server.has_handed_out(key):
                return Target(server.base_url, key)
        return None

    def _start(self, seed: Optional[int], frozen_at: Optional[str], upstream: Optional[str]) -> Server:
        if self.url:
            if seed is not None or frozen_at is not None:
                raise SandtableError(
                    "a seed, and a time that is past, need a server of their own\n"
                    "  hint: leave --sandtable-url out, and SANDTABLE_URL, which `sandtable run` sets"
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

    While the test runs, ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY lead to it, and so do clients that were made
    without arguments before, such as those of a module."""
    marks = _marks(request.node)
    level = _level(request.config, marks)
    workspace, target = _workspace(request, marks)
    request.node.stash[_WORKSPACE] = workspace
    run = request.config.stash[_SERVERS].run
    for name, value in {**run.seal.changes, **workspace.env}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    try:
        # What somebody else may have left is not this test's.
        workspace.reset()
        workspace.label(request.node.nodeid)
        _set_up(workspace, marks, _folder(request.node))
        cassette = _mount(request, workspace)
        run.current = target
        yield workspace
        run.current = None
        if cassette:
            workspace.cassettes.unmount()
        # A test that failed has left its script half done.
        if level and not request.node.stash.get(_FAILED, False):
            verdict = workspace.verify(lints=level)
            if not verdict.ok:
                pytest.fail(f"sandtable verify: {verdict}", pytrace=False)
    finally:
        run.current = None
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


def _level(config: pytest.Config, marks: dict[str, Any]) -> Optional[str]:
    """The mildest lint that makes the verdict bad, or None if there is to be no verdict."""
    given = marks.get("verify")
    level: Optional[str] = config.getini("sandtable_verify") or None
    if given is None:
        return level
    if isinstance(given, bool):
        return (level or "error") if given else None
    if given not in _LEVELS:
        _wrong(f"verify= is True, False, or one of {', '.join(_LEVELS)}, not `{given}`")
    return str(given)


def _workspace(request: pytest.FixtureRequest, marks: dict[str, Any]) -> tuple[Workspace, Target]:
    """The test's workspace, and where the relay leads while it runs."""
    servers: _Servers = request.config.stash[_SERVERS]
    frozen, past = marks.get("frozen"), None
    if frozen not in (None, True, False):
        time = frozen if isinstance(frozen, datetime) else parse_time(frozen)
        # The server's own clocks are not earlier than this machine's.
        if time.astimezone(timezone.utc) <= datetime.now(timezone.utc):
            past = time_text(frozen)
    cassette = _cassette(request)
    upstream = cassette.upstream if cassette else None
    server = servers.get(marks.get("seed"), past, upstream)
    # The same in every run, because with a seed ids follow from it.
    key = f"sk-ant-test-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:24]}"
    if servers.url:
        # Others may run the same tests on it.
        key += f"-{os.environ.get('PYTEST_XDIST_TESTRUNUID', '')[:8]}{os.getpid()}"
    # The real service has to be asked with the user's own key, which only the relay gets to know.
    real = servers.run.seal.key if upstream else None
    workspace = server.workspace_behind(servers.run.relay.url, key, real)
    return workspace, Target(server.base_url, real or key)


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


class _Cassette(NamedTuple):
    """What the markers say together, as :meth:`Cassettes.mount` takes it."""

    path: pathlib.Path
    mode: str
    upstream: Optional[str]
    ignore: Union[str, Sequence[str]]


def _cassette(request: pytest.FixtureRequest) -> Optional[_Cassette]:
    """The name is the closest marker's; for each other word the closest that has it wins."""
    markers = list(request.node.iter_markers("sandtable_cassette"))
    if not markers:
        return None
    said: dict[str, Any] = {}
    for marker in markers:
        if marker.kwargs.keys() - _CASSETTE_WORDS or len(marker.args) > 1:
            _wrong("the marker `sandtable_cassette` takes a name, mode=, upstream=, and ignore=")
        said = {**marker.kwargs, **said}
    name = markers[0].args[0] if markers[0].args else markers[0].kwargs.get("name")
    mode = request.config.getoption("--sandtable-record") or said.get("mode", "none")
    if mode not in _MODES:
        _wrong(f"a cassette's mode is one of {', '.join(_MODES)}, not `{mode}`")
    plain = re.sub(r"[^\w.\[\]-]+", "-", request.node.name)
    path = _folder(request.node) / "sandtable_cassettes" / (plain if name is None else name)
    if path.suffix not in (".yaml", ".yml"):
        path = path.with_name(path.name + ".yaml")
    upstream = said.get("upstream") or request.config.getini("sandtable_upstream") or None
    return _Cassette(path, mode, upstream if mode != "none" else None, said.get("ignore", ()))


def _mount(request: pytest.FixtureRequest, workspace: Workspace) -> bool:
    cassette = _cassette(request)
    if cassette is None:
        return False
    if cassette.mode != "none":
        cassette.path.parent.mkdir(parents=True, exist_ok=True)
    workspace.cassettes.mount(*cassette)
    return True


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Fails a test that reached for the real service; shows what a failed test asked and was answered."""
    outcome: Any = yield
    report = outcome.get_result()
    _judge(item.config, report)
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


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Fails a module that reached for the real service when it was imported."""
    outcome: Any = yield
    _judge(collector.config, outcome.get_result())


def _judge(config: pytest.Config, report: Any) -> None:
    """Clients swallow errors, and try again: that one was stopped is said in any case."""
    places = _RUNS[config.pluginmanager].seal.reached()
    if not places:
        return
    if report.failed:
        report.sections.append(("sandtable", complaint(places)))
        return
    report.outcome, report.longrepr = "failed", complaint(places)
    report.__dict__.pop("wasxfail", None)


def pytest_sessionfinish(session: pytest.Session) -> None:
    # After the last report, as by a fixture that outlives the tests.
    places = _RUNS[session.config.pluginmanager].seal.reached()
    if places:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(complaint(places), red=True)
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _line(entry: Any) -> str:
    error = entry.response_body.get("error") if isinstance(entry.response_body, dict) else None
    said = f": {error.get('message')}" if isinstance(error, dict) else ""
    lints = (f"  {lint['level']}: {lint['code']}: {lint['message']}" for lint in entry.lints)
    return "\n".join([f"{entry}{said}", *lints])
