"""Every block and event the server can send fits the SDK's types to the letter, plain and streamed."""

import base64
import json

import anthropic
from anthropic import types
from anthropic.types import beta

from support import CODE, LEGACY, MODEL, STRICT, client, fits, results, script, user

assert STRICT, "the older SDK does not know these blocks"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
ERRORS = {
    "bash: 'true'": [
        "unavailable",
        "invalid_tool_input",
        "too_many_requests",
        "execution_time_exceeded",
        "output_file_too_large",
        "container_expired",
    ],
    "view: a.txt": [
        "unavailable",
        "invalid_tool_input",
        "too_many_requests",
        "execution_time_exceeded",
        "file_not_found",
        "string_not_found",
        "container_expired",
    ],
}
PYTHON_ERRORS = ["unavailable", "invalid_tool_input", "too_many_requests", "execution_time_exceeded"]
RULES = f"""
- name: the editor
  when: {{ user: the editor, tools: code_execution_20250825 }}
  then:
    - usage: {{ input_tokens: 105, output_tokens: 239, cache_read_input_tokens: 7 }}
    - thinking: Let me see.
    - text: All of it.
    - create: {{ path: a.txt, file_text: "one\\ntwo\\nthree\\n" }}
      expect: {{ error_code: null }}
    - create: {{ path: a.txt, file_text: "one\\ntwo\\nthree\\nfour\\n" }}
    - view: a.txt
    - view: {{ path: a.txt, view_range: [2, 3] }}
    - str_replace: {{ path: a.txt, old_str: two, new_str: "zwei\\ndrei" }}
    - str_replace: {{ path: a.txt, old_str: absent, new_str: there }}
      expect: {{ error_code: string_not_found }}
    - view: nowhere.txt
      expect: {{ error_code: file_not_found }}
    - view: .
    - text_editor: {{ command: undo_edit, path: a.txt }}
      expect: {{ error_code: invalid_tool_input }}
- name: the shell
  when: {{ user: the shell }}
  then:
    - create: {{ path: a.txt, file_text: "" }}
    - bash: 'printf "{PIXEL}" | base64 -d > dot.png; cp dot.png a.txt "$OUTPUT_DIR"'
      expect: {{ return_code: 0, files: ["*.png", "*.txt"] }}
    - view: dot.png
    - bash: 'printf "\\377\\000\\033[1m\\r\\n"; echo "no newline ☂" | tr -d "\\n" >&2; kill -9 $$'
    - python: print("done")
"""
# More calls than one turn makes before it pauses: each in a rule of its own.
for call, codes in ERRORS.items():
    for code in codes:
        RULES += f"""
- name: {call[:4]} {code}
  when: {{ user: "{call[:4].strip(":'")} {code}" }}
  then:
    - {call}
      tool_error: {code}
"""
for code in PYTHON_ERRORS:
    RULES += f"""
- name: python {code}
  when: {{ user: python {code} }}
  then:
    - python: print(1)
      tool_error: {code}
"""
RULES += """
- name: legacy
  when: { user: legacy, tools: code_execution_20250522 }
  then:
    - python: |
        import os, sys
        open(os.environ["OUTPUT_DIR"] + "/out.csv", "w").write("a,b\\n")
        print("out"); print("err", file=sys.stderr)
      expect: { files: "*.csv" }
    - python: raise SystemExit(3)
- name: client tools
  when: { user: client tools }
  then:
    - parallel:
        - tool_use: { name: get_weather, input: { city: Oslo, days: [1, 2.5, null, true], more: { a: "ü" } } }
        - tool_use: get_weather
- name: refusal
  when: { user: refusal }
  then:
    - stop: { reason: refusal, category: bio, explanation: No. }
- name: pause
  when: { user: pause }
  then:
    - text: Later.
    - pause_turn
- name: full
  when: { user: full }
  then:
    - stop: model_context_window_exceeded
- name: broken
  when: { user: broken }
  then:
    - http_error: { status: 529, after_events: 3 }
    - text: This does not end well.
"""
WEATHER = {"name": "get_weather", "input_schema": {"type": "object"}}
script(RULES)
api = client()


def both(text, tools=(CODE,), **more):
    """The answer, asked for plainly and as a stream; the client checks both."""
    options = {"model": MODEL, "max_tokens": 512, "messages": [user(text)], "tools": list(tools), **more}
    with api.messages.stream(**options) as stream:
        streamed = stream.get_final_message()
    plain = api.messages.create(**options)
    assert [block.type for block in plain.content] == [block.type for block in streamed.content]
    return plain


answer = both("the editor", thinking={"type": "adaptive"})
assert answer.usage.input_tokens == 105 and answer.usage.cache_read_input_tokens == 7, answer.usage
made, again, whole, part, replaced, missing, nowhere, folder, undo = results(answer)
assert (made["is_file_update"], again["is_file_update"]) == (False, True)
assert (whole["num_lines"], whole["start_line"], whole["total_lines"]) == (5, 1, 5), whole
assert part["start_line"] == 2 and part["num_lines"] == 2 and part["content"].startswith("two"), part
assert replaced["lines"] == [" one", "-two", "+zwei", "+drei", " three", " four"], replaced
assert (replaced["old_start"], replaced["old_lines"], replaced["new_start"], replaced["new_lines"]) == (1, 4, 1, 5)
assert "a.txt" in missing["error_message"] and nowhere["error_message"] and undo["error_message"], missing
assert folder["error_code"] in ("invalid_tool_input", "unavailable"), folder
_, output, dot, killed, last = results(both("the shell"))
assert len(output["content"]) == 2, output
assert dot["file_type"] == "image" and base64.b64decode(dot["content"]) == base64.b64decode(PIXEL), dot
assert killed["return_code"] == 137 and killed["stderr"] == "no newline ☂", killed
assert last["stdout"] == "done\n", last

for call, codes in ERRORS.items():
    for code in codes:
        (result,) = results(both(f"{call[:4].strip(':')} {code}"))
        assert result["error_code"] == code, result
for code in PYTHON_ERRORS:
    (result,) = results(both(f"python {code}", [LEGACY]))
    assert result == {"type": "code_execution_tool_result_error", "error_code": code}, result
first, second = results(both("legacy", [LEGACY]))
assert first["stdout"] == "out\n" and first["stderr"] == "err\n" and len(first["content"]) == 1, first
assert second["return_code"] == 3, second

called = both("client tools", [WEATHER])
assert called.stop_reason == "tool_use" and [block.input for block in called.content] == [
    {"city": "Oslo", "days": [1, 2.5, None, True], "more": {"a": "ü"}},
    {},
], called
for text, reason in [("refusal", "refusal"), ("pause", "pause_turn"), ("full", "model_context_window_exceeded")]:
    assert both(text).stop_reason == reason
try:
    both("broken")
except anthropic.APIStatusError as error:
    assert error.status_code == 200

# The check itself can fail.
sound = json.loads(answer.to_json())
sound["container"] = None
fits(types.Message, json.dumps(sound))
for path, value in [
    (("stop_reason",), "tired"),
    (("content", 3, "type"), "bash_tool_result"),
    (("content", 3, "content", "type"), "view_result"),
    (("usage", "input_tokens"), "105"),
    (("surprise",), 1),
]:
    spoiled = json.loads(json.dumps(sound))
    place = spoiled
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    try:
        fits(beta.BetaMessage, json.dumps(spoiled))
    except (ValueError, AssertionError):
        continue
    raise SystemExit(f"{path} = {value} was not noticed")
