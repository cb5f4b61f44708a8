"""What the service does itself beside code: every block by script, plain and streamed, through the SDK's types, and back."""

import anthropic

from support import client, kinds, raises, said, script, user

MODEL = "claude-opus-5-5"
BETAS = [
    "advisor-tool-2026-03-01",
    "mcp-client-2025-11-20",
    "compact-2026-01-12",
    "server-side-fallback-2026-07-01",
    "context-management-2025-06-27",
    "thinking-display-updates-2026-08-18",
]
SEARCH = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
WEATHER = {"name": "get_weather", "description": "The weather of a place", "defer_loading": True,
           "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}}}
ADVISOR = {"type": "advisor_20260301", "name": "advisor", "model": "claude-fable-5", "max_tokens": 1024}
# A tool of the client that is called like one of the service.
OWN_SEARCH = {"name": "web_search", "input_schema": {"type": "object"}}
OPTIONS = {
    "mcp_servers": [{"type": "url", "url": "https://echo.example/mcp", "name": "echo"}],
    "tools": [SEARCH, WEATHER, ADVISOR, OWN_SEARCH, {"type": "mcp_toolset", "mcp_server_name": "echo"}],
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}, {"type": "compact_20260112"}]},
    "fallbacks": [{"model": "claude-opus-4-8"}],
    "thinking": {"type": "adaptive", "display": "updates"},
}
script("""
- name: all
  when: { user: all }
  then:
    - thinking: I reason.
    - thinking: { update: I look for a tool. }
    - compaction: They greet.
    - tool_search: weather
    - tool_search: "["
    - advisor: Ship it.
    - advisor: { text: secret, redacted: true }
    - advisor: late
      tool_error: overloaded
    - mcp_tool_listing: { server: echo, tools: [{ name: say, description: Says it., input_schema: { type: object } }] }
    - mcp_tool_use: { server: echo, name: say, input: { message: hi }, text: "Tool echo: hi" }
    - mcp_tool_use: { server: echo, name: fail, text: nope, is_error: true }
    - container_upload: file_011CNha8iCJcU1wXNR6q4V8w
    - fallback: { category: general_harms }
    - applied_edits: [{ type: clear_tool_uses_20250919, cleared_tool_uses: 2, cleared_input_tokens: 90 }]
    - text: ${{ results[0].stdout }}
- name: own
  when: { user: own }
  then:
    - tool_use: { name: web_search, input: { query: sand } }
    - text: ${{ last.stdout }}
- name: pause
  when: { user: pause }
  then:
    - compaction: Short.
    - text: And on.
""")
api = client()


def create(text, messages=(), **options):
    options = OPTIONS | options
    return api.beta.messages.create(
        model=MODEL, max_tokens=2048, messages=[user(text), *messages], betas=BETAS, **options
    )


def stream(text, messages=(), **options):
    options = OPTIONS | options
    with api.beta.messages.stream(
        model=MODEL, max_tokens=2048, messages=[user(text), *messages], betas=BETAS, **options
    ) as events:
        seen = [event.type for event in events]
        if text == "all" and not messages:
            assert seen.count("compaction") == 1, seen
        return events.get_final_message()


for way in (create, stream):
    answer = way("all")
    assert kinds(answer) == [
        "thinking", "thinking", "compaction",
        "server_tool_use", "tool_search_tool_result", "server_tool_use", "tool_search_tool_result",
        "server_tool_use", "advisor_tool_result", "server_tool_use", "advisor_tool_result",
        "server_tool_use", "advisor_tool_result",
        "mcp_tool_listing", "mcp_tool_use", "mcp_tool_result", "mcp_tool_use", "mcp_tool_result",
        "container_upload", "fallback", "text",
    ], kinds(answer)
    reasoning, update, compaction, _, found, _, wrong, _, advice, _, sealed, _, late = answer.content[:13]
    assert (reasoning.thinking, update.thinking) == ("", "I look for a tool."), answer.content[:2]
    assert compaction.content == "They greet.", compaction
    assert found.content.tool_references[0].tool_name == "get_weather", found
    assert wrong.content.error_code == "invalid_tool_input", wrong
    assert wrong.content.error_message == "Invalid regular expression pattern: missing ]: [", wrong
    assert (advice.content.text, advice.content.stop_reason) == ("Ship it.", "end_turn"), advice
    assert sealed.content.type == "advisor_redacted_result" and "secret" not in sealed.content.encrypted_content
    assert late.content.error_code == "overloaded", late
    listing, call, heard, _, failed, upload, fallback, text = answer.content[13:]
    assert (listing.mcp_server_name, listing.tools[0].name) == ("echo", "say"), listing
    assert call.id.startswith("mcptoolu_") and (call.server_name, call.input) == ("echo", {"message": "hi"}), call
    assert heard.content[0].text == "Tool echo: hi" and heard.is_error is False, heard
    assert failed.is_error is True, failed
    assert upload.file_id == "file_011CNha8iCJcU1wXNR6q4V8w", upload
    assert (fallback.from_.model, fallback.to.model) == (MODEL, "claude-opus-4-8"), fallback
    assert fallback.trigger.category == "general_harms", fallback
    assert text.text == "get_weather", text
    # The message is of the model that has answered, whichever way it came.
    assert answer.model == "claude-opus-4-8", answer.model
    assert answer.context_management.applied_edits[0].cleared_tool_uses == 2, answer.context_management
    told = [one.type for one in answer.usage.iterations]
    assert told.count("compaction") == 1 and told.count("advisor_message") == 2, told
    assert told[-1] == "fallback_message", told
    assert answer.usage.server_tool_use.web_search_requests == 0

    # All of it comes back as it was.
    history = [{"role": "assistant", "content": answer.content}, user("own")]
    first = way("all", history)
    assert kinds(first) == ["tool_use"] and first.content[0].name == "web_search", first
    result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": "grains"}
    last = way("all", [*history, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}])
    assert said(last) == "grains", last

    # An answer that ends with its compaction goes on when it is sent back.
    edits = {"edits": [{"type": "compact_20260112", "pause_after_compaction": True}]}
    first = way("pause", context_management=edits)
    assert first.stop_reason == "compaction" and kinds(first) == ["compaction"], first
    second = way("pause", [{"role": "assistant", "content": first.content}], context_management=edits)
    assert said(second) == "And on.", second

error = raises(anthropic.BadRequestError, create, "all", tools=[SEARCH, WEATHER])
assert "MCP server 'echo' is defined but not referenced by any `mcp_toolset` in `tools`." in str(error), error
