"""Generated conversations, plain and streamed: the SDK reads each without an error and to the same messages."""

import json
import re

import anthropic

from support import MODEL, control, user

BETAS = [
    "advisor-tool-2026-03-01",
    "mcp-client-2025-11-20",
    "compact-2026-01-12",
    "server-side-fallback-2026-07-01",
    "context-management-2025-06-27",
]
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
REQUEST = {
    "model": "claude-opus-5-5",
    "max_tokens": 4096,
    "betas": BETAS,
    "stop_sequences": ["END"],
    "thinking": {"type": "adaptive", "display": "summarized"},
    "mcp_servers": [{"type": "url", "url": "https://echo.example/mcp", "name": "echo"}],
    "tools": [
        {"type": "code_execution_20260120", "name": "code_execution"},
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "web_fetch_20250910", "name": "web_fetch"},
        {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
        {"name": "later", "defer_loading": True, "input_schema": PLACE},
        {"name": "weather", "input_schema": PLACE},
        {"type": "advisor_20260301", "name": "advisor", "model": "claude-fable-5"},
        {"type": "mcp_toolset", "mcp_server_name": "echo"},
    ],
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}, {"type": "compact_20260112"}]},
    "fallbacks": [{"model": "claude-opus-4-8"}],
}
ID = re.compile(r"(msg|toolu|srvtoolu|mcptoolu|file|container)_01[1-9A-HJ-NP-Za-km-z]{22}")
api = anthropic.Anthropic(max_retries=0)


def create(messages):
    return api.beta.messages.create(messages=messages, **REQUEST)


def stream(messages):
    with api.beta.messages.stream(messages=messages, **REQUEST) as events:
        for _ in events:
            pass
        return events.get_final_message()


def converse(way):
    """All answers of one conversation, pauses gone on with and calls answered."""
    messages, answers = [user("go")], []
    while True:
        answer = way(messages)
        answers.append(answer)
        if answer.stop_reason == "pause_turn":
            back = []
        elif answer.stop_reason == "tool_use":
            calls = [block for block in answer.content if block.type == "tool_use"]
            back = [{"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": "done"} for call in calls]}]
        else:
            return answers
        messages = [*messages, {"role": "assistant", "content": answer.content}, *back]


def told(answers):
    """The answers as JSON, with ids by their order, and without what no client knows."""
    known = {}
    text = json.dumps([known_members(answer.to_dict()) for answer in answers], ensure_ascii=False, sort_keys=True)
    return ID.sub(lambda found: known.setdefault(found[0], f"{found[1]}_{len(known)}"), text)


def known_members(value):
    if isinstance(value, dict):
        # The SDK hands the partial text of an input out beside the block.
        return {key: known_members(member) for key, member in value.items()
                if key not in ("sandtable_unknown", "expires_at", "parsed_output") and member is not None}
    if isinstance(value, list):
        return [known_members(item) for item in value]
    return value


control("POST", "clock", {"freeze": True})
cases = json.load(open("given.json"))
assert len(cases) == 200
seen = set()
for number, case in enumerate(cases):
    control("PUT", "scripts", case["script"])
    came = []
    for way in (create, stream):
        control("DELETE", "faults")
        control("POST", "faults", case["faults"])
        try:
            came.append(converse(way))
        except Exception as error:
            raise AssertionError(f"case {number}, {way.__name__}: {type(error).__name__}: {error}\n{case}") from error
    plain, streamed = map(told, came)
    if plain != streamed:
        at = next(i for i, (a, b) in enumerate(zip(plain + "\0", streamed + "\0")) if a != b)
        raise AssertionError(f"case {number} at {at}:\n{plain[max(0, at - 300):at + 200]}\n---\n"
                             f"{streamed[max(0, at - 300):at + 200]}\n{case['faults']}")
    last = came[1][-1]
    texts = [block.text for block in last.content if block.type == "text"]
    if case["ends_well"]:
        assert last.stop_reason in ("end_turn", "stop_sequence"), (number, last.stop_reason)
        told_last = texts[-1] if texts else None
        assert not case["says"] or told_last == case["says"], (number, case["says"], came[1][-2:], case["script"])
    seen.update(block.type for answer in came[1] for block in answer.content)
    seen.update(answer.stop_reason for answer in came[1])
assert {"text", "thinking", "tool_use", "pause_turn", "refusal", "mcp_tool_result", "compaction"} <= seen, seen
