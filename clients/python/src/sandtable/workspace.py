"""A workspace as a test sees it: its clock, scripts, faults, journal, containers, and cost."""

from __future__ import annotations

import json
import os
import pathlib
import urllib.parse
from datetime import datetime, timedelta
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Union, cast

from .errors import RefusedError, SandtableError
from .http import ControlClient
from .reading import read, time_text
from .types import (
    ClockState,
    Container,
    ContainerFile,
    Exchange,
    FaultState,
    Forked,
    Mounted,
    RuleState,
    Unmounted,
    Usage,
    Verdict,
    Waited,
)

Rules = Union[str, "os.PathLike[str]", Mapping[str, Any], Sequence[Any]]
Fault = Mapping[str, Any]

_SUFFIXES = (".yaml", ".yml", ".json")
_MAX_LABEL_CHARS = 1000


class Workspace:
    """All that belongs to one API key. Nothing crosses workspaces: a key for each test keeps tests apart."""

    def __init__(self, url: str, api_key: str, control_token: Optional[str] = None) -> None:
        self._client = ControlClient(url, api_key, control_token)
        self.api_key = api_key
        """What a client's API key must be."""
        self._base_url = url = self._client.url
        self._entrance = url
        self.clock = Clock(self._client)
        self.scripts = Scripts(self._client)
        self.faults = Faults(self._client)
        self.journal = Journal(self._client)
        self.containers = Containers(self._client)
        self.cassettes = Cassettes(self._client)

    @property
    def base_url(self) -> str:
        """What a client's base URL must be."""
        return self._base_url

    @property
    def env(self) -> dict[str, str]:
        """What a program needs in its environment to use this workspace."""
        return {"ANTHROPIC_BASE_URL": self._entrance, "ANTHROPIC_API_KEY": self.api_key}

    def enter_by(self, url: str, api_key: Optional[str] = None) -> None:
        """Programs enter by another URL; with a key all clients do, and do not get to know the workspace's own."""
        self._entrance = url
        if api_key is not None:
            self._base_url, self.api_key = url, api_key

    def usage(self, month: Optional[str] = None) -> Usage:
        """What a month (``2026-11``; that of the clock if None) of turns would have cost."""
        return cast(Usage, self._client.call("GET", "usage", query={"month": month}))

    def verify(self, lints: Optional[str] = None) -> Verdict:
        """Whether all that was scripted was used, and all that was asked was answered. `lints` is the mildest
        mistake of a client that is bad: ``off`` for none, ``error`` (if None), or ``warning``."""
        return read(Verdict, self._client.call("GET", "verify", query={"lints": lints}))

    def label(self, name: str) -> None:
        """Says whom the workspace was given to, such as a test: findings bear its name. Older servers do not know it."""
        try:
            self._client.call("PUT", "label", {"label": name[:_MAX_LABEL_CHARS]})
        except RefusedError as error:
            if error.status not in (404, 405):
                raise

    def fork(self) -> Workspace:
        """A workspace of a new key that holds what this one does, containers with their files included. Ids stay the
        same, and neither sees the other from then on."""
        forked = cast(Forked, self._client.call("POST", "state/fork"))
        return Workspace(self._client.url, forked["key"], self._client.token)

    def wait(self, timeout: str = "30s", **condition: Any) -> bool:
        """Waits until something is so; False if it is not in time. One of ``requests=2`` (and `path`, `method`,
        `status`), ``event="fault_fired"`` (and `count`), and ``container=id, state="asleep"``."""
        waited = cast(Waited, self._client.call("GET", "wait", query={**condition, "timeout": timeout}))
        return waited["met"]

    def reset(self) -> None:
        """Forgets all: files, containers, batches, skills, scripts, faults, clock, journal, cost."""
        self._client.call("POST", "reset")

    def call(self, method: str, path: str, body: Any = None, query: Optional[Mapping[str, Any]] = None) -> Any:
        """Any other control call: the path below ``/_sandtable/``; `body` is text, or something to be JSON. What is
        answered is JSON, a text such as that of metrics or a cassette, or the bytes of a container's file."""
        return self._client.call(method, path, body, query, whatever=True)

    def __repr__(self) -> str:
        # Not the whole of it: what a failed test prints ends in logs, and a key may be somebody's own.
        return f"<sandtable.Workspace …{self.api_key[-4:]} at {self.base_url}>"


