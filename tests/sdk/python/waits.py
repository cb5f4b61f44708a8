"""Calls over their time, in real sandboxes: a command, a program of 2025-05, a cell, and one behind a cell that waits."""

from support import CODE, LEGACY, MODEL, client, script, user

# The server runs with `--call-timeout 1 --cell-timeout 1 --cell-queue-timeout 1`.
CELLS = {"type": "code_execution_20260120", "name": "code_execution"}
ASK = {"name": "ask", "input_schema": {"type": "object"}, "allowed_callers": ["code_execution_20260120"]}
script("""
- when: { user: command }
  then:
    - bash: echo begun; sleep 60
    - text: "${{ last.error_code }}"
- when: { user: program }
  then:
    - python: |
        import time
        time.sleep(60)
    - text: "${{ last.error_code }}"
- when: { user: cell }
  then:
    - python: |
        import time
        time.sleep(60)
    - text: "${{ last.return_code }}"
- when: { user: first }
  then:
    - python: print(await ask({}))
    - text: "${{ last.stdout }}"
- when: { user: second }
  then:
    - python: print("never")
    - text: "${{ last.error_code }}"
""")
api = client()


def create(text, tools, messages=(), **options):
    messages = [user(text), *messages]
    return api.messages.create(model=MODEL, max_tokens=256, messages=messages, tools=tools, **options)


for text, tool in [("command", CODE), ("program", LEGACY)]:
    answer = create(text, [tool])
    result = answer.content[1].content
    assert result.error_code == "execution_time_exceeded", result
    assert answer.content[-1].text == "execution_time_exceeded", answer.content
    with api.messages.stream(model=MODEL, max_tokens=256, messages=[user(text)], tools=[tool]) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[1].content == result, streamed.content

# A cell over its time is an ordinary result.
result = create("cell", [CELLS]).content[1].content
assert result.return_code == 124 and "detection_timeout" in result.stderr, result

# One cell waits for its client; the one behind it loses its patience, and the first goes on.
first = create("first", [CELLS, ASK])
call = first.content[-1]
assert call.type == "tool_use" and call.caller.type == "code_execution_20260120", call
second = create("second", [CELLS], container=first.container.id)
assert second.content[1].content.error_code == "too_many_requests", second.content
assert second.content[-1].text == "too_many_requests", second.content
results = [{"type": "tool_result", "tool_use_id": call.id, "content": "yes"}]
answer = create(
    "first",
    [CELLS, ASK],
    [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}],
    container=first.container.id,
)
assert answer.content[0].content.stdout == "yes\n", answer.content
