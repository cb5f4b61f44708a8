"""What control calls answer. Fields that a newer server adds are left out."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Optional, TypedDict, TypeVar, Union

T = TypeVar("T")


@dataclass(frozen=True)
class ClockState:
    """The workspace's time."""

    now: datetime
    frozen: bool


@dataclass(frozen=True)
class RuleState:
    """A rule of a script and how often it was used."""

    name: str
    file: str
    line: int
    used: int
    layer: str
    """``workspace``, or ``base`` where the server was started with it."""
    times: Optional[int] = None
    """How often it may answer; without end if None."""


@dataclass(frozen=True)
class FaultState:
    """A fault and what became of it."""

    id: int
    layer: str
    """``workspace``, or ``file`` where the server was started with it."""
    fault: dict[str, Any]
    matched: int
    """Occasions that fitted."""
    fired: int
    left: Optional[int] = None
    """How often it still fires; for ever if None."""


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as the journal has them."""

    id: str
    at: datetime
    """On the workspace's clock."""
    method: str
    path: str
    status: int
    duration_ms: float
    request_headers: dict[str, str]
    """Names in lower case; without keys and other secrets."""
    request_body: Any
    """JSON as such, other text as a string, else ``size_bytes`` and ``sha256``."""
    response_body: Any
    """The same; a stream as the text of its events."""
    query: Optional[str] = None
    source: Optional[str] = None
    """Where a turn's answer came from."""
    lints: list[str] = field(default_factory=list)
    """What the real service might have objected to."""

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The events of a streamed answer: name and data."""
        if not isinstance(self.response_body, str):
            return []
        found = []
        for frame in self.response_body.split("\n\n"):
            lines = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line)
            if "event" in lines:
                found.append((lines["event"], json.loads(lines.get("data", "null"))))
        return found

    def __str__(self) -> str:
        return f"{self.method} {self.path} → {self.status}"


@dataclass(frozen=True)
class Container:
    """A container of the workspace."""

    id: str
    state: str
    """``awake``, ``asleep``, or ``expired``."""
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    """As the API says it."""
    ends_at: datetime
    """After this it is expired, however it is used."""


@dataclass(frozen=True)
class Verdict:
    """What verification found."""

    ok: bool
    unmatched: list[Any] = field(default_factory=list)
    """Turns that no rule or recording answered."""
    failed: list[Any] = field(default_factory=list)
    """Turns that broke off because a rule expected something else."""
    unused_steps: list[Any] = field(default_factory=list)
    """Steps of rules that nothing reached."""
    unused_faults: list[Any] = field(default_factory=list)
    """Faults that never fired."""
    faults: list[Any] = field(default_factory=list)
    """What the client did about each fault."""
    lints: list[Any] = field(default_factory=list)
    """Mistakes that the real service would not have told."""

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        """What is wrong, one thing a line."""
        said = ["ok" if self.ok else "not ok"]
        for name in ("unmatched", "failed", "unused_steps", "unused_faults", "lints"):
            said += [f"  {name}: {json.dumps(each, ensure_ascii=False)}" for each in getattr(self, name)]
        return "\n".join(said)


class ContainerTime(TypedDict):
    """Time of containers, against the free hours."""

    seconds: int
    hours: float
    free_hours: float
    free_hours_left: float
    charged_hours: float
    usd: float


class TokenSums(TypedDict):
    """Tokens of all turns."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    usd: float


class Searches(TypedDict):
    """Web searches."""

    requests: int
    usd: float


class Usage(TypedDict):
    """What a month of the workspace would have cost; `sandtable docs usage` has the rules."""

    month: str
    usd: float
    container_time: ContainerTime
    tokens: TokenSums
    web_searches: Searches
    containers: list[dict[str, Any]]
    turns: list[dict[str, Any]]
    summed_up: bool


_TIMES = {"now", "at", "created_at", "last_used_at", "expires_at", "ends_at"}


def read(kind: type[T], value: dict[str, Any]) -> T:
    """An answer as `kind`."""
    known = {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: parse_time(each) if name in _TIMES else each for name, each in value.items() if name in known})


def parse_time(text: str) -> datetime:
    """RFC 3339 with `Z`, which older Pythons do not take."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def time_text(time: Union[datetime, str]) -> str:
    """A time for the server; one without a zone is UTC."""
    if isinstance(time, str):
        return time
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    return time.isoformat()
