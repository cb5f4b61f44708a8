"""Streams: what the SDK gathers is the plain answer; they arrive while code runs; they may break off."""

import asyncio
import itertools
import time

import anthropic

from support import CODE, STRICT, async_client, check_events, client, raises, requests, results, said, script, user

RULES = """
- name: a bit of everything
  when: { user: everything }
  then:
    - thinking: First a file, then its length.
    - text: I'll make a file.
    - create: { path: a.txt, file_text: "one\\n\\"two\\"\\ttab \\\\ ü\\n" }
    - parallel:
        - bash: wc -l < a.txt
        - bash: 'cp a.txt "$OUTPUT_DIR/copy.txt"; echo oops >&2; exit 3'
    - text: "Lines: ${{ results[1].stdout | trim }}."
- name: slow
  when: { user: slow }
  then:
    - text: Wait.
    - bash: sleep 2; echo done
    - text: Ready.
- name: breaks off
  when: { user: breaks }
  then:
    - http_error: { status: 529, after_events: 5 }
    - text: This goes on for a while, and then it does not go on any longer.
- name: stops
  when: { user: { regex: 'stop with (?P<how>\\w+)' } }
  then:
    - text: Until here
    - if: captures.how == "refusal"
      then:
        - stop: { reason: refusal, category: cyber, explanation: I won't. }
    - if: captures.how == "stop_sequence"
      then:
        - stop: { reason: stop_sequence, stop_sequence: END }
    - if: captures.how == "max_tokens"
      then:
        - stop: max_tokens
"""
script(RULES)
api = client()
# Streams of this one are handed on as they come.
live = anthropic.Anthropic()


def options(text):
    # A model that thinks by itself.
    return {"model": "claude-opus-5", "max_tokens": 1024, "messages": [user(text)], "tools": [CODE]}


def shape(message):
    """A message without what differs from one request to the next."""
    value = message.to_dict(mode="json")
    ids = {}

    def plain(each):
        if isinstance(each, dict):
            # In order, since ids are numbered as they come.
            kept = sorted(key for key in each if each[key] is not None and key != "parsed_output")
            return {key: plain(each[key]) for key in kept}
        if isinstance(each, list):
            return [plain(inner) for inner in each]
        if isinstance(each, str) and each.startswith(("msg_", "container_", "srvtoolu_", "file_")):
            of_kind = ids.setdefault(each.split("_")[0], [])
            if each not in of_kind:
                of_kind.append(each)
            return f"{each.split('_')[0]}_{of_kind.index(each)}"
        return each

    value = plain(value)
    if "container" in value:
        assert value["container"].pop("expires_at")
    # The stream never carries the first three at its end; older SDKs lose the last.
    for name in ["cache_creation", "service_tier", "inference_geo"] + ["output_tokens_details"] * (not STRICT):
        value["usage"].pop(name, None)
    return value


# What the helper gathers is the plain answer, in both namespaces.
plain = api.messages.create(**options("everything"))
assert [result["type"] for result in results(plain)] == [
    "text_editor_code_execution_create_result",
    "bash_code_execution_result",
    "bash_code_execution_result",
], plain
assert results(plain)[2]["return_code"] == 3 and results(plain)[2]["stderr"] == "oops\n", plain
assert said(plain).endswith("Lines: 2."), said(plain)
for namespace in [api.messages, live.messages, api.beta.messages, live.beta.messages]:
    with namespace.stream(**options("everything")) as stream:
        gathered = stream.get_final_message()
    expected, got = shape(plain), shape(gathered)
    if not STRICT and namespace in (api.messages, live.messages):
        # That SDK's plain namespace does not know containers and tool counters in streams.
        for value in (expected, got):
            value.pop("container", None)
            value["usage"].pop("server_tool_use", None)
    for one, other in itertools.zip_longest(got.pop("content"), expected.pop("content")):
        assert one == other, f"{one}\n{other}"
    assert got == expected, f"{got}\n{expected}"


async def gathered_at_once():
    """Eight streams at a time."""
    async with async_client() as api:

        async def one():
            async with api.beta.messages.stream(**options("everything")) as stream:
                text = "".join([text async for text in stream.text_stream])
                return text, await stream.get_final_message()

        return await asyncio.gather(*(one() for _ in range(8)))


for text, message in asyncio.run(gathered_at_once()):
    assert shape(message) == shape(plain), message
    assert text == "I'll make a file.Lines: 2.", text

# Raw events: contiguous indices, result blocks whole, the container at the end alone.
events = list(live.beta.messages.create(**options("everything"), stream=True))
starts = [event for event in events if event.type == "content_block_start"]
assert [event.index for event in starts] == list(range(len(starts))), starts
for event in starts:
    deltas = [e.delta for e in events if e.type == "content_block_delta" and e.index == event.index]
    if event.content_block.type.endswith("tool_result"):
        assert deltas == [] and event.content_block.content, event
    if event.content_block.type == "server_tool_use":
        assert event.content_block.input == {} and deltas[0].partial_json == "", event
assert events[0].message.to_dict().get("container") is None, events[0]
(end,) = [event for event in events if event.type == "message_delta"]
assert end.delta.container.id.startswith("container_"), end

# The first words are there while the code still runs.
with live.messages.stream(**options("slow")) as stream:
    times = {}
    for event in stream:
        times.setdefault(event.type, time.monotonic())
    took = time.monotonic() - times["text"]
    assert said(stream.get_final_message()) == "Wait.\nReady.", stream.get_final_message()
assert took > 1.5, f"the first text came {took:.1f} s before the end of two seconds' work"

# A client that leaves early harms nobody.
with live.messages.stream(**options("slow")) as stream:
    next(iter(stream.text_stream))
assert said(live.messages.create(**options("everything"))).endswith("Lines: 2.")

# An error after the stream has begun: status 200, and no retry.
for namespace in [live.messages, live.beta.messages, api.messages]:

    def read(namespace=namespace):
        with namespace.stream(**options("breaks")) as stream:
            for _ in stream:
                pass

    before = len(requests())
    error = raises(anthropic.APIStatusError, read)
    assert error.status_code == 200, error.status_code
    assert error.body["error"]["type"] == "overloaded_error", error.body
    assert error.body["error"]["message"] == "Overloaded", error.body
    if STRICT:
        assert error.type == "overloaded_error", error.type
    assert len(requests()) == before + 1
raw = live.messages.with_raw_response.create(**options("breaks"), stream=True)
text = raw.http_response.read().decode()
if STRICT:
    order = check_events(text)
    assert order[-1] == "error" and len(order) == 6, order
# The plain answer of the same is that error's own status; the SDK would try again.
hasty = live.with_options(max_retries=0)
error = raises(anthropic.APIStatusError, hasty.messages.create, **options("breaks"))
assert error.status_code == 529 and error.body["error"]["type"] == "overloaded_error", error.body

# Every way to stop, plain and streamed.
for how in ["end_turn", "max_tokens", "stop_sequence", "refusal"]:
    asked = options(f"stop with {how}") | {"stop_sequences": ["END"]}
    plain = api.messages.create(**asked)
    with api.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for message in (plain, streamed):
        assert message.stop_reason == how, message
        assert message.stop_sequence == ("END" if how == "stop_sequence" else None), message
        assert message.container is None if STRICT else True, message
    if how == "refusal":
        details = plain.to_dict()["stop_details"]
        assert details == {"type": "refusal", "category": "cyber", "explanation": "I won't."}, details
        if STRICT:
            assert streamed.stop_details.category == "cyber", streamed
