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


class Lint(TypedDict):
    """A mistake of the client; `sandtable docs verify` lists the codes."""

    code: str
    level: str
    """``error``, or ``warning``."""
    message: str
    hint: str


class BatchItem(TypedDict):
    """Which item of a batch an exchange is."""

    id: str
    custom_id: str


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
    lints: list[Lint] = field(default_factory=list)
    """What the real service might have objected to."""
    workspace: str = ""
    response_headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case; without secrets."""
    batch: Optional[BatchItem] = None
    """Only of an item of a batch."""
    client_left: bool = False
    """The client went before the answer was complete."""

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
    workspace: str = ""


class _OfWorkspace(TypedDict, total=False):
    workspace: str
    """Absent of what files give to all workspaces."""
    label: str
    """Whom the workspace was given to, such as a test."""


class FailedClause(TypedDict):
    """The first clause of a rule that does not hold."""

    clause: str
    line: int
    wants: str
    got: str


class TimesUsed(TypedDict):
    """How often a rule has answered, and may."""

    used: int
    times: int


class _Near(TypedDict):
    rule: str
    file: str
    line: int
    held: int
    clauses: int


class Near(_Near, total=False):
    """A rule that almost matched: `held` of its `clauses` hold."""

    failed: FailedClause
    used_up: TimesUsed


class _Failed(TypedDict):
    request_id: str
    message: str


class FailedTurn(_Failed, _OfWorkspace):
    """A turn that broke off."""


class Unmatched(FailedTurn):
    """A turn that nothing answered."""

    nearest: list[Near]


class _UnusedStep(TypedDict):
    rule: str
    file: str
    line: int
    step: Optional[str]
    why: Union[str, dict[str, TimesUsed]]
    layer: str


class UnusedStep(_UnusedStep, _OfWorkspace):
    """A step that nothing reached, or, without `step`, a rule.

    `why` is ``never_answered``, ``never_ran``, or ``{"times_left": …}``."""


class _UnusedFault(TypedDict):
    id: int
    layer: str
    fault: dict[str, Any]
    matched: int
    fired: int
    left: Optional[int]


class UnusedFault(_UnusedFault, _OfWorkspace):
    """A fault that fired less often than it may."""


class _UnusedRecording(TypedDict):
    recording: str
    request: Optional[str]


class UnusedRecording(_UnusedRecording, _OfWorkspace):
    """A recorded exchange that nothing asked for: ``NAME #3``, and ``POST /v1/messages``, or None of an answer that was
    recorded alone."""


class FaultGiven(TypedDict):
    """A fault that met a request."""

    id: int
    layer: str
    fault: dict[str, Any]


class _Attempt(TypedDict):
    request_id: str
    status: Optional[int]
    faults: list[int]


class Attempt(_Attempt, total=False):
    """A request, or one of its repetitions; without a status the connection was closed."""

    client_left: bool
    after_ms: float
    after_virtual_ms: int
    by: str
    made: list[str]


class _FaultedRequest(TypedDict):
    request: str
    faults: list[FaultGiven]
    attempts: list[Attempt]
    retries: int
    last_status: Optional[int]
    outcome: str


class FaultedRequest(_FaultedRequest, _OfWorkspace, total=False):
    """What the client did about a request that a fault met; `sandtable docs verify` lists the outcomes."""

    attempts_dropped: int
    idempotency_key: str


class _Duplicated(TypedDict):
    request: str
    request_ids: list[str]
    ids: list[str]


class Duplicated(_Duplicated, _OfWorkspace):
    """What was made more than once, because an answer was lost."""


class _FoundLint(Lint):
    request_id: str


class FoundLint(_FoundLint, _OfWorkspace):
    """A mistake, and the request that made it."""


class Unclaimed(TypedDict):
    """A workspace without a label that made requests, where others have one."""

    workspace: str
    key: Optional[str]
    requests: int
    first_request_id: Optional[str]
    level: str


class Empty(TypedDict):
    """Why a run proves nothing."""

    message: str
    hint: str


class RequestCounts(TypedDict):
    """How many requests there were."""

    answered: int
    refused: int


_UNUSED = ("unused_steps", "unused_faults", "unused_recordings")
_WRONG = ("unmatched", "failed", *_UNUSED, "duplicated", "empty", "lints", "unclaimed")


@dataclass(frozen=True)
class Verdict:
    """What verification found."""

    ok: bool
    unmatched: list[Unmatched] = field(default_factory=list)
    """Turns that no rule or recording answered."""
    failed: list[FailedTurn] = field(default_factory=list)
    """Turns that broke off because a rule expected something else."""
    unused_steps: list[UnusedStep] = field(default_factory=list)
    """Steps of rules that nothing reached."""
    unused_faults: list[UnusedFault] = field(default_factory=list)
    """Faults that never fired."""
    unused_recordings: list[UnusedRecording] = field(default_factory=list)
    """Exchanges of the cassettes that nothing asked for. Older servers do not look for them."""
    faults: list[FaultedRequest] = field(default_factory=list)
    """What the client did about each fault."""
    lints: list[FoundLint] = field(default_factory=list)
    """Mistakes that the real service would not have told."""
    duplicated: list[Duplicated] = field(default_factory=list)
    """What was made more than once. Older servers do not look for it."""
    unclaimed: list[Unclaimed] = field(default_factory=list)
    """Who made requests and is no test. Only over all workspaces."""
    empty: list[Empty] = field(default_factory=list)
    """Why the run proves nothing, if that was asked."""
    requests: Optional[RequestCounts] = None
    """None from older servers."""
    dropped: dict[str, int] = field(default_factory=dict)
    """How many findings were not kept, by list."""

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        """What is wrong, one thing a line."""
        said = ["ok" if self.ok else "not ok"]
        for name in _WRONG:
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


class _TokenSums(TypedDict):
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    usd: float


class TokenSums(_TokenSums, total=False):
    """Tokens of all turns."""

    unpriced: list[str]
    """Models without a price: their tokens cost nothing here."""


class Searches(TypedDict):
    """Web searches."""

    requests: int
    usd: float


ContainerSession = TypedDict("ContainerSession", {"from": str, "to": str, "seconds": int})
"""A time a container was awake."""

ContainerUse = TypedDict(
    "ContainerUse", {"id": str, "from": str, "to": str, "free": bool, "usd_beyond_free_hours": float}
)
"""A turn's time on a container."""


