"""The types, as a type checker of a user sees them, and as a real server fills them."""

import collections.abc
import dataclasses
import datetime
import pathlib
import subprocess
import sys
import time
import typing

import anthropic
import pytest

import sandtable
from sandtable import types

USER = """
from datetime import datetime
import sandtable

def user(workspace: sandtable.Workspace) -> None:
    now: datetime = workspace.clock.advance("30d")
    status: int = workspace.journal[0].status
    dollars: float = workspace.usage()["usd"]
    states: list[str] = [each.state for each in workspace.containers.list()]
    codes: list[str] = [lint["code"] for lint in workspace.journal[0].lints]
    left: bool = workspace.journal[0].client_left
    verdict = workspace.verify(lints="warning")
    more: list[str] = [f"{lint['request_id']} {lint['level']}" for lint in verdict.lints]
    nearest: int = verdict.unmatched[0]["nearest"][0]["line"]
    outcome: str = verdict.faults[0]["outcome"]
    wrong: int = workspace.base_url
    workspace.clock.advnace("30d")
    text: str = workspace.journal[0].lints[0]
    verdict.lints[0]["kode"]
"""


def test_the_package_and_its_users_are_checked(tmp_path):
    pytest.importorskip("mypy")
    package = pathlib.Path(sandtable.__file__).parent
    (tmp_path / "user.py").write_text(USER)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([*command, str(package)], stdout=subprocess.PIPE, cwd=tmp_path, text=True)
    assert done.returncode == 0, done.stdout
    done = subprocess.run([*command, "user.py"], stdout=subprocess.PIPE, cwd=tmp_path, text=True)
    found = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [line.split(":")[1] for line in found] == ["16", "17", "18", "19"], done.stdout


def mismatches(kind, value, place):
    """Where `value` is not what `kind` says, members that `kind` does not know included."""
    if kind is typing.Any:
        return []
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Union:
        found = [mismatches(each, value, place) for each in arguments]
        return [] if [] in found else found[0]
    if origin is typing.Literal:
        return [] if value in arguments else [f"{place}: {value!r} is none of {arguments}"]
    if origin is list and isinstance(value, list):
        return [fault for at, each in enumerate(value) for fault in mismatches(arguments[0], each, f"{place}[{at}]")]
    if origin is dict and isinstance(value, dict):
        return [fault for name, each in value.items() for fault in mismatches(arguments[1], each, f"{place}.{name}")]
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__required_keys__"):
        return wrong_members(kind, value, place)
    if kind is datetime.datetime:
        return [] if isinstance(value, str) and types.parse_time(value).tzinfo else [f"{place}: no time: {value!r}"]
    plain = (int, float) if kind is float else origin or kind
    is_right = isinstance(value, plain) and isinstance(value, bool) == (kind is bool)
    return [] if is_right else [f"{place}: {value!r} is no {kind}"]


def wrong_members(kind, value, place):
    if not isinstance(value, collections.abc.Mapping):
        return [f"{place}: {value!r} is no {kind.__name__}"]
    hints = typing.get_type_hints(kind)
    if dataclasses.is_dataclass(kind):
        defaults = {each.name for each in dataclasses.fields(kind) if each.default is dataclasses.MISSING}
        required = {each.name for each in dataclasses.fields(kind) if each.name in defaults}
        required -= {each.name for each in dataclasses.fields(kind) if each.default_factory is not dataclasses.MISSING}
    else:
        required = kind.__required_keys__
    found = [f"{place}.{name}: unknown" for name in value if name not in hints]
    found += [f"{place}.{name}: missing" for name in required if name not in value]
    for name in hints.keys() & value.keys():
        # Of a dataclass None stands for "absent": what is there is not null, unless the server prints it.
        found += mismatches(hints[name], value[name], f"{place}.{name}")
    return found


RULES = """
- name: paused
  when: { user: pausing }
  then: [{ text: wait }, pause_turn]
- name: expects
  when: { user: expects }
  times: 2
  then: [{ bash: date }, { text: never }]
- when: { user: lunch }
  then: [{ text: Soup. }]
- name: unasked
  when: { user: unasked }
  times: 1
  then: [{ text: nobody }]
"""


