# Made by clients/generate.py from docs/openapi.json; do not edit.
"""What control calls answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Optional, TypedDict, Union

from .mixins import ExchangeMixin, VerdictMixin
from .reading import parse_time as parse_time, read as read, time_text as time_text


class _Attempt(TypedDict):
    request_id: str
    status: Optional[int]
    """null where the connection was closed."""
    faults: list[int]
    """The ids of the faults that met it."""


class Attempt(_Attempt, total=False):
    """A request, or one of its repetitions."""

    made: list[str]
    """The ids of what it made."""
    client_left: bool
    after_ms: float
    """After the one before, on the real clock."""
    after_virtual_ms: int
    """The same on the workspace's."""
    by: RetriedBy


class BatchItem(TypedDict):
    """Which item of a batch an exchange is."""

    id: str
    """`msgbatch_…`."""
    custom_id: str


class ClearedRates(TypedDict):
    """Whose limits are the server's again."""

    workspaces: int
    """How many workspaces."""


class ClockChange(TypedDict, total=False):
    """Changes of the clock, applied in this order. At least one of them."""

    advance: str
    """`30d`, `12h`, `5m`, `90s`, `1h30m`, or ISO 8601."""
    set: str
    """A later time, up to 9999-01-01."""
    freeze: bool
    """Whether it stands still."""


class ClockMoved(TypedDict):
    """The clock was moved, stopped, or let go on."""

    now: str
    frozen: bool


@dataclass(frozen=True)
class ClockState:
    """The workspace's time."""

    now: datetime
    frozen: bool
    """It stands still."""


@dataclass(frozen=True)
class Container:
    """A container of the workspace."""

    id: str
    """`container_…`."""
    state: ContainerState
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    """As the API says it."""
    ends_at: datetime
    """After this it is expired, however it is used."""
    workspace: str = ""
    """The workspace's name."""
    files: Readable = "asleep"
    """Whether its files can be had."""
    pending: bool = False
    """Whether code in it waits for the client's tools."""


class ContainerCost(TypedDict):
    """One container's time."""

    id: str
    seconds: int
    sessions: list[ContainerSession]


class ContainerEnded(TypedDict):
    """The state of a container after it was ended."""

    id: str
    state: ContainerState


class ContainerEvent(TypedDict):
    """Something became of a container."""

    container: str
    """Its id."""


@dataclass(frozen=True)
class ContainerFile:
    """Something in a container's file system."""

    path: str
    """As text: bytes that are no UTF-8 show as U+FFFD."""
    kind: FileKind
    size_bytes: int
    mode: str
    """Octal, such as `0644`."""
    modified_at: Optional[datetime] = None
    """On the machine's clock; absent of files that no sandbox has yet."""
    target: Optional[str] = None
    """Where a link leads."""
    href: Optional[str] = None
    """Of a file: where its bytes are to be had, the exact path, percent-encoded."""


class ContainerFiles(TypedDict):
    """A container's files, by path."""

    data: list[ContainerFile]
    more: bool
    """There are more than were asked for."""


ContainerSession = TypedDict("ContainerSession", {"from": str, "to": str, "seconds": int})
"""A time a container was awake."""


class ContainerTime(TypedDict):
    """Time of containers, against the free hours."""

    seconds: int
    hours: float
    free_hours: float
    free_hours_left: float
    charged_hours: float
    usd: float


ContainerUse = TypedDict("ContainerUse", {"id": str, "from": str, "to": str, "free": bool, "usd_beyond_free_hours": float})
"""A turn's time on a container."""


class Coverage(TypedDict):
    """The surface of the service, and what of it answers have shown; `sandtable docs coverage` has the rules."""

    percent: float
    """`met` of `of`, in whole tenths."""
    met: int
    """Of what counts, what was met."""
    of: int
    """The number of items that count: those that a client can meet with the features that it uses."""
    not_used: list[str]
    """Features of which nothing was met; what needs them does not count."""
    areas: list[CoverageArea]