class ContainerCost(TypedDict):
    """One container's time."""

    id: str
    seconds: int
    sessions: list[ContainerSession]


class TurnCost(TypedDict):
    """One turn; `usd` is None where the model has no price."""

    message_id: str
    at: str
    model: str
    batch: bool
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    web_search_requests: int
    usd: Optional[float]
    container: Optional[ContainerUse]


class Usage(TypedDict):
    """What a month of the workspace would have cost; `sandtable docs usage` has the rules."""

    month: str
    usd: float
    container_time: ContainerTime
    tokens: TokenSums
    web_searches: Searches
    containers: list[ContainerCost]
    turns: list[TurnCost]
    summed_up: bool


class MissingExchanges(TypedDict):
    """How many exchanges could not be written, and why."""

    exchanges: int
    reason: str


class _Recorded(TypedDict):
    path: str
    exchanges: int


class Recorded(_Recorded, total=False):
    """What was recorded, and where; `missing` only if something is."""

    missing: MissingExchanges


class Recording(Recorded):
    """What is recorded, and from where."""

    upstream: str


class _Mounted(TypedDict):
    mounted: bool


class Mounted(_Mounted, total=False):
    """What is mounted: how many exchanges, and the names of those not used; `recording` where it records."""

    exchanges: int
    unused: list[str]
    recording: Recording


class Unmounted(TypedDict):
    """What was recorded until then."""

    recorded: Optional[Recorded]


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
