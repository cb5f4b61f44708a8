"""What the programs share: clients whose every answer is held against the SDK's own types, and sandtable's controls."""

import json
import os
import pathlib
import urllib.request

import anthropic
import pydantic
from anthropic import types
from anthropic.types import beta

VERSION = tuple(int(part) for part in anthropic.__version__.split(".")[:2])
# The types of older SDKs do not know the blocks of today.
STRICT = VERSION >= (2, 0)
URL = os.environ["ANTHROPIC_BASE_URL"]
MODEL = "claude-opus-4-6"
CODE = {"type": "code_execution_20250825", "name": "code_execution"}
LEGACY = {"type": "code_execution_20250522", "name": "code_execution"}

# The documents name these codes and the types do not (spec: documented profile).
DOCUMENTED_CODES = {"string_not_found", "container_expired"}
# Keys that the documents or recorded traffic have and the types do not.
KNOWN_EXTRAS = {
    ("ServerToolUsage", "code_execution_requests"),
    ("BetaServerToolUsage", "code_execution_requests"),
    ("CodeExecutionResultBlock", "abort_reason"),
    ("BetaCodeExecutionResultBlock", "abort_reason"),
    # The SDK reads them beside its own type of an error.
    ("InvalidRequestErrorObject", "details"),
    ("NotFoundErrorObject", "details"),
    ("OverloadedErrorObject", "details"),
}

SALES = """\
date,region,product,units,revenue_usd
2026-05-01,harbor,lantern,4,200
2026-05-01,valley,lantern,6,300
2026-05-02,harbor,kettle,10,250
2026-05-02,ridge,kettle,2,50
2026-05-03,valley,lantern,3,150
2026-05-03,ridge,lantern,5,250
"""


class Mismatch(BaseException):
    """An answer is not what the SDK's types say; no `Exception`, which the SDK would take for a lost connection."""


def client(**options):
    """A client that checks whatever comes back; streams are read whole before they are handed on."""
    hooks = {"response": [_check]} if STRICT else {}
    return anthropic.Anthropic(http_client=anthropic.DefaultHttpxClient(event_hooks=hooks), **options)


def async_client(**options):
    """The asynchronous twin of `client`."""
    hooks = {"response": [_check_async]} if STRICT else {}
    return anthropic.AsyncAnthropic(http_client=anthropic.DefaultAsyncHttpxClient(event_hooks=hooks), **options)