class CoverageArea(TypedDict):
    """A part of the surface, such as `stop reasons`."""

    name: str
    items: list[CoverageItem]
    """All there are, met or not."""


class _CoverageItem(TypedDict):
    name: str
    """The service's word where it has one, such as `pause_turn`."""
    count: int
    """How often it was met."""
    counts: bool
    """Whether it is among what counts."""


class CoverageItem(_CoverageItem, total=False):
    """Something that can be met."""

    needs: str
    """The feature without which it cannot be met, and that is not used."""
    show: CoverageShow
    """The way to meet it; absent for an item that was met."""


class CoverageShow(TypedDict, total=False):
    """The way to an item that was not met: a fault, or a step of a script or a request in words."""

    fault: dict[str, Any]
    step: str


class _Diagnostic(TypedDict):
    file: str
    line: int
    """From 1; 0 is the text as a whole."""
    column: int
    message: str


class Diagnostic(_Diagnostic, total=False):
    """Something about a place in a script."""

    hint: str


class Dropped(TypedDict):
    """So many events are missing here."""

    dropped: int


class _Duplicated(TypedDict):
    request: str
    """Method and path."""
    request_ids: list[str]
    ids: list[str]


class Duplicated(_Duplicated, total=False):
    """Objects that were made more than once, because an answer was lost."""

    workspace: str
    label: str


class Empty(TypedDict):
    """Why a run proves nothing."""

    message: str
    hint: str


@dataclass(frozen=True)
class Exchange(ExchangeMixin):
    """A request and its answer, as the journal has them."""

    id: str
    """The request id, `req_…`."""
    at: datetime
    """When the request came, on the workspace's clock."""
    method: str
    path: str
    status: int
    duration_ms: float
    """From the request's head to the last byte of the answer, on the real clock."""
    request_body: Any
    """JSON as such, other text as a string, null if there was none, else `size_bytes` and perhaps `sha256`."""
    response_body: Any
    """As the request's body; a stream as the text of its events."""
    query: Optional[str] = None
    """Without the question mark; absent where there was none."""
    workspace: str = ""
    """The workspace's id, `wrkspc_…`."""
    batch: Optional[BatchItem] = None
    """Only of an item of a batch."""
    request_headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case; without keys and other secrets."""
    response_headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case; without secrets."""
    source: Optional[str] = None
    """Where a turn's answers came from, `unmatched` where from nowhere; absent where there was no turn."""
    lints: list[Lint] = field(default_factory=list)
    """Mistakes that the real service might have objected to."""
    client_left: bool = False
    """The client went before the answer was complete; absent if not."""
    broke: bool = False
    """The connection was closed before the answer was complete, by a fault, by a service that is recorded, or because sandtable failed; absent if not. The status is 444 if not even the head was sent."""


class FailedClause(TypedDict):
    """The first clause of a rule that does not hold."""

    clause: str
    line: int
    wants: str
    got: str


class _FailedTurn(TypedDict):
    request_id: str
    message: str


class FailedTurn(_FailedTurn, total=False):
    """A turn that broke off, or a request at which sandtable itself failed."""

    workspace: str
    label: str


class FaultFired(TypedDict):
    """A fault met a request."""

    id: int
    layer: FaultLayer
    fault: Any
    """As it was given."""


class FaultGiven(TypedDict):
    """A fault that met a request."""

    id: int
    layer: FaultLayer
    fault: dict[str, Any]
    """As it was given."""


@dataclass(frozen=True)
class FaultState:
    """A fault and what became of it."""

    id: int
    layer: FaultLayer
    matched: int
    """Occasions that fitted."""
    fired: int
    fault: dict[str, Any] = field(default_factory=dict)
    """As it was given; `sandtable docs faults` has the words."""
    left: Optional[int] = None
    """How often it still fires; null for ever."""
    note: Optional[str] = None
    """Why it cannot fire as things are."""