class Clock:
    """The workspace's time. It goes forward only; a reset brings it back."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    @property
    def state(self) -> ClockState:
        """The present time, and whether it stands still."""
        return read(ClockState, self._client.call("GET", "clock"))

    @property
    def now(self) -> datetime:
        """The present time."""
        return self.state.now

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self.state.frozen

    def advance(self, span: Union[str, timedelta]) -> datetime:
        """Lets time pass: a timedelta, or ``30d``, ``12h``, ``5m``, ``90s``, ``1h30m``; returns the new time."""
        if isinstance(span, timedelta):
            span = f"{span // timedelta(milliseconds=1)}ms"
        return self._change({"advance": span})

    def set(self, time: Union[str, datetime]) -> datetime:
        """Goes forward to a time."""
        return self._change({"set": time_text(time)})

    def freeze(self, at: Union[None, str, datetime] = None) -> datetime:
        """Stops the clock where it is, or at a later time."""
        # One after the other: in one call the clock would run on between the two.
        now = self._change({"freeze": True})
        return now if at is None else self.set(at)

    def thaw(self) -> datetime:
        """Lets it run on."""
        return self._change({"freeze": False})

    def _change(self, change: dict[str, Any]) -> datetime:
        return read(ClockState, self._client.call("POST", "clock", change)).now


class Scripts:
    """What the workspace's model says. `sandtable docs scripts` has the language.

    Rules are a YAML or JSON text, the path of a file (a PathLike, or a string that ends in .yaml, .yml, or
    .json), or lists and dictionaries."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def put(self, rules: Rules) -> None:
        """Replaces the workspace's rules."""
        self._client.call("PUT", "scripts", _text(rules), _name(rules))

    def add(self, rules: Rules) -> None:
        """Adds rules after those the workspace has."""
        self._client.call("POST", "scripts", _text(rules), _name(rules))

    def list(self) -> List[RuleState]:
        """All rules in the order they are tried, with how often each was used."""
        return [read(RuleState, each) for each in self._client.call("GET", "scripts")["data"]]

    def clear(self) -> None:
        """Forgets the workspace's rules."""
        self._client.call("DELETE", "scripts")


def is_path(rules: Rules) -> bool:
    """Whether `rules` names a file."""
    if isinstance(rules, str):
        return "\n" not in rules and rules.endswith(_SUFFIXES)
    return isinstance(rules, os.PathLike)


def _name(rules: Rules) -> Optional[dict[str, str]]:
    """The file that messages name."""
    if not is_path(rules):
        return None
    path = pathlib.Path(cast("os.PathLike[str]", rules))
    here = pathlib.Path.cwd()
    return {"name": str(path.relative_to(here) if here in path.parents else path)}


def _text(rules: Rules) -> str:
    if is_path(rules):
        return pathlib.Path(cast("os.PathLike[str]", rules)).read_text(encoding="utf-8")
    if isinstance(rules, str):
        return rules
    # One rule alone is a list of one.
    return json.dumps([rules] if isinstance(rules, Mapping) and "then" in rules else rules)