@pytest.fixture
def busy(sandtable):
    """A workspace in which everything has happened that a plain server can tell of."""
    sandtable.scripts.put(RULES)
    sandtable.faults.add(at="http", path="/v1/messages", status=529, headers={"retry-after-ms": "1"})
    sandtable.faults.add(at="http", path="/v1/skills", status=500)
    sandtable.faults.add(at="http", path="/v1/models", status=500, times="always")
    client = anthropic.Anthropic(base_url=sandtable.base_url, api_key=sandtable.api_key, max_retries=1)

    def ask(prompt, **more):
        messages = [{"role": "user", "content": prompt}]
        return client.messages.create(model="claude-opus-4-6", max_tokens=64, messages=messages, **more)

    ask("lunch")
    ask("lunch", stream=True).close()
    ask("lunch", extra_query={"a": "b"}, extra_headers={"anthropic-version": "2020-01-01", "anthropic-beta": "nope"})
    ask("pausing")
    for prompt in ("nobody", "expects"):
        with pytest.raises(anthropic.BadRequestError):
            ask(prompt)
    sandtable.faults.cut()
    sandtable.faults.cut()
    with pytest.raises(anthropic.APIConnectionError):
        ask("lunch")
    sandtable.faults.add(at="wire", do="reset", path="/v1/files", after_bytes=0)
    client.beta.files.upload(file=("a.txt", b"one"))
    params = {"model": "claude-opus-4-6", "max_tokens": 64, "messages": [{"role": "user", "content": "lunch"}]}
    batch = client.messages.batches.create(requests=[{"custom_id": "one", "params": params}])
    deadline = time.monotonic() + 30
    while client.messages.batches.retrieve(batch.id).processing_status != "ended":
        assert time.monotonic() < deadline
    # Without sandboxes there are no containers, and no container time.
    if sandtable.call("GET", "health")["backend"] != "none":
        code = {"type": "code_execution_20250825", "name": "code_execution"}
        sandtable.scripts.add([{"when": {"user": "code"}, "then": [{"bash": "echo 1 > $OUTPUT_DIR/a"}, {"text": "done"}]}])
        ask("code", tools=[code])
    return sandtable


@pytest.fixture
def judged(sandtable_server):
    """Verdicts on whole runs: one that nobody asked anything, and one in which somebody is no test."""
    with sandtable.Server(backend="none") as server:
        first = server.workspace()
        runs = [first.call("GET", "verify", query={"workspace": "*", "empty": "bad"})]
        first.label("tests/test_a.py::test_b")
        other = server.workspace()
        anthropic.Anthropic(base_url=other.base_url, api_key=other.api_key).models.list()
        return [*runs, first.call("GET", "verify", query={"workspace": "*"})]


def test_every_answer_of_a_real_server_has_the_shape_that_its_type_says(busy, judged):
    verdict = busy.call("GET", "verify")
    answers = [
        (types.ClockState, [busy.call("GET", "clock")]),
        (types.RuleState, busy.call("GET", "scripts")["data"]),
        (types.FaultState, busy.call("GET", "faults")["data"]),
        (types.Exchange, busy.call("GET", "journal", query={"limit": 1000})["data"]),
        (types.Container, busy.call("GET", "containers")["data"]),
        (types.Usage, [busy.call("GET", "usage")]),
        (types.Verdict, [verdict, busy.call("GET", "verify", query={"workspace": "*"}), *judged]),
        (types.Mounted, [busy.call("GET", "cassettes")]),
    ]
    assert [fault for kind, all in answers for each in all for fault in mismatches(kind, each, kind.__name__)] == []
    # And nothing of it was only right because it was not there.
    for name in ("unmatched", "failed", "unused_steps", "unused_faults", "faults", "lints", "duplicated"):
        assert [each["label"].partition("::")[0] for each in verdict[name][:1]] == ["tests/test_types.py"], name
    assert judged[0]["empty"] and judged[1]["unclaimed"]
    assert judged[1]["requests"] == {"answered": 1, "refused": 0}
    assert sandtable.types.read(types.Verdict, judged[1]).unclaimed[0]["requests"] == 1
    entries = busy.journal.entries()
    assert {lint["code"] for entry in entries for lint in entry.lints} == {"unknown_version", "unknown_beta"}
    assert [entry.batch["custom_id"] for entry in entries if entry.batch] == ["one"]
    assert any(entry.query == "a=b" for entry in entries) and all(entry.response_headers or entry.batch or entry.broke for entry in entries)


def test_a_mounted_cassette_has_the_shape_that_its_type_says(tmp_path):
    with sandtable.Server(backend="none") as service:
        with sandtable.Server(backend="none", cassette_dir=tmp_path, upstream=service.base_url) as server:
            cassettes = server.workspace().cassettes
            states = [cassettes.state(), cassettes.mount(tmp_path / "one.yaml", "once", service.base_url)]
            left = [cassettes.unmount(), cassettes.unmount()]
    assert [state["mounted"] for state in states] == [False, True]
    assert states[1]["exchanges"] == 0 and left[1] == {"recorded": None}
    faults = [mismatches(types.Mounted, each, "state") for each in states]
    assert faults + [mismatches(types.Unmounted, each, "left") for each in left] == [[]] * 4


CASSETTE = """
cassette: 1
exchanges:
- request: { method: GET, path: /v1/models }
  response: &response { status: 200, headers: { content-type: application/json }, body: { json: { data: [] } } }
- response: *response
"""


def test_a_recording_that_nobody_asked_for_has_the_shape_that_its_type_says(tmp_path):
    (tmp_path / "one.yaml").write_text(CASSETTE)
    with sandtable.Server(backend="none", cassette_dir=tmp_path) as server:
        workspace = server.workspace()
        workspace.label("tests/test_a.py::test_b")
        workspace.cassettes.mount(tmp_path / "one.yaml")
        verdict = workspace.call("GET", "verify")
        said = str(workspace.verify())
    assert mismatches(types.Verdict, verdict, "verdict") == []
    assert [each["request"] for each in verdict["unused_recordings"]] == ["GET /v1/models", None]
    assert "unused_recordings: " in said and "tests/test_a.py::test_b" in said