class _FaultedRequest(TypedDict):
    request: str
    """Method and path."""
    faults: list[FaultGiven]
    attempts: list[Attempt]
    retries: int
    last_status: Optional[int]
    """null where the connection was closed."""
    outcome: Outcome


class FaultedRequest(_FaultedRequest, total=False):
    """The client's reaction to a request that a fault met; `sandtable docs verify` lists the outcomes."""

    workspace: str
    attempts_dropped: int
    idempotency_key: str
    label: str


class Fork(TypedDict, total=False):
    """An order to fork a workspace."""

    key: Optional[str]
    """The new workspace's API key; one is made if there is none."""


class Forked(TypedDict):
    """A workspace that holds what another does."""

    workspace: str
    """Its name."""
    key: str
    """Its API key."""
    files: int
    skills: int
    containers: int
    batches: int


class _FoundLint(TypedDict):
    request_id: str
    code: str
    level: LintLevel
    message: str
    hint: str


class FoundLint(_FoundLint, total=False):
    """A mistake, and the request that made it."""

    workspace: str
    label: str


class Health(TypedDict):
    """The server runs."""

    status: str
    """`ok`."""
    version: str
    backend: str
    """The backend that runs code: `docker`, `local`, or `none`."""
    isolation: str
    """The isolation of sandboxes: `docker`, `namespaces`, `landlock`, or `none`."""
    passed_over: list[PassedOver]
    """Isolation that would be better, and why it does not run."""
    profile: str
    """The profile of quirks."""


class JournalGrowth(TypedDict):
    """The exchanges since an earlier page, oldest first."""

    data: list[Exchange]
    next_after: int
    """The value of `after` for the next request; also of an empty page."""
    dropped: int
    """How many that came since are kept no more."""
    open_requests: int
    """Requests that are not over, and so not in the journal yet; what outlives its client's connection counts."""


class JournalPage(TypedDict):
    """A part of the journal, newest first."""

    data: list[Exchange]
    next_cursor: Optional[int]
    """Where the next page starts, if there may be one."""


class KeptFile(TypedDict):
    """A file of the workspace."""

    id: str
    """`file_…`."""
    filename: str
    mime_type: str
    size_bytes: int
    created_at: str
    downloadable: bool
    """Code made it: what clients upload they cannot download."""


class Label(TypedDict):
    """Whom a workspace's key is handed to."""

    label: str
    """Such as the name of a test."""


class Labelled(TypedDict):
    """A workspace has a name."""

    workspace: str
    label: str


class Lint(TypedDict):
    """A mistake of the client's that the real service punishes silently; `sandtable docs verify` lists the codes."""

    code: str
    """Stays the same, such as `inert_container_upload`."""
    level: LintLevel
    message: str
    hint: str


class Loaded(TypedDict):
    """Rules were put in place."""

    rules: int
    """Rules of the workspace now, without those of files."""


class Mark(TypedDict):
    """Where a stream stood at a moment."""

    end_bytes: int
    """So many bytes of the body were out."""
    ms: float
    """So long after the request came."""


class Miss(TypedDict):
    """Why a turn was not answered as a rule says."""

    message: str
    nearest: list[Near]
    """The rules that came nearest; none of a turn that broke off."""


class MissingExchanges(TypedDict):
    """How many exchanges are not in the file, and why."""

    exchanges: int
    reason: Optional[str]


class _Mount(TypedDict):
    path: str
    """Below the server's `--cassette-dir`, which itself is `.`."""


class Mount(_Mount, total=False):
    """An order to mount a cassette."""

    mode: Optional[str]
    """`none`, `once`, `new`, or `all`."""
    pace: Optional[str]
    """How fast streams are given: `none` (at once), `recorded`, or a factor of the recorded times, such as `0.5`."""
    upstream: Optional[str]
    """Where missing exchanges are recorded from; only the server's own."""
    ignore: list[str]
    """JSON paths that may differ."""


class _Mounted(TypedDict):
    mounted: bool