class Faults:
    """What goes wrong on purpose. `sandtable docs faults` has the words.

    A shorthand takes the selectors as keywords: ``overloaded(times=2, nth=3, path="/v1/messages")``."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def add(self, fault: Union[None, Fault, Sequence[Fault]] = None, **members: Any) -> List[FaultState]:
        """Adds a fault: a dictionary, several in a list, or its members as keywords."""
        if fault is None or isinstance(fault, Mapping):
            body: Any = {**(fault or {}), **members}
        else:
            body = [{**each, **members} for each in fault]
        return self._states(self._client.call("POST", "faults", body))

    def list(self) -> List[FaultState]:
        """All faults with their counts."""
        return self._states(self._client.call("GET", "faults"))

    def clear(self) -> None:
        """Forgets the workspace's faults."""
        self._client.call("DELETE", "faults")

    def overloaded(self, after_events: Optional[int] = None, **select: Any) -> FaultState:
        """529 ``overloaded_error`` instead of a Messages answer, or in its stream after so many events."""
        return self._error("overloaded_error", after_events, select)

    def server_error(self, after_events: Optional[int] = None, **select: Any) -> FaultState:
        """500 ``api_error``, or in the stream."""
        return self._error("api_error", after_events, select)

    def rate_limited(self, retry_after: Optional[float] = None, **select: Any) -> FaultState:
        """429 ``rate_limit_error``; `retry_after` in seconds, as whole ones where they are."""
        if retry_after is not None:
            whole = float(retry_after).is_integer()
            name, value = ("retry-after", retry_after) if whole else ("retry-after-ms", retry_after * 1000)
            given = dict(select.get("headers") or {})
            if not any(other.lower() == name for other in given):
                given[name] = str(round(value))
            select["headers"] = given
        return self._error("rate_limit_error", None, select)

    def cut(self, after_events: Optional[int] = None, **select: Any) -> FaultState:
        """The connection closes: without an answer, or in the stream after so many events."""
        return self._do("cut", after_events, select)

    def stall(self, after_events: Optional[int] = None, **select: Any) -> FaultState:
        """Silence until the client leaves, or for `for_ms`: instead of an answer, or in the stream."""
        return self._do("stall", after_events, select)

    def delay(self, delay_ms: int, after_events: Optional[int] = None, **select: Any) -> FaultState:
        """The answer is late, or its stream waits after so many events."""
        return self.add({**_place(after_events), "delay_ms": delay_ms, **select})[0]

    def advance(self, by: str, **select: Any) -> FaultState:
        """The clock moves by a span such as ``30d`` before a request is handled."""
        return self.add({"at": "http", "do": "advance", "by": by, **select})[0]

    def delete_file(self, **select: Any) -> FaultState:
        """The file that a request names is gone."""
        return self.add({"at": "http", "do": "delete_file", **select})[0]

    def pause(self, after_blocks: int = 1, inside: bool = False, **select: Any) -> FaultState:
        """A turn ends with ``pause_turn`` after so many blocks, or in the middle of its so manieth call."""
        place = {"after_blocks": after_blocks, **({"inside": True} if inside else {})}
        return self.add({"at": "turn", "do": "pause_turn", **place, **select})[0]

    def stop(self, stop_reason: str, **select: Any) -> FaultState:
        """A turn ends with ``refusal``, ``max_tokens``, or ``model_context_window_exceeded``."""
        return self.add({"at": "turn", "do": "stop", "stop_reason": stop_reason, **select})[0]

    def expire_container(self, **select: Any) -> FaultState:
        """The container that a turn names has expired."""
        return self.add({"at": "turn", "do": "expire_container", **select})[0]

    def tool_error(self, error_code: str = "unavailable", **select: Any) -> FaultState:
        """A server tool call gets this error as its result."""
        return self.add({"at": "tool", "error_code": error_code, **select})[0]

    def kill_sandbox(self, **select: Any) -> FaultState:
        """The sandbox is killed while a call runs; its files stay."""
        return self.add({"at": "tool", "do": "kill_sandbox", **select})[0]

    def exhaust_memory(self, **select: Any) -> FaultState:
        """A call takes memory until it is killed."""
        return self.add({"at": "tool", "do": "exhaust_memory", **select})[0]

    def fill_disk(self, **select: Any) -> FaultState:
        """The disk is full while a call runs."""
        return self.add({"at": "tool", "do": "fill_disk", **select})[0]

    def engine_unreachable(self, **select: Any) -> FaultState:
        """Nothing can run a call."""
        return self.add({"at": "tool", "do": "engine_unreachable", **select})[0]

    def slow(self, bytes_per_second: int, **select: Any) -> FaultState:
        """An answer comes no faster."""
        return self._wire("slow", {"bytes_per_second": bytes_per_second, **select})

    def split(self, bytes: int, **select: Any) -> FaultState:
        """An answer comes in writes of so many bytes."""
        return self._wire("split", {"bytes": bytes, **select})

    def merge(self, **select: Any) -> FaultState:
        """All of a stream comes in one piece."""
        return self._wire("merge", select)

    def hang(self, **select: Any) -> FaultState:
        """Silence after `after_events` or `after_bytes`; with ``after_work=True`` after all of the work is done."""
        return self._wire("hang", select)

    def reset(self, **select: Any) -> FaultState:
        """The connection is reset after `after_events` or `after_bytes`; with ``after_work=True`` the work is done."""
        return self._wire("reset", select)

    def malformed(self, after_events: int = 1, **select: Any) -> FaultState:
        """An event that is no JSON comes in between."""
        return self._wire("malformed", {"after_events": after_events, **select})

    def unknown_event(self, after_events: int = 1, **select: Any) -> FaultState:
        """An event that no client knows comes in between."""
        return self._wire("unknown_event", {"after_events": after_events, **select})

    def pings(self, count: int = 2, after_events: int = 1, **select: Any) -> FaultState:
        """Pings come in a row."""
        return self._wire("pings", {"count": count, "after_events": after_events, **select})

    def deltas(self, chars: int = 1, **select: Any) -> FaultState:
        """Texts and inputs come in deltas of so many characters."""
        return self._wire("deltas", {"chars": chars, **select})

    def unknown_members(self, **select: Any) -> FaultState:
        """What is no block has members that no client knows."""
        return self._wire("unknown_members", select)

    def pace(self, tokens_per_second: float, **select: Any) -> FaultState:
        """Text comes as fast as a model writes."""
        return self._wire("pace", {"tokens_per_second": tokens_per_second, **select})

    def _wire(self, what: str, members: dict[str, Any]) -> FaultState:
        return self.add({"at": "wire", "do": what, **members})[0]

    def _error(self, kind: str, after_events: Optional[int], select: dict[str, Any]) -> FaultState:
        return self.add({**_place(after_events), "type": kind, **select})[0]

    def _do(self, what: str, after_events: Optional[int], select: dict[str, Any]) -> FaultState:
        return self.add({**_place(after_events), "do": what, **select})[0]

    @staticmethod
    def _states(answer: Any) -> List[FaultState]:
        return [read(FaultState, each) for each in answer["data"]]


