"""Every member of every block and tool that the SDK's types have is taken; one more is refused."""

import collections.abc
import types as builtin
import typing

import anthropic
import typing_extensions
from anthropic.types import ToolUnionParam, beta
from anthropic.types.content_block_param import ContentBlockParam

from support import MODEL, client, script, user

api = client()
script([{"then": [{"text": "ok"}]}])

# Bytes that are what their type says.
DATA = {"image/jpeg": "/9j/4AA=", "application/pdf": "JVBERi0xLjQK", "text/plain": "some words"}


def is_object(hint):
    return typing_extensions.is_typeddict(hint)


def variants(hint):
    """The types of a union, and of unions in it."""
    origin = typing_extensions.get_origin(hint)
    if origin in (typing.Annotated, typing_extensions.Required, typing_extensions.NotRequired):
        return variants(typing_extensions.get_args(hint)[0])
    if origin in (typing.Union, builtin.UnionType):
        return [inner for part in typing_extensions.get_args(hint) for inner in variants(part)]
    return [hint]


def needed(hint):
    """The members that must be there: the types' own list of them is empty, for their hints are texts."""
    hints = typing_extensions.get_type_hints(hint, include_extras=True)
    return [key for key, inner in hints.items() if typing_extensions.get_origin(inner) is typing_extensions.Required]


def whole(hint, depth=0):
    """A value of this type with every member that there is; deep down, with those that it needs."""
    hint = next((part for part in variants(hint) if part is not type(None)), None)
    origin = typing_extensions.get_origin(hint)
    if is_object(hint):
        hints = typing_extensions.get_type_hints(hint)
        kept = hints if depth < 4 else {key: hints[key] for key in needed(hint)}
        value = {key: whole(inner, depth + 1) for key, inner in kept.items()}
        if value.get("media_type") in DATA:
            value["data"] = DATA[value["media_type"]]
        value.update({key: "srvtoolu_1" for key in ("id", "tool_use_id") if key in value})
        if value.get("type") == "tool_search_tool_result_error":
            # The service has refused what the SDK's type has (anthropic-sdk-typescript#862); null passes.
            value["error_message"] = None
        return value
    if origin is typing.Literal or origin is typing_extensions.Literal:
        return typing_extensions.get_args(hint)[0]
    if origin in (list, collections.abc.Iterable, collections.abc.Sequence) or "Sequence" in str(origin):
        (inner, *_) = typing_extensions.get_args(hint)
        return [whole(inner, depth + 1)] if depth < 4 else []
    if hint in (bool, int, float, str):
        return {bool: False, int: 1, float: 0.5, str: "some_words"}[hint]
    return {}


def answer(body, betas=()):
    """What is said against the body, if anything."""
    headers = {"anthropic-beta": ",".join(betas)} if betas else {}
    try:
        api.post("/v1/messages", body={"model": MODEL, "max_tokens": 64, **body}, cast_to=object, options={"headers": headers})
    except anthropic.APIStatusError as error:
        return error.body["error"]["message"]
    return ""


def check(kind, path, body):
    """Holds one object, which `body` puts into a request, against the server."""
    value = whole(kind)
    if path == "tools" and value.get("type") == "custom":
        value["input_schema"] = {"type": "object"}
    if "allowed_domains" in value:
        # Only one of the two may be given.
        value["blocked_domains"] = None
    said = answer(body(value))
    if "Input tag" in said:
        assert kind.__module__.startswith("anthropic.types.beta"), (kind, said)
        said = answer(body(value), ["mcp-client-2025-11-20"])
        assert "Input tag" not in said and "Extra inputs" not in said, (kind, said)
        return False
    assert "Extra inputs" not in said, (kind, said)
    said = answer(body({**value, "surprise": 1}))
    assert said.startswith(path) and said.endswith(".surprise: Extra inputs are not permitted"), (kind, said)
    return True


def in_a_message(block):
    return {"messages": [{"role": "user", "content": [block]}]}


def among_tools(tool):
    return {"messages": [user("Hello")], "tools": [tool]}


for union, path, body, least in [
    (ContentBlockParam, "messages.0.content.0.", in_a_message, 16),
    (beta.BetaContentBlockParam, "messages.0.content.0.", in_a_message, 16),
    (ToolUnionParam, "tools.0.", among_tools, 20),
    (beta.BetaToolUnionParam, "tools.0.", among_tools, 20),
]:
    kinds = [kind for kind in variants(union) if is_object(kind)]
    closed = [check(kind, path, body) for kind in kinds]
    assert closed.count(True) >= least, (union, closed.count(True), len(kinds))
    print(f"{len(kinds)} types, {closed.count(True)} of them without a beta")