class Mounted(_Mounted, total=False):
    """The mounted cassettes, if there are any."""

    exchanges: int
    """How many there are."""
    unused: list[str]
    """The names of those that were not given."""
    recording: Recording
    """The recording under way, if there is one."""


class _Near(TypedDict):
    rule: str
    file: str
    line: int
    held: int
    clauses: int


class Near(_Near, total=False):
    """A rule that almost matched: `held` of its `clauses` hold."""

    failed: FailedClause
    """The first clause that does not hold; absent if its `times` are used up."""
    used_up: TimesUsed


class PassedOver(TypedDict):
    """A better way to confine sandboxes that does not work here."""

    name: str
    """`docker` or `namespaces`."""
    reason: str


class QuirkState(TypedDict):
    """One row."""

    value: str
    values: list[str]
    """The values it may have."""


class Quirks(TypedDict):
    """Every row as it holds for the workspace's requests."""

    profile: str
    quirks: dict[str, QuirkState]
    """By name."""


class Ready(TypedDict):
    """Whether what the server is for can be had at once."""

    status: str
    """`ok`, or `not_ready`."""
    backend: str
    sandboxes: bool
    """A container could be had."""
    reason: Optional[str]
    """Why not, and what that means for the scripts."""


class _Recorded(TypedDict):
    path: str
    exchanges: int


class Recorded(_Recorded, total=False):
    """A recording that has ended: its file and its exchanges."""

    missing: MissingExchanges
    """Exchanges that could not be written, or that the service never answered, if any."""


class _Recording(TypedDict):
    path: str
    exchanges: int
    upstream: str


class Recording(_Recording, total=False):
    """A recording under way: its file and its source."""

    missing: MissingExchanges
    """Exchanges that could not be written, or that the service never answered, if any."""


class Refusal(TypedDict):
    """An error: its message, and a hint."""

    message: str
    hint: str


class Refused(TypedDict):
    """A refused call."""

    error: Refusal


class _RequestBegun(TypedDict):
    request_id: str
    method: str
    path: str


class RequestBegun(_RequestBegun, total=False):
    """A request has come, or a batch's item is carried out."""

    batch: BatchItem
    """Which item of a batch it is; absent of requests."""


class RequestCounts(TypedDict):
    """API requests since the last reset, or over all resets if all workspaces are judged."""

    answered: int
    """Answered by a rule, a recording, a fault, or otherwise as asked."""
    refused: int
    """Refused as wrong."""


class _RequestEnded(TypedDict):
    request_id: str
    method: str
    path: str
    status: int
    duration_ms: int
    """On the real clock."""
    source: Optional[str]
    """Where a turn's answer came from."""
    lints: list[Lint]
    client_left: bool


class RequestEnded(_RequestEnded, total=False):
    """Its answer is complete, its client has left, or its connection broke."""

    batch: BatchItem
    """Which item of a batch it is; absent of requests."""
    broke: bool
    """The connection was closed before the answer was complete; absent if not."""


class Reset(TypedDict):
    """The numbers of objects that a reset took."""

    workspaces: int
    containers: int


class Restored(TypedDict):
    """The numbers of objects that a state brought."""

    files: int
    skills: int
    containers: int
    batches: int


@dataclass(frozen=True)
class RuleState:
    """A rule of a script and how often it was used."""

    name: str
    file: str
    """The file that has the rule, and its place there."""
    line: int
    used: int
    """How often it answered."""
    layer: RuleLayer
    column: int = 0
    times: Optional[int] = None
    """How often it may answer; absent if without end."""
    steps: list[StepState] = field(default_factory=list)
    """In the order of the text."""


class ScriptCheck(TypedDict):
    """The result of checking a script that was not loaded."""

    ok: bool
    """It would be loaded."""
    rules: int
    """How many rules it has; none if it has errors."""
    errors: list[Diagnostic]
    warnings: list[Diagnostic]


class ScriptList(TypedDict):
    """All rules in the order they are tried."""

    data: list[RuleState]
    sources: list[str]
    """The texts of the workspace's own."""