def control(method, path, body=None, key=None):
    """A call of `/_sandtable`; `body` is text (YAML, JSON) or something to be JSON."""
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
    request = urllib.request.Request(
        f"{URL}/_sandtable/{path}",
        method=method,
        data=None if body is None else body.encode(),
        headers={"x-api-key": key or os.environ["ANTHROPIC_API_KEY"]},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        text = response.read()
    return json.loads(text) if text else None


def script(rules):
    """Lets these rules, and only these, decide what the model says."""
    control("PUT", "scripts", rules)


def requests(path="/v1/messages"):
    """What the journal has of a path, oldest first."""
    return control("GET", f"journal?path={path}&limit=100")["data"][::-1]


def user(text):
    return {"role": "user", "content": text}


def kinds(message):
    return [block.type for block in message.content]


def said(message):
    return "\n".join(block.text for block in message.content if block.type == "text")


def results(message):
    """The contents of the result blocks, as dictionaries whatever the SDK made of them."""
    found = []
    for block in message.content:
        if block.type.endswith("code_execution_tool_result"):
            found.append(block.to_dict()["content"])
    return found


def output_ids(message):
    return [item["file_id"] for result in results(message) for item in result.get("content", []) if "file_id" in item]


def raises(kind, call, *args, **kwargs):
    """The error of this class that the call ends with."""
    try:
        call(*args, **kwargs)
    except Exception as error:
        assert isinstance(error, kind), f"{type(error).__name__} instead of {kind.__name__}: {error}"
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def write(name, text):
    path = pathlib.Path(name)
    path.write_text(text)
    return path


def is_png(data):
    return data.startswith(b"\x89PNG\r\n\x1a\n") and data.rstrip().endswith(b"IEND\xaeB`\x82")


def _check(response):
    response.read()
    _check_body(response)


async def _check_async(response):
    await response.aread()
    _check_body(response)


def _check_body(response):
    try:
        _check_by_path(response)
    except Exception as error:
        request = response.request
        raise Mismatch(f"{request.method} {request.url}: {error}") from error


def _check_by_path(response):
    assert response.headers["request-id"].startswith("req_"), response.headers
    kind = response.headers.get("content-type", "")
    path = response.request.url.path
    # What a beta has brought is in its types alone.
    betas = "anthropic-beta" in response.request.headers
    if response.status_code >= 400:
        return _check_error(response)
    if kind.startswith("text/event-stream"):
        return check_events(response.text, betas)
    if path == "/v1/messages":
        if not betas:
            fits(types.Message, response.text)
        fits(beta.BetaMessage, response.text)
    elif path == "/v1/messages/count_tokens":
        fits(types.MessageTokensCount, response.text)
    elif path.endswith("/results"):
        for line in response.text.splitlines():
            fits(types.messages.MessageBatchIndividualResponse, line)
            fits(beta.messages.BetaMessageBatchIndividualResponse, line)
    elif kind == "application/json":
        body = response.json()
        for each in body["data"] if "data" in body else [body]:
            fits(_TYPES[each["type"]], json.dumps(each))


# Objects by the value of their `type`.
_TYPES = STRICT and {
    "file": types.FileMetadata,
    "file_deleted": types.DeletedFile,
    "message_batch": types.messages.MessageBatch,
    "message_batch_deleted": types.messages.DeletedMessageBatch,
    "model": types.ModelInfo,
    "skill": types.Skill,
    "skill_deleted": types.DeletedSkill,
    "skill_version": types.skills.SkillVersion,
    "skill_version_deleted": types.skills.DeletedSkillVersion,
}


def _check_error(response):
    body = response.json()
    # What is too large the service's edge refuses: in a shape of its own, with a type that the SDK's types do not list.
    if response.status_code == 413 and list(body) == ["error"]:
        return
    if response.status_code != 413:
        fits(types.ErrorResponse, response.text)
    assert body["request_id"] == response.headers["request-id"], body


def check_events(text, betas=False):
    """Every event of a stream has the name of its type, fits it, and stands in the right order."""
    order = []
    for frame in text.split("\n\n"):
        if not frame:
            continue
        name, data = frame.split("\n")
        name = name.removeprefix("event: ")
        data = data.removeprefix("data: ")
        assert json.loads(data)["type"] == name, frame
        order.append(name)
        if name == "error":
            fits(types.ErrorResponse, data)
        elif name != "ping":
            if not betas:
                fits(types.RawMessageStreamEvent, data)
            fits(beta.BetaRawMessageStreamEvent, data)
    assert order[0] == "message_start", order
    assert order[-1] in ("message_stop", "error"), order
    assert order.count("content_block_start") - order.count("content_block_stop") in (0, 1), order
    return order


def fits(kind, text):
    """The JSON is of this type to the letter: no unknown literal, no wrong or missing field, no unknown key."""
    assert STRICT
    value = json.loads(text)
    _replace_documented_codes(value)
    model = pydantic.TypeAdapter(kind).validate_json(json.dumps(value), strict=True)
    unknown = set(_extras(model)) - KNOWN_EXTRAS
    assert not unknown, f"{unknown} in {text}"
    return model


def _replace_documented_codes(value):
    if isinstance(value, dict):
        if value.get("error_code") in DOCUMENTED_CODES and value["type"].endswith("tool_result_error"):
            value["error_code"] = "unavailable"
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _replace_documented_codes(each)


def _extras(value):
    if isinstance(value, pydantic.BaseModel):
        for name in value.model_extra or {}:
            yield type(value).__name__, name
        for name in type(value).model_fields:
            yield from _extras(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from _extras(each)