def _place(after_events: Optional[int]) -> dict[str, Any]:
    if after_events is None:
        return {"at": "http", "path": "/v1/messages"}
    return {"at": "stream", "after_events": after_events}


class Journal:
    """What the workspace was asked and answered, oldest first."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def entries(self, path: Optional[str] = None, status: Union[None, int, str] = None) -> List[Exchange]:
        """Exchanges whose path starts with `path` and whose status is `status` (``404`` or ``"4xx"``)."""
        found: List[Exchange] = []
        cursor = None
        while True:
            query = {"limit": 1000, "path": path, "status": status, "cursor": cursor}
            page = self._client.call("GET", "journal", query=query)
            found += [read(Exchange, each) for each in page["data"]]
            cursor = page.get("next_cursor")
            if cursor is None:
                return found[::-1]

    def clear(self) -> None:
        """Forgets it."""
        self._client.call("DELETE", "journal")

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self.entries())

    def __getitem__(self, index: int) -> Exchange:
        return self.entries()[index]

    def __bool__(self) -> bool:
        # Not whether it is empty, which would cost a call.
        return True


class Containers:
    """The workspace's containers."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def list(self) -> List[Container]:
        """All of them, newest first."""
        return [read(Container, each) for each in self._client.call("GET", "containers")["data"]]

    def files(self, id: str, under: Optional[str] = None) -> List[ContainerFile]:
        """Its files below ``/files``, ``/home/user``, and ``/tmp``, or below `under`. One that sleeps is woken. More
        than a list has, which are 10,000, are an error."""
        query = {"under": under, "wake": "true", "limit": 10_000}
        answer = self._client.call("GET", f"containers/{urllib.parse.quote(id, safe='')}/files", query=query)
        if answer.get("more"):
            raise SandtableError("there are more files than a list has\n  hint: name a folder with `under`")
        return [read(ContainerFile, each) for each in answer["data"]]

    def expire(self, id: str) -> None:
        """Ends one now, as if its 30 days were over."""
        self._client.call("POST", f"containers/{urllib.parse.quote(id, safe='')}/expire")

    def sleep(self, id: str) -> None:
        """Ends its processes; its files stay, and the next use starts it again."""
        self._client.call("POST", f"containers/{urllib.parse.quote(id, safe='')}/sleep")


class Cassettes:
    """Recorded exchanges that answer the workspace's requests."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def mount(
        self,
        path: Union[str, "os.PathLike[str]"],
        mode: str = "none",
        upstream: Optional[str] = None,
        ignore: Union[str, Sequence[str]] = (),
    ) -> Mounted:
        """Lets a cassette answer that lies below the server's `cassette_dir`. `mode` is ``none``, ``once``, ``new``,
        or ``all``; to record, `upstream` is the server's, too. What the JSON paths of `ignore` name may differ from
        what was recorded."""
        body: dict[str, Any] = {"path": os.path.abspath(path), "mode": mode, "upstream": upstream}
        # Older servers do not know it.
        if ignore:
            body["ignore"] = [ignore] if isinstance(ignore, str) else list(ignore)
        return cast(Mounted, self._client.call("PUT", "cassettes", body))

    def state(self) -> Mounted:
        """What is mounted, and which of its exchanges were not used."""
        return cast(Mounted, self._client.call("GET", "cassettes"))

    def unmount(self) -> Unmounted:
        """Lets the cassette go, and says what was recorded."""
        return cast(Unmounted, self._client.call("DELETE", "cassettes"))