class Searches(TypedDict):
    """Web searches."""

    requests: int
    usd: float


class SetupChanged(TypedDict):
    """A call has changed how the workspace answers."""

    what: SetupPart


class StepRan(TypedDict):
    """A step of a rule that ran."""

    step: str
    line: int


@dataclass(frozen=True)
class StepState:
    """A step of a rule."""

    step: str
    """Its key, such as `bash`."""
    line: int
    column: int
    ran: bool
    """At least once."""
    conditional: bool
    """It lies in a branch of an `if`: that it did not run is no finding."""


class Timeline(TypedDict):
    """A part of the journal without bodies."""

    data: list[TimelineRow]
    kept: int
    """How many requests the journal holds."""


class TimelineRow(TypedDict):
    """A request in a line."""

    n: int
    """Its number, which only grows."""
    id: str
    at: str
    method: str
    path: str
    status: int
    ms: float
    """From the request's head to the last byte of the answer, on the real clock."""
    source: Optional[str]
    lints: int
    """How many."""
    left: bool
    """The client went before the answer was complete."""
    broke: bool
    """The connection was closed before that."""
    failed: bool
    """Its stream ended with an error."""
    missed: bool
    """No rule and no recording fits it."""
    batch: Optional[str]
    """`msgbatch_…`, of an item."""
    faults: int
    """How many faults met it."""
    stream: bool
    model: Optional[str]
    said: Optional[str]
    """The beginning of the newest text of the user."""
    turn: int
    """How many messages the user has sent by now."""
    thread: Optional[str]
    """The same for all turns of a conversation."""


class TimesUsed(TypedDict):
    """How often a rule has answered, and may."""

    used: int
    times: int


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


class TurnCost(TypedDict):
    """One turn, or where several models took part, what one of them did."""

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
    """Of tokens and searches; null where the model has no price."""
    container: Optional[ContainerUse]


class TurnShown(TypedDict):
    """A request with all that is known of it."""

    entry: Exchange
    marks: list[Mark]
    """Of a stream: bytes that were out, and milliseconds since the request came."""
    faults: list[FaultGiven]
    """The faults that met it."""
    rule: Optional[RuleState]
    """The rule that answered."""
    steps: list[StepRan]
    """Its steps that ran for this request."""
    miss: Optional[Miss]
    """Why no rule answered, or why the rule could not go on."""
    findings: list[FoundLint]
    """Findings that only the end of the run could show."""


class Unclaimed(TypedDict):
    """A workspace without a label that made requests, where others have one."""

    workspace: str
    key: Optional[str]
    """The end of its key, if it may be told."""
    requests: int
    first_request_id: Optional[str]
    level: LintLevel


class _Unmatched(TypedDict):
    request_id: str
    message: str
    nearest: list[Near]


class Unmatched(_Unmatched, total=False):
    """A turn that nothing answered."""

    workspace: str
    label: str


class Unmounted(TypedDict):
    """The answer to an unmount: the recording until then."""

    recorded: Optional[Recorded]


class _UnusedFault(TypedDict):
    id: int
    layer: FaultLayer
    fault: dict[str, Any]
    matched: int
    fired: int
    left: Optional[int]
    """null for ever."""


class UnusedFault(_UnusedFault, total=False):
    """A fault that fired less often than it may."""

    workspace: str
    note: str
    """Why it cannot fire as things are."""
    request_id: str
    """Of one that came in the header of a request: the first request that brought it."""
    label: str


class _UnusedRecording(TypedDict):
    recording: str
    """`NAME #3`."""
    request: Optional[str]
    """`POST /v1/messages`; null of an answer that was recorded alone."""


class UnusedRecording(_UnusedRecording, total=False):
    """A recorded exchange that nothing asked for."""

    workspace: str
    label: str


class _UnusedStep(TypedDict):
    rule: str
    file: str
    line: int
    step: Optional[str]
    """Its key, such as `bash`; null if it is about the rule as a whole."""
    why: UnusedWhy
    layer: RuleLayer


class UnusedStep(_UnusedStep, total=False):
    """A step that nothing reached, or, without `step`, a rule."""

    workspace: str
    label: str


class Usage(TypedDict):
    """The cost that a month of the workspace would have on the service; `sandtable docs usage` has the rules."""

    month: str
    """`2026-11`."""
    usd: float
    """All of it, in dollars."""
    container_time: ContainerTime
    tokens: TokenSums
    web_searches: Searches
    containers: list[ContainerCost]
    """Oldest first."""
    turns: list[TurnCost]
    """Oldest first."""
    summed_up: bool
    """Older containers and turns are in the sums alone."""


@dataclass(frozen=True)
class Verdict(VerdictMixin):
    """The result of a verification."""

    ok: bool
    """Nothing is wrong."""
    unmatched: list[Unmatched] = field(default_factory=list)
    """Turns that no rule or recording answered."""
    failed: list[FailedTurn] = field(default_factory=list)
    """Turns that broke off because a rule expected something else, and requests at which sandtable itself failed."""
    unused_steps: list[UnusedStep] = field(default_factory=list)
    """Steps of rules that nothing reached."""
    unused_faults: list[UnusedFault] = field(default_factory=list)
    """Faults that never fired."""
    unused_recordings: list[UnusedRecording] = field(default_factory=list)
    """Exchanges of the mounted cassettes that nothing asked for."""
    duplicated: list[Duplicated] = field(default_factory=list)
    """Objects that were made more than once, because an answer was lost and the request sent again."""
    faults: list[FaultedRequest] = field(default_factory=list)
    """The client's reaction to each fault."""
    lints: list[FoundLint] = field(default_factory=list)
    """Mistakes that the real service would not have told."""
    unclaimed: list[Unclaimed] = field(default_factory=list)
    """Workspaces without a label that made requests, where others have one. Only over all workspaces."""
    empty: list[Empty] = field(default_factory=list)
    """Why the run proves nothing, if that is asked."""
    requests: Optional[RequestCounts] = None
    """How many requests there were."""
    dropped: dict[str, int] = field(default_factory=dict)
    """How many findings were not kept, by list."""
    coverage: Optional[Coverage] = None
    """The part of the service that was met, if that is asked."""


class Waited(TypedDict):
    """How a wait ended."""

    met: bool
    """It is so; false after the time-out."""
    count: int
    """How many requests are there, or events came; of a container's state 1 or 0."""
    waited_ms: int
    """On the real clock."""


class _WorkspaceState(TypedDict):
    name: str
    """Its name, as `?workspace=NAME` takes it."""
    id: str
    """Its id, as events and exchanges have it."""
    now: str
    frozen: bool
    """Its clock stands still."""
    requests: RequestCounts


class WorkspaceState(_WorkspaceState, total=False):
    """A workspace of the server."""

    label: str
    """Whom its key was handed to."""
    key: str
    """The end of its key, if it is long enough to tell."""

ContainerState = Literal["awake", "asleep", "expired"]
"""Whether anything runs in a container."""

FaultLayer = Literal["workspace", "file", "request"]
"""The source of a fault."""

FileKind = Literal["file", "directory", "symlink"]
"""The type of a file at a path."""

LintLevel = Literal["warning", "error"]
"""How bad a mistake is."""

Outcome = Literal["recovered", "gave_up", "failed", "answered", "duplicated"]
"""How a request that a fault met came out."""

Readable = Literal["readable", "asleep", "none"]
"""Whether a container's files can be had."""

RetriedBy = Literal["sdk", "client"]
"""The sender of a repeated request."""

RuleLayer = Literal["workspace", "base"]
"""The source of a rule."""

SetupPart = Literal["scripts", "faults", "all"]
"""What a call can change."""

UnusedWhy = Union[Literal["never_answered"], dict[str, TimesUsed], Literal["never_ran"]]
"""How something was not used."""
